"""What a lesson sets: its exercises with their points, read from the source that the notebooks are built from."""

import ast
import csv
import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType

from nbformat import NotebookNode

from cl_course.coursework.variants import POINTS as VARIANT_POINTS
from cl_course.files import write_atomically
from cl_course.running.lesson_files import lesson_id

ROOT = Path(__file__).parents[2]
POINTS = {"easy": 2, "medium": 4, "hard": 6}


@dataclass(frozen=True)
class Task:
    """One exercise of a lesson.

    Attributes:
        number, title, difficulty: as its heading states them.
        attempt: the name that the notebook must define, such as my_nt_xent.
        check: the name of its check in `cl_course.checks`; "number" for the one that a variant adds.
        points: for a right answer.
    """

    number: int
    title: str
    difficulty: str
    attempt: str
    check: str
    points: float


@dataclass(frozen=True)
class Assignment:
    """A lesson as it is set, with all that marking it needs.

    Attributes:
        own_cells: code that is the course's and not a student's.
        allowed: check -> functions of the course that an attempt may call; None lets it call any.
    """

    lesson: str
    tasks: tuple[Task, ...]
    own_cells: frozenset[str]
    allowed: dict[str, frozenset[str]] | None = None

    def learner(self) -> NotebookNode:
        """The notebook that learners open, not executed."""
        return builder().learner(source_of(self.lesson))

    def solved(self) -> NotebookNode:
        """The same with the exercises done."""
        return builder().solved(source_of(self.lesson))

    def write(self, path: Path) -> None:
        """Keep it in a file, for a place in which the course's sources are not, such as Gradescope."""
        allowed = {check: sorted(names) for check, names in (self.allowed or {}).items()}
        about = {"lesson": self.lesson, "tasks": [asdict(task) for task in self.tasks], "allowed": allowed}
        text = json.dumps(about | {"own_cells": sorted(self.own_cells)}, indent=1)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, path: Path) -> "Assignment":
        about = json.loads(Path(path).read_text(encoding="utf-8"))
        allowed = {check: frozenset(names) for check, names in about["allowed"].items()}
        tasks = tuple(Task(**task) for task in about["tasks"])
        return cls(about["lesson"], tasks, frozenset(about["own_cells"]), allowed)

    def with_number(self) -> "Assignment":
        """With the question that a variant adds: a number of each student's own."""
        task = Task(len(self.tasks) + 1, "your own numbers", "easy", "my_number", "number", VARIANT_POINTS)
        return replace(self, tasks=(*self.tasks, task))

    @property
    def points(self) -> float:
        return sum(task.points for task in self.tasks)


def assignments(name: str, points: Path | None = None) -> list[Assignment]:
    """The lessons called `name` (03, 03_simclr or all), with the points of a file where one is given.

    Raises:
        ValueError, FileNotFoundError: there is no such lesson, or the file of points has a row that fits none.
    """
    from cl_course.running.headless import find_lessons

    paths = find_lessons(name, solved=False)
    given = read_points(points) if points else {}
    found = [_assignment(path.stem, given) for path in paths]
    ids = {lesson_id(assignment.lesson) for assignment in found}
    left = [(lesson, exercise) for lesson, exercise in given if name == "all" or lesson in ids]
    if left:
        raise ValueError(f"{points}: lesson {left[0][0]} has no exercise {left[0][1]}; correct or delete this row")
    return found


def read_points(path: Path) -> dict[tuple[str, int], float]:
    """(lesson's id, exercise) -> points, from a CSV with the columns lesson, exercise, points."""
    rows = list(csv.DictReader(io.StringIO(text_of(path), newline="")))
    found = {}
    for line, row in enumerate(rows, 2):
        try:
            points = float(row["points"])
            found[lesson_id(row["lesson"].strip()), int(row["exercise"])] = points
        except (KeyError, ValueError, AttributeError, TypeError):
            points = -1.0
        if not 0 <= points < 1e6:
            raise ValueError(
                f"{path}, line {line}: a row needs lesson, exercise and points of at least 0, as in 02,4,8"
            )
    return found


def text_of(path: Path) -> str:
    """What stands in a file that a spreadsheet or an editor wrote."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        advice = "save it again as UTF-8, which a spreadsheet calls CSV UTF-8"
        raise ValueError(f"{path} is not written in UTF-8; {advice}") from None


def source_of(lesson: str) -> Path:
    return ROOT / "notebooks" / "src" / f"{lesson}.py"


@cache
def builder() -> ModuleType:
    """notebooks/build.py, which is no part of the package: it is there in a checkout alone."""
    folder = ROOT / "notebooks"
    sys.path.append(str(folder))  # it imports its neighbours
    try:
        about = importlib.util.spec_from_file_location("notebooks_build", folder / "build.py")
        module = importlib.util.module_from_spec(about)
        about.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))


def check_of(source: str) -> tuple[str, str] | None:
    """(check, attempt) of a check cell: code whose first statement is `checks.check(attempt)` and no other."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match body:
        case [ast.Expr(ast.Call(ast.Attribute(ast.Name("checks"), check), [ast.Name(attempt)], [])), *_]:
            return check, attempt
    return None


def _assignment(lesson: str, given: dict[tuple[str, int], float]) -> Assignment:
    cells = builder().learner(source_of(lesson)).cells
    own = frozenset(cell.source.strip() for cell in cells if cell.cell_type == "code")
    return Assignment(lesson, tuple(_tasks(lesson, cells, given)), own)


def _tasks(lesson: str, cells: list[NotebookNode], given: dict[tuple[str, int], float]) -> Iterator[Task]:
    for index, exercise in sys.modules["minutes"].exercises_of(cells).items():
        check, attempt = check_of(cells[index + 1].source)
        points = given.pop((lesson_id(lesson), exercise.number), POINTS[exercise.difficulty])
        yield Task(exercise.number, exercise.title, exercise.difficulty, attempt, check, points)
