"""Image sets in memory: one uint8 tensor, its labels, and what else is known of the images.

The data set is a tensor, not a loader: augmentation works on batches (`augment.py`), so a
training step takes rows by index and no worker processes are needed.
"""

import functools
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from numbers import Integral  # numpy's too
from pathlib import Path

import torch
from torch import Tensor

from cl_course.images import cache, shapes
from cl_course.images.archives import Cifar10, Stl10
from cl_course.images.download import ARCHIVES, cache_folder, fetch
from cl_course.images.pictures import Pictures

SPLITS = ("train", "val", "test", "unlabeled")
# What each data set may lie on disk as, best first.
FILES = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar10-jpeg.zip"),
    "stl10": ("stl10_binary.tar.gz", "stl10_binary"),
}
ARCHIVED = {"cifar10": Cifar10, "stl10": Stl10}  # what reads the official archives


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with what is known about them; row i of everything is image i.

    Attributes:
        images: uint8 (n, 3, h, w), RGB.
        labels: int64 (n,), places in `class_names`; None where the set has no labels.
        class_names: one name a class.
        factors: name -> float32 (n,) or (n, k): what the images were drawn from; empty for photos.
        masks: bool (n, h, w), the object's pixels; None where unknown.
    """

    images: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    factors: dict[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None

    def __post_init__(self):
        if self.images.dtype != torch.uint8 or self.images.ndim != 4 or self.images.shape[1] != 3:
            given = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise ValueError(f"images must be uint8 (n, 3, h, w), got {given}; floats in [0, 1] become (255 * x).round().to(torch.uint8)")
        for name, values in {"labels": self.labels, "masks": self.masks, **self.factors}.items():
            if values is not None and len(values) != len(self):
                raise ValueError(f"{name} has {len(values)} rows for {len(self)} images; give one row for each image, or leave it out")

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: Tensor) -> "ImageSet":
        """The images that `index` names, in its order: int64 positions, or bool (n,)."""

        def take(values):
            return None if values is None else values[index]

        factors = {name: values[index] for name, values in self.factors.items()}
        return ImageSet(self.images[index], take(self.labels), self.class_names, factors, take(self.masks))


def to_float(images: Tensor) -> Tensor:
    """uint8 images of any shape -> float32 in [0, 1], on the same device."""
    if images.dtype != torch.uint8:
        raise TypeError(f"to_float takes uint8 images, got {images.dtype}; floats need no conversion")
    return images.float().div_(255)


def shuffled_batches(n: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """One epoch: the positions 0..n-1 in random order, cut into index tensors of `batch_size`.

    The last short batch is dropped: the number of negatives is part of a contrastive loss,
    so a smaller batch would be another task.

    Raises:
        ValueError: `batch_size` is not between 1 and n.
    """
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size must be from 1 to the number of images, got {batch_size} for {n} images; take a smaller batch or more images")
    order = torch.randperm(n, generator=generator, device=generator.device)
    return order[: n // batch_size * batch_size].split(batch_size)


def shuffled_steps(n: int, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """So many batches, from as many shuffled epochs as that takes; all n in each where there are fewer than `batch_size`."""
    while steps > 0:
        epoch = shuffled_batches(n, min(batch_size, n), generator)[:steps]
        yield from epoch
        steps -= len(epoch)


def load(source: str | Path, split: str, *, limit: int | None = None, seed: int = 0, size: int | None = None) -> ImageSet:
    """Load one split of a data set; what was downloaded or decoded once comes from the cache.

    Where a source has no validation images, a tenth of its training images is split off, the same
    share of every class. A folder or zip without split folders is cut 80 / 10 / 10 in the same way.
    Who goes where never depends on `seed`, so that no image is trained on with one seed and tested on
    with another; in a folder it hangs on the file names.

    Args:
        source: "shapes", drawn from `seed`; "cifar10" or "stl10", looked for in `CL_COURSE_DATA` and
            the cache, else downloaded; or a folder or .zip of images laid out [split/]class/image.ext
            (without class folders the images have no labels).
        split: "train", "val", "test" or "unlabeled"; not every source has all.
        limit: at most so many images, the same share of every class, chosen by `seed`; a greater limit
            adds to those of a smaller one. Of shapes: the first so many, whose classes vary at random.
        size: for a folder or zip, pixels a side: scaled and cut at the centre. None: images that all
            have one size of at most 256 stay as they are, others become 96 x 96.

    Raises:
        ValueError: the split does not exist or is empty; the source is damaged, or not to be trusted.
        FileNotFoundError: there is no such source, or no mirror could give it.
    """
    if limit is not None and not (isinstance(limit, Integral) and limit >= 1):
        raise ValueError(f"limit must be a whole number of at least 1, got {limit}; leave it out to take all images")
    if size is not None and not (isinstance(size, Integral) and size >= 1):
        raise ValueError(f"size must be a whole number of pixels, at least 1, got {size}; 32 to 96 is usual")
    if not (isinstance(seed, Integral) and 0 <= seed < 2**32):
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed}")
    if source == "shapes":
        return _shapes(split, limit, seed)
    if source in FILES:  # before a long download
        _check_split(source, split, _splits(ARCHIVED[source].parts))
    opened = _open(source, size)
    splits = _splits(opened.parts)
    _check_split(source, split, splits)
    part, low, high = splits[split]
    stored = cache.stored(opened, part)
    if stored.skipped:
        first = "; ".join(stored.skipped[:3]) + (" ..." if len(stored.skipped) > 3 else "")
        warnings.warn(f"{source}: {len(stored.skipped)} images cannot be read and are left out: {first}", stacklevel=2)
    labels = torch.zeros(len(stored.images), dtype=torch.int64) if stored.labels is None else stored.labels
    place = _place_in_class(labels, stored.tickets)
    index = torch.nonzero((low <= place) & (place < high)).flatten()
    if not len(index):
        raise ValueError(f"{source} has too few images ({len(place)}) for a {split!r} split of its own; add images, or lay out train, val and test folders")
    if stored.labels is not None and (absent := set(labels.tolist()) - set(labels[index].tolist())):
        names = ", ".join(stored.class_names[label] for label in sorted(absent))
        warnings.warn(f"{source}: {split!r} has no image of {names}; add images (a class needs about 10 to be split), or lay out train, val and test folders", stacklevel=2)
    if limit is not None and limit < len(index):
        tickets = torch.rand(len(index), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        chosen = _place_in_class(labels[index], tickets).argsort(stable=True)[:limit]
        index = index[chosen.sort().values]
    return ImageSet(stored.images[index], None if stored.labels is None else stored.labels[index], stored.class_names)


def _check_split(source: str | Path, split: str, splits: Iterable[str]) -> None:
    if split not in splits:
        raise ValueError(f"{source} has no split {split!r}; it has {', '.join(splits)}")


def pretraining_images(source: str | Path, *, limit: int | None = None, seed: int = 0, size: int | None = None) -> ImageSet:
    """All that one may learn from without labels: the training images and, where a source has them (STL-10), the unlabeled ones.

    Arguments and errors as of `load`; a `limit` takes training images first. Whatever labels there are, are left out.
    """
    images = load(source, "train", limit=limit, seed=seed, size=size).images
    left = None if limit is None else limit - len(images)
    if source != "shapes" and left != 0 and "unlabeled" in _splits(_open(source, size).parts):
        images = torch.cat([images, load(source, "unlabeled", limit=left, seed=seed, size=size).images])
    return ImageSet(images)


def find(name: str) -> Path | None:
    """Where "cifar10" or "stl10" lies on this machine; None if it would have to be downloaded.

    Looked for in the folder that `CL_COURSE_DATA` names, then in the cache: the official archive, the
    folder it unpacks to, or (CIFAR-10) a copy as JPEG files, cifar10-jpeg.zip.
    """
    if name not in FILES:
        raise ValueError(f"{name!r} is no data set that lies in a file; take {' or '.join(repr(known) for known in FILES)}")
    folders = [cache_folder()]
    if named := os.environ.get("CL_COURSE_DATA"):
        folders.insert(0, Path(named).expanduser())
        if not folders[0].is_dir():
            raise FileNotFoundError(f"CL_COURSE_DATA names {named}, which is no folder; correct it or unset it")
    places = [folder / filename for folder in folders for filename in FILES[name]]
    return next((place for place in places if place.exists()), None)


def _open(source: str | Path, size: int | None) -> cache.Source:
    if source not in FILES:
        path = Path(source).expanduser().resolve()
        if not str(source) or not path.exists():
            known = ", ".join(repr(name) for name in ("shapes", *FILES))
            raise FileNotFoundError(f"there is no data set and no file {str(source)!r}; take {known}, or the path of a folder or .zip of images")
        return Pictures(path, size)
    path = find(source) or fetch(ARCHIVES[source], cache_folder())
    if path.suffix == ".zip":
        _say_once(f"{source}: reading the JPEG copy {path.name}, whose pixels are close to the original's but not the same")
        return Pictures(path.resolve(), size=32)
    return ARCHIVED[source](path.resolve())


@functools.cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def _splits(parts: tuple[str, ...]) -> dict[str, tuple[str, float, float]]:
    """split -> the part it lies in, and from where to where in every class of that part."""
    if parts == ("all",):
        return {"train": ("all", 0.0, 0.8), "val": ("all", 0.8, 0.9), "test": ("all", 0.9, 1.0)}
    splits = {part: (part, 0.0, 1.0) for part in parts}
    if "train" in splits and "val" not in splits:
        splits |= {"train": ("train", 0.0, 0.9), "val": ("train", 0.9, 1.0)}
    return dict(sorted(splits.items(), key=lambda split: SPLITS.index(split[0])))


def _place_in_class(labels: Tensor, tickets: Tensor) -> Tensor:
    """Where each image stands, from 0 to 1, when those of its class are put in the order of their tickets."""
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        of_class = torch.nonzero(labels == label).flatten()
        ordered = of_class[tickets[of_class].argsort()]
        place[ordered] = (torch.arange(len(ordered), dtype=torch.float64) + 0.5) / len(ordered)
    return place


def _shapes(split: str, limit: int | None, seed: int) -> ImageSet:
    drawing = shapes.draw(split, seed, limit)
    factors = {name: torch.from_numpy(values).float() for name, values in drawing.factors.items()}
    images, labels, masks = (torch.from_numpy(a) for a in (drawing.images, drawing.labels, drawing.masks))
    return ImageSet(images, labels, shapes.CLASS_NAMES, factors, masks)
