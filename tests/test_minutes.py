"""Minutes are counted as minutes.py says: words, visible lines, exercises, sections, and stretches without doing."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

import minutes
from cl_course.running.lesson_files import named


def md(source: str, *tags: str):
    return new_markdown_cell(source, metadata={"tags": list(tags)})


def code(source: str, *tags: str):
    return new_code_cell(source, metadata={"tags": list(tags)})


EXERCISE = [
    md("### Exercise 2: one row (5 min, medium)\n\nfour words of text"),
    code("def f():\n    ...", "exercise"),
    code("checks.f(f)"),
    md("a hint of many words that do not count", "hints"),
]


def test_by_hand():
    """14 words, 3 + 1 lines, one exercise of 5 minutes."""
    cells = [md("# Title\n\none two"), code("a = 1\n\n# why\nb = 2"), *EXERCISE]
    counted = minutes.count(cells)
    words = 3 + 7 + 4  # "Title one two", "Exercise 2: one row (5 min, medium)", "four words of text"
    assert (counted.core.words, counted.core.lines) == (words, 3 + 1)
    assert counted.core.minutes == pytest.approx(words / 180 + 4 * 8 / 60 + 5)
    assert counted.core.exercises == [minutes.Exercise(2, "one row", 5, "medium", True)]
    assert counted.deeper == minutes.Part()


@pytest.mark.parametrize(
    "text, words",
    [
        ("one, two: three - four", 4),
        ("a [link of four words](https://example.org/page)", 5),
        ("<details><summary>Answer</summary>\n\nyes\n\n</details>", 2),
        ("$s(a, b) = \\frac{a \\cdot b}{|a|}$", 5),
        ("| a | b |\n|---|---|\n| 1 | 2 |", 4),
        ("a < b and c > d", 5),
    ],
)
def test_words(text, words):
    assert minutes.words_in(text) == words


@pytest.mark.parametrize("tag", ["setup", "parameters", "folded"])
def test_folded_code_is_not_read(tag):
    assert minutes.count([code("a = 1", tag)]).core == minutes.Part()


def test_an_exercise_states_its_minutes_in_the_heading_above_it():
    """Each heading serves one exercise; a heading without minutes leaves 0, which test_lessons.py refuses."""
    without = [md("### Exercise: one row"), *EXERCISE[1:]]
    unchecked = [EXERCISE[0], EXERCISE[1], md("no check cell"), *EXERCISE[1:]]
    assert minutes.count(without).core.exercises == [minutes.Exercise(0, "", 0, "", True)]
    first, second = minutes.count(unchecked).core.exercises
    assert first == minutes.Exercise(2, "one row", 5, "medium", False) and second.minutes == 0


def test_going_deeper_reaches_to_the_next_heading_of_its_level():
    cells = [
        md("## One"),
        md("## Going deeper: why"),
        code("a = 1"),
        md("### A part of it"),
        md("```\n# a comment, no heading\n```"),
        md("## Going deeper: how"),
        md("two words"),
        md("# The end"),
    ]
    assert minutes.deeper_sections(cells) == [range(1, 5), range(5, 7)]
    counted = minutes.count(cells)
    assert counted.deeper.lines == 1 and counted.core.lines == 0
    assert counted.core.words == 1 + 2
    assert minutes.deeper_sections(cells[:7])[-1] == range(5, 7), "or to the end of the lesson"
    assert minutes.deeper_sections(cells[:1]) == []


@pytest.mark.parametrize("text", ["## One\n\n## Going deeper: why", "Text.\n\n## Going deeper: why"])
def test_a_section_that_cannot_be_folded_is_refused(text):
    with pytest.raises(ValueError, match="cell 2: the heading 'Going deeper: why' must open its cell"):
        minutes.deeper_sections([md("# T"), md(text)])
    with pytest.raises(ValueError, match="cell 3: the heading 'Two' must open its cell"):
        minutes.deeper_sections([md("# T"), md("## Going deeper: why"), md("Text.\n\n## Two")])


WORDS = " ".join(["word"] * 900)  # five minutes


@pytest.mark.parametrize(
    "between, longest",
    [
        (md("nothing to do"), 10),
        (code("my_lab()"), 5),
        (code("game = card_game(cards)"), 5),
        (code("show(figure)"), 10),
        (md("<details><summary>Answer</summary>\n\nYes.\n\n</details>"), 5),
        (md("<details><summary>Hint</summary>\n\nNo.\n\n</details>", "hints"), 10),
    ],
)
def test_the_longest_stretch_without_doing(between, longest):
    assert minutes.count([md(WORDS), between, md(WORDS)]).longest == pytest.approx(longest, abs=0.2)


def test_a_checked_exercise_is_doing_and_what_is_folded_is_no_stretch():
    assert minutes.count([md(WORDS), *EXERCISE, md(WORDS)]).longest == pytest.approx(5, abs=0.3)
    unchecked = [md(WORDS), *EXERCISE[:2], md(WORDS)]
    assert minutes.count(unchecked).longest == pytest.approx(10, abs=0.3)
    assert minutes.count([md(WORDS), md("## Going deeper"), md(WORDS), md(WORDS)]).longest == pytest.approx(5)


@pytest.mark.parametrize("counted, stated", [(1, 5), (12.4, 10), (12.6, 15), (58, 60)])
def test_minutes_are_stated_in_fives(counted, stated):
    assert minutes.stated(counted) == stated


def test_the_readme_gets_the_minutes_and_nothing_else_changes():
    row = "| badge | [{0}](notebooks/{0}.ipynb) | {1} | what | `module` |"
    lessons = named([])
    page = "\n".join(["# A page", *(row.format(source.stem, "?") for source in lessons), "The end"])
    filled = minutes.with_minutes(page, lessons)
    assert filled == "\n".join(
        ["# A page", *(row.format(source.stem, minutes.stated_of(source)) for source in lessons), "The end"]
    )


def test_the_table_names_every_lesson(capsys):
    assert minutes.main([]) == 0
    printed = capsys.readouterr().out
    assert all(path.stem in printed for path in named([]))
    assert minutes.main(["99"]) == 1
    assert capsys.readouterr().err.startswith("minutes: there is no lesson '99'; there are 00_start_here")
