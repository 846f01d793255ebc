"""How long a lesson takes: what the build states in its head, what `make minutes` prints, what a test compares.

    python notebooks/minutes.py          every lesson
    python notebooks/minutes.py 03 05    only these, with their exercises
    python notebooks/minutes.py --readme write the minutes into README's table of lessons

minutes = words / 180 + 8 seconds for each visible line of code + the minutes that each exercise states.

- Words are those of all markdown, answers to quizzes as well. Hints and solutions belong to the exercise's minutes.
- Visible lines are those of code cells that are neither folded (set-up, parameters, tag `folded`) nor exercises.
- The core path is all but the sections whose heading begins with "Going deeper".
- A reader *does* something at a checked exercise, a lab, and a question with a folded answer; the longest stretch
  is the most minutes of reading between two of these on the core path.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from cl_course.running.lesson_files import SOURCES, named

README = SOURCES.parents[1] / "README.md"
WORDS_A_MINUTE, SECONDS_A_LINE = 180, 8
FOLDED = {"setup", "parameters", "folded"}
DEEPER = "Going deeper"
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
EXERCISE = re.compile(r"^#{2,4} Exercise (\d+): (.+) \((\d+) min, (easy|medium|hard)\)$", re.MULTILINE)
QUESTION = re.compile(r"(?=<details>)")  # the reader answers, then opens the answer
LAB = re.compile(r"\b\w+_(?:lab|game|training)\(")


@dataclass(frozen=True)
class Exercise:
    """A cell tagged `exercise` under its heading, `### Exercise 2: one row's loss (5 min, easy)`.

    Attributes:
        number, title, minutes, difficulty: as the heading states them; 0 and "" where it does not.
        checked: the next cell calls `checks.name(attempt)`.
    """

    number: int
    title: str
    minutes: int
    difficulty: str
    checked: bool


@dataclass
class Part:
    """What is counted of the core path, or of all sections "Going deeper" together."""

    words: int = 0
    lines: int = 0
    exercises: list[Exercise] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        return reading(self.words, self.lines) + sum(exercise.minutes for exercise in self.exercises)


@dataclass
class Count:
    """A lesson's two parts, and the most minutes of its core path without doing anything."""

    core: Part = field(default_factory=Part)
    deeper: Part = field(default_factory=Part)
    longest: float = 0.0


def reading(words: int, lines: int) -> float:
    return words / WORDS_A_MINUTE + lines * SECONDS_A_LINE / 60


def stated(minutes: float) -> int:
    """Minutes as a lesson states them: rounded to 5."""
    return max(5, 5 * round(minutes / 5))


def minutes_of(source: Path) -> tuple[float, float]:
    """Minutes of a lesson's core path, and of its sections "Going deeper"."""
    counted = count_of(source)
    return counted.core.minutes, counted.deeper.minutes


def stated_of(source: Path) -> str:
    """A lesson's time as the table of lessons states it: `45`, or `45 + 10` with its sections "Going deeper"."""
    core, deeper = minutes_of(source)
    return f"{stated(core)} + {stated(deeper)}" if deeper else f"{stated(core)}"


def with_minutes(page: str, lessons: Sequence[Path]) -> str:
    """README with the counted minutes of these lessons: the cell after the link to each one's notebook."""
    for source in lessons:
        page = re.sub(rf"(\(notebooks/{source.stem}\.ipynb\) \| )[^|]*( \|)", rf"\g<1>{stated_of(source)}\g<2>", page)
    return page


def count_of(source: Path) -> Count:
    """What is counted of a lesson.

    Raises:
        ValueError: its sections cannot be told apart.
    """
    try:
        return count(jupytext.read(source, fmt="py:percent").cells)
    except ValueError as error:
        raise ValueError(f"{source.stem}, {error}") from None


def tags_of(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def headings(markdown: str) -> list[tuple[int, str]]:
    """(level, text) of each heading; a line of code in a fence is none."""
    return [(len(marks), text) for marks, text in HEADING.findall(FENCED.sub("", markdown))]


def deeper_sections(cells: Sequence[NotebookNode]) -> list[range]:
    """The cells of each section "Going deeper": from its heading to the next one of its own or a higher level.

    Raises:
        ValueError: such a section begins or ends in the middle of a cell, so that it cannot be folded.
    """
    starts, ends, level = [], [], 0
    for index, cell in enumerate(cells):
        for place, (depth, text) in enumerate(headings(cell.source) if cell.cell_type == "markdown" else []):
            opens, closes = text.startswith(DEEPER), bool(level) and depth <= level
            if (opens or closes) and (place or not cell.source.startswith("#")):
                raise ValueError(
                    f"cell {index + 1}: the heading {text!r} must open its cell: a folded section begins or ends there"
                )
            starts += [index] * opens
            ends += [index] * closes
            level = depth if opens else 0 if closes else level
    return [range(*section) for section in zip(starts, [*ends, len(cells)])]


def words_in(markdown: str) -> int:
    """Words, numbers and pieces of formulas; addresses, HTML tags and bare punctuation do not count."""
    text = re.sub(r"\]\([^)]*\)|</?[a-zA-Z][^>]*>", " ", markdown)
    return sum(any(character.isalnum() for character in word) for word in text.split())


def exercises_of(cells: Sequence[NotebookNode]) -> dict[int, Exercise]:
    """Index of its cell -> exercise. Each takes the nearest heading above that states one, once."""
    found, heading = {}, None
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            heading = ([None, *EXERCISE.finditer(cell.source)][-1]) or heading
        elif "exercise" in tags_of(cell):
            number, title, minutes, difficulty = heading.groups() if heading else (0, "", 0, "")
            checked = index + 1 < len(cells) and "checks." in cells[index + 1].source
            found[index] = Exercise(int(number), title, int(minutes), difficulty, checked)
            heading = None
    return found


def steps(cells: Sequence[NotebookNode], exercises: dict[int, Exercise]) -> Iterator[tuple[int, int, int, bool]]:
    """(cell's index, words, visible lines, then something is done) in the order of reading."""
    for index, cell in enumerate(cells):
        if cell.cell_type == "markdown" and "hints" not in tags_of(cell):
            before, *answers = QUESTION.split(cell.source)
            yield index, words_in(before), 0, bool(answers)
            for place, answer in enumerate(answers, 1):
                yield index, words_in(answer), 0, place < len(answers)
        elif cell.cell_type == "code" and index in exercises:
            yield index, 0, 0, exercises[index].checked
        elif cell.cell_type == "code" and not tags_of(cell) & FOLDED:
            yield index, 0, len(visible_lines(cell)), bool(LAB.search(cell.source))


def visible_lines(cell: NotebookNode) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def count(cells: Sequence[NotebookNode]) -> Count:
    """Words, lines, exercises and minutes of a lesson's source cells."""
    counted, exercises = Count(), exercises_of(cells)
    deeper = {index for section in deeper_sections(cells) for index in section}
    for index, exercise in exercises.items():
        (counted.deeper if index in deeper else counted.core).exercises.append(exercise)
    stretch = 0.0
    for index, words, lines, done in steps(cells, exercises):
        part = counted.deeper if index in deeper else counted.core
        part.words += words
        part.lines += lines
        if index not in deeper:
            stretch += reading(words, lines)
            counted.longest = max(counted.longest, stretch)
            stretch = 0.0 if done else stretch
    return counted


def table(lessons: Sequence[Path]) -> Iterator[str]:
    yield f"{'':<26}{'words':>7}{'lines':>7}  {'exercises, minutes':<22}{'core':>6}{'deeper':>8}{'longest stretch':>17}"
    for source in lessons:
        counted = count_of(source)
        core, deeper = counted.core, counted.deeper
        listed = " + ".join(str(exercise.minutes or "?") for exercise in core.exercises)
        yield (
            f"{source.stem:<26}{core.words:>7,}{core.lines:>7}  {listed:<22}"
            f"{core.minutes:>6.0f}{deeper.minutes:>8.0f}{counted.longest:>17.0f}"
        )


def details(source: Path) -> Iterator[str]:
    counted = count_of(source)
    yield f"\n{source.stem}"
    for name, part in (("core", counted.core), ("deeper", counted.deeper)):
        yield f"  {name}: {part.words:,} words, {part.lines} visible lines, {part.minutes:.1f} minutes"
        for exercise in part.exercises:
            heading = f"{exercise.minutes:>3} min, {exercise.difficulty:<6}  {exercise.number}: {exercise.title}"
            unchecked = "" if exercise.checked else "   NOT CHECKED"
            yield f"    {heading if exercise.minutes else 'its heading states no minutes'}{unchecked}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="03, 06b or 03_simclr; all where none is named")
    parser.add_argument("--readme", action="store_true", help="write the minutes into README's table of lessons")
    given = parser.parse_args(arguments)
    names = given.lessons
    try:
        chosen = named(names, SOURCES)
        print(*table(chosen), sep="\n")
        for source in chosen if names else ():
            print(*details(source), sep="\n")
        if given.readme:
            README.write_text(with_minutes(README.read_text(), chosen))
    except ValueError as error:
        print(f"minutes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
