"""How recorded runs of several seeds are drawn: each of them, and their mean."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes


def seed_curves(
    axes: Axes, groups: Mapping[str, Sequence[Mapping]], measure: str, looks: Sequence[tuple], labelled: bool
) -> np.ndarray:
    """One measure of every group by epoch, every seed thin, their mean thick; returns the epochs, 1, 2, ...

    Args:
        groups: name -> for each seed a dict of measures, one value an epoch.
        looks: (colour, line style, ...) for each group, in order.
        labelled: whether the names go into the figure's legend.
    """
    for (name, runs), (color, style, *_) in zip(groups.items(), looks):
        curves = np.array([run[measure] for run in runs])  # (seeds, epochs)
        epochs = np.arange(1, curves.shape[1] + 1)
        axes.plot(
            epochs, curves.mean(axis=0), color=color, linestyle=style, linewidth=2, label=name if labelled else None
        )
        axes.plot(epochs, curves.T, color=color, linestyle=style, linewidth=0.7, alpha=0.5)
    return epochs


def seed_dots(
    axes: Axes, x: float, values: Sequence[float], color: str, marker: str, label: str | None, width: float = 0.08
) -> None:
    """Every seed as a dot beside `x`, and their mean as a bar from x - width to x + width."""
    axes.plot([x - width, x + width], [np.mean(values)] * 2, color=color, linewidth=2)
    across = x + np.linspace(-0.5, 0.5, len(values)) * width if len(values) > 1 else [x]
    axes.scatter(
        across, values, s=20, color=color, marker=marker, edgecolor="white", linewidth=0.5, label=label, zorder=3
    )
