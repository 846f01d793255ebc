"""What a temperature does over all views of a data set."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, subplots


def temperature_sweep(
    temperatures: Sequence[float], counted: np.ndarray, alike: np.ndarray, total: int, share_alike: float
) -> Figure:
    """How many negatives count, and how much of the push falls on the anchor's own class.

    Args:
        temperatures: (t,); counted: effective number of negatives, (seeds, t); alike: shares in [0, 1], (seeds, t).
        total: how many negatives there are; share_alike: the share of them that is of the anchor's class.
    """
    figure, (left, right) = subplots(1, 2, width=9, height=3.1)
    for axes, curves, color in ((left, counted, BLUE), (right, alike, PINK)):
        for curve in curves:
            axes.plot(temperatures, curve, color=color, linewidth=1, alpha=0.5)
        axes.plot(temperatures, curves.mean(axis=0), color=color, marker="o", markersize=4)
        axes.set(xscale="log", xlabel="temperature", xticks=[0.01, 0.1, 1], xticklabels=["0.01", "0.1", "1"])
    left.axhline(total, color=MUTED, linestyle="--", linewidth=1)
    left.annotate(
        f"all {total}",
        (temperatures[0], total),
        xytext=(0, -4),
        textcoords="offset points",
        color=MUTED,
        va="top",
        fontsize=9,
    )
    left.set_title("Effective number of negatives", loc="left")
    left.set(
        yscale="log",
        ylim=(1, total * 1.4),
        yticks=[1, 10, 100],
        yticklabels=["1", "10", "100"],
    )
    right.axhline(share_alike, color=MUTED, linestyle="--", linewidth=1)
    right.annotate(
        "their share of the negatives",
        (temperatures[-1], share_alike),
        xytext=(0, -4),
        textcoords="offset points",
        color=MUTED,
        va="top",
        ha="right",
        fontsize=9,
    )
    right.set_title("Share of the push on the same class", loc="left")
    right.set(ylim=(0, 1))
    return figure


def trained_at(runs: Sequence[Mapping]) -> Figure:
    """How runs at several training temperatures ended: each with "temperature", "alignment", "uniformity", "knn"."""
    figure, panels = subplots(1, 3, width=9, height=2.9)
    temperatures = sorted({run["temperature"] for run in runs})
    shown = (
        ("alignment", "Alignment (0: partners meet)", BLUE, (0, 0.6)),
        ("uniformity", "Uniformity (lower: more even)", ORANGE, (-4, 0)),
        ("knn", "kNN accuracy (validation)", GREEN, (0, 1)),
    )
    for axes, (name, title, color, limits) in zip(panels, shown):
        values = [[run[name] for run in runs if run["temperature"] == t] for t in temperatures]
        axes.plot(range(len(values)), [np.mean(v) for v in values], color=color)
        for place, of_seeds in enumerate(values):
            axes.scatter([place] * len(of_seeds), of_seeds, color=color, edgecolor=INK, linewidth=0.5, s=28, zorder=3)
        axes.set(
            title=title,
            ylim=limits,
            xlabel="trained at temperature",
            xticks=range(len(values)),
            xticklabels=[f"{t:g}" for t in temperatures],
            xlim=(-0.4, len(values) - 0.6),
        )
    return figure
