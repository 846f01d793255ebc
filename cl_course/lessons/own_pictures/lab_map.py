"""Map lab: every picture as a point, near to pictures with similar features; press one to see it and its neighbours."""

import base64
from typing import Any

import torch
from IPython.display import display
from torch import Generator, Tensor

from cl_course.data import ImageSet, to_float
from cl_course.diagnose import map_places
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.neighbour_cards import quantised
from cl_course.lessons.shared.pictures import sprite
from cl_course.values import whole

MOST, SHOWN = 400, 8  # pictures on the map, and neighbours that are shown


def map_lab(images: ImageSet, h: Tensor, seed: int = 0) -> None:
    """The map of at most MOST pictures; the page searches and draws, see lab_map.js.

    Args:
        images: with names, at least three.
        h: their features, (n, d), finite.
        seed: of the choice of pictures, and of the map.

    Raises:
        ValueError: fewer than three images, or features and images differ in number.
    """
    display(page_lab(__file__, "lab_map", **map_data(images, h, seed)))


def map_data(images: ImageSet, h: Tensor, seed: int = 0) -> dict[str, Any]:
    """What the page needs: pictures, their places in [0, 1], and features as whole numbers."""
    whole("the number of images", len(images), 3, advice="a map of fewer shows nothing")
    if len(h) != len(images):
        raise ValueError(f"there are {len(h)} features for {len(images)} images; give one row for each image")
    chosen = torch.randperm(len(images), generator=Generator().manual_seed(seed))[:MOST].sort().values
    images, h = images.subset(chosen), h[chosen]
    codes, step = quantised(h)
    names = images.names or tuple(f"picture {place}" for place in chosen.tolist())
    return {
        **sprite(to_float(images.images)),
        "names": list(names),
        "points": map_places(h, seed).double().round(decimals=4).tolist(),
        "dimensions": codes.shape[1],
        "step": step,
        "codes": base64.b64encode(codes.numpy().tobytes()).decode(),
        "k": min(SHOWN, len(images) - 1),
    }
