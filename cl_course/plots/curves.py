"""Curves of recorded runs by epoch: every seed thin, their mean thick."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes


def seed_curves(axes: Axes, groups: Mapping[str, Sequence[Mapping]], measure: str, looks: Sequence[tuple], labelled: bool) -> np.ndarray:
    """Draw one measure of every group; returns the epochs, 1, 2, ...

    Args:
        groups: name -> for each seed a dict of measures, one value an epoch.
        looks: (colour, line style, ...) for each group, in order.
        labelled: whether the names go into the figure's legend.
    """
    for (name, runs), (color, style, *_) in zip(groups.items(), looks):
        curves = np.array([run[measure] for run in runs])  # (seeds, epochs)
        epochs = np.arange(1, curves.shape[1] + 1)
        axes.plot(epochs, curves.mean(axis=0), color=color, linestyle=style, linewidth=2, label=name if labelled else None)
        axes.plot(epochs, curves.T, color=color, linestyle=style, linewidth=0.7, alpha=0.5)
    return epochs
