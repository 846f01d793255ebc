"""Lesson 03: the learner's `my_spread(z)`: 1 where embeddings fill the sphere evenly, 0 where all are one point."""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import close, constant_relation, number, written

NAME = "my_spread"


# The right way, in parts that can each be done in a wrong way.
def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def deviation(z: Tensor) -> Tensor:
    return z.std(dim=0, correction=0)


def root_of_d(d: int, m: int) -> float:
    return math.sqrt(d)


def make(
    lengths: Callable = unit,
    over: Callable = deviation,
    average: Callable = torch.mean,
    factor: Callable = root_of_d,
) -> Callable[[Tensor], Tensor]:
    return lambda z: average(over(lengths(z))) * factor(z.shape[1], z.shape[0])


right = make()


def _embeddings(m: int, d: int) -> Tensor:
    """Rows of several lengths, columns of several means and widths."""
    generator = Generator().manual_seed(m)
    widths = torch.linspace(0.3, 2, d).roll(m)  # neither the first nor the last column is always the widest
    columns = widths * torch.randn(m, d, generator=generator) + torch.linspace(-0.5, 1, d)
    return (0.5 + 2 * torch.rand(m, 1, generator=generator)) * columns


BATCHES = (_embeddings(12, 5), _embeddings(7, 3), _embeddings(5, 9))


def answers(attempt: Callable) -> list[object]:
    """An answer a batch; numbers as tensors of shape ().

    Raises:
        Fault: z is changed, or what comes back holds no numbers.
    """
    found = []
    for z in BATCHES:
        given = z.clone()
        answer = call(lambda given=given: attempt(given))
        if not torch.equal(given, z):
            raise Fault("you changed z in place: the caller's embeddings are altered. Write z = z / 2, not z /= 2.")
        try:
            answer = torch.as_tensor(answer).detach().double()
        except (TypeError, ValueError, RuntimeError):
            raise Fault(f"{kind_of(answer)} came back, where one number is expected.") from None
        found.append(answer.reshape(()) if answer.numel() == 1 else answer)
    return found


def corrected(seen: list) -> bool:
    """Whether these are right but for torch's default, the deviation of a sample: a division by m - 1."""
    return same(seen, [right(z) * math.sqrt(len(z) / (len(z) - 1)) for z in BATCHES])


def divided_by_m(seen: list[object]) -> list[object]:
    """What these would be with a division by m, if they were made with torch's default, m - 1."""
    return [answer * math.sqrt((len(z) - 1) / len(z)) for answer, z in zip(seen, BATCHES)]


@functools.cache
def with_the_deviation() -> list[list[object]]:
    """The answers of the right way, and of each mistake that takes the deviation of each dimension."""
    ways = [right, *(make(**mistake.parts) for mistake in MISTAKES if "over" not in mistake.parts)]
    return [answers(way) for way in ways]


def observe(attempt: Callable) -> list[object]:
    """Both deviations are right: they differ by less than 1 % in a batch of 128. A mistake is known with either."""
    seen = answers(attempt)
    other = divided_by_m(seen)
    return other if any(same(other, known) for known in with_the_deviation()) else seen


def _as_it_is(z: Tensor) -> Tensor:
    return z


def _variance(z: Tensor) -> Tensor:
    return z.var(dim=0, correction=0)


_LENGTHS = "the lengths count: make each row's length 1 first, F.normalize(z, dim=1). "
_ROOT = "The factor is the root of d, z.shape[1] ** 0.5. "

MISTAKES = (
    Mistake(_LENGTHS + "Yours takes z as it comes.", {"lengths": _as_it_is}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(_LENGTHS + "Yours are all divided by one common length.", {"lengths": lambda z: z / z.norm()}),
    Mistake(
        "the mean is subtracted before the rows get length 1: normalise z as it comes. The deviation "
        "subtracts the mean by itself.",
        {"lengths": lambda z: unit(z - z.mean(dim=0))},
    ),
    Mistake(
        "each row is divided by the sum of its absolute values: its length is the root of the sum of squares.",
        {"lengths": lambda z: F.normalize(z, p=1, dim=1)},
    ),
    Mistake(
        "the deviation is taken along each row, dim=1: a dead network whose rows are all the same gets no 0 from it. "
        "Take it over the images, dim=0.",
        {"over": lambda z: z.std(dim=1, correction=0)},
    ),
    Mistake(
        "the deviation is taken along each row, dim=1: a dead network whose rows are all the same gets no 0 from it. "
        "Take it over the images, dim=0.",
        {"over": lambda z: z.std(dim=1)},
    ),
    Mistake(
        "one deviation of all numbers together: a row whose numbers differ is then spread, even if all rows are the "
        "same. Take one for each dimension, z.std(dim=0), then their mean.",
        {"over": lambda z: z.std(correction=0)},
    ),
    Mistake(
        "one deviation of all numbers together: a row whose numbers differ is then spread, even if all rows are the "
        "same. Take one for each dimension, z.std(dim=0), then their mean.",
        {"over": lambda z: z.std()},
    ),
    Mistake("these are variances: the standard deviation is their root, .std().", {"over": _variance}),
    Mistake("these are variances: the standard deviation is their root, .std().", {"over": lambda z: z.var(dim=0)}),
    Mistake(
        "the mean is of the variances, and the root comes after it. Asked is the mean of the standard deviations.",
        {"over": _variance, "average": lambda v: v.mean().sqrt()},
    ),
    Mistake(
        "mean absolute deviations: the exercise asks for the standard deviation of each dimension.",
        {"over": lambda z: (z - z.mean(dim=0)).abs().mean(dim=0)},
    ),
    Mistake("the sum over the dimensions: the exercise asks for their mean.", {"average": torch.sum}),
    Mistake("the largest deviation: the exercise asks for the mean over the dimensions.", {"average": torch.amax}),
    Mistake("the smallest deviation: the exercise asks for the mean over the dimensions.", {"average": torch.amin}),
    Mistake("the median of the deviations: the exercise asks for their mean.", {"average": torch.median}),
    Mistake("one number for each dimension came back: average over the dimensions, .mean().", {"average": lambda s: s}),
    Mistake(_ROOT + "It is missing: without it the best value is 1 / sqrt(d), not 1.", {"factor": lambda d, m: 1}),
    Mistake(_ROOT + "Yours is d.", {"factor": lambda d, m: d}),
    Mistake(_ROOT + "You divide by it.", {"factor": lambda d, m: d**-0.5}),
    Mistake(_ROOT + "Yours is the root of the number of images.", {"factor": lambda d, m: m**0.5}),
    Mistake(_ROOT + "Yours is the root of d - 1.", {"factor": lambda d, m: (d - 1) ** 0.5}),
)

# Wrong, and no known mistake: small batches whose right answer can be seen.
SQUARE = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
SMALL = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
POINT = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])


def _of(attempt: Callable, z: Tensor) -> float | None:
    return number(attempt(z.clone()))


def one_number(attempt: Callable) -> str | None:
    answer = torch.as_tensor(attempt(SQUARE.clone()))
    return None if answer.numel() == 1 else f"your answer has the shape {tuple(answer.shape)}; expected one number."


def finite(attempt: Callable) -> str | None:
    answer = float(torch.as_tensor(attempt(BATCHES[0].clone())))
    return None if math.isfinite(answer) else f"on one of the test inputs your answer is {answer}."


def of_one_point(attempt: Callable) -> str | None:
    mine = _of(attempt, POINT)
    if mine is None or close(mine, 0):
        return None
    return f"for three rows that are all [0.6, 0.8] your answer is {mine:.4f}. All are one point: the spread is 0."


def of_lengths(attempt: Callable) -> str | None:
    before, after = _of(attempt, SQUARE), _of(attempt, SQUARE * torch.tensor([[3.0], [1.0], [1.0], [1.0]]))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"for z = {written(SQUARE)} your answer is {before:.4f}; with the first row three times as long it is "
        f"{after:.4f}. The loss sees directions alone, so lengths must not count."
    )


def of_a_square(attempt: Callable) -> str | None:
    mine = _of(attempt, SQUARE)
    if mine is None or close(mine, 1) or close(mine, math.sqrt(4 / 3)):
        return None
    return (
        f"for z = {written(SQUARE)}, four points spread evenly on the circle, your answer is {mine:.4f}. Each of the "
        "two dimensions has the standard deviation root(1/2); times root(2) this is 1. (Torch's default divides by "
        "m - 1: root(2/3), and 1.1547.)"
    )


def relation(attempt: Callable) -> str | None:
    mine = [_of(attempt, z) for z in BATCHES]
    return None if None in mine else constant_relation(mine, [float(right(z)) for z in BATCHES])


def of_more_dimensions(attempt: Callable) -> str | None:
    """Two more dimensions that are always 0: the deviations stay, d grows."""
    z = SQUARE.repeat(2, 1)
    wide = F.pad(z, (0, 2))
    mine = [_of(attempt, z), _of(attempt, wide)]
    expected = [float(right(z)), float(right(wide))]
    if None in mine or close(mine[0] * expected[1], mine[1] * expected[0]):
        return None
    return (
        f"with two more dimensions in which all rows are 0, your answer goes from {mine[0]:.4f} to {mine[1]:.4f}; the "
        f"right one goes from {expected[0]:.4f} to {expected[1]:.4f}: their deviation 0 counts in the mean."
    )


def by_hand(attempt: Callable) -> str | None:
    for z in (SMALL, SMALL.repeat(2, 1).roll(1, dims=1), SMALL[[2, 1, 1, 0]]):
        mine, rows = _of(attempt, z), unit(z)
        if (
            mine is None
            or close(mine, float(right(z)))
            or close(mine, float(right(z)) * (len(z) / (len(z) - 1)) ** 0.5)
        ):
            continue
        return (
            f"for z = {written(z)} your answer is {mine:.4f}. With length 1 the rows are {written(rows)}, the "
            f"deviations of the dimensions {written(deviation(rows))}; their mean times root(2) is "
            f"{float(right(z)):.4f}."
        )
    return None


def divided_by_less(attempt: Callable) -> str | None:
    if not corrected(answers(attempt)):
        return None
    return "you divide by m - 1, as torch does by default: for a batch of 128 that is 1.004 times the value with m."


def no_tensor(attempt: Callable) -> str | None:
    answer = attempt(BATCHES[0].clone())
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else ()
    return (
        f"your answer has the shape {shape}; one number is usually a tensor without dimensions, ()." if shape else None
    )


spread = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="0 for one point, 1 for an even spread, whatever the lengths and the number of dimensions.",
    ladder=(one_number, finite, of_one_point, of_lengths, of_a_square, relation, of_more_dimensions, by_hand),
    notes=(divided_by_less, no_tensor),
)
