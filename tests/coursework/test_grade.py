"""A class from a folder to a CSV: cut and gone on with, broken notebooks among good ones, names of every kind."""

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from submissions import as_file, lesson, notebook

from cl_course.coursework import grade as module
from cl_course.coursework.collect import Handed
from cl_course.coursework.grade import COLUMNS, Row, grade, harmless, marks_of, plan, write_marks
from cl_course.coursework.marking import Limits, Mark
from cl_course.coursework.report import file_names, write_feedback, write_report

LIMITS = Limits()


@pytest.fixture
def quick(monkeypatch):
    """Marks without running anything: full marks for a notebook that says so. Returns the students judged."""
    judged = []

    def mark(of, assignment, folder, limits, seed, variant=None):
        if "die" in of.cells[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        right = "right" in of.cells[0]
        return [
            Mark(task, task.points * right, "well done" if right else "=wrong, <b>badly</b>")
            for task in assignment.tasks
        ]

    monkeypatch.setattr(module, "mark", mark)
    monkeypatch.setattr(module, "self_tested", lambda assignment, limits: assignment)
    return judged


def handed(student: str, first: str = "right", about: dict | None = None, **more) -> Handed:
    of = notebook("02", solved=False, about=about)
    return Handed(student, f"{student}/02_infonce.ipynb", as_file(type(of)((first, *of.cells), of.about)), **more)


def marked(folder: Path, what: list[Handed], jobs: int = 2, tell=lambda said: None) -> list[Row]:
    return grade(what, [lesson("02")], folder / "marks.csv", LIMITS, 0, jobs, tell)


def table(folder: Path) -> list[dict]:
    with (folder / "marks.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_the_marks_of_a_class(quick, tmp_path):
    what = [handed("Zoë van der Müller"), handed("ann"), handed("Ben", "wrong"), handed("=cmd|' /C calc'!A0")]
    what += [
        Handed("broken", "broken/02_infonce.ipynb", b"{"),
        Handed("zip", "zip.zip", None, "the archive is damaged"),
    ]
    what += [handed("dies", "die")]
    marked(tmp_path, what)
    rows = table(tmp_path)
    assert tuple(rows[0]) == COLUMNS and len(rows) == 6 * len(what)
    points = {row["student"]: 0.0 for row in rows}
    for row in rows:
        points[row["student"]] += float(row["points"])
        assert row["mistake"] or row["points"] == row["possible"]
    full = lesson("02").points
    assert points == {"Zoë van der Müller": full, "ann": full, "'=cmd|' /C calc'!A0": full, "Ben": 0} | dict.fromkeys(
        ("broken", "zip", "dies"), 0
    )
    said = {row["student"]: row["mistake"] for row in rows}
    assert "no notebook, or a damaged one" in said["broken"] and "archive is damaged" in said["zip"]
    assert "its grader ended before" in said["dies"] and said["Ben"].startswith("'=")


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_cut_class_goes_on_to_the_same_marks(quick, tmp_path, after):
    what = [handed(f"s{i}", "right" if i % 3 else "wrong") for i in range(7)]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    marked(whole, what)
    said = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        if len(said) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        marked(cut, what, jobs=1, tell=tell)
    assert len(table(cut)) == 6 * after, "what is done stands in the marks"
    said.clear()
    marked(cut, what, jobs=1, tell=lambda sentence: said.append(sentence))
    assert said[0] == f"{after} of 7 notebooks were judged before; {7 - after} are left" and len(said) == 8 - after
    assert (cut / "marks.csv").read_bytes() == (whole / "marks.csv").read_bytes()


def test_what_is_handed_in_anew_is_judged_anew(quick, tmp_path):
    marked(tmp_path, [handed("ann", "wrong"), handed("ben")])
    said = []
    marked(tmp_path, [handed("ann"), handed("ben")], tell=said.append)
    assert said[0].startswith("1 of 2 notebooks were judged before") and "ann" in said[1]
    (journal,) = [path for path in (tmp_path / "marks" / "journal").iterdir() if '"ann"' in path.read_text()][:1]
    journal.write_text("[{")  # cut off by a full disk
    marked(tmp_path, [handed("ann"), handed("ben")])
    assert all(row["points"] == row["possible"] for row in table(tmp_path))


def test_of_several_the_last_that_can_be_read_counts(quick):
    early, late = handed("ann", "wrong", when=1.0), handed("ann", when=2.0)
    broken = Handed("ann", "ann/02_infonce.ipynb", b"{", when=3.0)
    chosen = plan([early, late, broken], [lesson("02")], 0, LIMITS)
    assert [job.handed for job in chosen] == [late]


def test_a_notebook_of_another_course_is_said(quick):
    (job,) = plan(
        [Handed("ann", "x.ipynb", as_file(type(notebook("02", True))(("print(1)",), {})))], [lesson("02")], 0, LIMITS
    )
    assert all("none of the lesson's check cells" in row.sentence for row in marks_of(job, LIMITS, 0))


def test_the_variant_of_someone_else_has_no_points(quick):
    for student, whose, judged in (("s01", "s01", True), ("Zoë_Ünal", "Zoë Ünal", True), ("s02", "s01", False)):
        (job,) = plan([handed(student, about={"student": whose})], [lesson("02")], 0, LIMITS)
        rows = marks_of(job, LIMITS, 0)
        assert (sum(row.points for row in rows) > 0) == judged
        assert judged or all("the variant of s01" in row.sentence for row in rows)


def test_report_and_feedback(tmp_path):
    def row(student, exercise, points, sentence):
        return Row(student, "02_infonce", exercise, "a <title>", points, 4, sentence, 5)

    rows = [row("Zoë", 1, 4, "right."), row("a/b", 1, 0, "your answer is 0.1234, expected 0.5: <script>")]
    rows += [row("A/B", 1, 0, "your answer is 0.9, expected 0.7: <script>"), row("x" * 300, 1, 2, "partly")]
    write_report(tmp_path / "report.html", rows, ["the network is open"])
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "the network is open" in page
    assert '<td class="number">2</td><td>your answer is #, expected #' in page, "equal mistakes are counted together"
    assert "Marks of 4 students" in page
    (tmp_path / "feedback").mkdir()
    (tmp_path / "feedback" / "gone.md").write_text("# gone\n\n## 02_infonce: 0 of 4 points\n\n- more\n")
    write_feedback(tmp_path / "feedback", rows)
    files = {path.name: path.read_text() for path in (tmp_path / "feedback").iterdir()}
    assert len(files) == 4 and {"Zoë.md", "a_b.md", "A_B (2).md"} < set(files)
    assert "4 of 4. Right." in files["Zoë.md"] and "To mend: your answer" in files["a_b.md"]


def test_marks_are_written_whole_or_not_at_all(tmp_path):
    write_marks(tmp_path / "marks.csv", [])
    assert table(tmp_path) == [] and [path.name for path in tmp_path.iterdir()] == ["marks.csv"]


@pytest.mark.parametrize("pattern", ["{}_assignsubmission_file_/02_infonce.ipynb", "{}_7890123_02_infonce.ipynb"])
def test_two_students_of_one_name_stay_two(pattern):
    def of(number: int, name: str = "Ana G") -> Handed:
        return replace(handed(name), where=pattern.format(f"{name}_{number}"))

    jobs = plan([of(11), of(12), of(13, "Ben"), of(13, "Ben")], [lesson("02")], 0, LIMITS)
    assert [job.handed.student for job in jobs] == ["Ana G (11)", "Ana G (12)", "Ben"]


def test_a_sentence_that_is_no_utf8_can_be_kept(quick, tmp_path):
    bad = handed("ann", about={"lesson": "02_infonce", "student": "\ud800"})
    marked(tmp_path, [bad, handed("ben")])
    assert {row["student"] for row in table(tmp_path)} == {"ann", "ben"}


def test_a_notebook_whose_grader_ended_is_judged_again(quick, tmp_path):
    marked(tmp_path, [handed("ann", "die"), handed("ben")])
    said = []
    marked(tmp_path, [handed("ann", "die"), handed("ben")], tell=said.append)
    assert said[0] == "1 of 2 notebooks were judged before; 1 are left" and said[1].startswith("2 of 2: ann")


def test_an_attribute_of_the_grader_that_fails_is_judged_again(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "marks_of", lambda *_: 1 / 0)
    (row, *_) = marked(tmp_path, [handed("ann")])
    assert "the grader stopped (ZeroDivisionError)" in row.sentence
    monkeypatch.undo()
    monkeypatch.setattr(module, "self_tested", lambda assignment, limits: assignment)
    monkeypatch.setattr(module, "marks_of", lambda job, *_: [row])
    said = []
    marked(tmp_path, [handed("ann")], tell=said.append)
    assert said[0].startswith("1 of 1: ann"), "and not taken from the journal"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "@x", "-1+cmd|' /C calc'!A0", "-x", "\t=1"])
def test_no_cell_is_a_formula(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1", "-3.25", "4", "ann", "", "a=b"])
def test_numbers_and_names_stay(cell):
    assert harmless(cell) == cell


def test_no_two_students_share_a_file_of_feedback_and_other_files_stay(tmp_path):
    names = file_names(["x:y", "x?y", "x_y (2)"])
    assert len({name.casefold() for name in names.values()}) == 3
    rows = [Row(name, "02_infonce", 1, "a title", 2, 2, "", 30) for name in ("ann", "ben")]
    write_feedback(tmp_path, rows)
    (tmp_path / "notes.md").write_text("# My notes\n\nof the class\n")
    write_feedback(tmp_path, rows[:1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann.md", "notes.md"]


def test_two_of_one_name_keep_their_numbers_in_every_lesson_and_in_the_journal(quick, tmp_path):
    def of(number: int, first: str = "right") -> Handed:
        return replace(handed("Ana", first), where=f"Ana_{number}_assignsubmission_file_/02_infonce.ipynb")

    marked(tmp_path, [of(11)])
    assert {row["student"] for row in table(tmp_path)} == {"Ana"}
    marked(tmp_path, [of(11), of(12, "wrong")])
    assert {row["student"] for row in table(tmp_path)} == {"Ana (11)", "Ana (12)"}
    other = replace(handed("Ana", about={"lesson": "03_simclr"}), where="Ana_11_assignsubmission_file_/03_simclr.ipynb")
    jobs = plan([of(11), of(12), other], [lesson("02"), lesson("03")], 0, LIMITS)
    assert sorted((job.handed.student, job.assignment.lesson) for job in jobs) == [
        ("Ana (11)", "02_infonce"),
        ("Ana (11)", "03_simclr"),
        ("Ana (12)", "02_infonce"),
    ]
