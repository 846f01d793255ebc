"""Lesson 03: the learner's `my_learning_rate(step, total, warmup, peak)`: a warm-up, then half a cosine down to 0."""

import math
from collections.abc import Callable

import torch

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of
from cl_course.lessons.shared.ladder import close, constant_relation, number

NAME = "my_learning_rate"


# The right way, in parts that can each be done in a wrong way.
def rising(step: int, warmup: int, peak: float) -> float:
    return peak * (step + 1) / (warmup + 1)


def since_warmup(step: int, total: int, warmup: int) -> float:
    return (step - warmup) / (total - warmup)


def half_a_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def make(
    rise: Callable = rising,
    progress: Callable = since_warmup,
    fall: Callable = half_a_cosine,
    is_early: Callable = lambda step, warmup: step < warmup,
    height: Callable = lambda peak: peak,
) -> Callable[[int, int, int, float], float]:
    def learning_rate(step, total, warmup, peak):
        if is_early(step, warmup):
            return rise(step, warmup, height(peak))
        return height(peak) * fall(progress(step, total, warmup))

    return learning_rate


right = make()
ALONE = {"progress": since_warmup, "fall": half_a_cosine}  # not in twos
PLANS = ((20, 4, 0.5), (11, 3, 2.0), (9, 5, 0.8))  # total, warmup, peak


def observe(attempt: Callable) -> list[object]:
    """The rate of every step of several plans.

    Raises:
        Fault: what comes back is no number.
    """
    seen = []
    for total, warmup, peak in PLANS:
        rates = []
        for step in range(total):
            answer = call(attempt, step, total, warmup, peak)
            value = None if isinstance(answer, list | tuple) else number(answer)
            if value is None:
                raise Fault(_no_number(answer, step, total, warmup))
            rates.append(value)
        seen.append(torch.tensor(rates))
    return seen


def _no_number(answer: object, step: int, total: int, warmup: int) -> str:
    at = f"for step {step} of {total} with {warmup} steps of warm-up"
    if isinstance(answer, list | tuple) and len(answer) == 1:
        why = "Look for a comma behind the value that you return."
        return f"{at} {kind_of(answer)} comes back, where one number is expected. {why}"
    try:
        value = torch.as_tensor(answer)
    except (TypeError, ValueError, RuntimeError):
        return f"{at} {kind_of(answer)} comes back, where one number is expected."
    return f"{at} your answer is {float(value)}." if value.numel() == 1 else f"{at} {value.numel()} numbers come back."


_RISE = "In the warm-up the rate is peak * (step + 1) / (warmup + 1). "
_PROGRESS = "The cosine begins after the warm-up: its progress is (step - warmup) / (total - warmup). "
_FALL = "The cosine is peak * (1 + cos(pi * progress)) / 2. "

MISTAKES = (
    Mistake(_RISE + "Yours starts at 0, so that the first step does nothing.", {"rise": lambda s, w, p: p * s / w}),
    Mistake(
        _RISE + "Yours starts at 0, so that the first step does nothing.", {"rise": lambda s, w, p: p * s / (w + 1)}
    ),
    Mistake(
        _RISE + "Yours reaches the peak one step early, in the last step of the warm-up.",
        {"rise": lambda s, w, p: p * (s + 1) / w},
    ),
    Mistake(_RISE + "Yours is the peak from the first step on.", {"rise": lambda s, w, p: p}),
    Mistake(_RISE + "Yours falls during the warm-up.", {"rise": lambda s, w, p: p * (w - s) / (w + 1)}),
    Mistake(_RISE + "Yours does not depend on the peak.", {"rise": lambda s, w, p: (s + 1) / (w + 1)}),
    Mistake(_RISE + "Yours is 0 all through it.", ALONE | {"rise": lambda s, w, p: 0.0}),
    Mistake(_PROGRESS + "Yours is step / total.", {"progress": lambda s, t, w: s / t}),
    Mistake(_PROGRESS + "Yours divides by total.", {"progress": lambda s, t, w: (s - w) / t}),
    Mistake(
        _PROGRESS + "Yours divides by total - warmup, and does not subtract warmup from the step.",
        {"progress": lambda s, t, w: s / (t - w)},
    ),
    Mistake(
        "your cosine reaches 0 in the last step, total - 1, which then does nothing. " + _PROGRESS.rstrip(),
        {"progress": lambda s, t, w: (s - w) / (t - 1 - w)},
    ),
    Mistake(
        _PROGRESS + "Yours is one step further.",
        {"progress": lambda s, t, w: (s - w + 1) / (t - w)},
    ),
    Mistake(
        _FALL + "Yours is 2 peak at first: the division by 2 is missing.", {"fall": lambda x: 1 + math.cos(math.pi * x)}
    ),
    Mistake(_FALL + "Yours falls below 0, to -peak.", {"fall": lambda x: math.cos(math.pi * x)}),
    Mistake(
        _FALL + "Yours is a quarter of a circle, cos(pi / 2 * progress).", {"fall": lambda x: math.cos(math.pi * x / 2)}
    ),
    Mistake(
        _FALL + "Yours rises from 0: the sign is turned round.", {"fall": lambda x: (1 - math.cos(math.pi * x)) / 2}
    ),
    Mistake(_FALL + "Yours is a straight line.", {"fall": lambda x: 1 - x}),
    Mistake(_FALL + "Yours is the peak to the end.", {"fall": lambda x: 1.0}),
    Mistake(_FALL + "Yours takes degrees for radians, or leaves out pi.", {"fall": lambda x: (1 + math.cos(x)) / 2}),
    Mistake(
        _FALL + "Yours goes round a whole circle, 2 pi, and is at the peak again at the end.",
        {"fall": lambda x: (1 + math.cos(2 * math.pi * x)) / 2},
    ),
    Mistake("there is no warm-up: for step < warmup the rate rises.", {"is_early": lambda s, w: False}),
    Mistake(
        "there is no cosine: from step `warmup` on it falls from the peak to 0.",
        {"is_early": lambda s, w: True, "rise": rising},
    ),
    Mistake(
        "the warm-up is one step longer in your code; it has the steps below `warmup`.",
        {"is_early": lambda s, w: s <= w, "rise": lambda s, w, p: p * (s + 1) / (w + 2)},
    ),
    Mistake("the peak is missing: your rates are those of peak = 1.", {"height": lambda peak: 1.0}),
)


# Wrong, and no known mistake: one part of the schedule after the other.
def _rates(attempt: Callable, total: int, warmup: int, peak: float = 1.0) -> list[float]:
    return [float(torch.as_tensor(attempt(step, total, warmup, peak))) for step in range(total)]


def all_of_it(attempt: Callable) -> str | None:
    mine, expected = ([rate for plan in PLANS for rate in _rates(step, *plan)] for step in (attempt, right))
    return constant_relation(mine, expected, "rate")


def first_wrong_step(attempt: Callable) -> str | None:
    for total, warmup, peak in ((10, 4, 1.0), (10, 4, 2.0), *PLANS):
        for step, (a, b) in enumerate(zip(_rates(attempt, total, warmup, peak), _rates(right, total, warmup, peak))):
            if not close(a, b):
                part = (
                    f"{step + 1} / {warmup + 1} of the peak"
                    if step < warmup
                    else (f"the cosine at progress {step - warmup} / {total - warmup}")
                )
                return (
                    f"with {total} steps, {warmup} of them warm-up, and peak {peak:g}, the rate in step {step} is "
                    f"{b:.4f}, {part}; yours is {a:.4f}."
                )
    return None


def without_warmup(attempt: Callable) -> str | None:
    """What a right answer must also do: a warm-up of no steps."""
    try:
        mine = _rates(attempt, 10, 0)
    except ZeroDivisionError:
        return "with warmup = 0 your code divides by zero. Then no step is early, and step 0 has the peak."
    wrong = [step for step, (a, b) in enumerate(zip(mine, _rates(right, 10, 0))) if not close(a, b)]
    if not wrong:
        return None
    return (
        f"right with a warm-up, but not with warmup = 0: with 10 steps and peak 1 the rate in step {wrong[0]} is "
        f"{_rates(right, 10, 0)[wrong[0]]:.4f}; yours is {mine[wrong[0]]:.4f}."
    )


learning_rate = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="it rises evenly to the peak, falls along half a cosine, and no step is without effect.",
    demands=(without_warmup,),
    ladder=(all_of_it, first_wrong_step),
)
