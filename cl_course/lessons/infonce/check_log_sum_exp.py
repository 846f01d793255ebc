"""Lesson 02: the learner's `my_log_sum_exp(x)`: the logarithm of a sum of exponentials, at any size of x."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Mistake, kind_of, same
from cl_course.lessons.shared.ladder import close, number, written

NAME = "my_log_sum_exp"
ORDINARY = (torch.tensor([0.5, -1.0, 2.0]), torch.tensor([3.0, 2.5, -2.0, 1.0, 0.0]), torch.tensor([-1.5, -0.5]))


# The right way, in parts that can each be done in a wrong way.
def largest(x: Tensor) -> Tensor:
    return x.max()


def sum_of_exponentials(x: Tensor) -> Tensor:
    return x.exp().sum()


def natural(total: Tensor, x: Tensor) -> Tensor:
    return total.log()


def plus(log: Tensor, m: Tensor) -> Tensor:
    return log + m


def make(
    shift: Callable = largest, total: Callable = sum_of_exponentials, log: Callable = natural, back: Callable = plus
) -> Callable[[Tensor], Tensor]:
    def attempt(x: Tensor) -> Tensor:
        m = shift(x)
        return back(log(total(x - m), x), m)

    return attempt


right = make()

_BACK = "the largest number m is not added back: ln of the sum of exp(x - m) is smaller by m. "

MISTAKES = (
    Mistake(_BACK + "Add it after the logarithm.", {"back": lambda log, m: log}),
    Mistake(_BACK + "You subtract it once more; add it.", {"back": lambda log, m: log - m}),
    Mistake("m is added twice.", {"back": lambda log, m: log + 2 * m}),
    Mistake("the logarithm is multiplied by m; m is added to it.", {"back": lambda log, m: log * m}),
    Mistake(
        "m is added inside the logarithm: exp(x - m) = exp(x) / exp(m), so it comes back as + m outside.",
        {"log": lambda total, x: (total + x.max()).log(), "back": lambda log, m: log},
    ),
    Mistake("exp(m) is missing in front of the sum, or m behind the logarithm.", {"back": lambda log, m: log.exp()}),
    Mistake(
        "this is the sum of the exponentials; the exercise asks for its logarithm.",
        {"log": lambda total, x: total, "back": lambda log, m: log * m.exp()},
    ),
    Mistake(
        "this is the mean of the exponentials under the logarithm; the exercise asks for their sum.",
        {"log": lambda total, x: (total / len(x)).log()},
    ),
    Mistake(
        "this is the largest number itself: the sum under the logarithm is missing.",
        {"log": lambda total, x: 0 * total},
    ),
    Mistake(
        "the logarithm of the sum of x, without exponentials.",
        {
            "shift": torch.zeros_like,
            "total": torch.sum,
            "log": lambda total, x: total.log(),
            "back": lambda log, m: log,
        },
    ),
    Mistake(
        "the sum of the logarithms of exp(x) is the sum of x; the exercise asks for the logarithm of the sum.",
        {"log": lambda total, x: x.sum(), "back": lambda log, m: log},
    ),
    Mistake("the logarithm has base 2: take the natural one, torch.log.", {"log": lambda total, x: total.log2()}),
    Mistake("the logarithm has base 10: take the natural one, torch.log.", {"log": lambda total, x: total.log10()}),
    Mistake(
        "1 is added to the sum under the logarithm. log1p does that, and counting the largest, exp(0) = 1, twice.",
        {"log": lambda total, x: total.log1p()},
    ),
    Mistake(
        "the largest is left out of the sum: its exp(0) = 1 belongs there.", {"log": lambda total, x: (total - 1).log()}
    ),
    Mistake("the sign is wrong.", {"back": lambda log, m: -(log + m)}),
    Mistake(
        "this is log_softmax, a number for each x: x minus what is asked.",
        {"back": lambda log, m: log + m, "log": lambda total, x: x - total.log() - 2 * x.max()},
    ),
    Mistake(
        "one number for each x came back: sum the exponentials before the logarithm.",
        {"total": lambda x: x.exp(), "back": lambda log, m: log + m},
    ),
    Mistake("x.max(dim=0) gives two things, values and indices: take x.max().", {"shift": lambda x: x.max(dim=0)}),
    Mistake("torch.logsumexp wants to know the dimension: dim=0.", {"shift": torch.logsumexp}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, x) for x in ORDINARY]


# What a right answer must also do: (x, why naive code breaks there).
_RANGE = "the exponential of such a number, or of a difference of two, is more than a float32 holds"
HARD = (
    (torch.tensor([100.0, 99.0, 98.0]), "exp(100) is more than a float32 holds"),
    (torch.tensor([-200.0, -201.0]), "exp(-200) is 0 in float32, and log(0) is -inf"),
    (torch.tensor([100.0, -100.0, 60.0]), _RANGE),
    (torch.tensor([-100.0, 90.0, -300.0]), _RANGE),
    (torch.tensor([1000.0, 1000.0, -1000.0]), _RANGE),
    (torch.tensor([3.0, -torch.inf, 2.0]), "one x is -inf, as the logit of a masked candidate is"),
)
SHIFTS = {  # right for small numbers
    "You subtract the smallest number. ": lambda x: x.min(),
    "You subtract the mean. ": lambda x: x.mean(),
    "You subtract the first number. ": lambda x: x[0],
    "You subtract the largest absolute value. ": lambda x: x.abs().max(),
}


def holds_at_any_size(attempt: Callable) -> str | None:
    answers = [answer_of(attempt, x) for x, _ in HARD]
    for (x, why), mine in zip(HARD, answers):
        expected = x.double().logsumexp(dim=0)
        if not same(mine, expected):
            wrong = (did for did, shift in SHIFTS.items() if same(answers, [make(shift)(x) for x, _ in HARD]))
            return (
                f"right for small numbers; but for x = {written(x)} your answer is {float(mine):.4f}, expected "
                f"{float(expected):.4f}: {why}. {next(wrong, '')}Subtract the largest number before the exponential, "
                "and add it back after the logarithm."
            )
    return None


def holds_in_half_precision(attempt: Callable) -> str | None:
    x = torch.tensor([12.0, 11.0, 3.0], dtype=torch.float16)
    mine, expected = answer_of(attempt, x), float(x.double().logsumexp(dim=0))
    if mine.isfinite().all() and mine.ndim == 0 and close(float(mine), expected, 2e-3):
        return None
    return (
        f"right in float32; but in float16, for x = {written(x)}, your answer is {float(mine):.4f}, expected "
        f"{expected:.4f}. Nothing in the sum may be larger than 65,504: subtract the largest x first."
    )


def one_number(attempt: Callable) -> str | None:
    answer = attempt(ORDINARY[0].clone())
    if isinstance(answer, Tensor):
        return f"your answer has the shape {tuple(answer.shape)}; one number has the shape ()." if answer.ndim else None
    return f"your answer is {kind_of(answer)}: in training keep to tensors, so that gradients pass."


# Wrong, and no known mistake.
def shape(attempt: Callable) -> str | None:
    mine = answer_of(attempt, ORDINARY[0])
    return f"for 3 numbers your answer has the shape {tuple(mine.shape)}; expected: one number." if mine.ndim else None


def single(attempt: Callable) -> str | None:
    for x in (0.0, 2.0, -1.0):
        mine = number(answer_of(attempt, torch.tensor([x])))
        if mine is None or not close(mine, x):
            said = "not a finite number" if mine is None else f"{mine:.4f}"
            return f"with a single number ln exp(x) = x; for x = [{x:g}] your answer is {said}."
    return None


def equal(attempt: Callable) -> str | None:
    mine, expected = number(answer_of(attempt, torch.zeros(4))), math.log(4)
    if mine is None or close(mine, expected):
        return None
    return f"for x = [0, 0, 0, 0] the sum of exponentials is 4, and its logarithm {expected:.4f}; yours is {mine:.4f}."


def moves_along(attempt: Callable) -> str | None:
    x = torch.tensor([0.0, 1.0])
    before, after = (number(answer_of(attempt, x + c)) for c in (0.0, 2.0))
    if before is None or after is None or close(after - before, 2):
        return None
    return (
        f"with 2 added to every x the answer must grow by 2; yours goes from {before:.4f} for x = [0, 1] to "
        f"{after:.4f} for x = [2, 3]."
    )


def small_example(attempt: Callable) -> str | None:
    for x in (torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0, 1.0])):
        mine, expected = answer_of(attempt, x), right(x)
        if not same(mine, expected):
            terms = " + ".join(f"{v:.4f}" for v in x.exp().tolist())
            return f"for x = {written(x)} your answer is {written(mine)}, expected ln({terms}) = {float(expected):.4f}."
    return None


log_sum_exp = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="finite and right from -1,000 to 1,000, in half precision, and with a masked candidate.",
    demands=(holds_at_any_size, holds_in_half_precision),
    ladder=(shape, single, equal, moves_along, small_example),
    notes=(one_number,),
)
