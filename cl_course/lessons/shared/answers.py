"""An attempt's answer as one tensor, whatever it came as: for checks whose exercises return numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.shared.exercise import Fault, call, in_order, kind_of


def answer_of(attempt: Callable, *given: object) -> Tensor:
    """The attempt's answer in double precision; a single number has the shape ().

    Lists, arrays and tensors of any precision are taken.

    Raises:
        NotAttempted: it returned None or ..., as the stub does.
        Fault: the attempt changed what it was given, or its answer holds no numbers.
    """
    copies = [a.clone() if isinstance(a, Tensor) else a for a in given]
    answer = call(lambda: attempt(*copies))
    for copy, original in zip(copies, given):
        if isinstance(original, Tensor) and not torch.equal(copy, original):
            raise Fault(
                "you changed an argument in place: the caller's tensor is altered. "
                "Make a new one, x = x / 2 instead of x /= 2."
            )
    if isinstance(answer, range):
        answer = list(answer)
    if isinstance(answer, list | tuple) and any(isinstance(part, Tensor) for part in answer):
        try:
            answer = torch.stack([torch.as_tensor(part) for part in answer])
        except (RuntimeError, TypeError, ValueError):  # parts of different shapes, or a word beside a tensor
            raise Fault(f"{kind_of(answer)} of {len(answer)} things came back: return the answer alone.") from None
    try:
        answer = torch.as_tensor(in_order(answer)).detach().double()
    except (TypeError, ValueError, RuntimeError):
        lost = ", as a function does that is not called: look for missing brackets ()" if callable(answer) else ""
        raise Fault(f"{kind_of(answer)} came back, where numbers are expected{lost}.") from None
    return answer.reshape(()) if answer.numel() == 1 else answer


def is_no_tensor(attempt: Callable, *given: object) -> str | None:
    """A remark on a right answer that torch cannot go on with."""
    answer = attempt(*(a.clone() if isinstance(a, Tensor) else a for a in given))
    if isinstance(answer, Tensor):
        return None
    kind = type(answer).__name__
    return f"your answer is right, and of the type {kind}: in training keep to tensors, so that gradients pass."
