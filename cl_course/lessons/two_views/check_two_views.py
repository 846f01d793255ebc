"""Lesson 01: the learner's `my_two_views(images, disguise, generator)`.

It draws at random, so there is no one right answer. The check hands in a disguise of its own, which mixes one number
into an image, reads that number off each row of both views, and judges the numbers.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, call, same
from cl_course.lessons.two_views.sample_batch import IN_PLACE, N, batch, expect_images

NO_GENERATOR = (
    "the random numbers do not come from `generator`: two generators with the same seed gave different views, so no run "
    "could be repeated. Pass generator=generator to torch.rand."
)
REPEATED = (
    "two calls in a row with one generator give the same amounts in {views}: each batch, and each epoch, would see the "
    "same views. Draw the amounts of every call anew from `generator`, and do not seed it again."
)


def disguise_by_half(images: Tensor, amount: Tensor) -> Tensor:
    """What the check hands to the attempt: half the image, half its `amount`, one number in [0, 1) for each image."""
    if not isinstance(amount, Tensor):
        kind = type(amount).__name__
        raise TypeError(f"disguise takes a tensor of one amount for each image, shape ({len(images)},), got a {kind}")
    amount = amount.to(images.dtype)
    if amount.ndim > 1 or amount.numel() not in (1, len(images)):
        raise ValueError(f"disguise takes one amount for each image, shape ({len(images)},), got {tuple(amount.shape)}")
    if amount.min() < 0 or amount.max() > 1:
        low, high = float(amount.min()), float(amount.max())
        raise ValueError(
            f"amounts must lie in [0, 1), got {low:.2f} to {high:.2f}; torch.rand draws such numbers, torch.randn does not"
        )
    return (images + amount.expand(len(images))[:, None, None, None]) / 2


def amounts(attempt: Callable, generator: Generator) -> Tensor:
    """The random number of each image in both views, (2, N); a `Fault` says what else was done."""
    images = batch()
    given = images.clone()
    views = call(lambda: attempt(given, disguise_by_half, generator))
    if not torch.equal(given, images):
        raise Fault(IN_PLACE)
    if isinstance(views, Tensor) and views.ndim == 5 and len(views) == 2:  # stacked: as good as a pair
        views = tuple(views)
    if not isinstance(views, tuple | list) or len(views) != 2:
        what = f"a tensor of shape {tuple(views.shape)}" if isinstance(views, Tensor) else f"a {type(views).__name__}"
        raise Fault(f"two views are expected, `return view1, view2`; {what} came back.")
    views = [expect_images(view, images, name) for name, view in zip(("view1", "view2"), views)]
    for name, view in zip(("view1", "view2"), views):
        if same(view, images):
            raise Fault(f"{name} is the picture itself: both views must be disguised, each anew.")
    sources, numbers = zip(*(undo(view, images) for view in views))
    if sources[1] is None and undo(views[1], views[0])[0] is not None:
        raise Fault(
            "view2 is a disguise of view1, not of the picture: it can only be harder, and what view1 lost is lost in "
            "both. Disguise `images` twice."
        )
    for name, source in zip(("view1", "view2"), sources):
        if source is None:
            raise Fault(
                f"{name} is not `disguise(images, amount)` of the pictures given; call disguise once for each view, and "
                "return what it gives."
            )
        if not torch.equal(source, torch.arange(N)):
            raise Fault(
                f"the rows of {name} are in another order than the images: row i of both views must come from image i, "
                "or partners (and labels) are mixed up."
            )
    return torch.stack(numbers)


def undo(view: Tensor, images: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Which image each row of the view was made from, and with which amount; None if it was made otherwise."""
    left = 2 * view[:, None] - images[None]  # (N, N, 3, h, w): constant where the row is from that image
    spread = left.flatten(2).std(dim=2)
    source = spread.argmin(dim=1)
    if spread.amin(dim=1).max() > 1e-4:
        return None, None
    return source, left[torch.arange(len(view)), source].flatten(1).mean(dim=1)


def observe(attempt: Callable) -> Tensor:
    return amounts(attempt, Generator().manual_seed(0))


def _alike(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-4)


def views_differ(attempt: Callable) -> str | None:
    if _alike(*observe(attempt)):
        return (
            "the same view twice: both views have the same amounts, so they are identical and the task teaches nothing. "
            "Draw anew for the second view."
        )
    return None


def images_differ(attempt: Callable) -> str | None:
    for name, view in zip(("view1", "view2"), observe(attempt)):
        if (view - view[0]).abs().max() < 1e-4:
            return (
                f"one coin for the whole batch: all images of {name} get the same amount, {float(view[0]):.2f}. "
                "Draw one for each image, torch.rand(len(images), generator=generator)."
            )
    return None


def the_generator_decides(attempt: Callable) -> str | None:
    generator = Generator().manual_seed(0)
    first, second = amounts(attempt, generator), amounts(attempt, generator)
    if not _alike(first, observe(attempt)):
        return NO_GENERATOR
    repeated = [name for name, a, b in zip(("view1", "view2"), first, second) if _alike(a, b)]
    return REPEATED.format(views=" and ".join(repeated)) if repeated else None


def amounts_are_spread(attempt: Callable) -> str | None:
    for name, view in zip(("view1", "view2"), observe(attempt)):
        low, high = float(view.min()), float(view.max())
        if high - low < 0.6:  # of 48 numbers from 0 to 1: about 0.96
            return (
                f"the amounts of {name} reach only from {low:.2f} to {high:.2f}, so views hardly differ: draw them from "
                "the whole range, torch.rand(n, generator=generator)."
            )
        values, counts = (1000 * view).round().unique(return_counts=True)
        most = int(counts.max())
        if most > 4:  # of 48 numbers drawn evenly, hardly two agree in three digits
            value = float(values[counts.argmax()]) / 1000
            return (
                f"{most} of {N} images get the same amount in {name}, {value:.2f}. An amount may be any number from 0 to "
                "1, each as likely as the others: torch.rand(n, generator=generator) itself."
            )
    return None


def views_are_independent(attempt: Callable) -> str | None:
    first, second = observe(attempt)
    follows = float(second[first.argsort()].diff().abs().median()) < 0.1  # of independent ones about 0.29
    if _alike(first.sort().values, second.sort().values) or follows:
        return (
            "the amounts of view2 follow from those of view1: who sees one view knows the other. "
            "Draw anew for the second view."
        )
    if (
        float(first.argsort().diff().abs().float().mean()) < 1.5
        or float(second.argsort().diff().abs().float().mean()) < 1.5
    ):
        return "the amounts rise or fall from image to image in a fixed order; draw them at random."
    return None


two_views = Exercise(
    name="my_two_views",
    observe=observe,
    make=None,
    mistakes=(),
    praise="two different views of every image, each with its own random numbers, row by row in the same order, and the "
    "input is untouched.",
    demands=(views_differ, images_differ, the_generator_decides, amounts_are_spread, views_are_independent),
)
