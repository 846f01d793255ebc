"""Retrieval lab: one query, one encoder, its nearest cards, and what these have in common with the query."""

from collections.abc import Mapping

import ipywidgets as widgets
import torch
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor

from cl_course.data import ImageSet, to_float
from cl_course.evaluate import retrieve
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.neighbours import neighbour_grid
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import canvas, png

Features = Mapping[str, tuple[Tensor, Tensor]]
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


class RetrievalLab:
    """A slider through the queries and a button for each encoder.

    Args:
        gallery, queries: images with labels and factors.
        features: name of a description -> its features of all gallery images (n, d) and all queries (m, d).
        k: cards shown.
    """

    def __init__(self, gallery: ImageSet, queries: ImageSet, features: Features, k: int = 10):
        self.gallery, self.queries = gallery, queries
        self.found = {name: retrieve(query_h, gallery_h, k)[0] for name, (gallery_h, query_h) in features.items()}
        self.chance = by_chance(gallery, queries)
        self.query = widgets.IntSlider(
            0, max=len(queries) - 1, description="query", layout=widgets.Layout(width="420px")
        )
        self.encoder = widgets.ToggleButtons(
            options=list(features),
            description="searched by",
            style={"button_width": "auto", "description_width": "initial"},
        )
        self.picture, self.words = canvas(950), widgets.HTML()
        for control in (self.query, self.encoder):
            control.observe(self._draw, "value")
        self.view = lab_view("Retrieval lab", self.query, self.encoder, self.picture, self.words)
        self._draw()

    @property
    def nearest(self) -> Tensor:
        """Rows of the gallery, (1, k)."""
        return self.found[self.encoder.value][self.query.value][None]

    def figure(self) -> Figure:
        """The picture as it stands."""
        which = torch.tensor([self.query.value])
        right = self.gallery.labels[self.nearest] == self.queries.labels[which][:, None]
        pictures = [
            channels_last(to_float(images))
            for images in (self.queries.images[which], self.gallery.images[self.nearest])
        ]
        return neighbour_grid(pictures[0], {self.encoder.value: (pictures[1], right.numpy())})

    @property
    def sentence(self) -> str:
        query = self.queries.subset(torch.tensor([self.query.value]))
        k, label = self.nearest.shape[1], int(query.labels)
        right = int((self.gallery.labels[self.nearest] == label).sum())
        apart = differences(self.gallery, query, self.nearest)
        parts = ", ".join(
            f"{DIFFERENCES[name]} {value:.2f} (by chance {self.chance[name]:.2f})" for name, value in apart.items()
        )
        return (
            f"{self.encoder.value}: {right} of {k} are a {self.queries.class_names[label]}, as the query is. "
            f"Mean difference from the query: {parts}."
        )

    def _draw(self, _=None) -> None:
        self.picture.value = png(self.figure())
        self.words.value = self.sentence


def retrieval_lab(gallery: ImageSet, queries: ImageSet, features: Features) -> None:
    """Show a RetrievalLab under the cell."""
    display(RetrievalLab(gallery, queries, features).view)
