"""Lesson 01: the learner's `my_random_flip(images, probability, generator)` and `my_two_views(images, disguise, generator)`.

Both draw at random, so there is no one right answer to compare with. The checks read off the
answer what was done to each image, and judge that: which coin fell how, which row came from where.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.old_exercise import NOT_ATTEMPTED, NotAttempted, call, failed, passed, same, stopped

N, SIZE = 48, 8  # images of a test batch, and their sides
IN_PLACE = "you changed the input in place: the caller's images are altered. Make new tensors (torch.where, a * b, torch.flip), or clone first; an assignment to images[...] writes into the caller's tensor."
NO_GENERATOR = "the random numbers do not come from `generator`: two generators with the same seed gave different answers, so no run could be repeated. Pass generator=generator to torch.rand."
NOT_DRAWN = "no number is drawn from `generator`: every call mirrors the same places of the batch. Draw torch.rand(len(images), generator=generator), one number for each image."
RESEEDED = "every call gives the same random numbers: the generator is seeded again inside, so each batch, and each epoch, would see the same views. Only draw from the generator you are given."


class _Fault(Exception):
    """The sentence that names a mistake."""


def random_flip(attempt: Callable[[Tensor, float, Generator], Tensor]) -> None:
    """Check a flip with one coin for each image; name the mistake if there is one."""
    _judge(
        "my_random_flip",
        lambda: _judge_flip(attempt),
        "every image has its own coin, it falls as often as asked, and the input is untouched.",
    )


def two_views(attempt: Callable[[Tensor, Callable, Generator], tuple[Tensor, Tensor]]) -> None:
    """Check two independent disguises of every image, in the images' order; name the mistake if there is one."""
    _judge(
        "my_two_views",
        lambda: _judge_views(attempt),
        "two different views of every image, each with its own random numbers, row by row in the same order, and the input is untouched.",
    )


def _judge(exercise: str, judge: Callable[[], None], praise: str) -> None:
    try:
        judge()
    except NotAttempted:
        return failed(exercise, NOT_ATTEMPTED)
    except _Fault as fault:
        return failed(exercise, str(fault))
    except Exception as error:  # the learner's code may raise anything; the lesson must go on
        return failed(exercise, stopped(error))
    passed(exercise, praise)


def _batch(seed: int = 0) -> Tensor:
    return torch.rand(N, 3, SIZE, SIZE, generator=Generator().manual_seed(100 + seed))


# The flip: rows are the image, its mirror image, or something that tells the mistake.
def _judge_flip(attempt: Callable) -> None:
    outcomes = {p: torch.stack([_flipped(attempt, p, seed) for seed in range(6)]) for p in (0.5, 0.2)}  # (6, N) each
    together = all((coins == coins[:, :1]).all() for coins in outcomes.values())
    shares = {p: float(coins.float().mean()) for p, coins in outcomes.items()}
    if together and all(share in (0.0, 1.0) for share in shares.values()):
        raise _Fault(
            f"{'all images are' if shares[0.5] else 'no image is'} ever mirrored: draw a coin for each image, torch.rand(len(images), generator=generator) < probability."
        )
    if together:
        raise _Fault(
            "one coin for the whole batch: either all its images are mirrored or none. Draw len(images) numbers, and give the mask the shape (n, 1, 1, 1)."
        )
    generator = Generator().manual_seed(0)
    first, second, again = (_flipped(attempt, 0.5, 0, g) for g in (generator, generator, Generator().manual_seed(0)))
    if not torch.equal(first, again):
        raise _Fault(NO_GENERATOR)
    if torch.equal(first, second) and len(first.unique()) == 2:
        raise _Fault(RESEEDED if _draws(lambda g: attempt(_batch(), 0.5, g)) else NOT_DRAWN)
    if any(len(coins.sum(dim=1).unique()) == 1 for coins in outcomes.values()):
        raise _Fault(
            "the number of mirrored images never varies, so the coins hang together: with independent ones it differs from batch to batch. Draw one number for each image and compare it with `probability`."
        )
    if abs(shares[0.2] - 0.8) < 0.1:
        raise _Fault(
            f"the coin is the wrong way round: at probability 0.2, {100 * shares[0.2]:.0f} % were mirrored. torch.rand(n) < p is True with probability p."
        )
    if abs(shares[0.2] - shares[0.5]) < 0.1:
        raise _Fault(
            f"`probability` is not used: {100 * shares[0.5]:.0f} % were mirrored at 0.5 and {100 * shares[0.2]:.0f} % at 0.2."
        )
    if any(abs(share - p) > 0.12 for p, share in shares.items()):
        raise _Fault(
            f"the coins fall too often or too seldom: at probability 0.2, {100 * shares[0.2]:.0f} % were mirrored, at 0.5, {100 * shares[0.5]:.0f} %."
        )


def _draws(use: Callable[[Generator], object]) -> bool:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    use(generator)
    return not torch.equal(before, generator.get_state())


def _flipped(attempt: Callable, probability: float, seed: int, generator: Generator | None = None) -> Tensor:
    """Which rows came back mirrored, bool (N,); raises what else happened to them."""
    images = _batch(seed)
    given = images.clone()
    answer = call(lambda: attempt(given, probability, generator or Generator().manual_seed(seed)))
    if not torch.equal(given, images):
        raise _Fault(IN_PLACE)
    _expect_images(answer, images)
    mirrored = images.flip(-1)
    is_same, is_mirrored = (_rows_equal(answer, x) for x in (images, mirrored))
    if (is_same | is_mirrored).all():
        return is_mirrored
    odd = ~(is_same | is_mirrored)
    if (_rows_equal(answer, images.flip(-2)) | is_same).all():
        raise _Fault(
            "upside down instead of left to right: in (n, 3, h, w) the width is dimension -1 (or 3), the height is -2."
        )
    if (_rows_equal(answer, images.flip(1)) | is_same).all():
        raise _Fault("you reversed the colour channels (dimension 1), not the width: flip dimension -1.")
    if all(any(torch.equal(row, image) or torch.equal(row, image.flip(-1)) for image in images) for row in answer):
        raise _Fault(
            "the images changed places: their order must stay. Flip dimension -1 of each image, not dimension 0, which counts the images."
        )
    by_channel = torch.stack([(answer == x).flatten(2).all(dim=2) for x in (images, mirrored)]).any(dim=0)
    if by_channel[odd].all():
        raise _Fault(
            "one coin for each colour channel: an image's red comes mirrored and its green does not. The mask needs the shape (n, 1, 1, 1)."
        )
    by_pixel = ((answer == images) | (answer == mirrored)).all()
    if by_pixel:
        raise _Fault(
            "one coin for each pixel: every image is shredded. Draw one number per image, and give the mask the shape (n, 1, 1, 1)."
        )
    raise _Fault(
        f"{int(odd.sum())} of {N} rows are neither the image nor its mirror image; the values must be kept as they are."
    )


def _rows_equal(a: Tensor, b: Tensor) -> Tensor:
    return (a == b).flatten(1).all(dim=1)


def _expect_images(answer: object, images: Tensor, name: str = "the answer") -> None:
    if not isinstance(answer, Tensor):
        raise _Fault(f"{name} is a {type(answer).__name__}; a tensor of the images' shape, (n, 3, h, w), is expected.")
    if answer.shape != images.shape:
        raise _Fault(
            f"{name} has the shape {tuple(answer.shape)} for images of {tuple(images.shape)}; the shape must stay."
        )


# Two views: the check's own disguise mixes in one number that can be read off again.
def disguise_by_half(images: Tensor, amount: Tensor) -> Tensor:
    """What the check hands to the attempt: half the image, half its `amount`, one number in [0, 1) for each image."""
    if not isinstance(amount, Tensor):
        raise TypeError(
            f"disguise takes a tensor of one amount for each image, shape ({len(images)},), got a {type(amount).__name__}"
        )
    amount = amount.to(images.dtype)
    if amount.ndim > 1 or amount.numel() not in (1, len(images)):
        raise ValueError(f"disguise takes one amount for each image, shape ({len(images)},), got {tuple(amount.shape)}")
    if amount.min() < 0 or amount.max() > 1:
        raise ValueError(
            f"amounts must lie in [0, 1), got {float(amount.min()):.2f} to {float(amount.max()):.2f}; torch.rand draws such numbers, torch.randn does not"
        )
    return (images + amount.expand(len(images))[:, None, None, None]) / 2


def _judge_views(attempt: Callable) -> None:
    generator = Generator().manual_seed(0)
    first, second, again = (_amounts(attempt, g) for g in (generator, generator, Generator().manual_seed(0)))
    amount1, amount2 = first
    if torch.allclose(amount1, amount2, atol=1e-4):
        raise _Fault(
            "the same view twice: both views have the same random numbers, so they are identical and the task teaches nothing. Draw anew for the second view."
        )
    if any((a - a[0]).abs().max() < 1e-4 for a in first):
        raise _Fault(
            "one coin for the whole batch: all images of a view get the same random number. Draw one for each image, torch.rand(len(images), generator=generator)."
        )
    if not torch.allclose(first, again, atol=1e-4):
        raise _Fault(NO_GENERATOR)
    if any(torch.allclose(a, b, atol=1e-4) for a, b in zip(first, second)):
        raise _Fault(RESEEDED)
    if any(a.max() - a.min() < 0.6 for a in first):  # of 48 numbers from 0 to 1: about 0.96
        low, high = float(first.min()), float(first.max())
        raise _Fault(
            f"the amounts reach only from {low:.2f} to {high:.2f}, so the two views hardly differ: draw them from the whole range, torch.rand(n, generator=generator)."
        )
    if any(len((a * 1000).round().unique()) < N / 2 for a in first):
        raise _Fault(
            "only a few different amounts are drawn, so many images have twice the same view. An amount may be any number from 0 to 1: torch.rand(n, generator=generator) itself, not a coin."
        )
    if torch.allclose(amount1.sort().values, amount2.sort().values, atol=1e-4) or _follows(amount1, amount2):
        raise _Fault(
            "the second view's random numbers follow from the first's: whoever sees one view knows the other. Draw anew for the second view."
        )


def _follows(amount1: Tensor, amount2: Tensor) -> bool:
    """Is amount2 a function of amount1, in whatever form? Then neighbours in the one are neighbours in the other."""
    return float(amount2[amount1.argsort()].diff().abs().median()) < 0.1  # of independent ones about 0.29


def _amounts(attempt: Callable, generator: Generator) -> Tensor:
    """The random number of each image in both views, (2, N); raises what else was done."""
    images = _batch()
    given = images.clone()
    views = call(lambda: attempt(given, disguise_by_half, generator))
    if not torch.equal(given, images):
        raise _Fault(IN_PLACE)
    if not isinstance(views, tuple | list) or len(views) != 2:
        what = f"a tensor of shape {tuple(views.shape)}" if isinstance(views, Tensor) else f"a {type(views).__name__}"
        raise _Fault(f"two views are expected, `return view1, view2`; {what} came back.")
    for name, view in zip(("view1", "view2"), views):
        _expect_images(view, images, name)
        if same(view, images):
            raise _Fault(f"{name} is the picture itself: both views must be disguised, each anew.")
    sources, amounts = zip(*(_undo(view, images) for view in views))
    if sources[1] is None and _is_disguise_of(views[1], views[0]):
        raise _Fault(
            "view2 is a disguise of view1, not of the picture: it can only be harder, and what view1 lost is lost in both. Disguise `images` twice."
        )
    for name, source in zip(("view1", "view2"), sources):
        if source is None:
            raise _Fault(
                f"{name} is not `disguise(images, amount)` of the pictures given; call disguise once for each view, and return what it gives."
            )
        if not torch.equal(source, torch.arange(N)):
            raise _Fault(
                f"the rows of {name} are in another order than the images: row i of both views must come from image i, or partners (and labels) are mixed up."
            )
    return torch.stack(amounts)


def _undo(view: Tensor, images: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Which image each row of the view was made from, and with which amount; None if it was made otherwise."""
    left = 2 * view[:, None] - images[None]  # (N, N, 3, h, w): constant where the row is from that image
    spread = left.flatten(2).std(dim=2)
    source = spread.argmin(dim=1)
    if spread.amin(dim=1).max() > 1e-4:
        return None, None
    return source, left[torch.arange(len(view)), source].flatten(1).mean(dim=1)


def _is_disguise_of(view: Tensor, other: Tensor) -> bool:
    return _undo(view, other)[0] is not None
