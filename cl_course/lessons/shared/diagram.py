"""What diagrams of a method are drawn with: pictures, boxes and arrows on axes measured in inches."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from cl_course.lessons.shared.style import INK, MUTED, new_figure


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure and axes that cover it: (0, 0) is its lower left corner, a unit is an inch."""
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes([0.0, 0.0, 1.0, 1.0])
    axes.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def picture(axes: Axes, image: np.ndarray, x: float, y: float, size: float = 0.9, name: str = "") -> None:
    """An image (h, w, 3) in [0, 1] with its lower left corner at (x, y), its name below."""
    axes.imshow(image, extent=(x, x + size, y, y + size), interpolation="nearest", aspect="auto")
    axes.text(x + size / 2, y - 0.13, name, fontsize=9, ha="center", va="center")


def box(axes: Axes, x: float, y: float, name: str, color: str, width: float = 1.2, dashed: bool = False) -> None:
    """A box with a name, its left edge at x, its middle at y."""
    look = {"facecolor": "white", "edgecolor": color, "linewidth": 2, "linestyle": "--" if dashed else "-"}
    axes.add_patch(FancyBboxPatch((x + 0.05, y - 0.3), width - 0.1, 0.6, boxstyle="round,pad=0.03", **look))
    axes.text(x + width / 2, y, name, fontsize=10.5, ha="center", va="center", color=color)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    color: str = MUTED,
    style: str = "->",
    width: float = 1.3,
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle=style, mutation_scale=11, color=color, linewidth=width, shrinkA=0, shrinkB=0
        )
    )


def note(axes: Axes, x: float, y: float, text: str, color: str = INK, size: float = 8.5, **place) -> None:
    """A small text, centred at (x, y) unless `place` (ha, va) says otherwise."""
    axes.text(x, y, text, fontsize=size, color=color, **{"ha": "center", "va": "center"} | place)
