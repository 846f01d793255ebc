"""Lesson 06b: the learner's `my_centreness(points, boxes)`: how central a place is in its box."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, constant_relation, written

NAME = "my_centreness"


def places(n: int, inside: float = 0.7) -> tuple[Tensor, Tensor]:
    """Points (n, 2) and a box for each, (n, 4); a share of the points lies inside of its box."""
    generator = Generator().manual_seed(n)
    corner = 20 * torch.rand(n, 2, generator=generator)
    size = 4 + 10 * torch.rand(n, 2, generator=generator)
    share = torch.where(
        torch.rand(n, 1, generator=generator) < inside,
        0.05 + 0.9 * torch.rand(n, 2, generator=generator),
        1.1 + torch.rand(n, 2, generator=generator),
    )
    return corner + share * size, torch.cat([corner, corner + size], dim=1)


BATCHES = (places(9), places(14), places(23, 0.5))


# The right way, in parts that can each be done in a wrong way.
def distances(points: Tensor, boxes: Tensor) -> Tensor:
    """To the left, top, right and bottom side, (n, 4)."""
    return torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], dim=1)


def balance(d: Tensor) -> Tensor:
    """Shorter over longer side, across and down, (n, 2)."""
    return torch.minimum(d[:, :2], d[:, 2:]) / torch.maximum(d[:, :2], d[:, 2:])


def root(ratios: Tensor) -> Tensor:
    return ratios.prod(dim=1).sqrt()


def nothing_outside(values: Tensor, d: Tensor) -> Tensor:
    return torch.where(d.amin(dim=1) > 0, values, 0.0)


def make(
    measured: Callable = distances,
    ratio: Callable = balance,
    joined: Callable = root,
    outside: Callable = nothing_outside,
) -> Callable[[Tensor, Tensor], Tensor]:
    def attempt(points: Tensor, boxes: Tensor) -> Tensor:
        d = measured(points, boxes)
        return outside(joined(ratio(d)), d)

    return attempt


right = make()

MISTAKES = (
    Mistake("the square root is missing.", {"joined": lambda r: r.prod(dim=1)}),
    Mistake("the two ratios are averaged: multiply them, and take the root.", {"joined": lambda r: r.mean(dim=1)}),
    Mistake(
        "the two ratios are added before the root: multiply them.",
        {"joined": lambda r: r.sum(dim=1).clamp(min=0).sqrt()},
    ),
    Mistake(
        "only left and right count: multiply by the ratio of top and bottom.", {"joined": lambda r: r[:, 0].sqrt()}
    ),
    Mistake(
        "only top and bottom count: multiply by the ratio of left and right.", {"joined": lambda r: r[:, 1].sqrt()}
    ),
    Mistake(
        "the smaller of the two ratios came back: multiply both, and take the root.", {"joined": lambda r: r.amin(1)}
    ),
    Mistake(
        "left over right, and top over bottom: that is above 1 on one side of the centre. The shorter of the two "
        "stands above the line.",
        {"ratio": lambda d: d[:, :2] / d[:, 2:]},
    ),
    Mistake(
        "the ratios are upside down: the shorter distance stands above the line, so that no value is above 1.",
        {"ratio": lambda d: torch.maximum(d[:, :2], d[:, 2:]) / torch.minimum(d[:, :2], d[:, 2:])},
    ),
    Mistake(
        "left is compared with top, and right with bottom: compare left with right, and top with bottom.",
        {"ratio": lambda d: torch.minimum(d[:, 0::2], d[:, 1::2]) / torch.maximum(d[:, 0::2], d[:, 1::2])},
    ),
    Mistake(
        "the shorter distance is divided by the side of the box: divide by the longer distance, so that the centre "
        "gets 1.",
        {"ratio": lambda d: torch.minimum(d[:, :2], d[:, 2:]) / (d[:, :2] + d[:, 2:])},
    ),
    Mistake(
        "places outside of their box do not get 0. One of the four distances is negative there: "
        "torch.where(d.amin(dim=1) > 0, value, 0.0).",
        {"outside": lambda values, d: values},
    ),
    Mistake(
        "places outside of their box do not get 0 but NaN, the root of a negative number: put 0 there.",
        {"outside": lambda values, d: torch.where(d.amin(dim=1) > 0, values, torch.nan)},
    ),
    Mistake(
        "places outside of their box get 1: they must get 0.",
        {"outside": lambda values, d: torch.where(d.amin(dim=1) > 0, values, 1.0)},
    ),
    Mistake(
        "x and y of the points are exchanged: a point is (x, y), and a box (x1, y1, x2, y2).",
        {"measured": lambda p, b: distances(p.flip(1), b)},
    ),
    Mistake(
        "the boxes are read as (x, y, width, height): here they are (x1, y1, x2, y2), and the right side is x2 - x "
        "away.",
        {"measured": lambda p, b: distances(p, torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], dim=1))},
    ),
    Mistake(
        "the signs of the distances are exchanged, so that places inside count as outside: left is x - x1, and right "
        "x2 - x.",
        {"measured": lambda p, b: -distances(p, b)},
    ),
    Mistake("1 - centre-ness came back: the centre gets 1.", {"outside": lambda v, d: 1 - nothing_outside(v, d)}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *given) for given in BATCHES]


# Wrong, and no known mistake.
def one_for_each(attempt: Callable) -> str | None:
    points, mine = BATCHES[0][0], answer_of(attempt, *BATCHES[0])
    if mine.shape == (len(points),):
        return None
    return f"for {len(points)} points your answer has the shape {tuple(mine.shape)}, expected ({len(points)},)."


def in_range(attempt: Callable) -> str | None:
    for given in BATCHES:
        mine = answer_of(attempt, *given)
        if mine.isnan().any():
            return "some of your values are NaN: look for a root of a negative number, or for 0 / 0."
        if mine.min() < 0 or mine.max() > 1:
            return f"your values go from {mine.min():.3f} to {mine.max():.3f}; centre-ness lies between 0 and 1."
    return None


def small_examples(attempt: Callable) -> str | None:
    for x, y, why in (
        (4.0, 2.0, "the centre of the box"),
        (2.0, 2.0, "left 2, right 6, top and bottom alike: sqrt(2/6)"),
        (4.0, 1.0, "top 1, bottom 3, left and right alike: sqrt(1/3)"),
        (2.0, 1.0, "sqrt(2/6 * 1/3)"),
        (6.0, 3.0, "sqrt(2/6 * 1/3), from the other corner"),
        (9.0, 2.0, "the place lies outside of the box"),
        (9.0, 5.0, "the place lies outside of the box, in both directions"),
    ):
        given = {"points": torch.tensor([[x, y]]), "boxes": torch.tensor([[0.0, 0.0, 8.0, 4.0]])}
        if said := by_hand(attempt, right, given, why):
            return said
    return None


def is_a_multiple(attempt: Callable) -> str | None:
    mine, expected = answer_of(attempt, *places(16, 1.0)), right(*places(16, 1.0))
    return constant_relation(mine.flatten().tolist(), expected.tolist(), "centre-ness")


def is_nothing_on_the_side(attempt: Callable) -> str | None:
    """A demand on right answers: the very side of a box is no place inside."""
    given = torch.tensor([[0.0, 2.0], [4.0, 4.0]]), torch.tensor([[0.0, 0.0, 8.0, 4.0]]).expand(2, 4).clone()
    mine = answer_of(attempt, *given)
    if mine.isfinite().all() and mine.abs().max() < 1e-4:
        return None
    raise Fault("on the very side of its box a place has the centre-ness 0.")


def is_nothing_around(attempt: Callable) -> str | None:
    """A demand on right answers: outside on each of the four sides, and at each corner."""
    around = ((-1, 2), (9, 2), (4, -1), (4, 5), (-1, -1), (9, -1), (-1, 5), (9, 5))
    for x, y in around:
        mine = answer_of(attempt, torch.tensor([[float(x), float(y)]]), torch.tensor([[0.0, 0.0, 8.0, 4.0]]))
        if mine.numel() != 1 or not abs(float(mine)) < 1e-4:
            return (
                f"right elsewhere, but the place ({x}, {y}) lies outside of the box [0, 0, 8, 4]: its centre-ness is 0 "
                f"and your answer is {written(mine)}."
            )
    return None


centreness = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the centre-ness of every place tried, inside and outside of its box.",
    demands=(is_nothing_on_the_side, is_nothing_around),
    ladder=(one_for_each, in_range, is_a_multiple, small_examples),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
