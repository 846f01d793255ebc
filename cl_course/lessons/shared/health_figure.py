"""The health panel as a figure: what to look at while a network learns without labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, subplots


def health_panel(
    rows: Sequence[dict],
    *,
    epochs: int,
    chance: float,
    positive: np.ndarray,
    negative: np.ndarray,
    dim: int,
    same_class: np.ndarray | None = None,
    title: str = "",
) -> Figure:
    """Loss against the chance line, similarities, neighbours, and collapse, after the last of `rows`.

    Args:
        rows: one dict an epoch with "epoch", "loss", "spread", "effective_rank" and perhaps "knn".
        epochs: how long the axis is; chance: the loss of guessing.
        positive, negative: cosine similarities of positive and of negative pairs, now.
        same_class: bool, as long as `negative`: which of those pairs show one class; drawn apart.
        dim: the number of dimensions that the effective rank is counted against.
    """
    figure, (left, middle, right, last) = subplots(1, 4, width=11, height=2.7)
    epoch = [row["epoch"] for row in rows]

    left.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    left.annotate(
        f"chance {chance:.2f}",
        (epochs, chance),
        xytext=(0, -4),
        textcoords="offset points",
        color=MUTED,
        fontsize=8,
        ha="right",
        va="top",
    )
    left.plot(epoch, [row["loss"] for row in rows], color=BLUE, marker="o", markersize=3)
    left.set_title("Loss", loc="left", fontsize=11)
    left.set(xlabel="epoch", xlim=(0, epochs + 0.5), ylim=(0, chance * 1.12))

    bins = np.linspace(-1, 1, 41)
    if same_class is None:
        middle.hist(negative, bins=bins, density=True, color=ORANGE, alpha=0.65, label="negative pairs")
    else:
        others = negative[~same_class]
        middle.hist(others, bins=bins, density=True, color=ORANGE, alpha=0.65, label="negative, other class")
    middle.hist(positive, bins=bins, density=True, color=BLUE, alpha=0.65, label="positive pairs")
    if same_class is not None and same_class.any():
        look = {"histtype": "step", "color": INK, "linewidth": 1.3, "linestyle": "--"}
        middle.hist(negative[same_class], bins=bins, density=True, label="negative, same class", **look)
    middle.set_title("Similarity of pairs", loc="left", fontsize=11)
    middle.set(xlabel="cosine similarity", yticks=[], xlim=(-1, 1))
    middle.set_ylim(0, 1.5 * middle.get_ylim()[1])  # room for the names above
    middle.legend(loc="upper left", handlelength=1, frameon=False, fontsize=8)

    if any("knn" in row for row in rows):
        known = [row for row in rows if row.get("knn") is not None]
        right.plot(
            [row["epoch"] for row in known], [row["knn"] for row in known], color=GREEN, marker="o", markersize=3
        )
        right.annotate(
            f"{known[-1]['knn']:.3f}",
            (known[-1]["epoch"], known[-1]["knn"]),
            xytext=(-4, 6) if known[-1]["knn"] < 0.8 else (-4, -14),  # not into the title
            textcoords="offset points",
            ha="right",
            fontsize=9,
        )
    right.set_title("kNN accuracy (validation)", loc="left", fontsize=11)
    right.set(xlabel="epoch", xlim=(0, epochs + 0.5), ylim=(0, 1.05))

    last.plot(epoch, [row["spread"] for row in rows], color=BLUE, marker="o", markersize=3, label="spread of z")
    last.plot(
        epoch,
        [row["effective_rank"] / dim for row in rows],
        color=ORANGE,
        marker="s",
        markersize=3,
        label="effective rank of h / d",
    )
    last.set_title("Collapse? (near 0: yes)", loc="left", fontsize=11)
    last.set(xlabel="epoch", xlim=(0, epochs + 0.5), ylim=(0, 1.5), yticks=[0, 0.5, 1])
    last.legend(loc="upper left", handlelength=1, fontsize=8, frameon=False)  # above 1, where no line goes
    for panel in (left, right, last):
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure
