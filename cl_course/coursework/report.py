"""What is given back: a page for the instructor that shows the class, and a file for each student.

The page says what went wrong and how often, so that it can be taken up in class. A student's file names the idea to
mend for each exercise. Neither shows a hidden input.
"""

import html
import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cl_course.coursework.grade import Row
from cl_course.files import write_atomically

OURS = re.compile(rb"\A# .*\n\n## .+: [\d.e+]+ of [\d.e+]+ points\n")  # not an instructor's own notes
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b;
  background: #fff; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #c8c8c8; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #1b1b1b; } th, td { border-color: #555; } }
"""


def write_report(path: Path, rows: Sequence[Row], walls: Sequence[str]) -> None:
    """The class on one page: exercises, mistakes, students.

    Args:
        walls: what this machine could not shut off while it judged.
    """
    page = "\n".join(_page(rows, walls))
    write_atomically(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))


def write_feedback(folder: Path, rows: Sequence[Row]) -> None:
    """One file for each student, in Markdown; those of students who are not in `rows` any more are deleted."""
    of_student = defaultdict(list)
    for row in rows:
        of_student[row.student].append(row)
    names = file_names(of_student)
    for student, own in of_student.items():
        text = "\n".join(_feedback(student, own))
        write_atomically(folder / names[student], lambda path, text=text: path.write_text(text, encoding="utf-8"))
    for old in folder.glob("*.md"):
        if unicodedata.normalize("NFC", old.name) not in names.values() and OURS.search(old.read_bytes()):
            old.unlink()


def file_names(students: Iterable[str]) -> dict[str, str]:
    """Student -> a file name that every system takes; two that would be alike get a number."""
    taken, names = set(), {}
    for student in students:
        stem = re.sub(r"[^\w .,()@+-]", "_", unicodedata.normalize("NFC", student)).strip(" .")[:80] or "student"
        numbered = itertools.chain([stem], (f"{stem} ({n})" for n in itertools.count(2)))
        name = next(name for name in numbered if name.casefold() not in taken)
        taken.add(name.casefold())
        names[student] = f"{name}.md"
    return names


def _feedback(student: str, rows: Sequence[Row]) -> Iterable[str]:
    yield f"# {student}\n"
    for lesson in dict.fromkeys(row.lesson for row in rows):
        own = [row for row in rows if row.lesson == lesson]
        total, possible = sum(row.points for row in own), sum(row.possible for row in own)
        yield f"## {lesson}: {total:g} of {possible:g} points\n"
        for row in own:
            yield f"- **Exercise {row.exercise}, {row.title}**: {row.points:g} of {row.possible:g}. {_said(row)}"
        yield ""


def _said(row: Row) -> str:
    sentence = " ".join(row.sentence.split())
    return f"{sentence[:1].upper()}{sentence[1:]}" if row.full else f"To mend: {sentence}"


def _page(rows: Sequence[Row], walls: Sequence[str]) -> Iterable[str]:
    students = dict.fromkeys(row.student for row in rows)
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Marks</title><style>{STYLE}</style>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<h1>Marks of {len(students)} student{'s' * (len(students) != 1)}</h1>"
    for wall in walls:
        yield f"<p><strong>Not shut off on this machine</strong>: {html.escape(wall)}.</p>"
    for lesson in dict.fromkeys(row.lesson for row in rows):
        own = [row for row in rows if row.lesson == lesson]
        yield f"<h2>{html.escape(lesson)}</h2>"
        yield "<h3>Exercises</h3>"
        yield from _table(("exercise", "right", "partly", "no points", "mean"), _exercises(own))
        yield "<h3>Mistakes, the most frequent first</h3>"
        yield from _table(("exercise", "how often", "what was found"), _mistakes(own))
        yield "<h3>Students</h3>"
        yield from _table(("student", "points", "of"), _students(own))
    yield "</html>\n"


def _exercises(rows: Sequence[Row]) -> Iterable[tuple]:
    for number in dict.fromkeys(row.exercise for row in rows):
        own = [row for row in rows if row.exercise == number]
        full, none = sum(row.full for row in own), sum(row.points == 0 for row in own)
        mean = sum(row.points for row in own) / len(own)
        yield f"{number}. {own[0].title}", full, len(own) - full - none, none, f"{mean:.1f} of {own[0].possible:g}"


def _mistakes(rows: Sequence[Row]) -> Iterable[tuple]:
    found = Counter((row.exercise, _kind(row.sentence)) for row in rows if not row.full)
    for (exercise, sentence), count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        yield exercise, count, sentence


def _kind(sentence: str) -> str:
    """Without the numbers that differ from student to student, so that equal mistakes are counted as one."""
    return re.sub(r"(?<![\w.])-?\d+\.\d+", "#", " ".join(sentence.split()))


def _students(rows: Sequence[Row]) -> Iterable[tuple]:
    for student in dict.fromkeys(row.student for row in rows):
        own = [row for row in rows if row.student == student]
        yield student, f"{sum(row.points for row in own):g}", f"{sum(row.possible for row in own):g}"


def _table(head: Sequence[str], rows: Iterable[tuple]) -> Iterable[str]:
    yield f"<table><thead><tr>{''.join(f'<th scope=col>{html.escape(name)}</th>' for name in head)}</tr></thead><tbody>"
    for row in rows:
        cells = (f"<td{_right(cell)}>{html.escape(str(cell))}</td>" for cell in row)
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table>"


def _right(cell: object) -> str:
    return ' class="number"' if isinstance(cell, int) or re.fullmatch(r"[\d.]+", str(cell)) else ""
