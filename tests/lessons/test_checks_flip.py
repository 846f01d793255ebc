"""Lesson 01's flip: every right form passes; wrong ones are shown with what was observed."""

import functools

import pytest
import torch
from torch import Generator

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")


def verdict(check, attempt) -> str:
    with pytest.raises(ExerciseError) as caught:
        check(attempt)
    return str(caught.value)


def coins(n, generator, *shape):
    return torch.rand(n, *shape, generator=generator)


# my_random_flip
def flip_where(images, p, generator):
    return torch.where((coins(len(images), generator) < p)[:, None, None, None], images.flip(-1), images)


def flip_by_loop(images, p, generator):
    return torch.stack([image.flip(-1) if torch.rand(1, generator=generator) < p else image for image in images])


def flip_by_index(images, p, generator):
    out = images.clone()
    chosen = coins(len(images), generator) < p
    out[chosen] = out[chosen].flip(3)
    return out


def flip_by_blend(images, p, generator):
    m = (coins(len(images), generator, 1, 1, 1) < p).float()
    return m * images.flip(-1) + (1 - m) * images


def flip_by_bernoulli(images, p, generator):
    chosen = torch.bernoulli(torch.full((len(images),), float(p)), generator=generator).bool()
    return torch.where(chosen.view(-1, 1, 1, 1), torch.flip(images, dims=[-1]), images)


def flip_one_by_one(batch, p, rng):
    """One number at a time, and the answer in float64."""
    return torch.stack([x.flip(-1) if float(torch.rand((), generator=rng)) < p else x for x in batch]).double()


def flip_by_columns(images, p, generator):
    columns = torch.arange(images.shape[-1])
    chosen = (1 - coins(len(images), generator) < p)[:, None]
    places = torch.where(chosen, columns.flip(0), columns)[:, None, None]
    return images.gather(-1, places.expand_as(images))


class Flip:
    def __call__(self, images, probability, generator):
        return flip_where(images, probability, generator)


def flip_with(images, p, generator, dim):
    return torch.where((coins(len(images), generator) <= p)[:, None, None, None], images.flip(dim), images)


RIGHT_FLIPS = [flip_where, flip_by_loop, flip_by_index, flip_by_blend, flip_by_bernoulli, flip_one_by_one]
RIGHT_FLIPS += [flip_by_columns, Flip(), functools.partial(flip_with, dim=3)]


@pytest.mark.parametrize("attempt", RIGHT_FLIPS)
def test_every_right_flip_passes(attempt, capsys):
    checks.random_flip(attempt)
    assert capsys.readouterr().out.startswith("✔ my_random_flip")


def flip_in_place(images, p, generator):
    chosen = coins(len(images), generator) < p
    images[chosen] = images[chosen].flip(-1)
    return images


def flip_reseeded(images, p, generator):
    generator.manual_seed(0)
    return flip_where(images, p, generator)


def flip_along(dim):
    return lambda images, p, generator: torch.where(
        (coins(len(images), generator) < p)[:, None, None, None], images.flip(dim), images
    )


def flip_if(chosen):
    """A flip of the images where chosen(images, p, generator), bool (n,), is True."""
    return lambda x, p, g: torch.where(chosen(x, p, g)[:, None, None, None], x.flip(-1), x)


def after(first, attempt):
    """`first(generator)`, then the attempt."""

    def both(x, other, g):
        first(g)
        return attempt(x, other, g)

    return both


FLIP_MISTAKES = {
    "one coin for the batch": (
        lambda x, p, g: x.flip(-1) if torch.rand(1, generator=g) < p else x,
        "either all images are mirrored or none",
    ),
    "one coin, as a mask": (
        lambda x, p, g: torch.where(torch.rand(1, 1, 1, 1, generator=g) < p, x.flip(-1), x),
        "either all images are mirrored or none",
    ),
    "in place": (flip_in_place, "in place"),
    "upside down": (flip_along(-2), "upside down"),
    "channels": (flip_along(1), "colour channels"),
    "batch turned": (flip_along(0), "show another image"),
    "all of them": (lambda x, p, g: x.flip(-1), "every image is always mirrored"),
    "none of them": (lambda x, p, g: x.clone(), "no image is ever mirrored"),
    "wrong way round": (lambda x, p, g: flip_where(x, 1 - p, g), "wrong way round"),
    "p not used": (lambda x, p, g: flip_where(x, 0.5, g), "`probability` makes no difference"),
    "no generator": (
        lambda x, p, g: flip_where(x, p, None),
        "two generators with the same seed gave different answers",
    ),
    "reseeded": (flip_reseeded, "after each of them the generator is in the same state"),
    "per channel": (
        lambda x, p, g: torch.where(coins(len(x), g, 3, 1, 1) < p, x.flip(-1), x),
        "some colour channels come back mirrored",
    ),
    "per pixel": (
        lambda x, p, g: torch.where(coins(len(x), g, 3, *x.shape[-2:]) < p, x.flip(-1), x),
        "some pixels are mirrored",
    ),
    "too often": (lambda x, p, g: flip_where(x, 0.5 + p / 2, g), "too often or too seldom"),
    "values changed": (lambda x, p, g: flip_where(x, p, g) * 0.9, "neither the image nor its mirror"),
    "randn": (flip_if(lambda x, p, g: torch.randn(len(x), generator=g) < p), "too often or too seldom"),
    "squared": (lambda x, p, g: flip_where(x, p * p, g), "too often or too seldom: 5 % were mirrored"),
    "rounded": (flip_if(lambda x, p, g: coins(len(x), g).round().bool()), "`probability` makes no difference"),
    "pairs": (
        flip_if(lambda x, p, g: coins((len(x) + 1) // 2, g).repeat_interleave(2)[: len(x)] < p),
        "images 0 and 1 are both mirrored or both not",
    ),
    "a generator of its own": (
        lambda x, p, g: flip_where(x, p, Generator().manual_seed(0)),
        "as if no number were drawn",
    ),
    "torch.manual_seed": (
        after(lambda g: torch.manual_seed(0), lambda x, p, g: flip_where(x, p, None)),
        "as if no number",
    ),
    "seeded by chance": (after(Generator.seed, flip_where), "two generators with the same seed"),
    "drawn, not used": (
        after(lambda g: coins(3, g), flip_if(lambda x, p, g: torch.arange(len(x)) % 2 == 0)),
        "though numbers are drawn from it: the numbers do not decide",
    ),
    "last image kept": (lambda x, p, g: torch.cat([flip_where(x[:-1], p, g), x[-1:]]), "at probability 1"),
    "for 48 images": (flip_if(lambda x, p, g: coins(48, g) < p), "for images of (1, 3, 6, 8)"),
    "half a circle": (lambda x, p, g: flip_along((-1, -2))(x, p, g), "half a circle"),
    "only the chosen": (lambda x, p, g: x[coins(len(x), g) < p].flip(-1), "the shape must stay"),
    "both mixed": (lambda x, p, g: p * x.flip(-1) + (1 - p) * x, "neither the image nor its mirror"),
    "coins by row": (lambda x, p, g: torch.where(coins(len(x), g, 1, x.shape[2], 1) < p, x.flip(-1), x), "some pixels"),
    "shape": (lambda x, p, g: x.flatten(1), "the shape must stay"),
    "list": (lambda x, p, g: list(x), "is a list"),
    "error": (lambda x, p, g: x.flip(-1)[:, 7], "stopped with IndexError"),
    "stub": (lambda x, p, g: ..., "not attempted"),
    "nothing returned": (lambda x, p, g: None, "not attempted"),
}


@pytest.mark.parametrize("attempt, words", FLIP_MISTAKES.values(), ids=FLIP_MISTAKES)
def test_every_wrong_flip_is_named(attempt, words):
    assert words in verdict(checks.random_flip, attempt)
