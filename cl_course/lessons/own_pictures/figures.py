"""Figures of lesson 09: copies side by side, which pictures are labelled first, intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.cards import card_grid
from cl_course.lessons.shared.style import BLUE, INK, MUTED, subplots


def pairs_figure(images: np.ndarray, pairs: Sequence[tuple[int, int]], names: Sequence[str], most: int = 5) -> Figure:
    """Pairs of copies, one below the other: (later, earlier) positions of images (n, h, w, 3) in [0, 1]."""
    shown = list(pairs)[:most]
    places = [later for later, _ in shown] + [earlier for _, earlier in shown]
    return card_grid(images[places], len(shown), [names[place] for place in places], width=8.5)


def intervals_figure(shares: Mapping[str, tuple[float, float, float]], truth: float | None = None) -> Figure:
    """Name -> (share, low, high): a dot with its interval in a row each, and the known accuracy as a line."""
    figure, axes = subplots(width=7, height=0.5 * len(shares) + 1)
    for row, (share, low, high) in enumerate(shares.values()):
        axes.plot([low, high], [row, row], color=BLUE, linewidth=2)
        axes.plot(share, row, "o", color=BLUE)
    if truth is not None:
        axes.axvline(truth, color=INK, linestyle="--", linewidth=1)
        axes.annotate("all pictures", (truth, len(shares) - 0.5), fontsize=8, color=MUTED, ha="center")
    axes.set_yticks(range(len(shares)), list(shares))
    axes.set(xlim=(0, 1.02), ylim=(-0.6, len(shares) - 0.2), xlabel="accuracy, and Wilson's 95 % interval")
    axes.grid(axis="y", visible=False)
    return figure
