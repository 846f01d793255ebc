"""Lesson 04: the learner's `my_half_way(momentum)`: after how many steps the key network has moved half of its way."""

import math
from collections.abc import Callable

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call
from cl_course.lessons.shared.ladder import close, constant_relation, number

NAME = "my_half_way"
MOMENTA = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)


def exact(momentum: float) -> float:
    return math.log(2) / -math.log(momentum)


def make(formula: Callable[[float], float] = exact) -> Callable[[float], float]:
    return lambda momentum: formula(momentum)


right = make()

_SLOW = " It is near the right answer for m near 1, and not for m = 0.5, where half of the way is gone after 1 step."
MISTAKES = (
    Mistake(
        "that is the mean age of the weights in the average, m / (1 - m). Asked is when m to the power of the steps "
        "is 1/2.",
        {"formula": lambda m: m / (1 - m)},
    ),
    Mistake(
        "that is the time constant, 1 / (1 - m), after which (for m near 1) about 1/e of the way is left. Asked is "
        "when 1/2 is left.",
        {"formula": lambda m: 1 / (1 - m)},
    ),
    Mistake(
        "that is when 1/e of the way is left, 1 / -ln m. Asked is when 1/2 is left.",
        {"formula": lambda m: -1 / math.log(m)},
    ),
    Mistake(
        "that is half the time constant, 0.5 / (1 - m): the way that is left shrinks by the factor m in each step, "
        "and not by the same length.",
        {"formula": lambda m: 0.5 / (1 - m)},
    ),
    Mistake(
        "that is ln 2 / (1 - m), where 1 - m stands for -ln m." + _SLOW, {"formula": lambda m: math.log(2) / (1 - m)}
    ),
    Mistake(
        "the fraction is upside down: you divide by ln 2. From m ** t = 1/2 comes t ln m = ln 1/2.",
        {"formula": lambda m: -math.log(m) / math.log(2)},
    ),
    Mistake(
        "the sign is wrong: ln m is negative for m below 1, and so is ln 1/2. Divide one by the other.",
        {"formula": lambda m: math.log(2) / math.log(m)},
    ),
    Mistake("that is m to the power of 1/2. From m ** t = 1/2 comes t ln m = ln 1/2.", {"formula": lambda m: m**0.5}),
    Mistake(
        "that is 1/2 to the power of m: it is m that is multiplied with itself, once a step. From m ** t = 1/2 "
        "comes t ln m = ln 1/2.",
        {"formula": lambda m: 0.5**m},
    ),
    Mistake(
        "the share 1 - m is put in the place of m: in each step the way that is left is multiplied by m.",
        {"formula": lambda m: math.log(0.5) / math.log(1 - m)},
    ),
    Mistake(
        "the number of steps is rounded down: then half of the way is not yet gone.",
        {"formula": lambda m: math.floor(exact(m) + 1e-9)},
    ),
    Mistake(
        "the number of steps is rounded to the nearest whole number; leave it as it is, or round up.",
        {"formula": lambda m: round(exact(m))},
    ),
    Mistake(
        "one step too many: before the first step nothing of the way is gone, and after one step m of it is left.",
        {"formula": lambda m: math.ceil(exact(m) - 1e-9) + 1},
    ),
    Mistake("one step too many: after t steps m ** t of the way is left.", {"formula": lambda m: exact(m) + 1}),
    Mistake(
        "the logarithms have different bases: take the same one above and below the line.",
        {"formula": lambda m: math.log(2) / -math.log10(m)},
    ),
    Mistake(
        "the logarithms have different bases: take the same one above and below the line.",
        {"formula": lambda m: math.log(2) / -math.log2(m)},
    ),
    Mistake(
        "that is when all but a tenth of the way is gone: the exercise asks for half of it.",
        {"formula": lambda m: math.log(0.1) / math.log(m)},
    ),
)


def steps(attempt: Callable, momentum: float) -> float:
    answer = call(attempt, momentum)
    mine = number(answer)
    if mine is None:
        raise Fault(f"for momentum {momentum:g} your answer is {answer!r}: one finite number is asked for.")
    return mine


def observe(attempt: Callable) -> list[float]:
    mine = [steps(attempt, m) for m in MOMENTA]
    return [exact(m) for m in MOMENTA] if _rounded_up(mine) else mine


def _rounded_up(mine: list[float]) -> bool:
    """Whole steps after which at least half of the way is gone: right, too."""
    return all(close(a, math.ceil(exact(m) - 1e-9), 1e-9) for a, m in zip(mine, MOMENTA))


def is_rounded(attempt: Callable) -> str | None:
    if _rounded_up([steps(attempt, m) for m in MOMENTA]):
        return f"yours are whole steps, rounded up; unrounded, ln 2 / -ln m is {exact(0.9):.2f} for m = 0.9."
    return None


def how_far_off(attempt: Callable) -> str | None:
    return constant_relation([steps(attempt, m) for m in MOMENTA], [exact(m) for m in MOMENTA])


def by_trying(attempt: Callable) -> str | None:
    mine = steps(attempt, 0.5)
    if not close(mine, 1):
        return (
            "at momentum 0.5 one step leaves 0.5 of the way, so half of it is gone after 1 step; your answer is "
            f"{mine:.4g}."
        )
    for m in MOMENTA[1:]:
        mine = steps(attempt, m)
        if not close(mine, exact(m)):
            left = f"{m**mine:.4f}" if abs(mine) < 1e5 else "a number out of range"
            return (
                f"at momentum {m:g} your answer is {mine:.5g} steps, after which {m:g} ** {mine:.5g} = {left} of the "
                "way is left, expected 0.5."
            )
    return None


half_way = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="m to the power of your number of steps is one half, for every momentum tried.",
    ladder=(how_far_off, by_trying),
    notes=(is_rounded,),
)
