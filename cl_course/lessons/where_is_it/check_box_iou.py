"""Lesson 06b: the learner's `my_box_iou(a, b)`: intersection over union of every box of one list with every other."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import by_hand, constant_relation

NAME = "my_box_iou"


def boxes(n: int, seed: int) -> Tensor:
    """Boxes (n, 4) of many sizes in an image of 20 x 20: some meet, some lie apart, some inside of others."""
    generator = Generator().manual_seed(1000 * n + seed)
    centres = 4 + 12 * torch.rand(n, 2, generator=generator)
    halves = 0.5 + 3.5 * torch.rand(n, 2, generator=generator)
    return torch.cat([centres - halves, centres + halves], dim=1)


BATCHES = ((boxes(5, 0), boxes(7, 1)), (boxes(9, 2), boxes(4, 3)), (boxes(12, 4), boxes(11, 5)))


# The right way, in parts that can each be done in a wrong way.
def corners(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Upper left and lower right corner of what both boxes of a pair have, (n, m, 2) each."""
    return torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])


def sides(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0)


def area(a: Tensor) -> Tensor:
    return (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])


def union(of_a: Tensor, of_b: Tensor, both: Tensor) -> Tensor:
    return of_a + of_b - both


def make(
    meet: Callable = corners,
    between: Callable = sides,
    covered: Callable = lambda s: s.prod(dim=2),
    size: Callable = area,
    below: Callable = union,
    ratio: Callable = lambda both, either: both / either,
) -> Callable[[Tensor, Tensor], Tensor]:
    def attempt(a: Tensor, b: Tensor) -> Tensor:
        both = covered(between(*meet(a, b)))
        return ratio(both, below(size(a)[:, None], size(b), both))

    return attempt


right = make()
_BELOW = "Divide by what either of the two boxes covers: area + area - both."

MISTAKES = (
    Mistake(
        "boxes that do not meet get a number other than 0: where the right side lies left of the left one, the width "
        "is negative, and two negative sides make a positive area. Cut both sides at 0, .clamp(min=0).",
        {"between": lambda low, high: high - low},
    ),
    Mistake(
        "the sides' lengths are taken without their sign, and boxes that do not meet overlap: cut them at 0.",
        {"between": lambda low, high: (high - low).abs()},
    ),
    Mistake(
        f"what both boxes cover is counted twice below the line. {_BELOW}",
        {"below": lambda a, b, both: a + b},
    ),
    Mistake(
        f"this is the Dice score, 2 both / (area + area). {_BELOW}",
        {"below": lambda a, b, both: (a + b) / 2},
    ),
    Mistake(
        f"you divide by the area of the boxes of `a`: a box that covers the whole image would be perfect. {_BELOW}",
        {"below": lambda a, b, both: a},
    ),
    Mistake(
        f"you divide by the area of the boxes of `b`: a box that covers the whole image would be perfect. {_BELOW}",
        {"below": lambda a, b, both: b},
    ),
    Mistake(f"you divide by the smaller of the two areas. {_BELOW}", {"below": lambda a, b, both: torch.minimum(a, b)}),
    Mistake(f"you divide by the larger of the two areas. {_BELOW}", {"below": lambda a, b, both: torch.maximum(a, b)}),
    Mistake(
        "the boxes are read as (x, y, width, height): here they are (x1, y1, x2, y2), so a width is x2 - x1.",
        {
            "meet": lambda a, b: corners(*(torch.cat([c[:, :2], c[:, :2] + c[:, 2:]], dim=1) for c in (a, b))),
            "size": lambda a: a[:, 2] * a[:, 3],
        },
    ),
    Mistake(
        "the areas are x2 times y2: a width is x2 - x1, and a height y2 - y1.", {"size": lambda a: a[:, 2] * a[:, 3]}
    ),
    Mistake(
        "1 is added to every side, as where corners are the numbers of the first and last pixel. Here x2 is the place "
        "where the box ends, so a width is x2 - x1.",
        {
            "between": lambda low, high: (high - low + 1).clamp(min=0),
            "size": lambda a: (a[:, 2] - a[:, 0] + 1) * (a[:, 3] - a[:, 1] + 1),
        },
    ),
    Mistake(
        "minimum and maximum are exchanged: that is the box around both. What both have begins at the *larger* of the "
        "two left sides, and ends at the *smaller* of the two right ones.",
        {
            "meet": lambda a, b: (
                torch.minimum(a[:, None, :2], b[:, :2]),
                torch.maximum(a[:, None, 2:], b[:, 2:]),
            )
        },
    ),
    Mistake(
        "width and height of the intersection are added: an area is their product.", {"covered": lambda s: s.sum(dim=2)}
    ),
    Mistake("the area of the intersection came back: divide it by the union.", {"ratio": lambda both, either: both}),
    Mistake("the ratio is upside down: intersection over union.", {"ratio": lambda both, either: either / both}),
    Mistake("1 - IoU came back, the Jaccard distance.", {"ratio": lambda both, either: 1 - both / either}),
    Mistake(
        "the table lies on its side: row i is box i of `a`, column j box j of `b`.",
        {"ratio": lambda both, either: (both / either).T},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *given) for given in BATCHES]


# What a right answer must also do.
def sides_that_touch(attempt: Callable) -> str | None:
    given = {"a": torch.tensor([[0.0, 0.0, 2.0, 2.0]]), "b": torch.tensor([[2.0, 0.0, 4.0, 2.0], [0.0, 0.0, 2.0, 2.0]])}
    return by_hand(attempt, right, given, "boxes that only touch share nothing, and equal ones everything")


# Wrong, and no known mistake.
def has_a_cell_for_each_pair(attempt: Callable) -> str | None:
    (a, b), mine = BATCHES[0], answer_of(attempt, *BATCHES[0])
    if mine.shape == (len(a), len(b)):
        return None
    return (
        f"for {len(a)} boxes against {len(b)} your answer has the shape {tuple(mine.shape)}, expected "
        f"{(len(a), len(b))}: one number for each pair. a[:, None, :2] against b[:, :2] makes all pairs."
    )


def small_examples(attempt: Callable) -> str | None:
    one = [[0.0, 0.0, 4.0, 2.0]]
    for other, why in (
        ([[0.0, 0.0, 4.0, 2.0]], "the boxes are equal"),
        ([[2.0, 0.0, 6.0, 2.0]], "both cover 2 x 2, either 8 + 8 - 4"),
        ([[1.0, 0.0, 3.0, 1.0]], "the second lies inside of the first: 2 / 8"),
        ([[5.0, 3.0, 6.0, 4.0]], "they lie apart in both directions"),
        ([[5.0, 0.0, 6.0, 2.0]], "they lie apart"),
    ):
        if said := by_hand(attempt, right, {"a": torch.tensor(one), "b": torch.tensor(other)}, why):
            return said
    return None


def is_a_multiple(attempt: Callable) -> str | None:
    pairs = [(x, y) for x, y in zip(boxes(12, 4), boxes(12, 9)) if float(right(x[None], y[None])) > 0.02]
    mine = [float(answer_of(attempt, x[None], y[None])) for x, y in pairs]
    return constant_relation(mine, [float(right(x[None], y[None])) for x, y in pairs], "IoU")


box_iou = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to torchvision's box_iou for every pair of boxes tried.",
    demands=(sides_that_touch,),
    ladder=(has_a_cell_for_each_pair, is_a_multiple, small_examples),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
