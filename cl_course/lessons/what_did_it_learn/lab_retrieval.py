"""Retrieval lab: any card, its nearest under each encoder, and what these have in common with it beyond the class."""

import torch
from IPython.display import display
from torch import Generator, Tensor

from cl_course.data import ImageSet
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.neighbour_cards import Features, neighbour_cards

# factor -> what its difference is called; hues lie on a circle.
DIFFERENCES = {
    "object_hue": "hue of the object",
    "background_hue": "hue of the background",
    "position": "place",
    "scale": "size",
}


def differences(gallery: ImageSet, queries: ImageSet, found: Tensor) -> dict[str, float]:
    """How far the found images are from their query in each factor, on average.

    Args:
        found: rows of the gallery for every query, (q, k).

    Returns:
        factor -> mean difference: of hues in turns, 0.25 by chance; of places the distance, in half-widths of an image.
    """
    apart = {}
    for name in DIFFERENCES:
        gap = gallery.factors[name][found] - queries.factors[name][:, None]
        gap = gap.norm(dim=2) if gap.ndim == 3 else gap.abs()
        apart[name] = float((torch.minimum(gap, 1 - gap) if name.endswith("hue") else gap).mean())
    return apart


def by_chance(gallery: ImageSet, queries: ImageSet, k: int = 100) -> dict[str, float]:
    """`differences` of k images drawn at random for every query."""
    return differences(
        gallery, queries, torch.randint(len(gallery), (len(queries), k), generator=Generator().manual_seed(0))
    )


def retrieval_lab(gallery: ImageSet, queries: ImageSet, features: Features, k: int = 10) -> None:
    """The neighbours lab with bars for DIFFERENCES below; the page searches and measures, see lab_retrieval.js.

    Arguments and errors as of `neighbour_cards`.

    Raises:
        ValueError: gallery or queries lack a factor.
    """
    for name in DIFFERENCES:
        if not (name in gallery.factors and name in queries.factors):
            raise ValueError(f"gallery and queries must have the factor {name!r}; take the set 'shapes', which has all")
    data, cards = neighbour_cards(gallery, queries, features, k)
    factors = [
        {
            "name": words,
            "unit": "turns" if name.endswith("hue") else "half-widths",
            "circular": name.endswith("hue"),
            "values": cards.factors[name].reshape(len(cards), -1).double().round(decimals=4).tolist(),
        }
        for name, words in DIFFERENCES.items()
    ]
    display(page_lab(__file__, "lab_retrieval", **data, factors=factors))
