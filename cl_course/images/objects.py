"""The objects that one image shows: their boxes, classes and masks."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cl_course.values import shown


@dataclass(frozen=True, eq=False)
class Objects:
    """k objects of one image, none included; row j of everything is object j.

    Attributes:
        boxes: float32 (k, 4), each (x1, y1, x2, y2) in pixels from the upper left corner of the image, x1 < x2 and
            y1 < y2. A pixel is a square: that of column x reaches from x to x + 1.
        labels: int64 (k,), places in the set's `class_names`.
        masks: bool (k, h, w), each object's pixels; None where unknown.

    Raises:
        ValueError: another type or shape, a box with swapped corners, without area or with NaN; it says what to do.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __post_init__(self):
        for name, dtype, shape, remedy in (
            ("boxes", torch.float32, "(k, 4)", "torch.as_tensor(boxes).float().reshape(-1, 4)"),
            ("labels", torch.int64, "(k,)", "torch.as_tensor(labels).long().flatten()"),
            ("masks", torch.bool, "(k, h, w)", "torch.as_tensor(masks).bool()[None].flatten(0, -3)"),
        ):
            value, dims = getattr(self, name), shape.count(",") + (name != "labels")
            fits = isinstance(value, Tensor) and value.dtype == dtype and value.ndim == dims
            if not (fits and value.shape[1:] in ((4,), ()) or name == "masks" and (fits or value is None)):
                kind = str(dtype).removeprefix("torch.")
                raise ValueError(f"{name} must be a {kind} tensor {shape}, got {_given(value)}; pass {remedy}")
        for name in ("labels", "masks"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self):
                raise ValueError(f"{name} has {len(value)} rows for {len(self)} boxes; give one row for each box")
        for box in self.boxes[~self.boxes.isfinite().all(dim=1)]:
            raise ValueError(f"a box must have four finite numbers, got {written(box)}; correct it, or leave it out")
        refuse_exchanged_corners(self.boxes)
        for box in self.boxes[(self.boxes[:, :2] == self.boxes[:, 2:]).any(dim=1)]:
            remedy = "keep boxes[torchvision.ops.remove_small_boxes(boxes, 1e-3)] and the same rows of the rest"
            raise ValueError(f"a box must have an area, got {written(box)}; {remedy}")

    def __len__(self) -> int:
        return len(self.boxes)

    def check(self, height: int, width: int, classes: int) -> None:
        """Raise a ValueError unless these can be the objects of an image of this size, in a set of so many classes."""
        limits = torch.tensor([width, height, width, height])
        for box in self.boxes[((self.boxes < 0) | (self.boxes > limits)).any(dim=1)]:
            remedy = f"torchvision.ops.clip_boxes_to_image(boxes, ({height}, {width})) cuts boxes at its edge"
            raise ValueError(f"box {written(box)} reaches out of its image of {height} x {width} pixels; {remedy}, "
                             "then leave out those without area")
        if len(self) and not classes:
            raise ValueError("boxes need the names of their classes, got no class_names; pass a tuple of names in the "
                             "order of the labels")
        for label in self.labels[(self.labels < 0) | (self.labels >= classes)].tolist():
            raise ValueError(f"the label of a box must be from 0 to {classes - 1}, as there are {classes} class_names, "
                             f"got {label}; count the classes from 0, and name them all")
        if self.masks is not None and self.masks.shape[1:] != (height, width):
            size = " x ".join(map(str, self.masks.shape[1:]))
            remedy = f"torchvision.transforms.v2.functional.resize(masks, ({height}, {width})) makes them fit"
            raise ValueError(f"masks have {size} pixels for an image of {height} x {width}; {remedy}")


def refuse_exchanged_corners(boxes: Tensor) -> None:
    """Raise a ValueError unless the first corner of each box (k, 4) is the upper left one."""
    for box in boxes[(boxes[:, :2] > boxes[:, 2:]).any(dim=1)]:
        remedy = "if it is (x, y, width, height), pass torchvision.ops.box_convert(boxes, 'xywh', 'xyxy')"
        raise ValueError(f"a box is (x1, y1, x2, y2) with x1 < x2 and y1 < y2, got {written(box)}; {remedy}, else "
                         "exchange its corners")


def written(box: Tensor) -> str:
    """A box as one writes it: (1, 2.5, 3, 4)."""
    return f"({', '.join(f'{value:g}' for value in box.tolist())})"


def _given(value: Any) -> str:
    return f"{shown(value)} and type {value.dtype}" if hasattr(value, "dtype") else f"a {type(value).__name__}"
