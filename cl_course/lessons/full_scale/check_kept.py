"""Lesson 08: the learner's `my_kept()`: what a checkpoint must hold, judged by cutting a small run and going on."""

from collections.abc import Callable

from cl_course.lessons.full_scale.small_run import FOLLOWS, NEEDED, first_difference
from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of
from cl_course.values import nearest

NAME = "my_kept"


def kept_by(attempt: Callable) -> set[str]:
    """The names that the attempt keeps.

    Raises:
        Fault: what came back is no collection of names, or a name is not among the offered ones.
    """
    answer = call(attempt)
    if isinstance(answer, str):
        raise Fault(f"one name came back, {answer!r}: return a set of names, such as {{{answer!r}}}.")
    if not isinstance(answer, set | frozenset | list | tuple):
        raise Fault(f"{kind_of(answer)} came back, where a set of names is expected.")
    offered = (*NEEDED, *FOLLOWS)
    for name in answer:
        if name not in offered:
            raise Fault(f"{name!r} is not among the offered names: {', '.join(offered)}{nearest(name, offered)}.")
    return set(answer)


def observe(attempt: Callable) -> list[str]:
    return sorted(kept_by(attempt))


def goes_on_as_if_unbroken(attempt: Callable) -> str | None:
    names = kept_by(attempt)
    differs = first_difference(names)
    if differs is None:
        return None
    step, loss, right = differs
    seen = f"in step {step} after the cut the loss is {loss:.4f}, in the unbroken run {right:.4f}"
    lost = [name for name in NEEDED if name not in names]
    # With all but one kept, the difference is that one's: say what it is.
    alone = first_difference(set(NEEDED) - {lost[0]})
    without = f"with everything but {lost[0]!r} kept, the first difference comes in step {alone[0]}"
    more = f" {len(lost)} names are missing in all." if len(lost) > 1 else ""
    return f"{seen}. Without {lost[0]!r} {NEEDED[lost[0]]}: {without}.{more}"


def keeps_too_much(attempt: Callable) -> str | None:
    spare = [name for name in FOLLOWS if name in kept_by(attempt)]
    if not spare:
        return None
    return f"the losses are the same, and {spare[0]!r} need not be kept: {FOLLOWS[spare[0]]}."


kept = Exercise(
    name=NAME,
    observe=observe,
    make=None,
    mistakes=(),
    praise="cut after half of its epochs, the run goes on to the very same losses, and nothing is kept in vain.",
    demands=(goes_on_as_if_unbroken, keeps_too_much),
)
