"""Lesson 02: the question, its matrix, the chance line, and what a loss says about information."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, subplots


def lineup(anchor: np.ndarray, candidates: np.ndarray) -> Figure:
    """The anchor at the left, its numbered candidates in two rows: pictures (h, w, 3) and (m, h, w, 3) in [0, 1]."""
    columns = (len(candidates) + 1) // 2
    figure, axes = subplots(2, columns + 2, width=9, height=2.5, width_ratios=[1] * (columns + 2))
    for panel in axes.flat:
        panel.set_axis_off()
    for number, (panel, picture) in enumerate(zip(axes[:, 2:].flat, candidates)):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(str(number), fontsize=9, loc="center", pad=2)
    left = figure.add_subplot(axes[0, 0].get_gridspec()[:, :2])
    left.imshow(anchor, interpolation="nearest")
    left.set_title("anchor", fontsize=10, loc="center")
    left.set_axis_off()
    return figure


def similarity_matrix(similarities: np.ndarray) -> Figure:
    """All 2n views against all: the diagonal crossed out, every view's partner framed. (2n, 2n) in [-1, 1]."""
    views = len(similarities)
    n = views // 2
    figure, axes = subplots(width=5.6, height=4.4)
    picture = axes.imshow(similarities, cmap="PuOr_r", vmin=-1, vmax=1)
    for i in range(views):
        axes.plot(i, i, marker="x", color=MUTED, markersize=7)
        axes.add_patch(Rectangle(((i + n) % views - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.6))
    names = [f"{letter}{view}" for view in (1, 2) for letter in "ABCDEFGHIJKL"[:n]]
    axes.set_xticks(range(views), names, fontsize=8)
    axes.set_yticks(range(views), names, fontsize=8)
    axes.set(xlabel="candidate", ylabel="anchor")
    axes.grid(visible=False)
    figure.colorbar(picture, ax=axes, label="cosine similarity", shrink=0.8)
    return figure


def chance_line(
    sizes: Sequence[int], chance: Sequence[float], measured: Mapping[str, Mapping[int, Sequence[float]]]
) -> Figure:
    """ln(2n - 1) over the batch size n, and what was measured: name -> n -> one loss a seed."""
    figure, axes = subplots(width=7, height=3.4)
    axes.plot(sizes, chance, color=MUTED, linestyle="--", label="chance line, ln(2n - 1)")
    for place, ((name, by_size), color, marker) in enumerate(
        zip(measured.items(), (BLUE, ORANGE, PINK, GREEN), "osD^")
    ):
        beside = 1.05 ** (place - 1)  # so that equal losses do not hide each other
        points = [(n * beside, loss) for n, losses in by_size.items() for loss in losses]
        axes.scatter(*zip(*points), color=color, marker=marker, s=26, label=name, zorder=3)
    axes.set(xscale="log", xlabel="images in the batch, n", ylabel="loss (nats)", ylim=(0, None))
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.legend(loc="lower right", frameon=False)
    return figure


def information_bound(true: Sequence[float], bounds: Mapping[int, np.ndarray]) -> Figure:
    """ln n - loss against the information there is, both in nats: n -> (seeds, len(true))."""
    figure, axes = subplots(width=6.4, height=3.6)
    axes.plot([0, max(true)], [0, max(true)], color=MUTED, linewidth=1)
    axes.annotate(
        "what there is",
        (max(true) * 0.8, max(true) * 0.8),
        xytext=(-4, 4),
        textcoords="offset points",
        color=MUTED,
        fontsize=9,
        ha="right",
    )
    for (n, values), color, marker in zip(bounds.items(), (BLUE, ORANGE, GREEN), "osD"):
        axes.axhline(np.log(n), color=color, linestyle=":", linewidth=1)
        axes.annotate(
            f"ln {n}",
            (max(true), np.log(n)),
            xytext=(0, 2),
            textcoords="offset points",
            color=color,
            fontsize=9,
            ha="right",
        )
        axes.errorbar(
            true,
            values.mean(axis=0),
            yerr=values.std(axis=0, ddof=1),
            color=color,
            marker=marker,
            markersize=4,
            capsize=2,
            label=f"n = {n}",
        )
    axes.set(xlabel="mutual information of the two views (nats)", ylabel="ln n - loss (nats)")
    axes.legend(loc="upper left", frameon=False)
    return figure


def loss_curves(curves: Mapping[str, np.ndarray], chance: float) -> Figure:
    """Losses step by step, name -> (seeds, steps), against the chance line."""
    figure, axes = subplots(width=7, height=3)
    axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    last = max(values.shape[1] for values in curves.values()) - 1
    axes.annotate(
        f"chance {chance:.2f}",
        (last, chance),
        xytext=(0, -6),
        textcoords="offset points",
        color=MUTED,
        fontsize=9,
        ha="right",
        va="top",
    )
    for (name, values), color, style in zip(curves.items(), (ORANGE, BLUE), ("-", "--")):
        for seed, losses in enumerate(values):
            axes.plot(losses, color=color, linestyle=style, linewidth=1.3, label=name if seed == 0 else None)
    axes.set(xlabel="step", ylabel="loss (nats)", ylim=(0, 1.2 * chance))
    axes.legend(loc="lower left", frameon=False)
    return figure
