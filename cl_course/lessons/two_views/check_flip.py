"""Lesson 01: the learner's `my_random_flip(images, probability, generator)`.

It draws at random, so there is no one right answer. The check reads off the answer which image was mirrored, and judges
the coins: how often they fall, whether each image has its own, whether the generator decides.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, call
from cl_course.lessons.two_views.sample_batch import IN_PLACE, N, batch, draws, expect_images, rows_equal

NO_GENERATOR = (
    "the random numbers do not come from `generator`: two generators with the same seed gave different answers, so no "
    "run could be repeated. Pass generator=generator to torch.rand."
)
NOT_DRAWN = (
    "no number is drawn from `generator`: every call mirrors the same places of the batch. "
    "Draw torch.rand(len(images), generator=generator), one number for each image."
)
RESEEDED = (
    "two calls with one generator mirror the same images, though numbers are drawn from it: it stands at the same place "
    "again, so each batch, and each epoch, would see the same views. Only draw from the generator that you are given."
)


def flipped(attempt: Callable, probability: float, seed: int, generator: Generator | None = None) -> Tensor:
    """Which rows came back mirrored, bool (N,); a `Fault` says what else happened to them."""
    images = batch(seed)
    given = images.clone()
    answer = call(lambda: attempt(given, probability, generator or Generator().manual_seed(seed)))
    if not torch.equal(given, images):
        raise Fault(IN_PLACE)
    answer = expect_images(answer, images)
    mirrored = images.flip(-1)
    is_same, is_mirrored = (rows_equal(answer, x) for x in (images, mirrored))
    if (is_same | is_mirrored).all():
        return is_mirrored
    odd = ~(is_same | is_mirrored)
    if (rows_equal(answer, images.flip(-2)) | is_same).all():
        raise Fault(
            "upside down instead of left to right: in (n, 3, h, w) the width is dimension -1 (or 3), the height is -2."
        )
    if (rows_equal(answer, images.flip(-1).flip(-2)) | is_same).all():
        raise Fault("turned by half a circle: only the width, dimension -1, is to be mirrored.")
    if (rows_equal(answer, images.flip(1)) | is_same).all():
        raise Fault("you reversed the colour channels (dimension 1), not the width: flip dimension -1.")
    if all(any(torch.equal(row, x) or torch.equal(row, x.flip(-1)) for x in images) for row in answer):
        raise Fault("the images changed places: row i of the answer must come from image i of the batch.")
    by_channel = torch.stack([(answer == x).flatten(2).all(dim=2) for x in (images, mirrored)]).any(dim=0)
    if by_channel[odd].all():
        raise Fault(
            "one coin for each colour channel: an image's red comes mirrored and its green does not. "
            "The mask needs the shape (n, 1, 1, 1)."
        )
    if ((answer == images) | (answer == mirrored)).all():
        raise Fault(
            "within an image some pixels are mirrored and others are not. "
            "Draw one number for each image, and give the mask the shape (n, 1, 1, 1)."
        )
    raise Fault(
        f"{int(odd.sum())} of {N} rows are neither the image nor its mirror image; every value must be kept as it is."
    )


def observe(attempt: Callable) -> Tensor:
    return flipped(attempt, 0.5, 0)


def _coins(attempt: Callable, probability: float) -> Tensor:
    return torch.stack([flipped(attempt, probability, seed) for seed in range(6)])  # (6, N)


def every_image_has_its_own_coin(attempt: Callable) -> str | None:
    outcomes = {p: _coins(attempt, p) for p in (0.5, 0.2)}
    if not all((coins == coins[:, :1]).all() for coins in outcomes.values()):
        return None
    if all(float(coins.float().mean()) in (0.0, 1.0) for coins in outcomes.values()):
        seen = "all images are" if outcomes[0.5].any() else "no image is"
        return f"{seen} ever mirrored: draw a coin for each image, torch.rand(len(images), generator=generator) < probability."
    return (
        "one coin for the whole batch: either all its images are mirrored or none. "
        "Draw len(images) numbers, and give the mask the shape (n, 1, 1, 1)."
    )


def the_generator_decides(attempt: Callable) -> str | None:
    generator = Generator().manual_seed(0)
    first, second, again = (flipped(attempt, 0.5, 0, g) for g in (generator, generator, Generator().manual_seed(0)))
    if not torch.equal(first, again):
        return NO_GENERATOR
    if torch.equal(first, second) and len(first.unique()) == 2:
        return RESEEDED if draws(lambda g: attempt(batch(), 0.5, g)) else NOT_DRAWN
    return None


def coins_are_independent(attempt: Callable) -> str | None:
    for p in (0.5, 0.2):
        mirrored = _coins(attempt, p).sum(dim=1)
        if len(mirrored.unique()) == 1:
            return (
                f"at probability {p} exactly {int(mirrored[0])} of {N} images are mirrored in each of 6 batches. "
                "With independent coins the number differs from batch to batch: draw one number for each image and "
                "compare it with `probability`."
            )
    return None


def they_fall_as_often_as_asked(attempt: Callable) -> str | None:
    shares = {p: float(_coins(attempt, p).float().mean()) for p in (0.5, 0.2)}
    seen = f"{100 * shares[0.2]:.0f} % were mirrored at probability 0.2 and {100 * shares[0.5]:.0f} % at 0.5"
    if abs(shares[0.2] - 0.8) < 0.1 and abs(shares[0.5] - 0.5) < 0.12:
        return f"the coin is the wrong way round: {seen}. torch.rand(n) < p is True with probability p."
    if abs(shares[0.2] - shares[0.5]) < 0.1:
        return f"`probability` makes no difference: {seen}."
    if any(abs(share - p) > 0.12 for p, share in shares.items()):
        return f"the coins fall too often or too seldom: {seen}."
    return None


def never_and_always(attempt: Callable) -> str | None:
    if flipped(attempt, 0.0, 7).any():
        return "at probability 0 some images are mirrored: compare with <, since torch.rand gives numbers from 0 to below 1."
    if not flipped(attempt, 1.0, 7).all():
        return "at probability 1 some images are not mirrored."
    return None


random_flip = Exercise(
    name="my_random_flip",
    observe=observe,
    make=None,
    mistakes=(),
    praise="every image has its own coin, it falls as often as asked, and the input is untouched.",
    demands=(
        every_image_has_its_own_coin,
        the_generator_decides,
        coins_are_independent,
        they_fall_as_often_as_asked,
        never_and_always,
    ),
)
