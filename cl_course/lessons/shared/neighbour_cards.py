"""What the labs of neighbours hand to the page: cards, and features small enough to be searched there."""

import base64
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.pictures import sprite
from cl_course.values import whole

Features = Mapping[str, tuple[Tensor, Tensor]]
QUERIES, GALLERY = 60, 300  # cards that go into the page
DIMENSIONS = 96  # of a feature there; with these numbers three encoders and all cards take less than 350 kB


def quantised(h: Tensor, dimensions: int = DIMENSIONS) -> tuple[Tensor, float]:
    """Features as whole numbers, with which a page finds nearly the same neighbours.

    Of vectors of length 1, |x - y|^2 = 2 - 2 cos(x, y), and a distance stays the same when all points are moved or
    turned together. So the features are divided by their length, moved to their mean, turned so that their spread lies
    in the first axes, and rounded to multiples of one step. Then cos(x, y) is nearly 1 - step^2 |a - b|^2 / 2 of their
    codes a and b, and |a - b|^2 is a whole number, the same on every machine. Without the move, the codes of an encoder
    whose features all have nearly one direction would not tell them apart.

    Args:
        h: finite features, (n, d), of any length.
        dimensions: axes that are kept, those of the largest spread.

    Returns:
        Codes, int8 (n, at most `dimensions`), from -127 to 127, and the step.

    Raises:
        ValueError: a feature is not finite.
    """
    if not h.isfinite().all():
        raise ValueError("features must be finite, got infinite ones or NaN; train at a lower learning rate")
    x = F.normalize(h.double().cpu(), dim=1)
    x = x - x.mean(dim=0)
    if x.shape[1] > dimensions:
        x = x @ torch.linalg.svd(x, full_matrices=False).Vh[:dimensions].T
    step = float(x.abs().max()) / 127 or 1.0  # all features alike: any step will do
    return (x / step).round().to(torch.int8), step


def evenly(labels: Tensor, n: int) -> Tensor:
    """Positions of n images (of all, if there are fewer), as many of each class as can be; sorted by class."""
    turn = torch.zeros_like(labels)
    for label in labels.unique():
        turn[labels == label] = torch.arange(int((labels == label).sum()))
    chosen = turn.argsort(stable=True)[:n]  # the first of each class, then the second of each
    return chosen[labels[chosen].argsort(stable=True)]


def neighbour_cards(
    gallery: ImageSet, queries: ImageSet, features: Features, k: int
) -> tuple[dict[str, Any], ImageSet]:
    """The data of a lab of neighbours: QUERIES cards to start from, and GALLERY cards that are searched.

    Args:
        gallery, queries: images with labels.
        features: name of a description -> its features of all gallery images (n, d) and all queries (m, d).
        k: neighbours that are shown.

    Returns:
        The data, and the cards in its order: the queries first, then the gallery, each sorted by class.

    Raises:
        ValueError: there are no features or no labels, features and images differ in number, or k is too large.
    """
    if not features:
        raise ValueError("features is empty; give at least one description, {name: (of the gallery, of the queries)}")
    if gallery.labels is None or queries.labels is None:
        raise ValueError("gallery and queries must have labels, by which a neighbour is right or wrong")
    for name, (gallery_h, query_h) in features.items():
        if (len(gallery_h), len(query_h)) != (len(gallery), len(queries)):
            raise ValueError(
                f"features of {name!r} must be {len(gallery)} of the gallery and {len(queries)} of the queries, "
                f"got {len(gallery_h)} and {len(query_h)}"
            )
    from_queries, from_gallery = evenly(queries.labels, QUERIES), evenly(gallery.labels, GALLERY)
    k = whole("k", k, 1, len(from_gallery) - 1, advice="a gallery card that is the query is not its own neighbour")
    cards = joined(queries.subset(from_queries), gallery.subset(from_gallery))
    encoders = []
    for name, (gallery_h, query_h) in features.items():
        codes, step = quantised(torch.cat([query_h[from_queries], gallery_h[from_gallery]]))
        text = base64.b64encode(codes.numpy().tobytes()).decode()
        encoders.append({"name": name, "dimensions": codes.shape[1], "step": step, "codes": text})
    data = {
        **sprite(to_float(cards.images)),
        "queries": len(from_queries),
        "labels": cards.labels.tolist(),
        "classes": list(cards.class_names),
        "encoders": encoders,
        "k": k,
    }
    return data, cards


def joined(first: ImageSet, second: ImageSet) -> ImageSet:
    """Two sets of the same classes as one; only the factors that both have."""
    return ImageSet(
        torch.cat([first.images, second.images]),
        torch.cat([first.labels, second.labels]),
        first.class_names,
        {
            name: torch.cat([values, second.factors[name]])
            for name, values in first.factors.items()
            if name in second.factors
        },
    )
