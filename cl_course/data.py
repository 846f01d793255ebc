"""Image sets in memory: one uint8 tensor, its labels, and what else is known of the images.

The data set is a tensor, not a loader: augmentation works on batches (`augment.py`), so a
training step takes rows by index and no worker processes are needed.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from cl_course import synthetic


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


def load(source: str, split: str, *, limit: int | None = None, seed: int = 0) -> ImageSet:
    """Load one split of a data set.

    Args:
        source: "shapes", drawn from `seed`.
        split: "train", "val" or "test".
        limit: at most so many images.

    Raises:
        ValueError: the source or the split does not exist.
    """
    if source != "shapes":
        raise ValueError(f"there is no data set {source!r}; take 'shapes'")
    return _shapes(split, limit, seed)


def _shapes(split: str, limit: int | None, seed: int) -> ImageSet:
    drawing = synthetic.draw(split, seed, limit)
    factors = {name: torch.from_numpy(values).float() for name, values in drawing.factors.items()}
    images, labels, masks = (torch.from_numpy(a) for a in (drawing.images, drawing.labels, drawing.masks))
    return ImageSet(images, labels, synthetic.CLASS_NAMES, factors, masks)
