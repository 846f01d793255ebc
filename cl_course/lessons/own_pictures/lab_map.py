"""Map lab: every picture as a point, near to pictures with similar features; press one to see it and its neighbours."""

import base64
from typing import Any

import torch
import torch.nn.functional as F
from IPython.display import display
from torch import Generator, Tensor

from cl_course.data import ImageSet, to_float
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
        "points": places(h, seed).double().round(decimals=4).tolist(),
        "dimensions": codes.shape[1],
        "step": step,
        "codes": base64.b64encode(codes.numpy().tobytes()).decode(),
        "k": min(SHOWN, len(images) - 1),
    }


def places(h: Tensor, seed: int = 0) -> Tensor:
    """Places in [0, 1]^2 by UMAP in cosine distance, or by principal components where there are few: (n, 2)."""
    h = F.normalize(h.float(), dim=1)
    if len(h) < 16:  # too few for a graph of neighbours
        centred = h - h.mean(dim=0)
        points = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
        points = F.pad(points, (0, 2 - points.shape[1]))
    else:
        from umap import UMAP  # slow to import, so only here

        umap = UMAP(n_neighbors=min(15, len(h) - 1), metric="cosine", random_state=seed, n_jobs=1)
        points = torch.from_numpy(umap.fit_transform(h.numpy())).float()
    low, high = points.amin(dim=0), points.amax(dim=0)
    return (points - low) / (high - low).clamp(min=1e-9)
