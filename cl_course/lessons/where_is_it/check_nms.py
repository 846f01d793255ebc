"""Lesson 06b: the learner's `my_nms(boxes, scores, threshold)`: non-maximum suppression."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torchvision.ops import box_iou

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand

NAME = "my_nms"


def crowd(n: int, threshold: float) -> tuple[Tensor, Tensor, float]:
    """Boxes (n, 4) in clumps that overlap in chains, their scores in no order, and a threshold."""
    generator = Generator().manual_seed(n)
    clump = torch.randint(max(2, n // 5), (n, 1), generator=generator)
    centres = 12.0 * torch.cat([clump, clump % 2], dim=1) + 3 * torch.rand(n, 2, generator=generator)
    halves = 2.5 + torch.rand(n, 2, generator=generator)
    boxes = torch.cat([centres - halves, centres + halves], dim=1)
    return boxes, (torch.randperm(n, generator=generator) + 1) / (n + 2), threshold


def chain(step: float) -> tuple[Tensor, Tensor, float]:
    """Three boxes in a row: the first meets the second, the second the third, the first hardly the third."""
    left = torch.tensor([0.0, step, 2 * step])
    boxes = torch.stack([left, 0 * left, left + 10, 0 * left + 10], dim=1)
    return boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5


BATCHES = (crowd(11, 0.5), crowd(17, 0.3), crowd(24, 0.6), chain(3.0))


# The right way, in parts that can each be done in a wrong way.
def from_the_best(scores: Tensor) -> list[int]:
    return scores.argsort(descending=True).tolist()


def too_near(iou: Tensor, threshold: float) -> Tensor:
    return iou > threshold


def one_by_one(order: Sequence[int], near: Tensor) -> list[int]:
    """The places in `order` that stay: a box goes where one that *stays* is too near."""
    kept: list[int] = []
    for place, i in enumerate(order):
        if not any(near[i, order[other]] for other in kept):
            kept.append(place)
    return kept


def numbers(order: Sequence[int], kept: Sequence[int], n: int) -> object:
    return [order[place] for place in kept]


def make(
    ranked: Callable = from_the_best, rule: Callable = too_near, walk: Callable = one_by_one, result: Callable = numbers
) -> Callable[[Tensor, Tensor, float], object]:
    def attempt(boxes: Tensor, scores: Tensor, threshold: float) -> object:
        order = ranked(scores)
        return torch.as_tensor(result(order, walk(order, rule(box_iou(boxes, boxes), threshold)), len(boxes)))

    return attempt


right = make()


def _by_all(order: Sequence[int], near: Tensor) -> list[int]:
    return [place for place, i in enumerate(order) if not any(near[i, j] for j in order[:place])]


def _by_the_last(order: Sequence[int], near: Tensor) -> list[int]:
    kept = [0]
    for place, i in enumerate(order[1:], 1):
        if not near[i, order[kept[-1]]]:
            kept.append(place)
    return kept


def _by_the_best(order: Sequence[int], near: Tensor) -> list[int]:
    return [place for place, i in enumerate(order) if place == 0 or not near[i, order[0]]]


def _others(order: Sequence[int], near: Tensor) -> list[int]:
    kept = one_by_one(order, near)
    return [place for place in range(len(order)) if place not in kept]


def _as_mask(order: Sequence[int], kept: Sequence[int], n: int) -> list[bool]:
    stays = {order[place] for place in kept}
    return [i in stays for i in range(n)]


MISTAKES = (
    Mistake(
        "boxes that were already thrown out still throw out others: in a chain of three, the middle one is gone, and "
        "the last one may stay. Compare only with boxes that are kept.",
        {"walk": _by_all},
    ),
    Mistake(
        "each box is compared with the one kept last alone: compare it with all that are kept.", {"walk": _by_the_last}
    ),
    Mistake(
        "each box is compared with the best one alone: go on, and compare with every box that is kept.",
        {"walk": _by_the_best},
    ),
    Mistake(
        "the boxes are taken in the order in which they came: the highest score goes first, "
        "scores.argsort(descending=True).",
        {"ranked": lambda scores: list(range(len(scores)))},
    ),
    Mistake(
        "the *lowest* score goes first: argsort(descending=True).", {"ranked": lambda scores: scores.argsort().tolist()}
    ),
    Mistake(
        "the comparison is the wrong way round: a box goes if it overlaps a kept one by *more* than the threshold.",
        {"rule": lambda iou, threshold: iou < threshold},
    ),
    Mistake(
        "boxes that overlap at all are thrown out: only those whose IoU is above the threshold.",
        {"rule": lambda iou, threshold: iou > 0},
    ),
    Mistake(
        "the threshold has no effect, as if it were 0.5: compare with the argument.",
        {"rule": lambda iou, threshold: iou > 0.5},
    ),
    Mistake("the boxes that are thrown out came back: return those that stay.", {"walk": _others}),
    Mistake("all boxes stay.", {"walk": lambda order, near: list(range(len(order)))}),
    Mistake("only the best box stays: there may be several objects.", {"walk": lambda order, near: [0]}),
    Mistake(
        "places in the *sorted* list came back: return the boxes' own numbers, order[place].",
        {"result": lambda order, kept, n: list(kept)},
    ),
    Mistake(
        "the right boxes, in the order of their numbers: return them with the highest score first.",
        {"result": lambda order, kept, n: sorted(order[place] for place in kept)},
    ),
    Mistake(
        "the right boxes, with the lowest score first: return them with the highest score first.",
        {"result": lambda order, kept, n: [order[place] for place in reversed(kept)]},
    ),
    Mistake("True and False came back for every box: return the numbers of those that stay.", {"result": _as_mask}),
    Mistake("how many boxes stay came back: return their numbers.", {"result": lambda order, kept, n: len(kept)}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *given) for given in BATCHES]


# What a right answer must also do.
def one_box_stays(attempt: Callable) -> str | None:
    given = {"boxes": torch.tensor([[0.0, 0.0, 2.0, 2.0]]), "scores": torch.tensor([0.3]), "threshold": 0.5}
    mine = answer_of(attempt, *given.values()).flatten().tolist()
    return None if mine == [0] else f"right on several boxes, but a box alone stays: [0], not {mine}."


def at_the_threshold(attempt: Callable) -> str | None:
    given = torch.tensor([[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]]), torch.tensor([0.9, 0.8]), 0.5
    if answer_of(attempt, *given).flatten().tolist() == [0, 1]:
        return None
    return "right elsewhere, but two boxes whose IoU is exactly the threshold both stay: a box goes only above it."


# Wrong, and no known mistake.
def are_numbers_of_boxes(attempt: Callable) -> str | None:
    boxes, mine = BATCHES[0][0], answer_of(attempt, *BATCHES[0])
    if mine.ndim > 1:
        return f"your answer has the shape {tuple(mine.shape)}: return the numbers of the boxes that stay, one list."
    found = mine.flatten().tolist()
    for value in found:
        if value not in range(len(boxes)):
            return f"your answer holds {value:g}, which is the number of no box: there are {len(boxes)}, from 0."
    if len(set(found)) < len(found):
        return "the same box stands in your answer twice."
    return None


def small_examples(attempt: Callable) -> str | None:
    row = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    chained = chain(3.0)[0]
    for boxes, scores, threshold, why in (
        (row, [0.9, 0.8, 0.7], 0.5, "box 1 overlaps box 0 by 0.82, box 2 stands alone"),
        (row, [0.6, 0.8, 0.7], 0.5, "box 1 has the highest score, and box 0 overlaps it"),
        (row, [0.9, 0.8, 0.7], 0.9, "no two overlap by more than 0.9"),
        (
            chained,
            [0.9, 0.8, 0.7],
            0.5,
            "box 1 overlaps box 0 by 0.54 and goes; box 2 overlaps box 0 by 0.25 and stays",
        ),
    ):
        given = {"boxes": boxes, "scores": torch.tensor(scores), "threshold": threshold}
        if said := by_hand(_as_list(attempt), right, given, why):
            return said
    return None


def _as_list(attempt: Callable) -> Callable:
    return lambda *given: answer_of(attempt, *given).flatten().long()


def how_many(attempt: Callable) -> str | None:
    for boxes, scores, threshold in BATCHES:
        mine, expected = answer_of(attempt, boxes, scores, threshold).flatten(), right(boxes, scores, threshold)
        if len(mine) != len(expected):
            given = f"of {len(boxes)} boxes {len(mine)} stay in your answer at threshold {threshold:g}"
            return f"{given}, expected {len(expected)}."
    raise Fault("as many boxes stay as should, but they are others, or in another order: the highest score first.")


nms = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the same boxes stay as with torchvision's nms, in the same order.",
    demands=(one_box_stays, at_the_threshold),
    ladder=(are_numbers_of_boxes, small_examples, how_many),
)
