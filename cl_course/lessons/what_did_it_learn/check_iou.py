"""Lesson 06: the learner's `my_iou(predicted, masks)`, intersection over union of the objects' pixels."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import constant_relation

NAME = "my_iou"


# The right way, in parts that can each be done in a wrong way.
def both(a: Tensor, b: Tensor) -> Tensor:
    return a & b


def either(a: Tensor, b: Tensor) -> Tensor:
    return a | b


def over_all(above: Tensor, below: Tensor) -> Tensor:
    return above.sum() / below.sum()


def make(
    given: Callable = lambda a, b: (a, b), above: Callable = both, below: Callable = either, ratio: Callable = over_all
) -> Callable[[Tensor, Tensor], Tensor]:
    def attempt(predicted: Tensor, masks: Tensor) -> Tensor:
        a, b = given(predicted, masks)
        return ratio(above(a, b).double(), below(a, b).double())

    return attempt


right = make()


def _per_image(above: Tensor, below: Tensor) -> Tensor:
    above, below = above.sum(dim=(1, 2)), below.sum(dim=(1, 2))
    return above / below


MISTAKES = (
    Mistake(
        "the accuracy of the pixels came back: a mask without any object is right at most pixels. Count object pixels "
        "alone, those in both masks over those in either.",
        {"above": lambda a, b: a == b, "below": lambda a, b: torch.ones_like(a)},
    ),
    Mistake(
        "pixels right in both ways, object and background, are above the line: only those that both masks call object.",
        {"above": lambda a, b: a == b},
    ),
    Mistake(
        "the recall came back: you divide by the pixels of the true masks. Divide by those in either mask.",
        {"below": lambda a, b: b},
    ),
    Mistake(
        "the precision came back: you divide by the pixels of the predicted masks. Divide by those in either mask.",
        {"below": lambda a, b: a},
    ),
    Mistake(
        "pixels in both masks are counted twice below the line: the union is predicted + true - intersection.",
        {"below": lambda a, b: a.double() + b.double()},
    ),
    Mistake(
        "this is the Dice score, 2 intersection / (predicted + true): divide the intersection by the union.",
        {"above": lambda a, b: 2 * both(a, b).double(), "below": lambda a, b: a.double() + b.double()},
    ),
    Mistake(
        "you divide by the pixels where the masks differ: the union has those of both masks as well.",
        {"below": lambda a, b: a ^ b},
    ),
    Mistake("you divide by all pixels: divide by those in either mask.", {"below": lambda a, b: torch.ones_like(a)}),
    Mistake(
        "the ratio is upside down: intersection over union.", {"ratio": lambda above, below: below.sum() / above.sum()}
    ),
    Mistake(
        "the IoU of the *background* came back: count the pixels where the masks are True.",
        {"given": lambda a, b: (~a, ~b)},
    ),
    Mistake(
        "the IoU is taken image by image and then averaged. That is a measure too, in which small objects count as "
        "much as large ones; here pixels are added up over all images first.",
        {"ratio": lambda above, below: _per_image(above, below).mean()},
    ),
    Mistake(
        "the mean over object and background came back: here the object's alone.",
        {
            "above": lambda a, b: torch.stack([a & b, ~a & ~b]),
            "below": lambda a, b: torch.stack([a | b, ~a | ~b]),
            "ratio": lambda above, below: (above.flatten(1).sum(dim=1) / below.flatten(1).sum(dim=1)).mean(),
        },
    ),
    Mistake(
        "one number for each image came back: add the pixels up over all images, and divide once.",
        {"ratio": _per_image},
    ),
    Mistake(
        "the share of pixels at which the masks differ came back: divide the pixels in both masks by those in either.",
        {"above": lambda a, b: a ^ b, "below": lambda a, b: torch.ones_like(a)},
    ),
    Mistake("1 - IoU came back, the Jaccard distance.", {"ratio": lambda above, below: 1 - over_all(above, below)}),
)


def _masks(seed: int, n: int, size: int) -> tuple[Tensor, Tensor]:
    """Objects of several sizes, and predictions that miss some pixels and add others."""
    generator = Generator().manual_seed(seed)
    share = torch.linspace(0.1, 0.6, n)[:, None, None]
    masks = torch.rand(n, size, size, generator=generator) < share
    flipped = torch.rand(n, size, size, generator=generator) < torch.where(masks, 0.4, 0.15)
    return masks ^ flipped, masks


ORDINARY = (_masks(0, 1, 8), _masks(1, 3, 6), _masks(2, 5, 9))


def value(attempt: Callable, predicted: Tensor, masks: Tensor) -> Tensor:
    given = predicted.clone(), masks.clone()
    answer = call(lambda: attempt(*given))
    if not (torch.equal(given[0], predicted) and torch.equal(given[1], masks)):
        raise Fault("you changed a mask in place, and the caller's tensor is altered: make new tensors.")
    try:
        answer = torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back: return one number.") from None
    return answer.reshape(()) if answer.numel() == 1 else answer


def observe(attempt: Callable) -> list:
    return [value(attempt, *given) for given in ORDINARY]


# What a right answer must also do.
def _row(pixels: list[int]) -> Tensor:
    return torch.tensor(pixels, dtype=torch.bool).reshape(1, 1, -1)


def _example(attempt: Callable, predicted: list[int], masks: list[int], why: str, before: str = "") -> str | None:
    mine, expected = value(attempt, _row(predicted), _row(masks)), right(_row(predicted), _row(masks))
    if same(mine, expected):
        return None
    got = f"{float(mine):.4f}" if mine.numel() == 1 else f"of shape {tuple(mine.shape)}"
    return (
        f"{before}for one row of pixels, predicted {predicted} and true {masks}, your answer is {got}, expected "
        f"{float(expected):.4f}: {why}."
    )


def is_right_at_the_ends(attempt: Callable) -> str | None:
    before = "right elsewhere, but "
    return _example(attempt, [0, 0, 0, 0], [1, 1, 0, 0], "nothing was found", before) or _example(
        attempt, [1, 1, 0, 0], [1, 1, 0, 0], "every pixel is right", before
    )


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    for given in ORDINARY:
        answer = value(attempt, *given)
        if answer.numel() != 1:
            return f"for {len(given[0])} masks your answer has the shape {tuple(answer.shape)}: return one number."
    return None


def small_examples(attempt: Callable) -> str | None:
    return (
        _example(attempt, [1, 1, 0, 0], [1, 1, 0, 0], "every pixel is right")
        or _example(attempt, [1, 0, 0, 0], [0, 1, 0, 0], "no pixel is in both masks")
        or _example(attempt, [1, 1, 1, 0], [0, 0, 1, 0], "one pixel is in both masks, three are in either")
        or _example(attempt, [1, 1, 0, 0, 0], [0, 1, 1, 1, 0], "one pixel is in both masks, four are in either")
    )


def is_a_multiple(attempt: Callable) -> str | None:
    return constant_relation(
        [float(value(attempt, *given)) for given in ORDINARY], [float(right(*given)) for given in ORDINARY], "IoU"
    )


def two_images(attempt: Callable) -> str | None:
    predicted, masks = (
        torch.tensor([[[1, 1, 1, 0]], [[1, 0, 0, 0]]]).bool(),
        torch.tensor([[[1, 1, 1, 0]], [[0, 1, 0, 0]]]).bool(),
    )
    mine = value(attempt, predicted, masks)
    if same(mine, 0.6):
        return None
    return (
        "for two images of four pixels, one with three object pixels all right, one with its object pixel beside the "
        f"true one, your answer is {float(mine):.4f}, expected 3/5 = 0.6: 3 + 0 pixels in both, 3 + 2 in either."
    )


iou = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's iou on every set of masks tried.",
    demands=(is_right_at_the_ends,),
    ladder=(is_one_number, small_examples, two_images, is_a_multiple),
)
