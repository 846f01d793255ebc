"""Lesson 09: the learner's `my_first(h, centres)`: the picture nearest to each centre is labelled first."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand

NAME = "my_first"


def batch(n: int, k: int) -> tuple[Tensor, Tensor]:
    """n features (n, 3), and k centres (k, 3) in lengths that differ."""
    generator = Generator().manual_seed(n)
    h = torch.randn(n, 3, generator=generator)
    centres = torch.randn(k, 3, generator=generator) * torch.exp(0.5 * torch.randn(k, 1, generator=generator))
    return h, centres


BATCHES = (batch(23, 4), batch(31, 6), batch(40, 7))


# The right way, in parts that can each be done in a wrong way.
def apart(h: Tensor, centres: Tensor) -> Tensor:
    return torch.cdist(centres, h)  # (k, n)


def nearest(distance: Tensor) -> Tensor:
    return distance.argmin(dim=1)


def as_it_is(found: Tensor) -> Tensor:
    return found


def make(
    table: Callable = apart, chosen: Callable = nearest, result: Callable = as_it_is
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda h, centres: result(chosen(table(h, centres)))


right = make()

MISTAKES = (
    Mistake(
        "this is the centre nearest to each *picture*, one for each of n. Asked is the picture nearest to each centre.",
        {"chosen": lambda distance: distance.argmin(dim=0)},
    ),
    Mistake(
        "the *farthest* picture from each centre: those are the odd ones. Take the smallest distance.",
        {"chosen": lambda distance: distance.argmax(dim=1)},
    ),
    Mistake(
        "the smallest distances came back: their places are asked, .argmin(dim=1).",
        {"chosen": lambda distance: distance.min(dim=1).values},
    ),
    Mistake("one place for the whole table: take one for each centre, dim=1.", {"chosen": torch.argmin}),
    Mistake(
        "the largest *product* decides: it prefers long features, wherever they lie. Take the distance, torch.cdist.",
        {"table": lambda h, centres: -(centres @ h.T)},
    ),
    Mistake("the differences of the sums are compared: a distance adds up squares.",
            {"table": lambda h, centres: (centres.sum(1)[:, None] - h.sum(1)).abs()}),
    Mistake("the absolute differences are added: the distance is the root of the sum of squares.",
            {"table": lambda h, centres: torch.cdist(centres, h, p=1)}),
    Mistake("only the largest difference counts: the distance is the root of the sum of squares.",
            {"table": lambda h, centres: torch.cdist(centres, h, p=float("inf"))}),
    Mistake("the cosine decides, so that lengths are lost. The centres of k-means are points: take the distance.",
            {"table": lambda h, centres: -torch.cosine_similarity(centres[:, None], h[None], dim=2)}),
    Mistake("the places came back sorted: keep the order of the centres.", {"result": lambda all_: all_.sort().values}),
    Mistake("the places are counted from 1: in Python they start at 0.", {"result": lambda found: found + 1}),
    Mistake("each place came back once: return one for each centre, in their order.", {"result": torch.unique}),
)  # fmt: skip


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *inputs) for inputs in BATCHES]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not finite; places are whole numbers from 0.")
    return answers


def places_are_whole(attempt: Callable) -> str | None:
    answer = attempt(*BATCHES[0])
    kind = getattr(answer, "dtype", None)
    if isinstance(kind, torch.dtype) and (kind.is_floating_point or kind == torch.bool):
        return f"the places are right, but of the type {kind}: images.subset needs whole numbers, int64."
    return None


def two_centres_may_share(attempt: Callable) -> str | None:
    h, centres = torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [8.0, 9.0]])
    mine = answer_of(attempt, h, centres)
    return None if mine.tolist() == [0, 0, 1] else "where two centres have one nearest picture, it stands there twice."


# Wrong, and no known mistake.
def one_for_each_centre(attempt: Callable) -> str | None:
    mine, k = answer_of(attempt, *BATCHES[0]), len(BATCHES[0][1])
    return None if mine.shape == (k,) else f"for {k} centres your answer has the shape {tuple(mine.shape)}."


def small_examples(attempt: Callable) -> str | None:
    h = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    for centres, why in (
        ([[1.0, 0.0], [3.0, 0.0]], "distances 1, 3, 3.16 and 3, 1, 4.24"),
        ([[0.0, 2.0]], "distances 2, 4.47, 1"),
        ([[5.0, 5.0], [-1.0, -1.0]], "distances 7.07, 5.1, 5.39 and 1.41, 5.1, 4.12"),
    ):
        if said := by_hand(attempt, right, {"h": h, "centres": torch.tensor(centres)}, why):
            return said
    return None


first_to_label = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="for each centre the place of the picture nearest to it.",
    demands=(two_centres_may_share, places_are_whole),
    ladder=(one_for_each_centre, small_examples),
)
