"""Lesson 09: the learner's `my_interval(right, n)`: how far an accuracy on n pictures can be trusted."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake

NAME = "my_interval"
Z = 1.96  # standard deviations of a normal distribution that 95 % lie within

COUNTS = ((27, 30), (12, 30), (5, 50), (88, 100))


# Wilson's interval, in parts that can each be done in a wrong way.
def centre(p: float, n: int, z: float) -> float:
    return (p + z * z / (2 * n)) / (1 + z * z / n)


def half(p: float, n: int, z: float) -> float:
    return z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def both(low: float, high: float) -> tuple[float, ...]:
    return low, high


def make(
    z: float = Z, middle: Callable = centre, reach: Callable = half, share: Callable = lambda k, n: k / n,
    result: Callable = both,
) -> Callable[[int, int], tuple[float, ...]]:  # fmt: skip
    def interval(k: int, n: int) -> tuple[float, ...]:
        p = share(k, n)
        return result(middle(p, n, z) - reach(p, n, z), middle(p, n, z) + reach(p, n, z))

    return interval


right = make()

MISTAKES = (
    Mistake(
        "this is the textbook interval p ± z sqrt(p (1 - p) / n). Near 0 and 1 it is too narrow, and at 30 of 30 it "
        "has no width at all: use Wilson's formula.",
        {"middle": lambda p, n, z: p, "reach": lambda p, n, z: z * math.sqrt(max(0, p * (1 - p) / n))},
    ),
    Mistake("z = 1 covers 68 %: for 95 % take 1.96.", {"z": 1.0}),
    Mistake("z = 1.645 covers 90 %: for 95 % take 1.96.", {"z": 1.645}),
    Mistake("z = 2.576 covers 99 %: for 95 % take 1.96.", {"z": 2.576}),
    Mistake("z = 3 covers 99.7 %: for 95 % take 1.96.", {"z": 3.0}),
    Mistake("the centre is p itself: Wilson's centre moves towards one half.", {"middle": lambda p, n, z: p}),
    Mistake("the centre is not divided by 1 + z² / n.", {"middle": lambda p, n, z: p + z * z / (2 * n)}),
    Mistake("the reach is not divided by 1 + z² / n.",
            {"reach": lambda p, n, z: z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))}),
    Mistake("neither centre nor reach is divided by 1 + z² / n.",
            {"middle": lambda p, n, z: p + z * z / (2 * n),
             "reach": lambda p, n, z: z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))}),
    Mistake("z² / (4 n²) is missing under the root.",
            {"reach": lambda p, n, z: z * math.sqrt(p * (1 - p) / n) / (1 + z * z / n)}),
    Mistake("the square root is missing.",
            {"reach": lambda p, n, z: z * (p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)}),
    Mistake("the root is not multiplied by z.",
            {"reach": lambda p, n, z: math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)}),
    Mistake("the spread of one picture, sqrt(p (1 - p)), is not divided by n.",
            {"reach": lambda p, n, z: z * math.sqrt(p * (1 - p) + z * z / (4 * n * n)) / (1 + z * z / n)}),
    Mistake("the share of *wrong* pictures is taken.", {"share": lambda k, n: 1 - k / n}),
    Mistake("the higher bound comes first: return (low, high).", {"result": lambda low, high: (high, low)}),
    Mistake("centre and reach came back: return (low, high).",
            {"result": lambda low, high: ((low + high) / 2, (high - low) / 2)}),
    Mistake("in percent: shares from 0 to 1 are asked.", {"result": lambda low, high: (100 * low, 100 * high)}),
    Mistake("the width came back: return (low, high).", {"result": lambda low, high: (high - low,)}),
    Mistake("only the lower bound came back: return (low, high).", {"result": lambda low, high: (low,)}),
    Mistake("only the upper bound came back: return (low, high).", {"result": lambda low, high: (high,)}),
)  # fmt: skip


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, k, n) for k, n in COUNTS]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not finite; both bounds lie between 0 and 1.")
    return answers


def at_the_ends(attempt: Callable) -> str | None:
    for k, n in ((30, 30), (0, 12)):
        low, high = answer_of(attempt, k, n).tolist()
        expected = torch.tensor(right(k, n))
        if not torch.allclose(torch.tensor([low, high]), expected.to(torch.float32), atol=1e-4):
            return (
                f"correct for other counts, but with {k} of {n} right your interval is {low:.3f} to {high:.3f}, "
                f"expected {expected[0]:.3f} to {expected[1]:.3f}."
            )
    return None


# Wrong, and no known mistake.
def two_numbers(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *COUNTS[0])
    return None if mine.shape == (2,) else f"two numbers are expected, (low, high); the shape is {tuple(mine.shape)}."


def in_order_and_inside(attempt: Callable) -> str | None:
    (k, n), (low, high) = COUNTS[0], answer_of(attempt, *COUNTS[0]).tolist()
    if low < k / n < high:
        return None
    return f"the accuracy itself, {k} / {n} = {k / n:.2f}, must lie inside; yours is {low:.4g} to {high:.4g}."


def narrower_with_more(attempt: Callable) -> str | None:
    widths = [float(answer_of(attempt, 9 * n // 10, n).diff()) for n in (10, 100, 1000)]
    if widths[0] > widths[1] > widths[2]:
        return None
    return (
        f"for 90 % right of 10, 100 and 1,000 your interval is {widths[0]:.3f}, {widths[1]:.3f}, {widths[2]:.3f} wide."
    )


def how_far_off(attempt: Callable) -> str | None:
    (k, n), mine, expected = COUNTS[0], answer_of(attempt, *COUNTS[0]).tolist(), right(*COUNTS[0])
    return (f"for {k} right of {n} your interval is {mine[0]:.4f} to {mine[1]:.4f}, expected {expected[0]:.4f} to "
            f"{expected[1]:.4f}.")  # fmt: skip


interval = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="Wilson's interval: 95 of 100 such intervals hold the accuracy on endlessly many pictures.",
    demands=(at_the_ends,),
    ladder=(two_numbers, in_order_and_inside, narrower_with_more, how_far_off),
)
