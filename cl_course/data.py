"""Image sets in memory: one uint8 tensor, its labels, and what else is known of the images.

The data set is a tensor, not a loader: augmentation works on batches (`augment.py`), so a training step takes rows by
index and no worker processes are needed.
"""

import functools
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from cl_course.images import scenes, shapes
from cl_course.images.archives import Cifar10, Stl10
from cl_course.images.cache import Decoded, Source, stored
from cl_course.images.download import ARCHIVES, cache_folder, fetch
from cl_course.images.objects import Objects
from cl_course.images.pictures import EXTENSIONS, Pictures, listed
from cl_course.images.refusals import as_rgb, check_labels, given, is_uint8
from cl_course.values import MAX_SEED, instance, path_of, whole

SPLITS = ("train", "val", "test", "unlabeled")
# The files and folders that hold a data set, best first.
FILES = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar10-jpeg.zip"),
    "stl10": ("stl10_binary.tar.gz", "stl10_binary"),
}
DRAWN = {"shapes": shapes, "scenes": scenes}
ARCHIVED = {"cifar10": Cifar10, "stl10": Stl10}  # the readers of the official archives


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with what is known about them; row i of everything is image i.

    Attributes:
        images: uint8 (n, 3, h, w), RGB.
        labels: int64 (n,), places in `class_names`; None where the set has no labels.
        class_names: one name for each class; may be left out.
        factors: name -> float32 (n,) or (n, k): what the images were drawn from; empty for photos.
        masks: bool (n, h, w), the pixels of the object, or of all; None where unknown.
        names: each image's path in its folder or zip; empty where images have no files of their own.
        objects: each image's objects, with their boxes; empty where unknown.

    Raises:
        ValueError: images of another type or shape, a label that no class has, a missing row, a box outside its image;
            it says what to do.
    """

    images: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    factors: dict[str, Tensor] = field(default_factory=dict)
    masks: Tensor | None = None
    names: tuple[str, ...] = ()
    objects: tuple[Objects, ...] = ()

    def __post_init__(self):
        if not is_uint8(self.images) or self.images.ndim != 4 or self.images.shape[1] != 3:
            what = f"images must be a uint8 tensor (n, 3, h, w), got {given(self.images)}"
            raise ValueError(f"{what}; {as_rgb(self.images)}")
        rows = {"labels": self.labels, "masks": self.masks, "names": self.names or None, **self.factors}
        rows["objects"] = self.objects or None
        for name, values in rows.items():
            if values is not None and len(values) != len(self):
                what = f"{name} has {len(values)} rows for {len(self)} images"
                raise ValueError(f"{what}; give one row for each image, or leave it out")
        if self.labels is not None:
            check_labels(self.labels, len(self.class_names))
        masks = self.masks
        if masks is not None and not (isinstance(masks, Tensor) and masks.dtype == torch.bool and masks.ndim == 3):
            raise ValueError(f"masks must be a bool tensor (n, h, w), got {given(masks)}; pass "
                             "(torch.as_tensor(masks) > 0)[None].flatten(0, -3)")
        for one in self.objects:
            empty = "one without any has Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))"
            one = instance("the objects of an image", one, Objects, empty)
            one.check(*self.images.shape[2:], len(self.class_names))

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: Tensor) -> "ImageSet":
        """The images that `index` names, in its order: int64 positions, or bool (n,)."""
        labels, masks = (None if values is None else values[index] for values in (self.labels, self.masks))
        factors = {name: values[index] for name, values in self.factors.items()}
        names, objects = _rows(self.names, index), _rows(self.objects, index)
        return ImageSet(self.images[index], labels, self.class_names, factors, masks, names, objects)


def _rows(each: tuple, index: Tensor) -> tuple:
    """What `index` takes of something that each image has, as it takes rows of a tensor."""
    return tuple(each[place] for place in torch.arange(len(each))[index.cpu()].tolist()) if each else ()


def to_float(images: Tensor) -> Tensor:
    """uint8 images of any shape -> float32 in [0, 1], on the same device."""
    if not is_uint8(images):
        remedy = "floats in [0, 1] need no conversion, others need torch.as_tensor(x).to(torch.uint8) first"
        remedy = "pass its .images" if isinstance(images, ImageSet) else remedy
        raise TypeError(f"to_float takes a uint8 tensor, got {given(images)}; {remedy}")
    return images.float().div_(255)


def shuffled_batches(n: int, batch_size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """One epoch: the positions 0..n-1 in random order, cut into index tensors of `batch_size`.

    The last short batch is dropped: the number of negatives is part of a contrastive loss, so a smaller batch would be
    another task.

    Raises:
        ValueError: `batch_size` is not between 1 and n.
    """
    batch_size = whole("batch_size", batch_size, 1, n, "it is at most the number of images; take fewer, or add images")
    order = torch.randperm(n, generator=generator, device=generator.device)
    return order[: n // batch_size * batch_size].split(batch_size)


def shuffled_steps(n: int, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """`steps` batches, from as many shuffled epochs as needed; all n images each time, if `batch_size` is greater."""
    while steps > 0:
        epoch = shuffled_batches(n, min(batch_size, n), generator)[:steps]
        yield from epoch
        steps -= len(epoch)


def load(
    source: str | Path, split: str, *, limit: int | None = None, seed: int = 0, size: int | None = None
) -> ImageSet:
    """Load one split of a data set; what was downloaded or decoded once comes from the cache.

    Where a source has no validation images, a tenth of its training images is taken for them, the same share of every
    class. A folder or zip without split folders is cut 80 / 10 / 10 in the same way. An image's split depends on its
    path inside its class folder, never on `seed` or on how the set is packed. What was found in a folder or zip, and
    what gave nothing, is said once in each process.

    Args:
        source: "shapes" (one object each) or "scenes" (one to four, with boxes and masks; a scene as a whole has no
            label), drawn from `seed`; "cifar10" or "stl10", searched for in `CL_COURSE_DATA` and the cache, else
            downloaded; or a folder or .zip of images laid out [split/]class/image.ext (no class folders: no labels).
        split: "train", "val", "test" or "unlabeled"; not every source has all.
        limit: at most this many images, the same share of every class, chosen by `seed`; a greater limit adds to those
            of a smaller one. Of a drawn set: the first ones, whose classes vary at random.
        size: for a folder or zip, pixels a side: scaled and cut at the centre. None: images that all have one size
            h x w of at most 256 a side stay as they are, others become 96 x 96.

    Raises:
        ValueError: the split does not exist or is empty; the source is damaged, or not to be trusted.
        FileNotFoundError: there is no such source, or no mirror could give it.
    """
    limit, seed, size = _checked(limit, seed, size)
    if source in DRAWN:
        return _drawn(source, split, limit, seed)
    if source in FILES:  # before a long download
        _check_split(source, split, _splits(ARCHIVED[source].parts))
    opened = _announced(source, size)
    splits = _splits(opened.parts)
    _check_split(source, split, splits)
    part, low, high = splits[split]
    kept = _read(source, opened, part)
    index = _members(kept, low, high)
    advice = "add images, or lay out train, val and test folders"
    if not len(index):
        raise ValueError(f"{source} has too few images ({len(kept.images)}) for a {split!r} split of its own; {advice}")
    if kept.labels is not None and (absent := set(kept.labels.tolist()) - set(kept.labels[index].tolist())):
        names = listed([kept.class_names[label] for label in sorted(absent)], most=12)
        what = f"{source}: {split!r} has no image of {names}, because a class needs about 10 images to be split"
        warnings.warn(f"{what}; {advice}", stacklevel=2)
    return _taken(kept, index, limit, seed)


def load_splits(
    source: str | Path, *, limit: int | None = None, seed: int = 0, size: int | None = None
) -> dict[str, ImageSet]:
    """Every image of a source: split -> its images, for each split that has some, the training images first.

    A folder is listed once, so that no image comes into two splits while files are added or removed. Arguments and
    errors are those of `load`; `limit` is for each split.
    """
    limit, seed, size = _checked(limit, seed, size)
    if source in DRAWN:
        return {split: _drawn(source, split, limit, seed) for split in DRAWN[source].SPLIT_SIZES}
    opened = _announced(source, size)
    kept = {part: _read(source, opened, part) for part in opened.parts}
    members = {split: (part, _members(kept[part], *bounds)) for split, (part, *bounds) in _splits(opened.parts).items()}
    return {split: _taken(kept[part], index, limit, seed) for split, (part, index) in members.items() if len(index)}


def pretraining_images(
    source: str | Path, *, limit: int | None = None, seed: int = 0, size: int | None = None
) -> ImageSet:
    """The training images and, where a source has them (STL-10), the unlabeled ones; without labels.

    Arguments and errors are those of `load`; a `limit` takes training images first.
    """
    images = load(source, "train", limit=limit, seed=seed, size=size).images
    left = None if limit is None else limit - len(images)
    if source not in DRAWN and left != 0 and "unlabeled" in _splits(_open(source, size).parts):
        unlabeled = load(source, "unlabeled", limit=left, seed=seed, size=size).images
        try:
            images = torch.cat([images, unlabeled])
        except RuntimeError as error:  # of memory alone: their sizes are equal
            raise MemoryError("the training and the unlabeled images do not fit into memory together; take one split "
                              "(on the command line --split), or fewer with limit=... (--limit)") from error
    return ImageSet(images)


def parts_of(source: str | Path) -> tuple[str, ...]:
    """The splits that a source has of its own; ("all",) where `load` cuts them."""
    return tuple(DRAWN[source].SPLIT_SIZES) if source in DRAWN else _open(source, None).parts


def find(name: str) -> Path | None:
    """Where "cifar10" or "stl10" lies on this machine; None if it would have to be downloaded.

    Searched for in the folder that `CL_COURSE_DATA` names, then in the cache: the official archive, the folder that it
    unpacks to, or (CIFAR-10) a copy as JPEG files, cifar10-jpeg.zip.
    """
    if name not in FILES:
        raise ValueError(f"{name!r} is not a data set that lies in a file; take {' or '.join(map(repr, FILES))}")
    folders = [cache_folder()]
    if named := os.environ.get("CL_COURSE_DATA"):
        folders.insert(0, path_of(named))
        if not folders[0].is_dir():
            raise FileNotFoundError(f"CL_COURSE_DATA names {named}, which is not a folder; correct it or unset it")
    places = [folder / filename for folder in folders for filename in FILES[name]]
    return next((place for place in places if place.exists()), None)


def _open(source: str | Path, size: int | None) -> Source:
    if source not in FILES:
        path = Path(os.path.realpath(path_of(source)))  # also of a link to itself, which is not there then
        if not str(source) or not path.exists():
            known = f"take {', '.join(map(repr, (*DRAWN, *FILES)))}, or the path of a folder or .zip of images"
            raise FileNotFoundError(f"there is no data set and no file {str(source)!r}; {known}")
        return Pictures(path, size)
    path = find(source) or fetch(ARCHIVES[source], cache_folder())
    if path.suffix == ".zip":
        _say_once(f"{source}: reading {path.name}, a JPEG copy: its pixels are near the original's but not the same")
        return Pictures(path.resolve(), size=32)
    return ARCHIVED[source](path.resolve())


@functools.cache
def _say_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)  # shown without any set-up, in a notebook and in a terminal


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, stacklevel=4)  # at the line that calls `load`


def _checked(limit: int | None, seed: int, size: int | None) -> tuple[int | None, int, int | None]:
    limit = None if limit is None else whole("limit", limit, 1, advice="leave it out to take all images")
    size = None if size is None else whole("size", size, 1, advice="it counts pixels, and 32 to 96 is usual")
    return limit, whole("seed", seed, 0, MAX_SEED), size


def _announced(source: str | Path, size: int | None) -> Source:
    """An opened source; of a folder or zip, what was found in it is said once."""
    opened = _open(source, size)
    if source not in FILES:
        _say_once(opened.summary)
        if opened.unused:
            files = f"images are files that end in {', '.join(EXTENSIONS)}"
            _warn_once(f"{opened.path}: nothing was taken from {listed(opened.unused, most=8)}; {files}")
    return opened


def _read(source: str | Path, opened: Source, part: str) -> Decoded:
    kept = stored(opened, part)
    if kept.skipped:
        names = listed(kept.skipped, most=3)
        warnings.warn(f"{source}: {len(kept.skipped)} images cannot be read and are left out: {names}", stacklevel=3)
    return kept


def _members(kept: Decoded, low: float, high: float) -> Tensor:
    """Positions of the images that stand from `low` to `high` in their class."""
    place = place_in_class(_classes(kept), kept.tickets)
    return torch.nonzero((low <= place) & (place < high)).flatten()


def _classes(kept: Decoded) -> Tensor:
    return torch.zeros(len(kept.images), dtype=torch.int64) if kept.labels is None else kept.labels


def _taken(kept: Decoded, index: Tensor, limit: int | None, seed: int) -> ImageSet:
    """The images at `index`; at most `limit` of them, the same share of every class."""
    if limit is not None and limit < len(index):
        tickets = torch.rand(len(index), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        chosen = place_in_class(_classes(kept)[index], tickets).argsort(stable=True)[:limit]
        index = index[chosen.sort().values]
    labels = None if kept.labels is None else kept.labels[index]
    return ImageSet(kept.images[index], labels, kept.class_names, names=_rows(kept.names, index))


def _check_split(source: str | Path, split: str, splits: Iterable[str]) -> None:
    if split not in splits:
        raise ValueError(f"{source} has no split {split!r}; it has {', '.join(splits)}")


def _splits(parts: tuple[str, ...]) -> dict[str, tuple[str, float, float]]:
    """split -> the part it lies in, and from where to where in every class of that part."""
    if parts == ("all",):
        return {"train": ("all", 0.0, 0.8), "val": ("all", 0.8, 0.9), "test": ("all", 0.9, 1.0)}
    splits = {part: (part, 0.0, 1.0) for part in parts}
    if "train" in splits and "val" not in splits:
        splits |= {"train": ("train", 0.0, 0.9), "val": ("train", 0.9, 1.0)}
    return dict(sorted(splits.items(), key=lambda split: SPLITS.index(split[0])))


def place_in_class(labels: Tensor, tickets: Tensor) -> Tensor:
    """Where each image stands, from 0 to 1, when those of its class are put in the order of their tickets."""
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        of_class = torch.nonzero(labels == label).flatten()
        ordered = of_class[tickets[of_class].argsort(stable=True)]
        place[ordered] = (torch.arange(len(ordered), dtype=torch.float64) + 0.5) / len(ordered)
    return place


def _drawn(source: str, split: str, limit: int | None, seed: int) -> ImageSet:
    drawing = DRAWN[source].draw(split, seed, limit)
    images = torch.from_numpy(drawing.images)
    if source == "shapes":
        factors = {name: torch.from_numpy(values).float() for name, values in drawing.factors.items()}
        labels, masks = torch.from_numpy(drawing.labels), torch.from_numpy(drawing.masks)
        return ImageSet(images, labels, shapes.CLASS_NAMES, factors, masks)
    objects = []
    for shown, of_scene in zip(drawing.shown, drawing.labels):
        there = (of_scene >= 0).nonzero()[0]
        masks = shown == there[:, None, None] + 1
        boxes, masks = torch.from_numpy(scenes.boxes_of(masks)), torch.from_numpy(masks)
        objects.append(Objects(boxes, torch.from_numpy(of_scene[there]), masks))
    seen = torch.from_numpy(drawing.shown > 0)
    return ImageSet(images, None, shapes.CLASS_NAMES, masks=seen, objects=tuple(objects))
