"""Lesson 10: pictures with captions, the table of a batch, a run, what captions keep, and two clouds on one sphere."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cl_course.lessons.shared.seeds import seed_dots
from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PALETTE, subplots

MARKERS = "osD^vPX"


def captioned(images: np.ndarray, captions: Sequence[str], columns: int = 4) -> Figure:
    """Pictures (n, h, w, 3) in [0, 1] with their captions below, in rows of `columns`."""
    rows = -(-len(images) // columns)
    figure, axes = subplots(rows, columns, width=9, height=2.2 * rows, squeeze=False)
    for panel in axes.flat:
        panel.set_axis_off()
    for panel, image, caption in zip(axes.flat, images, captions):
        panel.imshow(image, interpolation="nearest")
        panel.text(0.5, -0.04, textwrap.fill(caption, 26), transform=panel.transAxes, ha="center", va="top", fontsize=9)
    return figure


def pair_table(images: np.ndarray, captions: Sequence[str], similarities: np.ndarray) -> Figure:
    """n images against n captions, (n, n) in [-1, 1]; each image stands at its row, the right pairs are framed."""
    n = len(captions)
    figure, axes = subplots(width=8.4, height=4.9)
    axes.imshow(similarities, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto", extent=(-0.5, n - 0.5, n - 0.5, -0.5))
    for i in range(n):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.8))
        for j in range(n):
            dark = abs(similarities[i, j]) > 0.6
            axes.text(
                j, i, f"{similarities[i, j]:.2f}", ha="center", va="center", color="white" if dark else INK, fontsize=9
            )
        picture = axes.inset_axes([-1.55, i - 0.45, 0.9, 0.9], transform=axes.transData)
        picture.imshow(images[i], interpolation="nearest")
        picture.set_axis_off()
    axes.set_xticks(range(n), [textwrap.fill(caption, 15) for caption in captions], fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xlim(-1.6, n - 0.48)
    axes.spines[:].set_visible(False)
    return figure


def run_figure(rows: Sequence[Mapping], chance: float) -> Figure:
    """Loss against the line of guessing, and the learned temperature, by epoch."""
    figure, (left, right) = subplots(1, 2, width=9, height=2.8)
    epochs = [row["epoch"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color=BLUE, marker="o")
    left.axhline(chance, color=MUTED, linestyle="--")
    left.text(epochs[-1], 1.01 * chance, "guessing, ln n", ha="right", va="bottom", fontsize=9, color=MUTED)
    left.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, 1.12 * chance))
    right.plot(epochs, [row["temperature"] for row in rows], color=ORANGE, marker="s")
    right.set(xlabel="epoch", ylabel="learned temperature T", ylim=(0, None))
    return figure


def kept_figure(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """What can be read from h: factor -> kind of training -> one score a seed; dots, and a bar for their mean."""
    figure, axes = subplots(width=9, height=3.6)
    kinds = list(next(iter(scores.values())))
    for place, by_kind in enumerate(scores.values()):
        for number, (kind, values) in enumerate(by_kind.items()):
            x = place + (number - (len(kinds) - 1) / 2) * 0.13
            label = kind if place == 0 else None
            seed_dots(axes, x, values, PALETTE[number], MARKERS[number], label, width=0.05)
    axes.set_xticks(range(len(scores)), scores)
    axes.grid(axis="x", visible=False)
    axes.set(ylabel="accuracy or R²", ylim=(min(0, axes.get_ylim()[0]), 1.05))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return figure


def gap_figure(clouds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Name -> embeddings of images and of their texts, (n, d) each: their plane of largest spread, pairs joined."""
    figure, axes = subplots(1, len(clouds), width=9, height=3.7)
    for panel, (name, (images, texts)) in zip(axes, clouds.items()):
        both = np.concatenate([images, texts])
        centred = both - both.mean(axis=0)
        plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        first, second = plane[: len(images)], plane[len(images) :]
        panel.plot(*np.stack([first, second], axis=1).transpose(2, 1, 0), color=MUTED, linewidth=0.4, alpha=0.6)
        panel.scatter(*first.T, s=12, color=BLUE, marker="o", label="images", zorder=3)
        panel.scatter(*second.T, s=14, color=ORANGE, marker="^", label="texts", zorder=3)
        panel.set_title(name, fontsize=11)
        panel.set_aspect("equal", adjustable="datalim")
        panel.set(xticks=[], yticks=[])
    axes[0].legend(loc="best", labelcolor=INK)
    axes[0].set_ylabel("second axis of spread")
    axes[0].set_xlabel("first axis of spread")
    return figure


def floors_figure(curves: Mapping[str, Sequence[Mapping]], lines: Mapping[str, float]) -> Figure:
    """Losses of runs by epoch, and levels with a name."""
    figure, axes = subplots(width=7, height=3.0)
    for (name, rows), color, marker in zip(curves.items(), (BLUE, GREEN, ORANGE), MARKERS):
        axes.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color=color, marker=marker, label=name)
    last = next(iter(curves.values()))[-1]["epoch"]
    for name, level in lines.items():
        axes.axhline(level, color=MUTED, linestyle="--", linewidth=1)
        axes.text(last, level - 0.05, name, ha="right", va="top", fontsize=9, color=MUTED)
    axes.set(xlabel="epoch", ylabel="loss (nats)", ylim=(0, None))
    axes.legend(loc="lower left")
    return figure
