"""Marks of one notebook: every exercise is judged where no student's code runs, and has no points without a verdict.

What is defended against, and how:

- a tick that a notebook prints, a check that it overwrites or that never runs: what a notebook prints is thrown away,
  and its own check cells are not run. The marks come from this process, which runs none of its code (see `attempt`);
- patched functions of the course, of torch or of Python: they change what a student's own process computes and nothing
  here. A notebook that is seen to replace them is stopped there all the same, and what comes after has no points;
- sys.exit, os._exit, a kill, an endless loop, memory without end: the process ends or is ended, and what was not judged
  by then has no points. One that happens inside an attempt costs that exercise; in a cell, all that come after it;
- a removed, renamed or rewritten check cell or function: no points, and the sentence says which is missing;
- answers typed in for the inputs of the public checks: right answers are looked at again on other inputs (`hidden`);
- the course's own function under another name: an exercise may call of the course what the lesson's solution calls.

Not defended against: a solution copied by hand, from the public notebook or from another student; and code that hides
which functions it calls or replaces, since these are noted in the student's own process (see `runner`). That is for
people.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cl_course import checks
from cl_course.coursework.assignment import Assignment, Task
from cl_course.coursework.attempt import Attempt
from cl_course.coursework.hidden import WRONG_ELSEWHERE, right_on_other_inputs
from cl_course.coursework.process import Process, Stopped
from cl_course.coursework.submission import Notebook, Step, steps
from cl_course.coursework.variants import Variant
from cl_course.lessons.pitfalls_and_clinic import check_diagnosis
from cl_course.lessons.shared.exercise import (
    NOT_ATTEMPTED,
    Exercise,
    ExerciseError,
    Fault,
    NotAttempted,
    Raised,
    observed,
    same,
)

VALUES = 0.5  # of the points, for right values; the rest is for what a right answer must also do
MEMORY = 4 << 30
CELL_SECONDS, TASK_SECONDS, NOTEBOOK_SECONDS = 120.0, 60.0, 1200.0


@dataclass(frozen=True)
class Limits:
    """What one notebook may take: bytes of memory; seconds of a cell, of the answers of one exercise, of all."""

    memory: int = MEMORY
    cell: float = CELL_SECONDS
    task: float = TASK_SECONDS
    notebook: float = NOTEBOOK_SECONDS


@dataclass(frozen=True)
class Mark:
    """What an exercise got.

    Attributes:
        points: from 0 to those of the task.
        sentence: the mistake, or the praise; no check writes a hidden input into it.
        seconds: that judging it took.
        called: the course's functions that the attempt called.
    """

    task: Task
    points: float
    sentence: str
    seconds: float = 0.0
    called: tuple[str, ...] = ()

    @property
    def full(self) -> bool:
        return self.points == self.task.points


def mark(notebook: Notebook, assignment: Assignment, folder: Path, limits: Limits, seed: int,
         variant: Variant | None = None) -> list[Mark]:  # fmt: skip
    """The marks of a notebook, in the order of the lesson's exercises.

    Args:
        folder: an empty one, for what the notebook writes.
        seed: of the hidden inputs.
        variant: the student's own numbers, where the lesson was handed out with them.
    """
    planned, missing = steps(notebook, assignment)
    gone = (
        "its check cell, checks.{}({}), is not in the notebook as it was handed out: put it back, below the exercise."
    )
    marks = {task: Mark(task, 0.0, gone.format(task.check, task.attempt)) for task in missing}
    session, threads = _Session(planned, folder, limits), torch.get_num_threads()
    torch.set_num_threads(1)  # the inputs are tiny, and other notebooks are judged beside this one
    try:
        for step in planned:
            began = time.monotonic()
            session.run(step)
            if step.task is None:
                continue
            if session.stop:
                marks[step.task] = Mark(step.task, 0.0, session.stop)
                continue
            points, sentence, called = session.judge(step.task, seed, assignment.allowed, variant)
            marks[step.task] = Mark(step.task, points, sentence, time.monotonic() - began, tuple(sorted(called)))
    finally:
        session.process.end()
        torch.set_num_threads(threads)
    return [marks[task] for task in assignment.tasks]


def nothing_for(assignment: Assignment, sentence: str) -> list[Mark]:
    """No points at all, for one and the same reason."""
    return [Mark(task, 0.0, sentence) for task in assignment.tasks]


def self_tested(assignment: Assignment, limits: Limits) -> Assignment:
    """The assignment with what its attempts may call of the course: what the lesson's own solution calls.

    Raises:
        ValueError: the solution has not got full marks, so that no one's marks would mean anything here.
    """
    cells = tuple(cell.source for cell in assignment.solved().cells if cell.cell_type == "code")
    with tempfile.TemporaryDirectory(prefix="cl-course-", ignore_cleanup_errors=True) as folder:
        marks = mark(Notebook(cells, {}), assignment, Path(folder).resolve(), limits, seed=0)
    for one in marks:
        if not one.full:
            what = f"{assignment.lesson}, exercise {one.task.number}: {one.sentence}"
            raise ValueError(f"the lesson's own solution does not pass here, so nobody can be judged ({what})")
    return replace(assignment, allowed={one.task.check: frozenset(one.called) for one in marks})


class _Session:
    """The notebook's process on its way through the cells.

    Attributes:
        stop: why nothing after the cell reached so far has points; empty as long as all is well.
    """

    def __init__(self, planned: list[Step], folder: Path, limits: Limits):
        self.planned, self.limits = planned, limits
        self.process = Process(folder, limits.memory, limits.cell)
        self.until = time.monotonic() + limits.notebook
        self.stop = ""
        self.done: list[Step] = []
        self.error = ""  # of the last cell that stopped

    def run(self, step: Step) -> None:
        """Run a cell, unless the notebook has been stopped before."""
        if self.stop or not step.source:
            return
        self.stop = self._run(step)
        self.done.append(step)

    def _run(self, step: Step) -> str:
        place = f"nothing was judged from code cell {step.cell + 1} on"
        if time.monotonic() > self.until:
            return f"{place}: the notebook had taken {self.limits.notebook:g} seconds by then."
        try:
            self.ready()
            ended = self.process.cell(step.source)
        except Stopped as stopped:
            return f"{place}: {stopped}"
        if ended.get("replaced"):
            return (
                f"{place}: it replaces {str(ended['replaced'])[:100]}. Leave the course, torch and Python as they are."
            )
        if ended.get("error"):
            self.error = f" (Code cell {step.cell + 1} stopped with {str(ended['error'])[:60]}.)"
        if ended.get("error") in ("SystemExit", "KeyboardInterrupt"):
            return f"{place}: it raises {ended['error']}, which ends the program. Leave it out."
        return ""

    def ready(self) -> None:
        """Where an attempt has ended the process, start it again and run the cells up to here."""
        if self.process.process is None:
            self.process.start()
            for step in self.done:
                self.process.cell(step.source)

    def judge(self, task: Task, seed: int, allowed: Mapping[str, frozenset[str]] | None,
              variant: Variant | None) -> tuple[float, str, set[str]]:  # fmt: skip
        """Points, a sentence, and which of the course's functions the attempt has called."""
        attempt = Attempt(self.process, task.attempt)
        try:
            self.ready()
            self.process.allow(self.limits.task)
            there = self.process.ask({"do": "find", "name": task.attempt})
            kind, value = there["kind"], there["value"]
            if kind == "missing":
                gone = f"there is no {task.attempt} in the notebook at this point: keep the name as it was.{self.error}"
                return 0.0, gone, set()
            if task.check == "number":
                return *_number(task, variant, value), set()
            if kind != "function":
                return 0.0, f"{task.attempt} is no function any more: keep its first line as it was.", set()
            exercise: Exercise = getattr(checks, task.check)
            share, sentence = judged(exercise, task.check, attempt, seed)
        except Stopped as stopped:
            return 0.0, str(stopped), attempt.called
        if attempt.replaced:
            self.stop = f"nothing was judged from {task.attempt} on: it replaces {attempt.replaced[:100]}."
            return 0.0, self.stop, attempt.called
        borrowed = attempt.called - allowed.get(task.check, frozenset()) if allowed is not None else set()
        if share and borrowed:
            return 0.0, _borrowed(task, sorted(borrowed), sorted(allowed.get(task.check, ()))), attempt.called
        return part_of(task.points, share), sentence, attempt.called


def judged(exercise: Exercise, name: str, attempt: Callable, seed: int) -> tuple[float, str]:
    """The share of the points, and a sentence that names what is wrong or praises.

    Half of the points are for right values, on the check's inputs and on hidden ones; the other half is shared by the
    check's further demands, such as a gradient that passes. Where no value is right or wrong by itself, as of random
    views, all of the demands must hold.
    """
    check_diagnosis.named.clear()  # a right diagnosis stays for a learner, and must not for the next student
    try:
        seen = observed(exercise.observe, attempt)
    except NotAttempted:
        return 0.0, NOT_ATTEMPTED
    except Fault as fault:
        return 0.0, str(fault)
    if exercise.make is not None and not same(seen, observed(exercise.observe, exercise.make())):
        verdict = exercise.judge(attempt)  # names the mistake
        return 0.0, _veiled("your answer changes from one call to the next." if verdict.passed else verdict.sentence)
    if isinstance(seen, Raised):
        return 0.0, _veiled(str(seen))
    sentences = [sentence for demand in exercise.demands if (sentence := _asked(demand, attempt))]
    if sentences and exercise.make is None:
        return 0.0, _veiled(sentences[0])
    try:
        if not right_on_other_inputs(exercise, name, attempt, seed):
            return 0.0, WRONG_ELSEWHERE
    except (Fault, NotAttempted):
        return 0.0, WRONG_ELSEWHERE
    if sentences:
        return VALUES + (1 - VALUES) * (1 - len(sentences) / len(exercise.demands)), _veiled(sentences[0])
    return 1.0, exercise.praise


def _asked(demand: Callable, attempt: Callable) -> str:
    try:
        return str(observed(demand, attempt) or "")
    except (Fault, NotAttempted) as fault:
        return str(fault) or NOT_ATTEMPTED


def _veiled(sentence: str) -> str:
    """Without the message of an attempt's own error, which may hold what the attempt was given."""
    head, stopped, said = sentence.partition("your code stopped with ")
    if not stopped:
        return sentence
    kind = said.partition(":")[0].partition(" at ")[0]
    return f"{head}{stopped}{kind}; its message is not shown here, since it may hold the inputs of the check."


def _borrowed(task: Task, names: list[str], allowed: list[str]) -> str:
    may = f"may call of the course {', '.join(allowed)} alone" if allowed else "is to be solved without the course"
    return (
        f"{task.attempt} leaves the work to {names[0]}: this exercise {may}. Write what it does yourself, with torch."
    )


def _number(task: Task, variant: Variant | None, value: object) -> tuple[float, str]:
    if variant is None:
        return 0.0, "this notebook asks for a student's own number, and whose it is could not be told."
    given = value[0] if isinstance(value, list) and value else value  # [] is something that is no number
    right, sentence = variant.judge(given)
    return (task.points if right else 0.0), sentence


def graded(name: str, attempt: Callable, points: float, seed: int) -> float:
    """For a cell with hidden tests, in the notebook's own process: the points, as nbgrader reads them from a cell.

    That process is the student's, so this is the second line of defence alone: the configuration that comes with the
    exported lessons judges with `mark`, outside of it.

    Raises:
        ExerciseError: there are no points.
    """
    share, sentence = judged(getattr(checks, name), name, attempt, seed)
    if not share:
        raise ExerciseError(sentence)
    return part_of(points, share)


def part_of(points: float, share: float) -> float:
    """A share of the points, rounded; all of them are all of them, also thirds."""
    return points if share == 1 else round(share * points, 2)
