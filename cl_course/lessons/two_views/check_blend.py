"""Lesson 01: the learner's `my_blend(images, neutral, factor)`: brightness, contrast and saturation in one line."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call
from cl_course.lessons.shared.ladder import close, written
from cl_course.lessons.two_views.sample_batch import IN_PLACE, batch, expect_images

FACTOR_SHAPE = "one factor for each image: index it with [:, None, None, None], so that its shape is (n, 1, 1, 1)"


def make(
    line: Callable = lambda x, neutral, f: neutral + f * (x - neutral),
    cut: Callable = lambda x: x.clamp(0, 1),
    factors: Callable = lambda f: f[:, None, None, None],
) -> Callable:
    def my_blend(images: Tensor, neutral: Tensor, factor: Tensor) -> Tensor:
        return cut(line(images, neutral, factors(factor)))

    return my_blend


right = make()


def cases() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Images with black, with one grey an image and with one grey a pixel as the neutral picture; n = 5, 4, 1."""
    generator = Generator().manual_seed(3)
    shapes = ((1, 1, 1, 1), (4, 1, 1, 1), (1, 1, 6, 8))
    factors = ([0.0, 0.4, 1.0, 1.7, 2.6], [2.5, 0.3, 1.4, 0.8], [1.8])
    neutrals = [torch.zeros(5, 1, 1, 1), *(torch.rand(shape, generator=generator) for shape in shapes[1:])]
    return [(batch(n=len(f)), neutral, torch.tensor(f)) for f, neutral in zip(factors, neutrals)]


def observe(attempt: Callable) -> list[Tensor]:
    answers = []
    for arguments in cases():
        given = [a.clone() for a in arguments]
        answer = call(lambda given=given: attempt(*given))
        if not all(torch.equal(a, b) for a, b in zip(given, arguments)):
            raise Fault(IN_PLACE)
        answers.append(expect_images(answer, arguments[0]))
    return answers


def one_value(attempt: Callable, image: float, neutral: float, factor: float) -> float:
    """What becomes of an image all of whose values are `image`; nan where they do not stay alike."""
    answer = attempt(torch.full((1, 3, 6, 8), image), torch.full((1, 1, 1, 1), neutral), torch.tensor([factor]))
    answer = answer.detach().double()
    return float(answer.mean()) if answer.std() < 1e-6 else math.nan


def first_difference(*rows: tuple[float, float, float, str]) -> Callable:
    """A probe: the first of these (image, neutral, factor, why) at which the attempt is wrong, in words."""

    def probe(attempt: Callable) -> str | None:
        for image, neutral, factor, why in rows:
            mine, expected = one_value(attempt, image, neutral, factor), one_value(right, image, neutral, factor)
            if not math.isnan(mine) and not close(mine, expected):
                return (
                    f"an image value of {image:g}, with a neutral value of {neutral:g} and a factor of {factor:g}, "
                    "becomes "
                    f"{mine:.4g} with yours, and {expected:.4g} is expected: {why}."
                )
        return None

    return probe


def each_image_by_its_own_factor(attempt: Callable) -> str | None:
    images, neutral, factor = batch(n=3), torch.zeros(3, 1, 1, 1), torch.tensor([0.2, 0.5, 0.9])
    together = attempt(images, neutral, factor)
    alone = torch.cat([attempt(images[i : i + 1], neutral[i : i + 1], factor[i : i + 1]) for i in range(3)])
    if torch.allclose(together, alone, atol=1e-5):
        return None
    return (
        f"three images with the factors {written([0.2, 0.5, 0.9])} give other images together than one by one, so the "
        "images of a batch influence each other. Each must depend on its own factor alone."
    )


blend = Exercise(
    name="my_blend",
    observe=observe,
    make=make,
    mistakes=(
        Mistake(
            "the factor sits on the neutral picture: factor * neutral + (1 - factor) * images. A factor of 1 must "
            "leave "
            "the image as it is, and 0 give the neutral picture.",
            {"line": lambda x, neutral, f: f * neutral + (1 - f) * x},
        ),
        Mistake(
            "values leave the range from 0 to 1: cut them off with .clamp(0, 1).",
            {"cut": lambda x: x},
        ),
        Mistake("values above 1 stay: .clamp(0, 1) cuts off at both ends.", {"cut": lambda x: x.clamp(min=0)}),
        Mistake("values below 0 stay: .clamp(0, 1) cuts off at both ends.", {"cut": lambda x: x.clamp(max=1)}),
        Mistake(
            "factor * (images - neutral) is only the way from the neutral picture: add the neutral picture again.",
            {"line": lambda x, neutral, f: f * (x - neutral)},
        ),
        Mistake(
            "neutral + factor * images starts from the neutral picture and then adds the whole image; add only its "
            "difference, images - neutral.",
            {"line": lambda x, neutral, f: neutral + f * x},
        ),
        Mistake(
            "images + factor * (images - neutral) starts from the image: a factor of 0 leaves it as it is. Start from "
            "the neutral picture.",
            {"line": lambda x, neutral, f: x + f * (x - neutral)},
        ),
        Mistake(
            "the difference is the wrong way round: neutral - images points away from the image.",
            {"line": lambda x, neutral, f: neutral + f * (neutral - x)},
        ),
        Mistake(
            "the neutral picture is not used: factor * images always moves towards black, so it is right for "
            "brightness "
            "alone.",
            {"line": lambda x, neutral, f: f * x},
        ),
        Mistake(
            "the factor is cut off at 1: more than 1 must go beyond the image, as more contrast or more colour does.",
            {"factors": lambda f: f.clamp(0, 1)[:, None, None, None]},
        ),
        Mistake(
            f"the mean of all factors is used for all images; it is {FACTOR_SHAPE}.",
            {"factors": lambda f: f.mean()},
        ),
        Mistake(f"the first image's factor is used for all images; it is {FACTOR_SHAPE}.", {"factors": lambda f: f[0]}),
    ),
    praise="one line makes brightness, contrast and saturation, and each image has its own factor.",
    ladder=(
        each_image_by_its_own_factor,
        first_difference(
            (0.4, 0.5, 1.0, "a factor of 1 leaves the image as it is"),
            (0.4, 0.5, 0.0, "a factor of 0 gives the neutral picture"),
            (0.4, 0.8, 0.5, "a factor of 0.5 goes half of the way from the neutral picture to the image"),
            (0.4, 0.3, 2.0, "a factor of 2 goes twice as far from the neutral picture as the image is"),
            (0.4, 0.0, 1.5, "black is neutral, so the value is multiplied"),
            (0.4, 0.7, 3.0, "0.7 - 0.9 is below 0 and is cut off"),
            (0.8, 0.0, 2.0, "1.6 is above 1 and is cut off"),
        ),
    ),
)
