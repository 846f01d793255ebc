"""What an image set refuses, and the expression that makes it right."""

from typing import Any

import torch
from torch import Tensor

from cl_course.tensor_types import SHAPE_REMEDIES
from cl_course.values import shown


def is_uint8(images: Any) -> bool:
    return isinstance(images, Tensor) and images.dtype == torch.uint8


def given(values: Any) -> str:
    return f"{shown(values)} and type {values.dtype}" if hasattr(values, "dtype") else f"a {type(values).__name__}"


def as_rgb(x: Any) -> str:
    """What to pass in place of images that an ImageSet refuses."""
    if not isinstance(x, Tensor):
        return "pass torch.as_tensor(np.asarray(images))"
    codes = {(None, 3, None, None): "images"} | SHAPE_REMEDIES
    sizes = [sizes for sizes in codes if len(sizes) == x.ndim and all(s in (None, n) for s, n in zip(sizes, x.shape))]
    if not sizes or not x.numel():
        return "the sizes are the number of images, 3 channels, height and width, each at least 1"
    code, low, high = codes[sizes[0]], x.double().min(), x.double().max()
    if not (low >= 0 and high <= 255):
        return "bring the values to the range from 0 to 1 first (undo a normalisation with x * std + mean)"
    if x.dtype == torch.bool or (x.is_floating_point() and high <= 1):
        return f"pass (255 * {code}).round().to(torch.uint8)"
    rounded = ".round()" if x.is_floating_point() else ""
    return f"pass {code}{rounded}.to(torch.uint8)" if x.dtype != torch.uint8 else f"pass {code}"


def check_labels(labels: Any, classes: int) -> None:
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        remedy = "pass torch.as_tensor(labels).flatten().long()"
        raise ValueError(f"labels must be an int64 tensor (n,), got {given(labels)}; {remedy}")
    if (labels < 0).any():
        remedy = "put the unlabelled images into a set of their own, with labels=None"
        raise ValueError(f"labels must not be negative, got {labels.min()}; {remedy}")
    if classes and (labels >= classes).any():
        remedy = "count the classes from 0, name them all, or pass labels=None for unlabelled images"
        raise ValueError(f"labels must be below {classes}, the number of class_names, got {labels.max()}; {remedy}")
