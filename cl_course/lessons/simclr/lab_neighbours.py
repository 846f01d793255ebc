"""Neighbours lab: choose a query, and see what each description of images holds for the nearest cards."""

from collections.abc import Mapping

import ipywidgets as widgets
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Tensor

from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.neighbours import neighbour_grid
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import canvas, png

Features = Mapping[str, tuple[Tensor, Tensor]]


def neighbours(gallery: ImageSet, queries: ImageSet, features: Features, which: Tensor, k: int = 6) -> Figure:
    """A few queries, each with the k gallery images that are nearest in cosine similarity.

    Args:
        features: name of a description -> its features of all gallery images (n, d) and all queries (m, d).
        which: positions of the queries to show, (q,).
    """
    found = {}
    for name, (gallery_h, query_h) in features.items():
        similarity = F.normalize(query_h[which], dim=1) @ F.normalize(gallery_h, dim=1).T  # (q, n)
        nearest = similarity.topk(k, dim=1).indices  # (q, k)
        right = gallery.labels[nearest] == queries.labels[which][:, None]
        found[name] = (channels_last(to_float(gallery.images[nearest])), right.numpy())
    return neighbour_grid(channels_last(to_float(queries.images[which])), found)


def neighbours_lab(gallery: ImageSet, queries: ImageSet, features: Features, k: int = 6, rows: int = 3) -> None:
    """A slider walks through the queries, `rows` at a time; arguments as in `neighbours`."""
    slider = widgets.IntSlider(
        0, min=0, max=len(queries) - rows, step=rows, description="first query", layout=widgets.Layout(width="420px")
    )
    picture = canvas(950)
    words = widgets.HTML()

    def draw(_=None) -> None:
        which = torch.arange(slider.value, slider.value + rows)
        picture.value = png(neighbours(gallery, queries, features, which, k))
        words.value = "Queries: " + ", ".join(queries.class_names[label] for label in queries.labels[which]) + "."

    slider.observe(draw, "value")
    draw()
    display(lab_view("Neighbours lab", slider, picture, words))
