"""Lesson 08: the learner's `my_scaled_rate(...)`: the learning rate and the warm-up of another batch size."""

import math
from collections.abc import Callable

from torch import Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, close

NAME = "my_scaled_rate"
CASES = ((512, 50_000, 128, 0.06, 10), (96, 1_000, 160, 0.3, 3), (300, 7_777, 100, 0.05, 4))


# The right way, in parts that can each be done in a wrong way.
def in_proportion(batch: int, base_batch: int) -> float:
    return batch / base_batch


def times_rate(base_rate: float, factor: float) -> float:
    return base_rate * factor


def steps_of(images: int, batch: int, base_batch: int, warmup: int) -> float:
    return warmup * (images // batch)


def make(
    factor: Callable = in_proportion, rate: Callable = times_rate, steps: Callable = steps_of
) -> Callable[[int, int, int, float, int], tuple[float, float]]:
    def scaled_rate(batch, images, base_batch, base_rate, warmup_epochs):
        return rate(base_rate, factor(batch, base_batch)), steps(images, batch, base_batch, warmup_epochs)

    return scaled_rate


right = make()

MISTAKES = (
    Mistake(
        "the rate grows with the square root of the batch. That rule is used too, mostly with Adam; the exercise asks "
        "for the linear one, base_rate * batch / base_batch.",
        {"factor": lambda b, base: math.sqrt(b / base)},
    ),
    Mistake(
        "the rate falls where the batch grows: a larger batch makes fewer steps, and each may be larger.",
        {"factor": lambda b, base: base / b},
    ),
    Mistake(
        "the rate is not scaled: it is that of the base batch.",
        {"factor": lambda b, base: 1.0},
    ),
    Mistake(
        "base_rate is multiplied by the batch itself: multiply it by batch / base_batch.",
        {"factor": lambda b, base: b},
    ),
    Mistake(
        "the rate is scaled from 256 images, the base of SimCLR's paper. Here base_rate belongs to base_batch images.",
        {"factor": lambda b, base: b / 256},
    ),
    Mistake(
        "the rate is scaled in whole multiples: batch / base_batch with /, not //.",
        {"factor": lambda b, base: b // base},
    ),
    Mistake("what comes back is the factor: multiply base_rate by it.", {"rate": lambda rate, factor: factor}),
    Mistake("base_rate and the factor are added: multiply them.", {"rate": lambda rate, factor: rate + factor}),
    Mistake(
        "the warm-up has the steps of the base batch: with another batch an epoch has images // batch steps.",
        {"steps": lambda n, b, base, w: w * (n // base)},
    ),
    Mistake("the warm-up is given in epochs: multiply by the steps of an epoch.", {"steps": lambda n, b, base, w: w}),
    Mistake("the warm-up lasts one epoch: multiply by warmup_epochs.", {"steps": lambda n, b, base, w: n // b}),
    Mistake(
        "the warm-up counts the short batch at the end of an epoch, which is left out: images // batch.",
        {"steps": lambda n, b, base, w: w * math.ceil(n / b)},
    ),
    Mistake(
        "the warm-up counts what is left over in an epoch as if it went into the next: warmup_epochs * (images // "
        "batch).",
        {"steps": lambda n, b, base, w: w * n // b},
    ),
    Mistake("the warm-up's steps are a fraction: images // batch.", {"steps": lambda n, b, base, w: w * n / b}),
    Mistake(
        "the warm-up counts images: divide by the batch.",
        {"steps": lambda n, b, base, w: w * n},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    """Rate and steps of each case.

    Raises:
        Fault: other than two numbers came back.
    """
    answers = [answer_of(attempt, *case) for case in CASES]
    for answer in answers:
        if answer.shape != (2,):
            what = "one number" if answer.ndim == 0 else f"the shape {tuple(answer.shape)}"
            raise Fault(f"your answer is {what}: return two numbers, (peak rate, steps of warm-up).")
    return answers


def small_run(attempt: Callable) -> str | None:
    names = ("batch", "images", "base_batch", "base_rate", "warmup_epochs")
    arguments = dict(zip(names, (40, 100, 10, 0.5, 3)))
    return by_hand(attempt, right, arguments, "4 times the batch and the rate; 2 whole batches in each of 3 epochs")


def which_number(attempt: Callable) -> str | None:
    for case in CASES:
        for name, mine, expected in zip(("rate", "number of warm-up steps"), attempt(*case), right(*case)):
            if not close(float(mine), expected):
                given = dict(zip(("batch", "images", "base_batch", "base_rate", "warmup_epochs"), case))
                listed = ", ".join(f"{key} = {value}" for key, value in given.items())
                return f"for {listed} your {name} is {float(mine):g}, expected {expected:g}."
    return None


scaled_rate = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the rate follows the batch in proportion, and the warm-up lasts as many epochs as before.",
    ladder=(small_run, which_number),
)
