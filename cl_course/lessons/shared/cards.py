"""Figures of scores, and of the words anchor, positive, negative. Images are arrays (n, h, w, 3) in [0, 1]."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, subplots

COLOURS = {
    "mean colour": ORANGE,
    "colour histogram": PINK,
    "raw pixels": BLUE,
    "guessing": MUTED,
    "trained network": GREEN,
}
MARKERS = {
    "mean colour": "o",
    "colour histogram": "D",
    "raw pixels": "s",
    "guessing": "v",
    "trained network": "^",
}


def draw_card(axes: Axes, image: np.ndarray, caption: str = "", *, frame: str | None = None, color: str = INK) -> None:
    """One card without ticks; `frame` colours and thickens its edge."""
    axes.imshow(image, interpolation="nearest", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.set_xlabel(caption, fontsize=9, color=color)
    for spine in axes.spines.values():
        spine.set(visible=True, color=frame or "white", linewidth=4 if frame else 1)


def card_grid(images: np.ndarray, columns: int, captions: Sequence[str] = (), width: float = 9.0) -> Figure:
    """Cards row by row."""
    rows = -(-len(images) // columns)
    figure, axes = subplots(
        rows, columns, width=width, height=width * rows / columns * (1.2 if captions else 1.0), squeeze=False
    )
    for i, place in enumerate(axes.flat):
        if i < len(images):
            draw_card(place, images[i], captions[i] if captions else "")
        else:
            place.set_axis_off()
    return figure


def mean_and_reach(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (k, seeds): the mean over seeds (k,), and how far the smallest and the largest lie from it, (2, k)."""
    mean = values.mean(axis=1)
    return mean, np.stack([mean - values.min(axis=1), values.max(axis=1) - mean]).clip(min=0)  # rounding


def score_figure(levels: Sequence[str], scores: Mapping[str, np.ndarray], chance: float) -> Figure:
    """How often each player found the partner, by disguise.

    Args:
        scores: player -> share found, (levels,) or (levels, seeds); with seeds, the mean and a bar over all of them.
    """
    figure, axes = subplots(width=8, height=3.6)
    axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        f"1 of {round(1 / chance)}",
        (len(levels) - 0.5, chance),
        xytext=(3, 0),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
        va="center",
        annotation_clip=False,
    )
    for number, (player, found) in enumerate(scores.items()):
        found = np.asarray(found, float).reshape(len(levels), -1)
        x = np.arange(len(levels)) + 0.05 * (number - (len(scores) - 1) / 2)
        mean, spread = mean_and_reach(found)
        axes.errorbar(
            x,
            mean,
            spread,
            color=COLOURS.get(player, INK),
            marker=MARKERS.get(player, "o"),
            markersize=6,
            capsize=3,
            linewidth=1.5,
            label=player,
        )
    axes.set(
        xticks=range(len(levels)),
        xticklabels=[level.replace(", ", ",\n") for level in levels],
        ylim=(0, 1.06),
        ylabel="share of rounds won",
        xlim=(-0.4, len(levels) - 0.5),
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.6), frameon=False)
    return figure


def roles_figure(anchor: np.ndarray, positive: np.ndarray, negatives: np.ndarray) -> Figure:
    """The three words in one picture: the anchor pulls its positive near and pushes the negatives away."""
    figure, axes = subplots(width=8, height=3.2)
    axes.set(xlim=(0, 8), ylim=(0, 3.2))
    axes.set_axis_off()

    def card(image: np.ndarray, x: float, y: float, size: float, label: str, color: str) -> None:
        inset = axes.inset_axes([x, y, size, size], transform=axes.transData)
        draw_card(inset, image, frame=color)
        axes.text(x + size / 2, y - 0.08, label, ha="center", va="top", fontsize=10, color=color)

    def arrow(start: float, end: float, color: str) -> None:
        axes.add_patch(
            FancyArrowPatch(
                (start, 1.7),
                (end, 1.7),
                arrowstyle="-|>",
                color=color,
                linewidth=2,
                mutation_scale=16,
                shrinkA=1,
                shrinkB=1,
            )
        )

    card(anchor, 2.6, 1.05, 1.3, "anchor", INK)
    card(positive, 0.25, 1.05, 1.3, "positive: the same card,\nin another disguise", GREEN)
    arrow(1.6, 2.06, GREEN)
    arrow(2.55, 2.09, GREEN)
    axes.text(2.08, 1.85, "pull", ha="center", color=GREEN)
    for i, image in enumerate(negatives):
        x, y = 5.4 + (i % 2) * 1.25, 2.05 - (i // 2) * 1.15
        card(image, x, y, 0.95, "", RED)
    axes.text(6.53, 0.72, "negatives: other cards", ha="center", va="top", fontsize=10, color=RED)
    arrow(4.05, 5.3, RED)
    axes.text(4.65, 1.85, "push", ha="center", color=RED)
    return figure


def labels_per_class_figure(
    labels_per_class: Sequence[int], accuracies: Mapping[str, np.ndarray], chance: float
) -> Figure:
    """Accuracy against how many images a class carry a label.

    Args:
        accuracies: features -> accuracy (len(labels_per_class), seeds).
    """
    figure, axes = subplots(width=7, height=3.4)
    axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "guessing",
        (labels_per_class[-1], chance),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
        ha="right",
    )
    for (name, accuracy), color, marker in zip(accuracies.items(), (GREEN, BLUE, ORANGE), "^sD"):
        mean, spread = mean_and_reach(accuracy)
        axes.errorbar(labels_per_class, mean, spread, color=color, marker=marker, capsize=3, label=name)
    axes.set(
        xscale="log",
        xticks=labels_per_class,
        xticklabels=labels_per_class,
        ylim=(0, 1.04),
        xlabel="labelled cards per class",
        ylabel="accuracy on new cards",
    )
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.6), frameon=False)
    return figure
