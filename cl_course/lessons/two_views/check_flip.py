"""Lesson 01: the learner's `my_random_flip(images, probability, generator)`.

It draws at random, so there is no one right answer. The check reads off the answer which image was mirrored, and judges
the coins: how often they fall, whether each image has its own, whether the generator decides.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, call
from cl_course.lessons.two_views.sample_batch import IN_PLACE, N, batch, expect_images, rows_equal

BATCHES = 24  # of N images, for each probability: shares have a standard deviation of at most 0.015
NOT_REPEATABLE = (
    "two generators with the same seed gave different answers, so no run could be repeated. Take all random numbers "
    "from `generator`, as it is given: torch.rand(len(images), generator=generator)."
)
NOT_DRAWN = (
    "two calls mirror the same places of the batch, and `generator` is in the same state after them as before, as if "
    "no number were drawn from it. "
    "Draw torch.rand(len(images), generator=generator), one number for each image."
)
SAME_STATE = (
    "two calls with one generator mirror the same images, and after each of them the generator is in the same state: "
    "every batch would be mirrored alike. Draw from the generator as it is given, and do not seed it or set its state."
)
SAME_PLACES = (
    "two calls with one generator mirror the same images, though numbers are drawn from it: the numbers do not decide. "
    "Compare torch.rand(len(images), generator=generator) with `probability`."
)


def flipped(attempt: Callable, probability: float, seed: int, generator: Generator | None = None, n: int = N) -> Tensor:
    """Which rows came back mirrored, bool (n,); a `Fault` says what else happened to them."""
    images = batch(seed, n)
    given = images.clone()
    answer = call(lambda: attempt(given, probability, generator or Generator().manual_seed(seed)))
    if not torch.equal(given, images):
        raise Fault(IN_PLACE)
    answer = expect_images(answer, images)
    is_same, is_mirrored = (rows_equal(answer, x) for x in (images, images.flip(-1)))
    if not (is_same | is_mirrored).all():
        raise Fault(_what_else(answer, images, ~(is_same | is_mirrored)))
    return is_mirrored


def _what_else(answer: Tensor, images: Tensor, odd: Tensor) -> str:
    """What happened to the rows `odd`, which are neither the image nor its mirror image."""
    mirrored = images.flip(-1)
    if rows_equal(answer, images.flip(-2))[odd].all():
        return (
            "upside down instead of left to right: in (n, 3, h, w) the width is dimension -1 (or 3), the height is -2."
        )
    if rows_equal(answer, mirrored.flip(-2))[odd].all():
        return "turned by half a circle: only the width, dimension -1, is to be mirrored."
    if rows_equal(answer, images.flip(1))[odd].all():
        return (
            "the colour channels (dimension 1) come back in reverse order, and the width as it was: flip dimension -1."
        )
    if all(any(torch.equal(row, x) or torch.equal(row, x.flip(-1)) for x in images) for row in answer):
        return "some rows show another image of the batch: row i of the answer must come from image i."
    by_channel = torch.stack([(answer == x).flatten(2).all(dim=2) for x in (images, mirrored)]).any(dim=0)
    if by_channel.all():
        return (
            "within one image some colour channels come back mirrored and others do not. Draw one number for each "
            "image, not for each channel; the mask needs the shape (n, 1, 1, 1)."
        )
    if ((answer == images) | (answer == mirrored)).all():
        return (
            "within one image some pixels are mirrored and others are not. "
            "Draw one number for each image, and give the mask the shape (n, 1, 1, 1)."
        )
    return (
        f"{int(odd.sum())} of {len(images)} rows are neither the image nor its mirror image; every value must be kept "
        "as it is."
    )


def observe(attempt: Callable) -> Tensor:
    return flipped(attempt, 0.5, 0)


def _coins(attempt: Callable, probability: float) -> Tensor:
    return torch.stack([flipped(attempt, probability, seed) for seed in range(BATCHES)])  # (BATCHES, N)


def every_image_has_its_own_coin(attempt: Callable) -> str | None:
    outcomes = {p: _coins(attempt, p) for p in (0.5, 0.2)}
    if not all((coins == coins[:, :1]).all() for coins in outcomes.values()):
        return None
    if all(coins.all() for coins in outcomes.values()):
        return "every image is always mirrored: draw torch.rand(len(images), generator=generator) < probability."
    if not any(coins.any() for coins in outcomes.values()):
        return "no image is ever mirrored: draw torch.rand(len(images), generator=generator) < probability."
    return (
        "in each batch tried either all images are mirrored or none, as with one coin for the whole batch. "
        "Draw len(images) numbers, and give the mask the shape (n, 1, 1, 1)."
    )


def the_generator_decides(attempt: Callable) -> str | None:
    generator = Generator().manual_seed(0)
    found, states = [], [generator.get_state()]
    for _ in range(2):
        found.append(flipped(attempt, 0.5, 0, generator))
        states.append(generator.get_state())
    before, after, later = states
    if not torch.equal(found[0], flipped(attempt, 0.5, 0, Generator().manual_seed(0))):
        return NOT_REPEATABLE
    if not torch.equal(*found):
        return None
    if torch.equal(before, after):
        return NOT_DRAWN
    return SAME_STATE if torch.equal(after, later) else SAME_PLACES


def coins_are_independent(attempt: Callable) -> str | None:
    for p in (0.5, 0.2):
        coins = _coins(attempt, p)
        counts = coins.sum(dim=1)
        if len(counts.unique()) == 1:
            return (
                f"at probability {p} exactly {int(counts[0])} of {N} images are mirrored in each of {BATCHES} batches. "
                "With independent coins the number differs from batch to batch: draw one number for each image and "
                "compare it with `probability`."
            )
    coins = _coins(attempt, 0.5).int()
    together = (coins.T[:, None] == coins.T[None]).sum(dim=2)  # (N, N): in how many batches two images agree
    for times, how in ((BATCHES, "both mirrored or both not"), (0, "never both mirrored and never both left")):
        pairs = (together == times).triu(1).nonzero()
        if len(pairs):
            first, second = pairs[0].tolist()
            return (
                f"images {first} and {second} are {how} in all of {BATCHES} batches (as are {len(pairs)} pairs): "
                "their coins are not independent. Draw len(images) numbers, one for each image."
            )
    return None


def they_fall_as_often_as_asked(attempt: Callable) -> str | None:
    shares = {p: float(_coins(attempt, p).float().mean()) for p in (0.5, 0.2)}
    seen = f"{100 * shares[0.2]:.0f} % were mirrored at probability 0.2 and {100 * shares[0.5]:.0f} % at 0.5"
    if abs(shares[0.2] - 0.8) < 0.06 and abs(shares[0.5] - 0.5) < 0.06:
        return f"the coin is the wrong way round: {seen}. torch.rand(n) < p is True with probability p."
    if abs(shares[0.2] - shares[0.5]) < 0.08:
        return f"`probability` makes no difference: {seen}."
    if any(abs(share - p) > 0.06 for p, share in shares.items()):
        return f"the coins fall too often or too seldom: {seen}. torch.rand(n) < p is True with probability p."
    return None


def never_and_always(attempt: Callable) -> str | None:
    if flipped(attempt, 0.0, 7).any():
        return "at probability 0 some images are mirrored: torch.rand(n) < 0 is never True."
    if not flipped(attempt, 1.0, 7).all():
        return "at probability 1 some images are not mirrored."
    return None


def other_sizes(attempt: Callable) -> None:
    """Batches of one and of five images; what goes wrong there is said by `flipped`, or is an error."""
    for n in (1, 5):
        flipped(attempt, 0.5, 0, n=n)


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
        other_sizes,
    ),
)
