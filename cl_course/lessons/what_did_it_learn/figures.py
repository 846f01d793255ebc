"""What an encoder is worth: the ways to judge it, accuracy by share of labels, transfer, and segmentation by stage."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch

from cl_course.lessons.shared.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PINK, RED, SKY, subplots

# way -> its name, colour and marker.
WAYS = {
    "kNN": ("kNN", SKY, "o"),
    "linear probe": ("linear probe", ORANGE, "s"),
    "last": ("last stage fine-tuned", PINK, "^"),
    "all": ("all layers fine-tuned", GREEN, "D"),
    "scratch": ("from scratch", INK, "X"),
}
SOURCES = {"random encoder": (MUTED, "v"), "SimCLR": (BLUE, "o"), "supervised": (RED, "s")}


def ways_figure() -> Figure:
    """Which parts of a network each way of judging keeps, trains, or forgets and trains."""
    parts = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "on top")
    rows = {
        "kNN": ("kept",) * 5 + ("a vote",),
        "linear probe": ("kept",) * 5 + ("trained",),
        "last stage fine-tuned": ("kept",) * 4 + ("trained",) * 2,
        "all layers fine-tuned": ("trained",) * 6,
        "from scratch": ("forgotten",) * 5 + ("trained",),
    }
    look = {
        "kept": (GRID, INK, "kept as pre-trained"),
        "trained": (BLUE, "white", "trained with labels"),
        "forgotten": (ORANGE, INK, "forgotten, then trained"),
        "a vote": ("white", INK, None),
    }
    figure, axes = subplots(width=9, height=3.1)
    for row, (name, states) in enumerate(rows.items()):
        for column, (part, state) in enumerate(zip(parts, states)):
            color, ink, _ = look[state]
            axes.add_patch(
                FancyBboxPatch(
                    (column + 0.07, row + 0.16),
                    0.86,
                    0.68,
                    boxstyle="round,pad=0.02",
                    facecolor=color,
                    edgecolor=MUTED,
                    linewidth=0.8,
                )
            )
            axes.text(
                column + 0.5,
                row + 0.5,
                {"a vote": "a vote", "kept": part}.get(state, part if column < 5 else "linear layer"),
                color=ink,
                ha="center",
                va="center",
                fontsize=9,
            )
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.set(xlim=(0, len(parts)), ylim=(len(rows), 0), xticks=[])
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    handles = [Patch(facecolor=color, edgecolor=MUTED, label=label) for color, _, label in look.values() if label]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def few_labels_figure(sets: Mapping[str, Sequence[Mapping]], chance: float = 0.1) -> Figure:
    """Accuracy by share of the labels, a panel a data set and a line a way: the mean, and each seed as a dot.

    Args:
        sets: title -> runs with "how", "share", "seed", "labels" and "accuracy".
    """
    figure, axes = subplots(1, len(sets), width=9.5, height=3.9, sharey=True, squeeze=False)
    for panel, (title, runs) in zip(axes[0], sets.items()):
        shares = sorted({run["share"] for run in runs})
        for number, (how, (name, color, marker)) in enumerate(WAYS.items()):
            scores = [
                [run["accuracy"] for run in runs if run["how"] == how and run["share"] == share] for share in shares
            ]
            places = np.arange(len(shares)) + 0.07 * (number - 2)
            known = [i for i, seeds in enumerate(scores) if seeds]
            panel.plot(
                places[known],
                [np.mean(scores[i]) for i in known],
                color=color,
                marker=marker,
                markersize=6,
                linewidth=1.8,
                label=name,
            )
            for place, seeds in zip(places, scores):
                panel.scatter(
                    np.full(len(seeds), place), seeds, s=9, color="white", edgecolor=color, linewidth=0.8, zorder=3
                )
        panel.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
        counts = [next(run["labels"] for run in runs if run["share"] == share) for share in shares]
        panel.set_xticks(range(len(shares)), [f"{share:.0%}\n{count:,} labels" for share, count in zip(shares, counts)])
        panel.set_title(title, loc="left", fontsize=11)
        panel.grid(axis="x", visible=False)
    axes[0, 0].set(ylabel="accuracy on test", ylim=(0, 1.03))
    axes[0, 0].annotate(
        "chance", (-0.2, chance), xytext=(0, -3), textcoords="offset points", color=MUTED, fontsize=8, va="top"
    )
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(WAYS), fontsize=9, frameon=False)
    return figure


def transfer_figure(panels: Mapping[str, Sequence[Mapping]], chance: float) -> Figure:
    """Accuracy by what a network started from: a panel a task, a row a start, a marker for each way to judge it.

    Chance and training from scratch are lines as well.

    Args:
        panels: task -> runs with "start", "how" (one of `WAYS`) and "accuracy".
        chance: the accuracy of guessing.
    """
    starts = list(dict.fromkeys(run["start"] for runs in panels.values() for run in runs))
    figure, axes = subplots(1, len(panels), width=9.5, height=1.5 + 0.55 * len(starts), sharey=True, squeeze=False)
    for panel, (title, runs) in zip(axes[0], panels.items()):
        for place, start in enumerate(starts):
            ways = [how for how in WAYS if any((run["start"], run["how"]) == (start, how) for run in runs)]
            for number, how in enumerate(ways):
                _, color, marker = WAYS[how]
                seeds = [run["accuracy"] for run in runs if (run["start"], run["how"]) == (start, how)]
                _dots(panel, seeds, place + 0.17 * (number - (len(ways) - 1) / 2), color, marker)
        if from_scratch := [run["accuracy"] for run in runs if run["how"] == "scratch"]:
            panel.axvline(np.mean(from_scratch), color=WAYS["scratch"][1], linestyle=":", linewidth=1, zorder=0)
        panel.axvline(chance, color=MUTED, linestyle="--", linewidth=1, zorder=0)
        panel.set_title(title, loc="left", fontsize=10.5)
        panel.set(xlabel="accuracy on test", xlim=(0, 1.03))
        panel.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(starts)), starts)
    axes[0, 0].set_ylim(len(starts) - 0.5, -0.5)
    shown = [how for how in WAYS if any(run["how"] == how for runs in panels.values() for run in runs)]
    handles = [
        axes[0, 0].plot([], [], color=WAYS[how][1], marker=WAYS[how][2], linestyle="", label=WAYS[how][0])[0]
        for how in shown
    ]
    if "scratch" in shown:
        handles += axes[0, 0].plot([], [], color=WAYS["scratch"][1], linestyle=":", linewidth=1, label="its mean")
    handles += axes[0, 0].plot([], [], color=MUTED, linestyle="--", linewidth=1, label="chance")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    return figure


def _dots(axes: Axes, seeds: Sequence[float], height: float, color: str, marker: str) -> None:
    """The mean with one standard deviation, and every seed."""
    axes.errorbar(
        np.mean(seeds),
        height,
        xerr=np.std(seeds, ddof=1) if len(seeds) > 1 else None,
        color=color,
        marker=marker,
        markersize=7,
        capsize=3,
    )
    axes.scatter(seeds, np.full(len(seeds), height), s=9, color="white", edgecolor=color, linewidth=0.8, zorder=3)


def factors_figure(runs: Sequence[Mapping], factors: Sequence[str]) -> Figure:
    """How well each factor can be read linearly off the features of each encoder: R^2, the mean and every seed.

    Args:
        runs: one dict a run with "row", "seed" and the factors.
    """
    figure, axes = subplots(width=8, height=1.2 + 0.5 * len(factors))
    for number, (row, (color, marker)) in enumerate(SOURCES.items()):
        for place, factor in enumerate(factors):
            _dots(axes, [run[factor] for run in runs if run["row"] == row], place + 0.22 * (number - 1), color, marker)
        axes.plot([], [], color=color, marker=marker, linestyle="", label=row)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(factors)), [factor.replace("_", " ") for factor in factors])
    axes.set(
        xlim=(-0.08, 1.03),
        ylim=(len(factors) - 0.5, -0.5),
        xlabel="R² of a linear read-out on test: 1 exact, 0 nothing",
    )
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def precision_figure(curves: Mapping[str, Sequence[float]], ks: Sequence[int], chance: float) -> Figure:
    """Of the k nearest cards, the share of the query's class, for every k.

    Args:
        curves: name of a description -> the precision at each of `ks`.
    """
    figure, axes = subplots(width=7.5, height=3.2)
    looks = {"raw pixels": (INK, "X"), **SOURCES}
    for name, values in curves.items():
        color, marker = looks[name]
        axes.plot(ks, values, color=color, marker=marker, linewidth=2, label=name)
    axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (ks[0], chance), xytext=(0, -3), textcoords="offset points", color=MUTED, fontsize=8, va="top"
    )
    axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set(ylim=(0, 1.03), xlabel="k, cards looked at", ylabel="share of the query's class")
    figure.legend(loc="outside right center", fontsize=9, frameon=False)
    return figure


def masks_figure(cards: np.ndarray, masks: Mapping[str, np.ndarray]) -> Figure:
    """Cards, and what each description takes for the object: what is not is darkened.

    Args:
        cards: (n, h, w, 3) in [0, 1]; masks: title -> bool (n, h, w).
    """
    columns = {"card": np.ones(cards.shape[:3], bool), **masks}
    figure, axes = subplots(
        len(cards), len(columns), width=1.45 * len(columns), height=1.42 * len(cards) + 0.3, squeeze=False
    )
    for row, card in enumerate(cards):
        for panel, (title, mask) in zip(axes[row], columns.items()):
            panel.imshow(np.where(mask[row][:, :, None], card, 0.18 * card), interpolation="nearest", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            if row == 0:
                panel.set_title(title, loc="center", fontsize=10)
    return figure


def iou_figure(runs: Sequence[Mapping], best: Sequence[float]) -> Figure:
    """IoU of the object's pixels by stage: the mean of each encoder as a line, every seed as a dot.

    Args:
        runs: one dict a run with "row", "stage", "seed", "iou" and "everything", the IoU of calling all pixels object.
        best: for each stage what the true masks score, averaged over the places of its map and enlarged again.
    """
    figure, axes = subplots(width=7.5, height=3.5)
    stages = sorted({run["stage"] for run in runs})
    axes.plot(
        stages,
        best,
        color=INK,
        linestyle=":",
        linewidth=1.5,
        marker="_",
        markersize=14,
        label="the true masks, as coarse",
    )
    for row, (color, marker) in SOURCES.items():
        scores = [[run["iou"] for run in runs if run["row"] == row and run["stage"] == stage] for stage in stages]
        axes.plot(
            stages,
            [np.mean(seeds) for seeds in scores],
            color=color,
            marker=marker,
            markersize=7,
            linewidth=2,
            label=row,
        )
        for stage, seeds in zip(stages, scores):
            axes.scatter(
                np.full(len(seeds), stage), seeds, s=9, color="white", edgecolor=color, linewidth=0.8, zorder=3
            )
    axes.axhline(
        np.mean([run["everything"] for run in runs]),
        color=MUTED,
        linestyle="--",
        linewidth=1,
        label="every pixel called object",
    )
    axes.set_xticks(stages, [f"stage {stage}" for stage in stages])
    axes.set(ylabel="IoU on test", ylim=(0, 1.03))
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside right center", fontsize=9, frameon=False)
    return figure
