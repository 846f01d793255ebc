"""Lesson 07: the learner's `my_diagnosis()`, patient -> number of its fault."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from cl_course.lessons.pitfalls_and_clinic.evidence import against
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, NUMBERS, PATIENTS
from cl_course.lessons.shared.exercise import Exercise, Fault, NotAttempted, call, kind_of
from cl_course.running import records

RIGHT = {letter: NUMBERS[fault] for letter, fault in PATIENTS.items()}
FORM = f"return a dict with a number from 1 to {len(FAULTS)} for each of {', '.join(PATIENTS)}"
named: set[str] = set()  # patients that were diagnosed rightly since the kernel started: a right one stays


def make() -> Callable[[], Mapping[str, int]]:
    return lambda: RIGHT


def given(attempt: Callable) -> dict[str, int]:
    """Patient -> the number given now; patients left out, or with None or ..., are still open.

    Raises:
        NotAttempted: all are open.
        Fault: what came back is of another form.
    """
    answer = call(attempt)
    if isinstance(answer, Tensor):
        answer = answer.tolist()
    if isinstance(answer, Sequence) and not isinstance(answer, str) and len(answer) == len(PATIENTS):
        answer = dict(zip(PATIENTS, answer))  # in the order A to F
    if not isinstance(answer, Mapping):
        raise Fault(f"{kind_of(answer)} came back: {FORM}.")
    found = {}
    for name, value in answer.items():
        letter = str(name).strip().upper()
        if letter not in PATIENTS:
            raise Fault(f"there is no patient {name!r}: {FORM}.")
        if value is not None and value is not ...:
            found[letter] = _number(letter, value)
    if not found:
        raise NotAttempted
    return found


def _number(letter: str, value: Any) -> int:
    if isinstance(value, str) and value in FAULTS:  # its name does as well
        return NUMBERS[value]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or number not in NUMBERS.values():
        raise Fault(f"{letter} has {value!r}, and faults are numbered from 1 to {len(FAULTS)}: {FORM}.")
    return int(number)


def observe(attempt: Callable) -> list[int]:
    """One number a patient; 0 for one that is still open."""
    now = given(attempt)
    return [now.get(letter) or (RIGHT[letter] if letter in named else 0) for letter in PATIENTS]


def remember(attempt: Callable) -> None:
    named.update(letter for letter, number in given(attempt).items() if number == RIGHT[letter])


def counter_evidence(attempt: Callable) -> str:
    """What speaks against each wrong one; right ones, of this try and of earlier ones, are counted and kept."""
    now, names, runs = given(attempt), list(FAULTS), records.read("clinic")["runs"]
    remember(attempt)
    lines = [f"{len(named)} of {len(PATIENTS)} are named{': ' if named else ''}{', '.join(sorted(named))}."]
    for letter, number in now.items():
        if number != RIGHT[letter]:
            stays = " (Your right diagnosis of before stays.)" if letter in named else ""
            lines.append(f"{letter} does not have fault {number}: {against(runs, letter, names[number - 1])}{stays}")
    if open_still := [letter for letter in PATIENTS if letter not in now and letter not in named]:
        lines.append(f"Still open: {', '.join(open_still)}.")
    return "\n  ".join(lines)


diagnosis = Exercise(
    name="my_diagnosis",
    observe=observe,
    make=make,
    mistakes=(),
    praise="all six are named.",
    demands=(remember,),
    ladder=(counter_evidence,),
)
