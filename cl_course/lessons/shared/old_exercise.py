"""What every exercise check shares: compare, and when it differs, name the mistake.

A check holds an attempt against the course's own function on a few inputs. Where they differ,
it runs the mistakes that learners make, each written out as wrong code, and says which of them
gives the attempt's answer. Hidden inputs are never shown; the sentence names the idea to mend.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from cl_course.lessons.shared.exercise import ExerciseError, NotAttempted

NOT_ATTEMPTED = "not attempted yet, or nothing is returned; fill in the stub above and run this cell again (the rest of the lesson does not wait for it)."


# What torch and the shape checks say, in their words -> what to do about it.
REMEDIES = {
    "type-check error": "Two tensors that must have one shape do not, or one of them is no (n, d): print their shapes.",
    "must match the size": "Two shapes do not fit together: print them. One number for each image of (n, 3, h, w) needs the shape (n, 1, 1, 1), as in coins[:, None, None, None].",
    "is ambiguous": "`if` asks for one True or False, and here is one for each image: torch.where takes them all at once.",
}


@dataclass(frozen=True)
class Mistake:
    """One known way to get it wrong.

    Attributes:
        sentence: what the learner did, and why it matters; shown to them.
        code: the exercise done in that wrong way: same arguments as the attempt.
    """

    sentence: str
    code: Callable


def passed(exercise: str, praise: str) -> None:
    print(f"✔ {exercise}: {praise}")


def failed(exercise: str, sentence: str) -> None:
    """Say what is wrong; raise it when CL_COURSE_STRICT=1."""
    if os.environ.get("CL_COURSE_STRICT") == "1":
        raise ExerciseError(f"{exercise}: {sentence}")
    print(f"✘ {exercise}: {sentence}")


def stopped(error: Exception) -> str:
    """The sentence for an attempt that raised `error`: its first line, and the remedy where one is known."""
    remedy = next((remedy for words, remedy in REMEDIES.items() if words in str(error).lower()), "")
    return f"your code stopped with {type(error).__name__}: {str(error).strip().split(chr(10))[0]} {remedy}".rstrip()


def call(attempt: Callable, *arguments: Any) -> Any:
    """The attempt's answer on copies of the arguments.

    Raises:
        NotAttempted: it returned None or raised NotImplementedError, as the stub does.
    """
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        answer = attempt(*copies)
    except NotImplementedError as error:
        raise NotAttempted from error
    if answer is None or answer is ...:
        raise NotAttempted
    return answer


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Equal shapes and values, up to a relative and absolute tolerance; non-finite never matches finite."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    try:
        a, b = torch.as_tensor(a), torch.as_tensor(b)
    except (TypeError, ValueError, RuntimeError):
        return False
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


def one_or_two(mistakes: Sequence[tuple[str, dict]]) -> Iterator[tuple[str, dict]]:
    """Each mistake in a step made of parts, then each two that lie in different parts of it.

    Args:
        mistakes: sentence, {name of a part: the part done wrongly}.
    """
    yield from mistakes
    for (sentence, parts), (other_sentence, other_parts) in combinations(mistakes, 2):
        if not parts.keys() & other_parts.keys():
            yield f"two things at once. First, {sentence} Second, {other_sentence}", parts | other_parts


def compare(
    exercise: str,
    attempt: Callable,
    reference: Callable,
    inputs: Sequence[tuple],
    mistakes: Sequence[Mistake],
    praise: str,
) -> None:
    """Check a function of tensors: pass, name the mistake, or show the first difference."""
    try:
        answers = [call(attempt, *arguments) for arguments in inputs]
    except NotAttempted:
        return failed(exercise, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        return failed(exercise, stopped(error))
    expected = [reference(*arguments) for arguments in inputs]
    if all(same(a, e) for a, e in zip(answers, expected)):
        return passed(exercise, praise)
    for mistake in mistakes:
        wrong = [mistake.code(*arguments) for arguments in inputs]
        if all(same(a, w) for a, w in zip(answers, wrong)):
            return failed(exercise, mistake.sentence)
    return failed(exercise, _difference(answers, expected))


def _difference(answers: Sequence, expected: Sequence) -> str:
    for answer, right in zip(answers, expected):
        if same(answer, right):
            continue
        if not isinstance(answer, Tensor | float | int):
            return f"a {type(answer).__name__} came back where a tensor is expected."
        answer = torch.as_tensor(answer)
        if answer.shape != right.shape:
            return f"the answer has shape {tuple(answer.shape)}, expected {tuple(right.shape)}."
        if answer.numel() == 1:
            return f"on one of the test inputs you get {float(answer):.4f}, expected {float(right):.4f}; it is none of the mistakes known here, so compare with the formula term by term."
        return f"the values differ by up to {float((answer - right).abs().max()):.4f}; it is none of the mistakes known here."
    return "the answer differs."
