"""Lesson 10: the learner's `my_zero_shot(z_image, z_prompts)`: classes from prompts, without training a classifier."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake, same
from cl_course.lessons.shared.ladder import written

NAME = "my_zero_shot"


def batch(n: int, classes: int, prompts: int) -> tuple[Tensor, Tensor]:
    """Images (n, 3) and prompts (classes, prompts, 3) of very different lengths, so that each step counts."""
    generator = Generator().manual_seed(n)
    directions = torch.randn(classes, prompts, 3, generator=generator)
    lengths = torch.exp(1.5 * torch.randn(classes, prompts, 1, generator=generator))
    return 3 * torch.randn(n, 3, generator=generator), F.normalize(directions, dim=2) * lengths


BATCHES = (batch(60, 4, 3), batch(80, 5, 2), batch(50, 3, 7))


# The right way, in parts that can each be done in a wrong way.
def unit_prompts(z: Tensor) -> Tensor:
    return F.normalize(z, dim=2)


def mean_of_prompts(z: Tensor) -> Tensor:
    return z.mean(dim=1)


def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def product(z_image: Tensor, directions: Tensor) -> Tensor:
    return z_image @ directions.T


def nearest(scores: Tensor) -> Tensor:
    return scores.argmax(dim=1)


def make(
    each: Callable = unit_prompts,
    ensemble: Callable = mean_of_prompts,
    again: Callable = unit,
    compare: Callable = product,
    choose: Callable = nearest,
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z_image, z_prompts: choose(compare(z_image, again(ensemble(each(z_prompts)))))


right = make()


def as_it_is(z: Tensor) -> Tensor:
    return z


MISTAKES = (
    Mistake(
        "the prompts are averaged as they come, so that a long embedding decides for its class. Bring each prompt to "
        "length 1 before the mean.",
        {"each": as_it_is},
    ),
    Mistake(
        "the mean of unit vectors is shorter than 1, the shorter the more a class's prompts disagree, and short ones "
        "lose. Bring each class's mean to length 1 once more.",
        {"again": as_it_is},
    ),
    Mistake(
        "no length is made 1: neither that of the prompts before the mean, nor that of the mean.",
        {"each": as_it_is, "again": as_it_is},
    ),
    Mistake(
        "the prompts are normalised over the prompts of a class, dim=1: an embedding lies along dim=2.",
        {"each": lambda z: F.normalize(z, dim=1)},
    ),
    Mistake(
        "the prompts are normalised over the classes, dim=0: an embedding lies along dim=2.",
        {"each": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake(
        "the means are normalised over the classes, dim=0: each row is a class, dim=1.",
        {"again": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake("only the first prompt of each class is used: take the mean of all.", {"ensemble": lambda z: z[:, 0]}),
    Mistake("only the last prompt of each class is used: take the mean of all.", {"ensemble": lambda z: z[:, -1]}),
    Mistake(
        "the mean runs over the classes, dim=0: average the prompts of each class, dim=1.",
        {"ensemble": lambda z: z.mean(dim=0)},
    ),
    Mistake(
        "the mean runs over the d numbers of each embedding: average the prompts of each class, dim=1.",
        {"ensemble": lambda z: z.mean(dim=2)},
    ),
    Mistake(
        "the largest number of each dimension is taken: average the prompts, .mean(dim=1).",
        {"ensemble": lambda z: z.amax(dim=1)},
    ),
    Mistake(
        "the median of each dimension is taken: average the prompts, .mean(dim=1).",
        {"ensemble": lambda z: z.median(dim=1).values},
    ),
    Mistake(
        "each class's *most similar* prompt decides. That works, too; the exercise asks for the prompts' mean.",
        {
            "ensemble": as_it_is,
            "again": as_it_is,
            "compare": lambda z, p: torch.einsum("nd,cpd->ncp", z, p).amax(dim=2),
        },
    ),
    Mistake(
        "the least similar class is chosen. Of similarities the largest is the nearest, argmax; of distances the "
        "smallest, argmin.",
        {"choose": lambda s: s.argmin(dim=1)},
    ),
    Mistake(
        "for each class its nearest image came back, (classes,): choose for each image, argmax(dim=1).",
        {"choose": lambda s: s.argmax(dim=0)},
    ),
    Mistake("the similarities came back: choose the class of the largest, argmax(dim=1).", {"choose": as_it_is}),
    Mistake(
        "the largest similarity came back: the exercise asks for its place, the class: argmax(dim=1).",
        {"choose": lambda s: s.amax(dim=1)},
    ),
    Mistake(
        "the probabilities of the classes came back: choose the class of the largest, argmax(dim=1).",
        {"choose": lambda s: s.softmax(dim=1)},
    ),
    Mistake("classes are counted from 1: they are places, counted from 0.", {"choose": lambda s: nearest(s) + 1}),
    Mistake("one number for all images came back: argmax needs dim=1.", {"choose": lambda s: s.argmax()}),
    Mistake(
        "x.max(dim=1) gives values and places: return the places, .indices.",
        {"choose": lambda s: torch.stack([s.amax(dim=1), nearest(s).to(s.dtype)])},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *inputs) for inputs in BATCHES]


def are_places(attempt: Callable) -> str | None:
    answer = attempt(*(z.clone() for z in BATCHES[0]))
    if isinstance(answer, Tensor) and answer.is_floating_point():
        return (
            f"the right classes, but of the type {str(answer.dtype).removeprefix('torch.')}: a class is a whole "
            "number, as argmax gives it."
        )
    return None


# Wrong, and no known mistake.
IMAGES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
EASY = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[-1.0, 0.0]]])


def shape(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    if mine.shape == (60,):
        return None
    return f"for 60 images your answer has the shape {tuple(mine.shape)}, expected (60,): one class for each image."


def one_prompt_each(attempt: Callable) -> str | None:
    mine = answer_of(attempt, IMAGES, EASY)
    if same(mine, torch.arange(3)):
        return None
    return (
        f"with one prompt for each of 3 classes, in the directions of 3 images {written(IMAGES)}, the classes are "
        f"[0, 1, 2]; yours are {written(mine)}."
    )


def images_lengths(attempt: Callable) -> str | None:
    z_image, z_prompts = BATCHES[0]
    mine, longer = answer_of(attempt, z_image, z_prompts), answer_of(attempt, 7 * z_image, z_prompts)
    if same(mine, longer):
        return None
    changed = int((mine != longer).sum())
    return f"with all images seven times as long {changed} of 60 classes change: lengths must not count."


def a_long_prompt(attempt: Callable) -> str | None:
    """Two prompts that disagree: a longer one must not pull its class's mean towards itself."""
    z_image = torch.tensor([[0.8, 0.6]])
    prompts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    before = answer_of(attempt, z_image, prompts)
    prompts[0, 1] *= 20
    after = answer_of(attempt, z_image, prompts)
    if same(before, torch.tensor(0)) and same(after, torch.tensor(0)):
        return None
    return (
        "for z_image = [[0.8, 0.6]], class 0 with the prompts [1, 0] and [0, 1], class 1 with [1, 0] twice, the class "
        f"is 0, whatever the lengths of the prompts; yours is {written(before)}, and {written(after)} with the second "
        "prompt of class 0 made 20 times as long."
    )


def order_of_prompts(attempt: Callable) -> str | None:
    z_image, z_prompts = BATCHES[0]
    mine, turned = answer_of(attempt, z_image, z_prompts), answer_of(attempt, z_image, z_prompts.flip(1))
    if mine.shape != turned.shape or same(mine, turned):
        return None
    return f"with the prompts of each class in another order {int((mine != turned).sum())} of 60 classes change."


def how_many(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *BATCHES[0])
    expected = right(*BATCHES[0])
    wrong = (mine != expected).nonzero()
    if not len(wrong):
        return None
    i = int(wrong[0])
    directions = F.normalize(F.normalize(BATCHES[0][1], dim=2).mean(dim=1), dim=1)
    cosines = F.normalize(BATCHES[0][0][i], dim=0) @ directions.T
    return (
        f"on a batch tried {len(wrong)} of 60 classes are wrong. One image has the cosine similarities "
        f"{written(cosines)} with the 4 classes, so it is of class {int(expected[i])}; you say {written(mine[i])}."
    )


zero_shot = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="a class is the mean direction of its prompts, and each image goes to the nearest.",
    demands=(are_places,),
    ladder=(shape, one_prompt_each, images_lengths, a_long_prompt, order_of_prompts, how_many),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
