"""A first look at pictures of one's own: sizes, colours, what cannot be read, and all of them as one set."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from cl_course.data import ImageSet, load_splits
from cl_course.images.cache import stored
from cl_course.images.pictures import Pictures
from cl_course.running.recipes import Recipe
from cl_course.values import path_of

SIDES = {16: 16, 48: 32, 128: 64}  # up to such a shorter side -> pixels a side that are proposed
LARGEST, SMALLEST, AS_THEY_ARE = 96, 16, 64 * 64  # pixels a side; a side, and an area, that need no scaling
MOST = 20_000  # pictures that a lesson takes
VIEWS = 48_000  # pictures of 32 x 32 pixels that a quick run takes in all: half a minute of one core
EPOCHS = (2, 40)


@dataclass(frozen=True)
class Look:
    """What lies in a folder or zip, by the headers of its files.

    Attributes:
        sizes: (width, height) -> how many, the most frequent first.
        modes: Pillow's name of what a pixel holds, such as "RGB" or "L" (grey) -> how many.
        broken: "name: reason" of each file that cannot be read.
        size: pixels a side to load them with; None: as they are.
        lost: the share of a median picture that lies outside the square in its middle.
    """

    sizes: dict[tuple[int, int], int]
    modes: dict[str, int]
    broken: tuple[str, ...]
    size: int | None
    lost: float

    def __str__(self) -> str:
        shown = [f"{count:,} of {width} x {height}" for (width, height), count in list(self.sizes.items())[:4]]
        more = f", and {len(self.sizes) - 4} more sizes" if len(self.sizes) > 4 else ""
        how = f"scaled and cut to {self.size} x {self.size}" if self.size else "as they are"
        lines = {
            "sizes": f"{', '.join(shown)}{more} pixels (width x height)",
            "colours": ", ".join(f"{count:,} {mode}" for mode, count in self.modes.items()),
            "broken": "; ".join(self.broken) or "none",
            "taken": f"{how}; {self.lost:.0%} of a median picture is cut off" if self.size else how,
        }
        return "\n".join(f"{name:<10} {text}" for name, text in lines.items())


def look(path: Path) -> Look:
    """Read every header, and name what is broken; errors are those of `data.load`."""
    pictures = Pictures(Path(os.path.realpath(path_of(path))))
    found = pictures.headers.values()
    sizes = Counter((width, height) for width, height, _ in found)
    if not sizes:
        raise ValueError(f"none of the images of {path} can be read; give another folder or zip")
    size = _size(sizes)
    square = median(min(wh) / max(wh) for wh in sizes.elements())
    loaded = Pictures(pictures.path, size)
    broken = tuple(skipped for part in loaded.parts for skipped in stored(loaded, part).skipped)
    return Look(dict(sizes.most_common()), dict(Counter(mode for *_, mode in found).most_common()), broken, size,
                1 - square if size else 0.0)  # fmt: skip


def _size(sizes: Counter[tuple[int, int]]) -> int | None:
    """Small pictures of one size stay as they are; others become squares near their own size."""
    width, height = next(iter(sizes))
    if len(sizes) == 1 and min(width, height) >= SMALLEST and width * height <= AS_THEY_ARE:
        return None
    side = median(min(wh) for wh in sizes.elements())
    return next((size for most, size in SIDES.items() if side <= most), LARGEST)


def everything(path: Path, size: int | None, seed: int = 0) -> ImageSet:
    """All pictures of a folder or zip as one set with names, at most MOST; with labels where it has class folders."""
    with _unsaid():
        parts = list(load_splits(path, size=size, seed=seed).values())
    if any(part.labels is not None for part in parts):
        parts = [part for part in parts if part.labels is not None]
    labels = None if parts[0].labels is None else torch.cat([part.labels for part in parts])
    names = tuple(name for part in parts for name in part.names)
    images = ImageSet(torch.cat([part.images for part in parts]), labels, parts[0].class_names, names=names)
    if len(images) > MOST:
        chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:MOST]
        images = images.subset(chosen.sort().values)
    return images


@contextmanager
def _unsaid() -> Iterator[None]:
    """Without what `load` says of splits, which are put together again, and of broken files, which `look` has named."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "(?s).*(cannot be read and are left out|needs about 10 images to be split)"
            )
            yield
    finally:
        logging.disable(level)


def epochs_for(images: ImageSet, recipe: Recipe) -> tuple[int, int]:
    """Epochs, from 2 to 40, and batch size of a quick recipe: VIEWS in all; fewer for a small set, more for a large."""
    n, _, height, width = images.images.shape
    views = VIEWS * 32 * 32 / (height * width)
    low, high = EPOCHS
    return min(high, max(low, round(views / n))), max(2, min(recipe.config.batch_size, n // 4))
