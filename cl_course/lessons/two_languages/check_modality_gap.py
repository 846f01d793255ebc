"""Lesson 10: the learner's `my_modality_gap(z_image, z_text)`: how far images lie from texts, as two clouds."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number

NAME = "my_modality_gap"


def clouds(n: int, m: int) -> tuple[Tensor, Tensor]:
    """Images (n, 4) and texts (m, 4) around two places, in lengths that differ."""
    generator = Generator().manual_seed(n)
    z_image = torch.randn(n, 4, generator=generator) + torch.tensor([1.0, 0.0, 0.5, 0.0])
    z_text = torch.randn(m, 4, generator=generator) + torch.tensor([0.0, 0.8, 0.0, -0.4])
    return z_image, z_text


BATCHES = (clouds(6, 6), clouds(9, 9), clouds(12, 12))


# The right way, in parts that can each be done in a wrong way.
def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def centre(z: Tensor) -> Tensor:
    return z.mean(dim=0)


def apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).norm()


def make(
    lengths: Callable = unit, middle: Callable = centre, distance: Callable = apart
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z_image, z_text: distance(middle(lengths(z_image)), middle(lengths(z_text)))


right = make()


def as_it_is(z: Tensor) -> Tensor:
    return z


MISTAKES = (
    Mistake("the rows keep their lengths: bring each to length 1 first, F.normalize(z, dim=1).", {"lengths": as_it_is}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake("each side is divided by one common length: every row needs its own.", {"lengths": lambda z: z / z.norm()}),
    Mistake(
        "the means are brought to length 1 once more. They stay as they are: a wide cloud has a short mean.",
        {"middle": lambda z: F.normalize(z.mean(dim=0), dim=0)},
    ),
    Mistake(
        "the mean is taken over each embedding's d numbers: take it over the rows, dim=0.",
        {"middle": lambda z: z.mean(dim=1)},
    ),
    Mistake("the sum is taken in place of the mean.", {"middle": lambda z: z.sum(dim=0)}),
    Mistake("the median is taken in place of the mean.", {"middle": lambda z: z.median(dim=0).values}),
    Mistake(
        "the mean of all numbers of a side is taken: take one over the rows, dim=0.", {"middle": lambda z: z.mean()}
    ),
    Mistake(
        "this is the mean distance of the *pairs*: it is above 0 for two clouds in one place. Take the means first, "
        "then their distance.",
        {"middle": as_it_is, "distance": lambda a, b: (a - b).norm(dim=1).mean()},
    ),
    Mistake(
        "this is the mean distance of all images from all texts: take the means first, then their distance.",
        {"middle": as_it_is, "distance": lambda a, b: torch.cdist(a, b).mean()},
    ),
    Mistake("the norm of all differences of pairs came back: take the means first.", {"middle": as_it_is}),
    Mistake("the squared distance came back: take its root.", {"distance": lambda a, b: (a - b).square().sum()}),
    Mistake(
        "the absolute differences are added: the length is the root of the sum of squares.",
        {"distance": lambda a, b: (a - b).abs().sum()},
    ),
    Mistake(
        "the mean of the absolute differences came back: the length is the root of the sum of squares.",
        {"distance": lambda a, b: (a - b).abs().mean()},
    ),
    Mistake(
        "the mean of the squares came back: the length is the root of their sum.",
        {"distance": lambda a, b: (a - b).square().mean()},
    ),
    Mistake(
        "the root of the mean of the squares came back: the length is the root of their sum.",
        {"distance": lambda a, b: (a - b).square().mean().sqrt()},
    ),
    Mistake("your answer is 0, whatever the embeddings are.", {"distance": lambda a, b: 0 * a.sum()}),
    Mistake(
        "the largest difference came back: the length is the root of the sum of squares.",
        {"distance": lambda a, b: (a - b).abs().max()},
    ),
    Mistake(
        "the vector from one mean to the other came back: asked is its length, .norm().",
        {"distance": lambda a, b: a - b},
    ),
    Mistake(
        "the vector from one mean to the other came back: asked is its length, .norm().",
        {"distance": lambda a, b: b - a},
    ),
    Mistake("the means are added: subtract one from the other.", {"distance": lambda a, b: (a + b).norm()}),
    Mistake(
        "the lengths of the two means are subtracted: the length of their difference is asked.",
        {"distance": lambda a, b: a.norm() - b.norm()},
    ),
    Mistake(
        "this is the cosine similarity of the two means: asked is their distance.",
        {"distance": lambda a, b: F.cosine_similarity(a, b, dim=0)},
    ),
    Mistake(
        "this is 1 minus the cosine of the two means: asked is their distance.",
        {"distance": lambda a, b: 1 - F.cosine_similarity(a, b, dim=0)},
    ),
    Mistake("this is the product of the two means: asked is their distance.", {"distance": lambda a, b: a @ b}),
)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *inputs) for inputs in BATCHES]
    if any(not answer.isfinite().all() for answer in answers):
        raise Fault("your answer is not a finite number; a distance of means on the unit sphere lies between 0 and 2.")
    return answers


def sides_of_any_size(attempt: Callable) -> str | None:
    inputs = clouds(7, 4)
    mine, expected = number(answer_of(attempt, *inputs)), float(right(*inputs))
    if mine is not None and close(mine, expected):
        return None
    return "right for as many images as texts, and wrong for 7 images and 4 texts: no pairs are needed."


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    return None if mine.ndim == 0 else f"your answer has the shape {tuple(mine.shape)}; a distance is one number."


def in_one_place(attempt: Callable) -> str | None:
    z = BATCHES[0][0]
    mine = number(answer_of(attempt, z, z.flip(0)))
    if mine is None or close(mine, 0):
        return None
    return (
        f"where texts are the images in another order, both clouds are the same and the gap is 0; yours is {mine:.4f}."
    )


def lengths_count(attempt: Callable) -> str | None:
    z_image, z_text = BATCHES[0]
    before, after = number(answer_of(attempt, z_image, z_text)), number(answer_of(attempt, 5 * z_image, z_text))
    if before is None or after is None or close(before, after):
        return None
    return (
        f"with all images five times as long your gap is {after:.4f} instead of {before:.4f}: lengths must not count."
    )


def how_far_off(attempt: Callable) -> str | None:
    mine = [number(answer_of(attempt, *inputs)) for inputs in BATCHES]
    return None if None in mine else constant_relation(mine, [float(right(*inputs)) for inputs in BATCHES], "gap")


def small_examples(attempt: Callable) -> str | None:
    right_angle = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    wide = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, -1.0], [-1.0, 0.0]])
    four = torch.eye(4)
    beside = four[[0, 3]], torch.stack([four[1], -four[3]])
    for z_image, z_text in (right_angle, wide, beside):
        means = f"the means are {unit(z_image).mean(dim=0).tolist()} and {unit(z_text).mean(dim=0).tolist()}"
        if said := by_hand(attempt, right, {"z_image": z_image, "z_text": z_text}, means):
            return said
    return None


modality_gap = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="the distance between the mean image and the mean text.",
    demands=(sides_of_any_size,),
    ladder=(is_one_number, in_one_place, lengths_count, how_far_off, small_examples),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
