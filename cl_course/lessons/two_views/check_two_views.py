"""Lesson 01: the learner's `my_two_views(images, disguise, generator)`.

It draws at random, so there is no one right answer. The check hands in a disguise of its own, which mixes one number
into an image, reads that number off each row of both views, and judges the numbers.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of, same
from cl_course.lessons.two_views.sample_batch import IN_PLACE, N, batch, expect_images

NAMES = ("view1", "view2")
BATCHES = 20  # of N images: the largest distance from an even distribution is 0.07 once in 10,000 times
NOT_REPEATABLE = (
    "two generators with the same seed gave different views, so no run could be repeated. Take all random numbers from "
    "`generator`, as it is given: torch.rand(len(images), generator=generator)."
)
REPEATED = (
    "two calls in a row with one generator give the same amounts in {views}: each batch, and each epoch, would see the "
    "same views. Draw the amounts of every call anew from `generator`, as it is given."
)


def disguise_by_half(images: Tensor, amount: Tensor) -> Tensor:
    """What the check hands to the attempt: half the image, half its `amount`, one number in [0, 1) for each image."""
    if not isinstance(amount, Tensor):
        kind = type(amount).__name__
        raise TypeError(f"disguise takes a tensor of one amount for each image, shape ({len(images)},), got a {kind}")
    amount = amount.to(images.dtype)
    if amount.ndim > 1 or amount.numel() not in (1, len(images)):
        raise ValueError(f"disguise takes one amount for each image, shape ({len(images)},), got {tuple(amount.shape)}")
    if not (amount.min() >= 0 and amount.max() <= 1):
        low, high = float(amount.min()), float(amount.max())
        raise ValueError(
            f"amounts must lie in [0, 1), got {low:.2f} to {high:.2f}; torch.rand draws such numbers, torch.randn does "
            "not"
        )
    return (images + amount.expand(len(images))[:, None, None, None]) / 2


def amounts(attempt: Callable, generator: Generator, n: int = N) -> Tensor:
    """The random number of each image in both views, (2, n); a `Fault` says what else was done."""
    images = batch(n=n)
    given = images.clone()
    views = call(lambda: attempt(given, disguise_by_half, generator))
    if not torch.equal(given, images):
        raise Fault(IN_PLACE)
    if isinstance(views, Tensor) and views.ndim == 5 and len(views) == 2:  # stacked: as good as a pair
        views = tuple(views)
    if not isinstance(views, tuple | list) or len(views) != 2:
        what = f"a tensor of shape {tuple(views.shape)}" if isinstance(views, Tensor) else kind_of(views)
        what += f" of {len(views)}" if isinstance(views, tuple | list) else ""
        raise Fault(f"two views are expected, `return view1, view2`; {what} came back.")
    views = [expect_images(view, images, name) for name, view in zip(NAMES, views)]
    for name, view in zip(NAMES, views):
        if same(view, images):
            raise Fault(f"{name} is the picture itself: both views must be disguised, each anew.")
    sources, numbers = zip(*(undo(view, images) for view in views))
    for made, of in ((1, 0), (0, 1)):
        if sources[made] is None and undo(views[made], views[of])[0] is not None:
            raise Fault(
                f"{NAMES[made]} is a disguise of {NAMES[of]}, not of the picture: what {NAMES[of]} lost is lost in "
                "both. Disguise `images` twice."
            )
    for name, source in zip(NAMES, sources):
        if source is None:
            raise Fault(
                f"{name} is not `disguise(images, amount)` of the pictures given; call disguise once for each view, "
                "and "
                "return what it gives."
            )
        if not torch.equal(source, torch.arange(n)):
            moved = int((source != torch.arange(n)).nonzero()[0])
            raise Fault(
                f"the rows of {name} are not in the order of the images: row {moved} is made from image "
                f"{int(source[moved])}. Row i of both views must come from image i, or partners (and labels) are mixed "
                "up."
            )
    return torch.stack(numbers)


def undo(view: Tensor, images: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Which image each row of the view was made from, and with which amount; None if it was made otherwise."""
    left = 2 * view[:, None] - images[None]  # (n, n, 3, h, w): constant where the row is from that image
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
            "the same view twice: both views have the same amounts, so they are identical and partners are found by "
            "comparing pixels. Draw anew for the second view."
        )
    return None


def images_differ(attempt: Callable) -> str | None:
    for name, view in zip(NAMES, observe(attempt)):
        if (view - view[0]).abs().max() < 1e-4:
            return (
                f"all images of {name} get the same amount, {float(view[0]):.2f}, as with one number for the whole "
                "batch. Draw one for each image, torch.rand(len(images), generator=generator)."
            )
    return None


def the_generator_decides(attempt: Callable) -> str | None:
    generator = Generator().manual_seed(0)
    first, second = amounts(attempt, generator), amounts(attempt, generator)
    if not _alike(first, observe(attempt)):
        return NOT_REPEATABLE
    repeated = [name for name, a, b in zip(NAMES, first, second) if _alike(a, b)]
    return REPEATED.format(views=" and ".join(repeated)) if repeated else None


def amounts_are_spread(attempt: Callable) -> str | None:
    for name, view in zip(NAMES, observe(attempt)):
        low, high = float(view.min()), float(view.max())
        if high - low < 0.6:  # of 48 numbers from 0 to 1: about 0.96
            return (
                f"the amounts of {name} reach only from {low:.2f} to {high:.2f}: draw them from the whole range from 0 "
                "to 1, torch.rand(n, generator=generator)."
            )
        values, counts = (1e4 * view).round().unique(return_counts=True)
        shared = int(counts[counts > 1].sum())  # of 48 numbers drawn evenly, hardly two agree in four digits
        if shared > 5:
            value, most = float(values[counts.argmax()]) / 1e4, int(counts.max())
            return (
                f"in {name} {shared} of {N} images have an amount that another image has too, such as {value:.2f} "
                f"({most} images). Draw a number of its own for each image, and use it as it is: "
                "torch.rand(n, generator=generator)."
            )
    return None


def views_are_independent(attempt: Callable) -> str | None:
    first, second = observe(attempt)
    if _alike(first.sort().values, second.sort().values):
        return (
            "the amounts of view2 follow from those of view1: they are the same numbers in another order. "
            "Draw anew for the second view."
        )
    if float(second[first.argsort()].diff().abs().median()) < 0.1:  # of independent numbers about 0.29
        return (
            "the amounts of view2 follow from those of view1: images with nearly the same amount in view1 have nearly "
            "the same in view2. Draw anew for the second view."
        )
    for name, view in zip(NAMES, (first, second)):
        if int(view.argsort().diff().abs().median()) <= 1:  # of independent numbers about 14
            return (
                f"the amounts of {name} rise or fall steadily from image to image: draw them at random, each by itself."
            )
    return None


def amounts_are_even(attempt: Callable) -> str | None:
    found = torch.cat([amounts(attempt, Generator().manual_seed(seed)) for seed in range(BATCHES)], dim=1)
    evenly = torch.arange(1, found.shape[1] + 1) / found.shape[1]
    for name, view in zip(NAMES, found):
        distance = (view.sort().values - evenly).abs()
        if distance.max() > 0.08:
            at = int(distance.argmax())
            return (
                f"in {name} {100 * float(evenly[at]):.0f} % of the amounts are below "
                f"{float(view.sort().values[at]):.2f}. "
                "Every number from 0 to 1 must be as likely as any other: use torch.rand(n, generator=generator) as it "
                "is."
            )
    together = float(torch.corrcoef(found)[0, 1])
    if abs(together) > 0.15:  # of independent numbers once in 100,000 times
        return (
            f"the amounts of view2 {'rise' if together > 0 else 'fall'} with those of view1 (correlation "
            f"{together:.2f}, where 0 is expected). Draw anew for the second view."
        )
    return None


def other_sizes(attempt: Callable) -> None:
    """Batches of one and of five images; what goes wrong there is said by `amounts`, or is an error."""
    for n in (1, 5):
        amounts(attempt, Generator().manual_seed(0), n)


two_views = Exercise(
    name="my_two_views",
    observe=observe,
    make=None,
    mistakes=(),
    praise="two different views of every image, each with its own random numbers, row by row in the same order; the "
    "input is untouched.",
    demands=(
        views_differ,
        images_differ,
        the_generator_decides,
        amounts_are_spread,
        views_are_independent,
        amounts_are_even,
        other_sizes,
    ),
)
