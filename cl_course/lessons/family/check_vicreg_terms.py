"""Lesson 11: the learner's `my_vicreg_terms(z1, z2)`: invariance, variance and covariance."""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.family import probes
from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Mistake, same
from cl_course.lessons.shared.ladder import written

NAME = "my_vicreg_terms"
TERMS = ("invariance", "variance", "covariance")


# The right way, in parts that can each be done in a wrong way.
def squared(z1: Tensor, z2: Tensor) -> Tensor:
    return (z1 - z2).square().mean()


def deviation(z: Tensor) -> Tensor:
    return (z.var(dim=0) + 1e-4).sqrt()


def hinge(std: Tensor) -> Tensor:
    return (1 - std).relu().mean()


def covariances(z: Tensor) -> Tensor:
    z = z - z.mean(dim=0)
    return z.T @ z / (len(z) - 1)


def redundancy(c: Tensor) -> Tensor:
    return probes.off_diagonal(c).square().sum() / len(c)


def both(of_view1: Tensor, of_view2: Tensor) -> Tensor:
    return of_view1 + of_view2


def make(
    distance: Callable = squared,
    std: Callable = deviation,
    low: Callable = hinge,
    cov: Callable = covariances,
    off: Callable = redundancy,
    variances: Callable = both,
    redundancies: Callable = both,
    order: tuple[int, ...] = (0, 1, 2),
) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    def attempt(z1: Tensor, z2: Tensor) -> tuple[Tensor, ...]:
        terms = (
            distance(z1, z2),
            variances(low(std(z1)), low(std(z2))),
            redundancies(off(cov(z1)), off(cov(z2))),
        )
        return tuple(terms[place] for place in order)

    return attempt


right = make()


def _first(of_view1: Tensor, of_view2: Tensor) -> Tensor:
    return of_view1


def _mean(of_view1: Tensor, of_view2: Tensor) -> Tensor:
    return (of_view1 + of_view2) / 2


_HINGE = "the variance term is the mean over dimensions of max(0, 1 - standard deviation). "

MISTAKES = (
    Mistake(
        _HINGE + "Yours has the variance in the place of its root. Near 0 the variance has almost no slope, so that "
        "a collapsed network would not be pushed out of the collapse.",
        {"std": lambda z: z.var(dim=0) + 1e-4},
    ),
    Mistake(
        _HINGE + "Yours is not cut off at 0: dimensions that spread too much make up for others that do not.",
        {"low": lambda std: (1 - std).mean()},
    ),
    Mistake(
        _HINGE + "Yours has the sign inside turned round: it punishes what spreads, and is content with a collapse.",
        {"low": lambda std: (std - 1).relu().mean()},
    ),
    Mistake(_HINGE + "Yours is the distance from 1 on both sides.", {"low": lambda std: (1 - std).abs().mean()}),
    Mistake(_HINGE + "Yours squares the hinge.", {"low": lambda std: (1 - std).relu().square().mean()}),
    Mistake(_HINGE + "Yours is their sum.", {"low": lambda std: (1 - std).relu().sum()}),
    Mistake(
        _HINGE + "Yours takes the mean first and the hinge last: then one wide dimension makes up for dead ones.",
        {"low": lambda std: (1 - std.mean()).relu()},
    ),
    Mistake(
        "the standard deviation is taken along the rows: that of each dimension over the batch, dim=0.",
        {"std": lambda z: (z.var(dim=1) + 1e-4).sqrt()},
    ),
    Mistake(
        "the variance is divided by n: the estimate from a batch divides by n - 1, as z.var(dim=0) does.",
        {"std": lambda z: (z.var(dim=0, correction=0) + 1e-4).sqrt()},
    ),
    Mistake("the variance term looks at z1 alone: both views count, added.", {"variances": _first}),
    Mistake("the variance term is the mean of both views: they are added.", {"variances": _mean}),
    Mistake("the covariance term looks at z1 alone: both views count, added.", {"redundancies": _first}),
    Mistake("the covariance term is the mean of both views: they are added.", {"redundancies": _mean}),
    Mistake(
        "the columns are not centred before the product: Cov needs the mean over the batch taken away.",
        {"cov": lambda z: z.T @ z / (len(z) - 1)},
    ),
    Mistake("the covariance is divided by n: divide by n - 1.", {"cov": lambda z: torch.cov(z.T, correction=0)}),
    Mistake(
        "the covariance matrix is not divided by n - 1.", {"cov": lambda z: (z - z.mean(dim=0)).T @ (z - z.mean(dim=0))}
    ),
    Mistake(
        "correlations stand in the place of covariances: VICReg does not standardise, its variance term does it.",
        {"cov": lambda z: torch.corrcoef(z.T)},
    ),
    Mistake(
        "the diagonal is among the covariances: it holds the variances, which this term must not push to 0.",
        {"off": lambda c: c.square().sum() / len(c)},
    ),
    Mistake(
        "the covariances are not squared: positive and negative ones would cancel.",
        {"off": lambda c: probes.off_diagonal(c).sum() / len(c)},
    ),
    Mistake(
        "the sum of squared covariances is not divided by d.",
        {"off": lambda c: probes.off_diagonal(c).square().sum()},
    ),
    Mistake(
        "the covariance term is a mean over all d (d - 1) elements, or over d x d: divide their sum by d.",
        {"off": lambda c: probes.off_diagonal(c).square().mean()},
    ),
    Mistake(
        "the covariance term is a mean over all d (d - 1) elements, or over d x d: divide their sum by d.",
        {"off": lambda c: probes.off_diagonal(c).square().sum() / (len(c) * (len(c) - 1))},
    ),
    Mistake(
        "the invariance is summed over the dimensions, as eq. 5 of the paper is written: here it is a mean over images "
        "and dimensions, as the paper's algorithm computes it, to which its weight of 25 belongs.",
        {"distance": lambda a, b: (a - b).square().sum(dim=1).mean()},
    ),
    Mistake(
        "the invariance is a sum: take the mean over images and dimensions.",
        {"distance": lambda a, b: (a - b).square().sum()},
    ),
    Mistake("the invariance takes absolute differences: square them.", {"distance": lambda a, b: (a - b).abs().mean()}),
    Mistake(
        "the invariance compares directions, of rows at length 1: VICReg takes z as it is.",
        {"distance": lambda a, b: squared(probes.unit(a), probes.unit(b))},
    ),
    Mistake(
        "variance and covariance are exchanged: the order is invariance, variance, covariance.", {"order": (0, 2, 1)}
    ),
    Mistake(
        "invariance and variance are exchanged: the order is invariance, variance, covariance.", {"order": (1, 0, 2)}
    ),
)

BATCHES = tuple(probes.views(n, d) for n, d in ((6, 3), (9, 4), (7, 5)))


def terms_of(attempt: Callable, *given: Tensor) -> Tensor:
    return answer_of(attempt, *given)


def observe(attempt: Callable) -> list[Tensor]:
    return [terms_of(attempt, *given) for given in BATCHES]


def survives_collapse(attempt: Callable) -> str | None:
    """All embeddings alike: here the variance term has to work, and a root of 0 has no slope that can be used."""
    z = torch.ones(4, 2, requires_grad=True)
    terms = attempt(z * 1, z * 1)
    gradient = torch.autograd.grad(sum(terms), z)[0]
    if same(torch.stack(list(terms)), torch.tensor([0.0, 1.98, 0.0])) and bool(gradient.isfinite().all()):
        return None
    slope = "" if gradient.isfinite().all() else "sqrt has no finite slope at 0: "
    return (
        f"right, until all embeddings are alike: there your terms are {written(torch.stack(list(terms)).detach())}, "
        f"expected [0, 1.98, 0], and the gradient is {'finite' if gradient.isfinite().all() else 'not finite'}. "
        f"{slope}take sqrt(Var + 1e-4), with 1e-4 under the root."
    )


# Wrong, and no known mistake.
def has_three_terms(attempt: Callable) -> str | None:
    shape = tuple(terms_of(attempt, *BATCHES[0]).shape)
    return None if shape == (3,) else f"your answer has the shape {shape}: three numbers are expected, {TERMS}."


def which_term(attempt: Callable) -> str | None:
    """Which of the three is wrong, and by how much, on rows that can be followed by hand."""
    z1 = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    wide = z1 * torch.tensor([2.0, 0.3])
    for a, b in ((z1, z1 + 1), (wide, wide), (z1[:, :1].expand(4, 2), z1), *BATCHES):
        mine, expected = terms_of(attempt, a, b), torch.stack(right(a, b)).double()
        for name, found, wanted in zip(TERMS, mine, expected):
            if not same(found, wanted):
                return (
                    f"the {name} is not right: for z1 = {written(a)} and z2 = {written(b)} it is {found:.4f}, "
                    f"expected {wanted:.4f}."
                )
    return None


vicreg_terms = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="three terms: what views share, how far each dimension spreads, and what dimensions repeat.",
    demands=(probes.carries_its_gradient(right, BATCHES[0]), survives_collapse),
    ladder=(has_three_terms, which_term),
)
