"""Lesson 08: what a step costs, what a method does with photos over its epochs, and what one change does."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.seeds import seed_dots
from cl_course.lessons.shared.style import BLUE, MUTED, ORANGE, PALETTE, subplots

NAMES = {"small": "small ResNet", "resnet18": "ResNet-18"}
MARKERS = "osD^vPX"


def cost_figure(table: Mapping) -> Figure:
    """Seconds and megabytes of a step by batch, a line for each encoder and image side; both axes in logarithms.

    Args:
        table: from `planner.costs`.
    """
    figure, panels = subplots(1, 2, width=9, height=3.4)
    for encoder, color in zip(table, (BLUE, ORANGE)):
        for (side, rows), marker in zip(table[encoder]["steps"].items(), MARKERS):
            batches, *measured = zip(*rows)
            for axes, values in zip(panels, measured):
                axes.loglog(batches, values, color=color, marker=marker, label=f"{NAMES[encoder]}, {side} pixels")
    for axes, label in zip(panels, ("seconds of a step", "MB at its peak")):
        axes.set(xlabel="images in a batch", ylabel=label)
        axes.set_xticks([8, 16, 32, 64, 128, 256, 512], [8, 16, 32, 64, 128, 256, 512], minor=False)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def curves_figure(runs: Sequence[Mapping]) -> Figure:
    """Loss and kNN accuracy on validation by epoch, a line for each run; runs of one name share a colour.

    Args:
        runs: one dict a run, with "run" and "curve", rows of "epoch", "loss" and, of some epochs, "knn_val".
    """
    figure, (left, right) = subplots(1, 2, width=9, height=3.2)
    names = list(dict.fromkeys(run["run"] for run in runs))
    for run in runs:
        color = PALETTE[names.index(run["run"])]
        first = next(one for one in runs if one["run"] == run["run"]) is run
        label = run["run"] if first else None
        epochs = [row["epoch"] for row in run["curve"]]
        left.plot(epochs, [row["loss"] for row in run["curve"]], color=color, linewidth=1.2, label=label)
        judged = [row for row in run["curve"] if row.get("knn_val") is not None]
        marker = MARKERS[names.index(run["run"])]
        look = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.2}
        right.plot([row["epoch"] for row in judged], [row["knn_val"] for row in judged], **look)
    left.set(xlabel="epoch", ylabel="loss, each method's own")
    right.set(xlabel="epoch", ylabel="kNN accuracy on validation")
    figure.legend(loc="outside lower center", ncols=len(names), frameon=False)
    return figure


def ablation_figure(runs: Sequence[Mapping], measure: str = "knn") -> Figure:
    """A panel for each axis of the ablations: each seed a dot, and a bar for the mean of a value.

    Args:
        runs: one dict a run, with "axis", "value" and the measure.
    """
    axes_of = list(dict.fromkeys(run["axis"] for run in runs))
    rows = -(-len(axes_of) // 3)
    columns = -(-len(axes_of) // rows)
    figure, panels = subplots(rows, columns, width=9, height=2.9 * rows, squeeze=False, sharey=True)
    for panel in panels.flat[len(axes_of) :]:
        panel.set_axis_off()
    for panel, axis in zip(panels.flat, axes_of):
        values = list(dict.fromkeys(run["value"] for run in runs if run["axis"] == axis))
        for place, value in enumerate(values):
            of_it = [run[measure] for run in runs if run["axis"] == axis and run["value"] == value]
            seed_dots(panel, place, of_it, BLUE, "o", None, width=0.12)
        panel.set_xticks(range(len(values)), values, rotation=20, ha="right", fontsize=8)
        panel.grid(axis="x", visible=False)
        panel.set_title(axis, fontsize=10)
    for row in panels:
        row[0].set_ylabel("kNN accuracy on test")
    return figure


def luck_figure(gains: Mapping[int, np.ndarray]) -> Figure:
    """By how much the best of several epochs on test is too good, where the epochs differ by chance alone.

    Args:
        gains: number of epochs -> gains in accuracy, one a repetition.
    """
    figure, axes = subplots(width=6, height=2.6)
    for place, values in enumerate(gains.values()):
        low, high = np.quantile(values, (0.05, 0.95))
        axes.plot([place, place], [100 * low, 100 * high], color=MUTED, linewidth=4, solid_capstyle="round")
        axes.plot(place, 100 * np.mean(values), color=BLUE, marker="o")
    axes.set_xticks(range(len(gains)), gains)
    axes.grid(axis="x", visible=False)
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set(xlabel="epochs to choose from", ylabel="too good by (points)")
    return figure
