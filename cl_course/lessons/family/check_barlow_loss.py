"""Lesson 11: the learner's `my_barlow_loss(z1, z2, weight)`: the cross-correlation, standardised over the batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.family import probes
from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, number

NAME = "my_barlow_loss"


# The right way, in parts that can each be done in a wrong way.
def standardise(z: Tensor) -> Tensor:
    return (z - z.mean(dim=0)) / z.std(dim=0, correction=0)


def product(z1: Tensor, z2: Tensor) -> Tensor:
    return z1.T @ z2


def over_images(c: Tensor, n: int) -> Tensor:
    return c / n


def agreement(c: Tensor) -> Tensor:
    return (1 - c.diagonal()).square().sum()


def redundancy(c: Tensor) -> Tensor:
    return probes.off_diagonal(c).square().sum()


def weighted(on: Tensor, off: Tensor, weight: float) -> Tensor:
    return on + weight * off


def make(
    scale: Callable = standardise,
    correlate: Callable = product,
    divide: Callable = over_images,
    on: Callable = agreement,
    off: Callable = redundancy,
    total: Callable = weighted,
) -> Callable[[Tensor, Tensor, float], Tensor]:
    def attempt(z1: Tensor, z2: Tensor, weight: float) -> Tensor:
        c = divide(correlate(scale(z1), scale(z2)), len(z1))
        return total(on(c), off(c), weight)

    return attempt


right = make()

_COLUMNS = "each column is a dimension, and is brought to mean 0 and standard deviation 1 over the batch, dim=0. "

MISTAKES = (
    Mistake(
        _COLUMNS + "Yours is standardised along the rows, each image by itself.",
        {"scale": lambda z: (z - z.mean(dim=1, keepdim=True)) / z.std(dim=1, correction=0, keepdim=True)},
    ),
    Mistake(
        "every row is brought to length 1, as NT-Xent does it: here each *column* is standardised over the batch.",
        {"scale": lambda z: F.normalize(z, dim=1)},
    ),
    Mistake(_COLUMNS + "Yours are not touched.", {"scale": lambda z: z}),
    Mistake(
        "the mean of each column is taken away, and its standard deviation is not divided out: this is a covariance, "
        "which grows with the scale of z.",
        {"scale": lambda z: z - z.mean(dim=0)},
    ),
    Mistake(
        "the columns are not centred: take the mean over the batch away before you divide.",
        {"scale": lambda z: z / z.std(dim=0, correction=0)},
    ),
    Mistake(
        "the columns are divided by their variance: divide by the standard deviation, its root.",
        {"scale": lambda z: (z - z.mean(dim=0)) / z.var(dim=0, correction=0)},
    ),
    Mistake(
        "the standard deviation is that of n - 1 and the product is divided by n, so that no C_ii reaches 1: "
        "z.std(dim=0, correction=0). (In a batch of 2048, as the paper's, nobody sees the difference.)",
        {"scale": lambda z: (z - z.mean(dim=0)) / z.std(dim=0)},
    ),
    Mistake("the product is not divided by n, the number of images.", {"divide": lambda c, n: c}),
    Mistake(
        "the product is divided by n - 1, and the standard deviation is that of n: C_ii goes beyond 1. Divide by n.",
        {"divide": lambda c, n: c / (n - 1)},
    ),
    Mistake(
        "the product is divided by d, the number of dimensions: divide it by n, the number of images.",
        {"divide": lambda c, n: c / len(c)},
    ),
    Mistake(
        "z1 @ z2.T compares images with images, (n, n): C compares dimensions with dimensions, z1.T @ z2, (d, d).",
        {"correlate": lambda a, b: a @ b.T},
    ),
    Mistake("z2 is never used: this is how z1's dimensions go with each other.", {"correlate": lambda a, b: a.T @ a}),
    Mistake("z1 is never used: this is how z2's dimensions go with each other.", {"correlate": lambda a, b: b.T @ b}),
    Mistake(
        "the diagonal should become 1: its term is (1 - C_ii) squared. Yours wants it to be 0.",
        {"on": lambda c: c.diagonal().square().sum()},
    ),
    Mistake("1 - C_ii is not squared.", {"on": lambda c: (1 - c.diagonal()).sum()}),
    Mistake("the term of the diagonal is missing: nothing makes the two views agree.", {"on": lambda c: 0 * c.sum()}),
    Mistake(
        "the term of the diagonal is a mean over the dimensions: it is their sum.",
        {"on": lambda c: (1 - c.diagonal()).square().mean()},
    ),
    Mistake(
        "the diagonal is among the off-diagonal elements: leave C_ii out of the second sum.",
        {"off": lambda c: c.square().sum()},
    ),
    Mistake("the off-diagonal elements are not squared.", {"off": lambda c: probes.off_diagonal(c).sum()}),
    Mistake(
        "the off-diagonal elements count by their absolute value: they are squared.",
        {"off": lambda c: probes.off_diagonal(c).abs().sum()},
    ),
    Mistake(
        "the off-diagonal term is a mean: it is the sum over all i and j that differ.",
        {"off": lambda c: probes.off_diagonal(c).square().sum() / (len(c) * (len(c) - 1))},
    ),
    Mistake(
        "one half of the off-diagonal elements is missing: C is not symmetric, so that both triangles count.",
        {"off": lambda c: c.triu(1).square().sum()},
    ),
    Mistake(
        "the distance of the whole matrix from the identity counts alike: the weight is for the off-diagonal elements.",
        {"total": lambda on, off, weight: on + off},
    ),
    Mistake(
        "the weight stands before the wrong term: it is for the off-diagonal elements.",
        {"total": lambda on, off, weight: weight * on + off},
    ),
    Mistake("the off-diagonal term is subtracted: add it.", {"total": lambda on, off, weight: on - weight * off}),
    Mistake(
        "the off-diagonal term is missing: then all dimensions may say the same.",
        {"total": lambda on, off, weight: on},
    ),
)


def batch(n: int, d: int, weight: float) -> tuple:
    return *probes.views(n, d), weight


BATCHES = (batch(6, 3, 0.3), batch(9, 4, 0.05), batch(7, 5, 1.5))


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *given) for given in BATCHES]


# Wrong, and no known mistake.
def two_dimensions(attempt: Callable) -> str | None:
    z = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    for z2, c in ((z, "[[1, 0], [0, 1]]"), (z.flip(1), "[[0, 1], [1, 0]]"), (-z, "[[-1, 0], [0, -1]]")):
        if said := by_hand(attempt, right, {"z1": z, "z2": z2, "weight": 0.5}, f"here C = {c}"):
            return said
    return None


def how_weight_counts(attempt: Callable) -> str | None:
    z1, z2, _ = BATCHES[1]
    mine = [number(answer_of(attempt, z1, z2, weight)) for weight in (0.0, 1.0)]
    expected = [float(right(z1, z2, weight)) for weight in (0.0, 1.0)]
    if None in mine or all(map(close, mine, expected)):
        return None
    if close(*mine):
        return f"the weight has no effect on your loss: it is {mine[0]:.4f} at 0 and at 1."
    term = "diagonal" if close(mine[1] - mine[0], expected[1] - expected[0]) else "off-diagonal"
    if term == "off-diagonal" and not close(mine[0], expected[0]):
        return None
    return (
        f"the {term} term is not right: at weight 0 your loss is {mine[0]:.4f}, expected {expected[0]:.4f}, and "
        f"weight 1 adds {mine[1] - mine[0]:.4f}, expected {expected[1] - expected[0]:.4f}."
    )


def changed(how: Callable[[Tensor], Tensor]) -> tuple:
    z1, z2, weight = BATCHES[0]
    return how(z1), z2, weight


barlow_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="views agree in each dimension, and no two dimensions agree.",
    demands=(probes.carries_its_gradient(right, BATCHES[0]),),
    ladder=(
        probes.has_shape(BATCHES[0], (), "a loss is one number"),
        probes.how_far_off(right, lambda: [batch(n, d, w) for n, d in ((6, 3), (8, 4)) for w in (0.1, 1.0)]),
        two_dimensions,
        probes.changes(
            BATCHES[0], changed(lambda z: z + 3), "with 3 added to all of z1", "The mean over the batch must not count."
        ),
        probes.changes(BATCHES[0], changed(lambda z: 4 * z), "with z1 four times as long", "The scale must not count."),
        how_weight_counts,
    ),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
