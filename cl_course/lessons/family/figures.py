"""Lesson 11: whom a loss takes for positives, a matrix of correlations, a hinge, and runs with a part taken out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, subplots


def masks_figure(masks: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Name -> which views (columns) each view (row) takes for positives, (2n, 2n) bool; `names` are of the 2n views."""
    figure, axes = subplots(1, len(masks), width=8.4, height=3.9)
    for panel, (title, mask) in zip(axes, masks.items()):
        shown = np.where(np.eye(len(mask), dtype=bool), 0.35, np.where(mask, 1.0, 0.0))
        panel.imshow(shown, cmap="Blues", vmin=0, vmax=1.3)
        panel.set_title(title, fontsize=11)
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.set_xticks(np.arange(len(names)) - 0.5, minor=True)
        panel.set_yticks(np.arange(len(names)) - 0.5, minor=True)
        panel.grid(which="minor", color="white", linewidth=1)
        panel.grid(which="major", visible=False)
        panel.tick_params(which="both", length=0)
    return figure


def correlations_figure(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Name -> a cross-correlation matrix, (d, d) in [-1, 1]."""
    figure, axes = subplots(1, len(matrices), width=9, height=3.3)
    for panel, (title, matrix) in zip(axes, matrices.items()):
        drawn = panel.imshow(matrix, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
        panel.set_title(title, fontsize=10)
        panel.set(xticks=[], yticks=[], xlabel="dimension of z2")
        panel.grid(visible=False)
    axes[0].set_ylabel("dimension of z1")
    figure.colorbar(drawn, ax=list(axes), label="correlation", shrink=0.8)
    return figure


def hinge_figure() -> Figure:
    """VICReg's hinge on the standard deviation, and what it would be on the variance."""
    figure, axes = subplots(width=6.4, height=2.9)
    std = np.linspace(0, 1.6, 200)
    axes.plot(std, np.maximum(0, 1 - std), color=BLUE, label="max(0, 1 - standard deviation)")
    axes.plot(std, np.maximum(0, 1 - std**2), color=ORANGE, linestyle="--", label="max(0, 1 - variance)")
    axes.annotate(
        "flat here: no push\nout of a collapse", (0.04, 1.0), xytext=(0.35, 1.12), fontsize=9, color=INK, va="center",
        arrowprops={"arrowstyle": "->", "color": MUTED},
    )  # fmt: skip
    axes.set(xlabel="standard deviation of a dimension over the batch", ylabel="variance term", ylim=(-0.05, 1.3))
    axes.legend(loc="upper right", labelcolor=INK, fontsize=9)
    return figure


def parts_figure(runs: Sequence[Mapping], every: int) -> Figure:
    """Recorded small runs: spread and effective rank of z by step, whole and without each part, a line for each seed.

    Args:
        runs: one dict a run, with "row", "without" (empty for the whole) and "curves" of "spread" and "rank".
        every: steps from one value of a curve to the next.
    """
    rows = list(dict.fromkeys(run["row"] for run in runs))
    figure, axes = subplots(2, len(rows), width=2.5 * len(rows), height=4.6, sharex="col", sharey="row")
    for column, row in enumerate(rows):
        parts = list(dict.fromkeys(run["without"] for run in runs if run["row"] == row))
        for without, color, dash in zip(parts, (BLUE, ORANGE, GREEN), ("-", "--", ":")):
            named = f"without {without}" if without else "whole"
            for run in (run for run in runs if run["row"] == row and run["without"] == without):
                for panel, measure in zip(axes[:, column], ("spread", "rank")):
                    values = run["curves"][measure]
                    steps = every * np.arange(len(values))
                    panel.plot(steps, values, color=color, linestyle=dash, linewidth=1.3, label=named)
                named = None
        axes[0, column].set_title(row, fontsize=11)
        axes[1, column].set_xlabel("step")
        handles, labels = axes[1, column].get_legend_handles_labels()
        axes[0, column].legend(handles, labels, fontsize=7.5, loc="best", labelcolor=INK)
    axes[0, 0].set(ylabel="spread of z", ylim=(-0.04, 1.08))
    axes[1, 0].set(ylabel="effective rank of z", ylim=(0, None))
    return figure


def entropies_figure(runs: Sequence[Mapping], every: int, most: float) -> Figure:
    """Recorded small runs of DINO: both entropies of the targets by step, a panel for the whole and each part left out.

    Args:
        runs: one dict a run, with "without" and "curves" of "own" and "all".
        most: ln K, the entropy of a uniform distribution.
    """
    parts = list(dict.fromkeys(run["without"] for run in runs))
    figure, axes = subplots(1, len(parts), width=9.4, height=3.0, sharey=True)
    looks = (("all", ORANGE, "--", "of the mean target"), ("own", BLUE, "-", "of one target, mean"))
    for panel, without in zip(axes, parts):
        panel.axhline(most, color=MUTED, linestyle=":", linewidth=1)
        for measure, color, dash, named in looks:
            for run in (run for run in runs if run["without"] == without):
                values = run["curves"][measure]
                steps = every * np.arange(len(values))
                panel.plot(steps, values, color=color, linestyle=dash, linewidth=1.3, label=named)
                named = None
        panel.set_title(f"without {without}" if without else "whole", fontsize=11)
        panel.set_xlabel("step")
    axes[0].set(ylabel="entropy (nats)", ylim=(-0.1, 1.1 * most))
    axes[-1].legend(fontsize=8, loc="lower right", labelcolor=INK)  # most room where both are high
    return figure
