"""Lesson 05: the learner's `my_effective_rank(z)`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course import diagnose
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call
from cl_course.lessons.shared.ladder import close, constant_relation, number, written

NAME = "my_effective_rank"


# The right way, in parts that can each be done in a wrong way.
def as_it_is(z: Tensor) -> Tensor:
    return z


def by_their_sum(values: Tensor) -> Tensor:
    return values / values.sum()


def entropy(share: Tensor) -> Tensor:
    return torch.special.entr(share).sum()


def make(
    matrix: Callable = as_it_is,
    values: Callable = torch.linalg.svdvals,
    share: Callable = by_their_sum,
    spread: Callable = entropy,
    finish: Callable = torch.exp,
) -> Callable[[Tensor], Tensor]:
    return lambda z: finish(spread(share(values(matrix(z)))))


ALONE = {"matrix": as_it_is, "values": torch.linalg.svdvals, "share": by_their_sum, "finish": torch.exp}  # not in twos
_CENTRED = (
    "the mean is taken away first: here z stays as it is, so that one point for all has rank 1, whatever point it is."
)
_SHARE = "The share of each is value / values.sum()."

MISTAKES = (
    Mistake("the exponential is missing: this is the entropy, and exp of it counts dimensions.", {"finish": as_it_is}),
    Mistake(
        "the sign of the entropy is turned round: it is -(share * share.log()).sum(), and exp of it at least 1.",
        {"finish": lambda h: (-h).exp()},
    ),
    Mistake(
        "the sign of the entropy is turned round, and the exponential is missing: exp(-(share * share.log()).sum()).",
        {"finish": lambda h: -h},
    ),
    Mistake(
        "the logarithm has base 2, and exp has base e: take share.log(), or 2 to the power of your entropy.",
        {"finish": lambda h: (h / torch.log(torch.tensor(2.0))).exp()},
    ),
    Mistake("the logarithm has base e, and the power base 2: take exp of the entropy.", {"finish": lambda h: 2**h}),
    Mistake(
        "this is the entropy with base 2: the effective rank is 2 to that power.",
        {"finish": lambda h: h / torch.log(torch.tensor(2.0))},
    ),
    Mistake(
        f"the shares are those of the squared singular values (or of the eigenvalues of z.T @ z). {_SHARE}",
        {"share": lambda v: by_their_sum(v**2)},
    ),
    Mistake(f"the values are divided by the largest one. {_SHARE}", {"share": lambda v: v / v.max()}),
    Mistake(
        f"the values are divided by their length, the root of the sum of squares. {_SHARE}",
        {"share": lambda v: v / v.norm()},
    ),
    Mistake(f"a softmax makes the shares. {_SHARE}", {"share": lambda v: v.softmax(dim=0)}),
    Mistake(f"the singular values are not made shares that sum to 1. {_SHARE}", {"share": as_it_is}),
    Mistake(
        "the mean of the terms is taken where the entropy is their sum.",
        {"spread": lambda s: torch.special.entr(s).mean()},
    ),
    Mistake(
        "this is 1 / the sum of squared shares, another way to count (the participation ratio): here it is exp of the "
        "entropy.",
        {"spread": lambda s: -s.square().sum().log()},
    ),
    Mistake(
        "the factor share in front of the logarithm is missing: the entropy is -(share * share.log()).sum().",
        {"spread": lambda s: -s.log().sum()},
    ),
    Mistake(
        "the largest of the terms is taken where the entropy is their sum.",
        {"spread": lambda s: torch.special.entr(s).max()},
    ),
    Mistake(
        "this is exp of a single share's logarithm, 1 / the largest share: all shares count, by their entropy.",
        ALONE | {"spread": lambda s: -s.max().log()},
    ),
    Mistake(_CENTRED, {"matrix": lambda z: z - z.mean(dim=0)}),
    Mistake(_CENTRED, {"matrix": lambda z: torch.cov(z.T)}),
    Mistake(
        "each row is made length 1 first: the exercise takes z as it is; the lesson normalises before it calls it.",
        {"matrix": lambda z: F.normalize(z, dim=1)},
    ),
    Mistake(
        "each column is made length 1 first: then an idle dimension counts as much as a busy one. Take z as it is.",
        {"matrix": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(
        "the absolute values in z are not its singular values: torch.linalg.svdvals(z) gives those.",
        {"values": lambda z: z.abs().flatten()},
    ),
    Mistake(
        "the standard deviations of the columns are not the singular values: torch.linalg.svdvals(z) gives those.",
        {"values": lambda z: z.std(dim=0)},
    ),
    Mistake(
        "the lengths of the columns are not the singular values: torch.linalg.svdvals(z) gives those.",
        {"values": lambda z: z.norm(dim=0)},
    ),
    Mistake(
        "your answer is the rank of z, the number of singular values that are not 0: the effective rank weighs them.",
        {"finish": as_it_is, "spread": lambda s: (s > 1e-6).sum().double()},
    ),
    Mistake(
        "the effective rank is divided by the number of dimensions: leave that out.",
        {"spread": lambda s: entropy(s) - torch.log(torch.tensor(float(len(s))))},
    ),
)


# Inputs: embeddings whose dimensions differ in how much they vary.
def embeddings(n: int, d: int) -> Tensor:
    generator = Generator().manual_seed(n)
    return 0.3 * (torch.randn(n, d, generator=generator) * torch.linspace(2, 0.3, d) + 0.5)


ORDINARY = (embeddings(12, 3), embeddings(20, 5), embeddings(9, 6))
FLAT = torch.zeros(4, 3).index_fill_(1, torch.tensor([0]), 1.0)  # one point for all: two singular values are 0


def value(attempt: Callable, z: Tensor) -> object:
    given = z.clone()
    answer = call(lambda: attempt(given))
    if not torch.equal(given, z):
        raise Fault("you changed z in place, and the caller's tensor is altered: make a new one.")
    try:
        answer = torch.as_tensor(answer).detach()
    except (TypeError, ValueError, RuntimeError):
        return answer
    return answer.reshape(()) if answer.numel() == 1 else answer


def observe(attempt: Callable) -> list:
    return [value(attempt, z) for z in ORDINARY]


def right(z: Tensor) -> float:
    return diagnose.effective_rank(z)


# What a right answer must also do.
def counts_empty_directions_as_nothing(attempt: Callable) -> str | None:
    found = number(value(attempt, FLAT))
    if found is not None and close(found, 1, 1e-3):
        return None
    seen = "not a finite number" if found is None else f"{found:.4f}"
    return (
        f"right, until z does not use all of its dimensions: for four rows [1, 0, 0], one point for all, your answer "
        f"is {seen}, expected 1. Singular values are 0 there, and 0 * log 0 counts as 0: torch.special.entr(share) is "
        "-share * log(share) with that rule."
    )


def does_not_depend_on_scale(attempt: Callable) -> str | None:
    found = [number(value(attempt, scale * ORDINARY[0])) for scale in (1e-4, 1e4)]
    if all(f is not None and close(f, right(ORDINARY[0]), 1e-3) for f in found):
        return None
    seen = " and ".join("not finite" if f is None else f"{f:.4f}" for f in found)
    return (
        f"right at ordinary lengths, but with z ten thousand times shorter and longer your answers are {seen}, where "
        f"both should be {right(ORDINARY[0]):.4f}: a number added for safety counts there."
    )


# Wrong, and no known mistake: one property after the other.
def how_axes_count(attempt: Callable) -> str | None:
    found = [number(value(attempt, torch.eye(d))) for d in (2, 3, 4)]
    if None in found or all(close(f, d) for f, d in zip(found, (2, 3, 4))):
        return None
    return (
        "d rows along d axes, the identity matrix, use all d dimensions alike: for d = 2, 3, 4 your answer is "
        f"{written(found)}, expected 2, 3, 4."
    )


def how_scale_counts(attempt: Callable) -> str | None:
    z = ORDINARY[0]
    once, ten = number(value(attempt, z)), number(value(attempt, 10 * z))
    if once is None or ten is None or close(once, ten):
        return None
    return f"with z ten times as long your answer goes from {once:.4f} to {ten:.4f}: only shares may count."


def how_a_common_part_counts(attempt: Callable) -> str | None:
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    found = number(value(attempt, z))
    if found is None or close(found, 1, 1e-3):
        return None
    return f"for three rows [1, 0], one point for all, your answer is {found:.4f}, expected 1."


def how_turning_counts(attempt: Callable) -> str | None:
    z, turn = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    before, after = number(value(attempt, z)), number(value(attempt, z @ turn))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"for z = {written(z)} your answer is {before:.4f}, and {after:.4f} with both rows turned by the same angle: "
        "singular values do not change by that, so the answer should not."
    )


def small_example(attempt: Callable) -> str | None:
    z = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    found, expected = number(value(attempt, z)), right(z)
    if found is not None and close(found, expected):
        return None
    seen = "no single finite number" if found is None else f"{found:.4f}"
    return (
        f"for z = {written(z)} your answer is {seen}, expected {expected:.4f}: its singular values are 3 and 1, their "
        "shares 0.75 and 0.25, the entropy 0.5623, and exp(0.5623) = 1.7548."
    )


def how_far_off(attempt: Callable) -> str | None:
    found = [number(value(attempt, z)) for z in ORDINARY]
    return None if None in found else constant_relation(found, [right(z) for z in ORDINARY])


effective_rank = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's effective rank, also where z is one point for all.",
    demands=(counts_empty_directions_as_nothing, does_not_depend_on_scale),
    ladder=(how_far_off, how_scale_counts, how_axes_count, how_a_common_part_counts, how_turning_counts, small_example),
)
