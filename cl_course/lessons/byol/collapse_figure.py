"""BYOL with and without collapse: its embeddings on the sphere, and the curves that show which it is."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_course.lessons.shared.seeds import seed_curves
from cl_course.lessons.shared.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PALETTE, PINK, RED, subplots

KNOWS_NOTHING = 4.0  # BYOL's loss where predictions are orthogonal to their targets


def _sphere(axes: Axes, cards: int, size: float = 34) -> tuple[list, list]:
    """A unit circle with a disc and a square for each card, joined by a line."""
    axes.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal", xticks=[], yticks=[], frame_on=False)
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=GRID, linewidth=1.5, zorder=0, clip_on=False)
    colors = [PALETTE[i % len(PALETTE)] for i in range(cards)]
    chords = [axes.plot([], [], color=color, linewidth=0.7, alpha=0.5)[0] for color in colors]
    points = [
        axes.scatter(
            np.zeros(cards),
            np.zeros(cards),
            color=colors,
            marker=marker,
            s=s,
            edgecolor="white",
            linewidth=0.5,
            zorder=3,
            clip_on=False,
        )
        for marker, s in (("o", size), ("s", size / 2))
    ]
    return points, chords


def _place(points: list, chords: list, where: np.ndarray) -> None:
    for dots, place in zip(points, where):
        dots.set_offsets(place)
    for card, chord in enumerate(chords):
        chord.set_data(where[:, card, 0], where[:, card, 1])


def ends_figure(ends: Mapping[str, tuple[np.ndarray, str]]) -> Figure:
    """Where the embeddings of several runs lie: name -> points of both views, (2, cards, 2), and a caption."""
    figure, axes = subplots(1, len(ends), width=9.6, height=2.5)
    for panel, (name, (points, caption)) in zip(axes, ends.items()):
        _place(*_sphere(panel, points.shape[1], size=12), points)
        panel.set_title(name, fontsize=10, loc="center")
        panel.set_xlabel(caption.replace(", ", "\n"), fontsize=9)
    return figure


CURVES = {
    "loss": ("Loss", (0, 4.3)),
    "spread": ("Spread of z", (0, 1.08)),
    "rank_z": ("Eff. rank of z", (0, None)),
    "rank_h": ("Eff. rank of h", (0, None)),
    "knn": ("kNN (validation)", (0, 1.0)),
}
LOOKS = ((INK, "-"), (RED, "--"), (ORANGE, "-."), (PINK, ":"), (BLUE, "--"), (GREEN, "-."))


def curves_figure(groups: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> Figure:
    """Long runs by epoch.

    Args:
        groups: up to six: name -> for each seed a dict of CURVES' measures, one value an epoch.
    """
    figure, axes = subplots(1, len(CURVES), width=10.5, height=3.1)
    for panel, (measure, (title, limits)) in zip(axes, CURVES.items()):
        epochs = seed_curves(panel, groups, measure, LOOKS, labelled=measure == "loss")
        panel.set_title(title, loc="left", fontsize=10.5)
        panel.set(ylim=limits, xlabel="epoch", xlim=(0.8, epochs[-1] + 0.2), xticks=epochs)
    axes[0].axhline(KNOWS_NOTHING, color=MUTED, linestyle="--", linewidth=1)
    figure.legend(loc="outside lower center", ncols=len(groups), frameon=False, handlelength=2.6, columnspacing=1.4)
    return figure
