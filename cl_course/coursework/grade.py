"""A whole class: a folder of submissions in, marks, feedback and a report out.

Every notebook is judged in a process of its own, several side by side, and what is found is kept at once in a journal
beside the marks. The same command after a cut judges what is not in the journal yet, and ends in the same files: a
notebook that was handed in anew, or other points, are judged anew.
"""

import csv
import hashlib
import io
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from cl_course.coursework import sandbox
from cl_course.coursework.assignment import Assignment
from cl_course.coursework.collect import Handed
from cl_course.coursework.marking import Limits, Mark, mark, nothing_for, self_tested
from cl_course.coursework.process import Process, Stopped
from cl_course.coursework.submission import Notebook, Unreadable, lesson_of, read
from cl_course.coursework.variants import Variant
from cl_course.files import write_atomically

COLUMNS = ("student", "lesson", "exercise", "points", "possible", "mistake", "seconds")
COARSE = 30  # seconds are rounded up to so many: a class that was cut ends in the same CSV, also on a busy machine
GRACE = 60.0  # seconds for what is not the notebook's: imports, the checks themselves


@dataclass(frozen=True)
class Row:
    """One line of the marks: what one student has for one exercise."""

    student: str
    lesson: str
    exercise: int
    title: str
    points: float
    possible: float
    sentence: str
    seconds: int

    @property
    def full(self) -> bool:
        return self.points >= self.possible

    def cells(self) -> list[str]:
        values = (self.student, self.lesson, str(self.exercise), f"{self.points:g}", f"{self.possible:g}")
        return [harmless(v) for v in (*values, "" if self.full else self.sentence, str(self.seconds))]


@dataclass(frozen=True)
class Job:
    """A notebook to judge, of one student and lesson."""

    handed: Handed
    assignment: Assignment
    key: str
    problem: str = ""


class Journal:
    """What has been judged already: one small file a notebook, named by all that its marks depend on."""

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, key: str) -> list[Row] | None:
        try:
            return [Row(**row) for row in json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return None

    def put(self, key: str, rows: Sequence[Row]) -> None:
        text = json.dumps([asdict(row) for row in rows], ensure_ascii=False)
        write_atomically(self.folder / f"{key}.json", lambda path: path.write_text(text, encoding="utf-8"))


def grade(handed: Sequence[Handed], lessons: Sequence[Assignment], out: Path, limits: Limits, seed: int, jobs: int,
          tell: Callable[[str], None]) -> list[Row]:  # fmt: skip
    """Judge all that was handed in; the marks stand in `out` from the first student on.

    Args:
        handed: see `collect`.
        lessons: those that a notebook may be of.
        out: the CSV; beside it comes the journal.
        seed: of the hidden inputs, beside what follows from a student's id.
        jobs: notebooks judged side by side.
        tell: called with one sentence for each notebook that is done.
    """
    journal = Journal(out.with_suffix("") / "journal")
    planned = plan(handed, lessons, seed, limits)
    rows = {job.key: found for job in planned if (found := journal.get(job.key)) is not None}
    todo = [job for job in planned if job.key not in rows]
    if rows:
        tell(f"{len(rows)} of {len(planned)} notebooks were judged before; {len(todo)} are left")
    asked = {job.assignment.lesson: job.assignment for job in todo if not job.problem}
    ready = {lesson: self_tested(assignment, limits) for lesson, assignment in asked.items()}
    todo = [replace(job, assignment=ready.get(job.assignment.lesson, job.assignment)) for job in todo]
    for job, found, final in _side_by_side(todo, limits, seed, jobs):
        rows[job.key] = found
        if final:  # else the same command judges it again
            journal.put(job.key, found)
        write_marks(out, [row for job in planned for row in rows.get(job.key, ())])
        points, possible = sum(row.points for row in found), sum(row.possible for row in found)
        tell(
            f"{len(rows)} of {len(planned)}: {job.handed.student}, {job.assignment.lesson}, {points:g} of {possible:g}"
        )
    every = [row for job in planned for row in rows[job.key]]
    write_marks(out, every)
    return every


def plan(handed: Sequence[Handed], lessons: Sequence[Assignment], seed: int, limits: Limits) -> list[Job]:
    """One job for each student and lesson: of several notebooks the last one handed in that can be read.

    Two students of one name, whom the platform's numbers tell apart, have them behind their names.
    """
    chosen: dict[tuple[str, str, str], Job] = {}
    for one in handed:
        notebook, problem = None, one.problem
        if not problem:
            try:
                notebook = read(one.content)
            except Unreadable as unreadable:
                problem = str(unreadable)
        found = lesson_of(notebook or Notebook((), {}), one.where, lessons)
        if found is None and not problem:
            problem = (
                "none of the lesson's check cells is in the notebook, so it may not be the one that was handed out"
            )
        assignment = found or lessons[0]
        place = one.student.casefold(), assignment.lesson, one.number
        job = Job(one, assignment, _key(one, assignment, seed, limits), problem)
        if place not in chosen or not problem or chosen[place].problem:
            chosen[place] = job
    alike = Counter((student, lesson) for student, lesson, _ in chosen)
    doubled = {student for (student, _), times in alike.items() if times > 1}  # in their other lessons too
    jobs = []
    for (student, _, _), job in sorted(chosen.items()):
        if student in doubled:  # with a key of its own: the journal may have rows under the bare name
            handed = replace(job.handed, student=_numbered(job.handed))
            job = replace(job, handed=handed, key=_key(handed, job.assignment, seed, limits))
        jobs.append(job)
    return jobs


def _numbered(handed: Handed) -> str:
    return f"{handed.student} ({handed.number})" if handed.number else handed.student


def marks_of(job: Job, limits: Limits, seed: int) -> list[Row]:
    """What one notebook gets; runs in a process of its own."""
    if job.problem:
        return nothing(job, f"not judged: {job.problem}.")
    notebook = read(job.handed.content)
    variant, assignment = None, job.assignment
    if whose := notebook.about.get("student"):
        variant, assignment = Variant(str(whose), assignment.lesson), assignment.with_number()
        if not _is_theirs(str(whose), job.handed):
            return nothing(job, f"not judged: this is the variant of {str(whose)[:60]}, and another student's numbers.")
    own = variant or Variant(job.handed.student, assignment.lesson)
    with tempfile.TemporaryDirectory(prefix="cl-course-", ignore_cleanup_errors=True) as folder:
        marks = mark(notebook, assignment, Path(folder).resolve(), limits, seed + own.seed, variant)
    return [_row(job, one) for one in marks]


def nothing(job: Job, sentence: str) -> list[Row]:
    """No points at all, for one and the same reason."""
    return [_row(job, one) for one in nothing_for(job.assignment, sentence)]


def write_marks(out: Path, rows: Iterable[Row]) -> None:
    """The CSV, whole or not at all; with a byte-order mark, so that spreadsheets read accents."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells() for row in rows)
    write_atomically(out, lambda path: path.write_text(text.getvalue(), encoding="utf-8-sig", newline=""))


def missing_walls() -> list[str]:
    """What this system does not offer to shut off a notebook, one sentence each."""
    with tempfile.TemporaryDirectory(prefix="cl-course-") as folder:
        process = Process(Path(folder).resolve(), Limits().memory, 60)
        try:
            process.start()
            return [str(wall) for wall in process.walls]
        except Stopped as stopped:
            raise ValueError(f"no notebook can be run here: {stopped}") from None
        finally:
            process.end()


def _side_by_side(todo: list[Job], limits: Limits, seed: int, jobs: int) -> Iterable:
    """(job, its rows, whether these are final) as they are done, each from a process of its own."""
    context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
    waiting, running = list(todo), {}
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                job = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_judge, args=(job, limits, seed, theirs), daemon=True)
                process.start()
                theirs.close()
                running[ours] = job, process, time.monotonic() + limits.notebook + GRACE
            for ready in wait(list(running), timeout=1.0):
                job, process, _ = running.pop(ready)
                yield job, *_result(ready, job)
                process.join()
            for late in [ours for ours, (_, _, until) in running.items() if time.monotonic() > until]:
                job, process, _ = running.pop(late)
                process.kill()
                yield job, nothing(job, f"not judged: it was not done after {limits.notebook:g} seconds."), False
    finally:
        for _, process, _ in running.values():
            process.kill()


def _judge(job: Job, limits: Limits, seed: int, answer: Connection) -> None:
    sandbox.end_with_parent()
    try:
        answer.send((marks_of(job, limits, seed), True))
    except Exception as error:  # whatever a notebook has made of the grader, it is no points
        stopped = f"not judged: the grader stopped ({type(error).__name__}). Look at this notebook by hand."
        answer.send((nothing(job, stopped), False))
    answer.close()


def _result(ready: Connection, job: Job) -> tuple[list[Row], bool]:
    try:
        return ready.recv()
    except (EOFError, OSError):
        ended = "not judged: its grader ended before it had a result. Judge it again, or look at it by hand."
        return nothing(job, ended), False
    finally:
        ready.close()


def _row(job: Job, one: Mark) -> Row:
    seconds = COARSE * -int(-one.seconds // COARSE)
    task, sentence = one.task, one.sentence.encode("utf-8", "backslashreplace").decode()  # it may quote a notebook
    return Row(job.handed.student, job.assignment.lesson, task.number, task.title, one.points, task.points,
               sentence, seconds)  # fmt: skip


def _key(one: Handed, assignment: Assignment, seed: int, limits: Limits) -> str:
    tasks = [(task.number, task.attempt, task.check, task.points) for task in assignment.tasks]
    about = json.dumps([one.student, one.where, one.problem, assignment.lesson, tasks, seed, asdict(limits)])
    return hashlib.sha256(about.encode() + (one.content or b"")).hexdigest()[:32]


def _is_theirs(whose: str, handed: Handed) -> bool:
    """Whether the id of a variant stands in the name of whoever handed it in, or in the names of the files."""

    def plain(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    words = [plain(word) for word in (handed.student, *handed.where.replace("/", "_").split("_"))]
    return plain(whose) in (*words, plain(handed.student))


def harmless(cell: str) -> str:
    """No formula: a spreadsheet would run a name that begins with =."""
    return f"'{cell}" if re.match(r"[=+@\t\r]|-(?!\d+(\.\d+)?$)", cell) else cell
