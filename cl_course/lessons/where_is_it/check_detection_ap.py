"""Lesson 06b: the learner's `my_detection_ap(right, objects)`: average precision of boxes, of one class."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import constant_relation, written

NAME = "my_detection_ap"


def found(n: int, share: float, missed: int) -> tuple[Tensor, int]:
    """Which of n boxes, in the order of their scores, are right; how many objects there are, with those missed."""
    generator = Generator().manual_seed(n)
    falling = torch.linspace(1.4 * share, 0.6 * share, n)
    right = torch.rand(n, generator=generator) < falling
    right[:3] = torch.tensor([False, True, True])  # so that precision rises somewhere
    return right, int(right.sum()) + missed


BATCHES = (found(9, 0.5, 3), found(16, 0.6, 2), found(31, 0.4, 7))


# The right way, in parts that can each be done in a wrong way.
def precision(right: Tensor) -> Tensor:
    return right.double().cumsum(dim=0) / torch.arange(1, len(right) + 1)


def never_rising(values: Tensor) -> Tensor:
    """At each rank the largest value from there to the end of the list."""
    return values.flip(0).cummax(dim=0).values.flip(0)


def area(values: Tensor, right: Tensor, objects: int) -> Tensor:
    """Each right box adds a step of 1 / objects to the recall."""
    return values[right].sum() / objects


def make(
    each: Callable = precision, envelope: Callable = never_rising, below: Callable = area
) -> Callable[[Tensor, int], Tensor]:
    def attempt(right: Tensor, objects: int) -> Tensor:
        return below(envelope(each(right)), right, objects)

    return attempt


right_answer = make()
_RECALL = "Each right box adds a step of 1 / objects to the recall, and the area is the sum of precision times step."

MISTAKES = (
    Mistake(
        "objects that were never found do not count: you divide by the number of right boxes. A detector that finds "
        f"one easy object would be perfect. {_RECALL}",
        {"below": lambda values, right, objects: values[right].mean()},
    ),
    Mistake(
        "the precision is taken as it is, rising and falling: at each rank take the largest precision from there to "
        "the end of the list, .flip(0).cummax(dim=0).values.flip(0).",
        {"envelope": lambda values: values},
    ),
    Mistake(
        "the largest precision *so far* is taken: take the largest from each rank to the end of the list.",
        {"envelope": lambda values: values.cummax(dim=0).values},
    ),
    Mistake(
        "the precision is read at all ranks, also where a box is wrong and the recall makes no step: only at right "
        "ones.",
        {"below": lambda values, right, objects: values.sum() / objects},
    ),
    Mistake(
        f"the mean of the precision over all boxes came back. {_RECALL}",
        {"below": lambda values, right, objects: values.mean()},
    ),
    Mistake(
        f"the sum is divided by the number of boxes found: divide by the number of objects. {_RECALL}",
        {"below": lambda values, right, objects: values[right].sum() / len(right)},
    ),
    Mistake(
        "the precisions at right boxes are added up: divide by the number of objects.",
        {"below": lambda values, right, objects: values[right].sum()},
    ),
    Mistake(
        "the recall at the end of the list came back: multiply each of its steps by the precision.",
        {"below": lambda values, right, objects: right.double().sum() / objects},
    ),
    Mistake(
        "the precision of the whole list came back: take it at each right box.",
        {"below": lambda values, right, objects: values[-1]},
    ),
    Mistake(
        "the ranks start at 0: the first box divides by 0. torch.arange(1, n + 1) counts from 1.",
        {"each": lambda right: right.double().cumsum(dim=0) / torch.arange(len(right))},
    ),
    Mistake(
        "the list is read from its end: the box of the highest score comes first.",
        {"each": lambda right: precision(right.flip(0)).flip(0)},
    ),
    Mistake(
        "wrong boxes are counted in place of right ones.",
        {
            "each": lambda right: precision(~right),
            "below": lambda values, right, objects: values[~right].sum() / objects,
        },
    ),
    Mistake(
        "the curve is joined by straight lines, as by torch.trapezoid: between two points it is a step, since no "
        "threshold gives what lies between.",
        {
            "below": lambda values, right, objects: torch.trapezoid(
                torch.cat([values[:1], values[right]]),
                torch.arange(int(right.sum()) + 1, dtype=torch.double) / objects,
            )
        },
    ),
    Mistake(
        "in percent: the exercise asks for a number from 0 to 1.",
        {"below": lambda values, right, objects: 100 * area(values, right, objects)},
    ),
    Mistake(
        "the precision at each right box came back: add it up, and divide by the number of objects.",
        {"below": lambda values, right, objects: values[right]},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *given) for given in BATCHES]


# What a right answer must also do.
def nothing_found(attempt: Callable) -> str | None:
    for right in (torch.zeros(0, dtype=torch.bool), torch.tensor([False, False])):
        mine = answer_of(attempt, right, 3)
        if mine.numel() != 1 or not abs(float(mine)) < 1e-6:
            raise Fault(f"right elsewhere, but for right = {written(right.int())} and 3 objects the answer must be 0.")
    return None


def first_box_counts(attempt: Callable) -> str | None:
    mine = answer_of(attempt, torch.tensor([True, False, True]), 2)
    if mine.numel() == 1 and abs(float(mine) - 5 / 6) < 1e-4:
        return None
    return (
        "right elsewhere, but not where the very first box is right: for right = [1, 0, 1] (1 is True) and 2 "
        f"objects your answer is {written(mine)}, expected 0.8333. "
        "The recall begins at 0, so the first box makes a step, too."
    )


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    return None if mine.numel() == 1 else f"your answer has the shape {tuple(mine.shape)}: return one number."


def small_examples(attempt: Callable) -> str | None:
    for cards, objects, why in (
        ([1, 1], 2, "both objects are found, and no wrong box stands before them"),
        ([1], 2, "one of two objects is found: the recall goes to 1/2 at precision 1"),
        ([0, 1], 1, "the precision at the right box is 1/2"),
        ([1, 0, 1], 2, "(1 + 2/3) / 2"),
        ([0, 1, 1], 2, "the largest precision from rank 2 on is 2/3, for both: (2/3 + 2/3) / 2"),
        ([0, 1, 1, 0], 4, "(2/3 + 2/3) / 4"),
    ):
        right = torch.tensor(cards, dtype=torch.bool)
        mine, expected = float(answer_of(attempt, right, objects)), float(right_answer(right, objects))
        if not abs(mine - expected) < 1e-4:
            given = f"for right = {written(cards)} (1 is True) and {objects} objects"
            return f"{given} your answer is {mine:.4f}, expected {expected:.4f}: {why}."
    return None


def is_a_multiple(attempt: Callable) -> str | None:
    mine = [float(answer_of(attempt, *given)) for given in BATCHES]
    return constant_relation(mine, [float(right_answer(*given)) for given in BATCHES], "average precision")


detection_ap = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the area under the curve of every list tried.",
    demands=(nothing_found, first_box_counts),
    ladder=(is_one_number, is_a_multiple, small_examples),
)
