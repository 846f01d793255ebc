"""SimCLR as a picture: one image, two views, one network, and what the loss pulls and pushes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, new_figure


def pipeline_figure(image: np.ndarray, view1: np.ndarray, view2: np.ndarray, dims: tuple[int, int]) -> Figure:
    """From an image to the loss; pictures are (h, w, 3) in [0, 1], `dims` the lengths of h and z."""
    figure = new_figure(9.5, 3.1)
    figure.set_layout_engine("none")
    axes = figure.add_axes([0.0, 0.0, 1.0, 1.0])
    axes.set(xlim=(0, 9.5), ylim=(0, 3.1))
    axes.set_axis_off()
    _picture(axes, image, 0.25, 1.05, "image")
    for number, view, y in ((1, view1, 2.25), (2, view2, 0.85)):
        _picture(axes, view, 2.05, y - 0.45, f"view{number}")
        _arrow(axes, (1.2, 1.5), (2.0, y))
        _box(axes, 3.45, y, "encoder", BLUE)
        _arrow(axes, (3.0, y), (3.42, y))
        _arrow(axes, (4.67, y), (5.08, y))
        axes.text(5.3, y, f"h{number}", fontsize=13, ha="center", va="center", color=BLUE)
        axes.text(5.3, y - 0.32, f"{dims[0]} numbers", fontsize=8, ha="center", va="center", color=MUTED)
        _arrow(axes, (5.52, y), (5.92, y))
        _box(axes, 5.95, y, "projector", ORANGE)
        _arrow(axes, (7.17, y), (7.55, y))
        axes.text(7.8, y, f"z{number}", fontsize=13, ha="center", va="center", color=ORANGE)
        axes.text(7.8, y - 0.32, f"{dims[1]} numbers", fontsize=8, ha="center", va="center", color=MUTED)
    axes.text(1.74, 1.5, "augment,\ntwice", fontsize=8.5, ha="center", va="center", color=MUTED)
    for x in (4.06, 6.56):
        axes.text(x, 1.55, "the same\nweights", fontsize=8.5, ha="center", va="center", color=MUTED)
    axes.add_patch(
        FancyArrowPatch(
            (7.8, 1.82),
            (7.8, 1.08),
            arrowstyle="<->",
            mutation_scale=14,
            color=GREEN,
            linewidth=2,
            shrinkA=0,
            shrinkB=0,
        )
    )
    axes.text(
        7.92,
        1.45,
        "pulled together;\nthe views of all other\nimages pushed away",
        fontsize=8.5,
        va="center",
        color=GREEN,
    )
    axes.plot([5.72, 5.72], [0.12, 2.85], color=MUTED, linewidth=1, linestyle=":")
    axes.text(5.64, 0.15, "kept for later", fontsize=8.5, ha="right", color=INK)
    axes.text(5.80, 0.15, "thrown away after training", fontsize=8.5, ha="left", color=INK)
    return figure


def _picture(axes: Axes, picture: np.ndarray, x: float, y: float, name: str) -> None:
    axes.imshow(picture, extent=(x, x + 0.9, y, y + 0.9), interpolation="nearest", aspect="auto")
    axes.text(x + 0.45, y - 0.13, name, fontsize=9, ha="center", va="center")
    axes.set(xlim=(0, 9.5), ylim=(0, 3.1))  # imshow moves the limits


def _box(axes: Axes, x: float, y: float, name: str, color: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x + 0.05, y - 0.3), 1.1, 0.6, boxstyle="round,pad=0.03", facecolor="white", edgecolor=color, linewidth=2
        )
    )
    axes.text(x + 0.6, y, name, fontsize=10.5, ha="center", va="center", color=color)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="->", mutation_scale=11, color=MUTED, linewidth=1.3, shrinkA=0, shrinkB=0
        )
    )
