"""What the layers around a projection head know: accuracies for each head, and factor probes from layer to layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, SKY, subplots

HEADS = {"none": "no head", "linear": "linear head", "mlp": "MLP head"}
LAYERS = {"h": "h", "hidden": "hidden", "z": "z"}
FACTORS = {"class": INK, "object_hue": RED, "background_hue": ORANGE, "position": BLUE, "scale": GREEN, "angle": PINK}


def heads_figure(
    runs: Sequence[Mapping], measures: Mapping[str, str] = {"knn": "kNN", "linear": "linear probe"}
) -> Figure:
    """Accuracy read from h and from z, for each kind of head: a dot a seed, a bar for their mean.

    Args:
        runs: one dict a run with "head", "seed", and for each layer a dict with the keys of `measures`.
    """
    figure, axes = subplots(1, len(measures), width=9, height=3.0, sharey=True)
    for panel, (measure, name) in zip(axes, measures.items()):
        for place, head in enumerate(HEADS):
            of_head = [run for run in runs if run["head"] == head]
            for side, layer, color, marker in ((-0.17, "h", BLUE, "o"), (0.17, "z", ORANGE, "s")):
                seeds = [run[layer][measure] for run in of_head]
                panel.scatter(
                    np.full(len(seeds), place + side),
                    seeds,
                    s=28,
                    color=color,
                    marker=marker,
                    alpha=0.8,
                    label=layer if place == 0 else None,
                )
                panel.plot([place + side - 0.11, place + side + 0.11], [np.mean(seeds)] * 2, color=color, linewidth=2)
                panel.annotate(
                    f"{np.mean(seeds):.3f}",
                    (place + side, min(seeds)),
                    xytext=(0, -7),
                    textcoords="offset points",
                    ha="center",
                    va="top",
                    fontsize=8.5,
                )
        panel.set_xticks(range(len(HEADS)), HEADS.values())
        panel.grid(axis="x", visible=False)
        panel.set_title(f"{name} on test", loc="left", fontsize=11)
        panel.set(xlim=(-0.5, len(HEADS) - 0.5))
    low = min(run[layer][measure] for run in runs for layer in ("h", "z") for measure in measures)
    axes[0].set(ylabel="accuracy", ylim=(max(0, low - 0.12), 1.01))
    axes[-1].legend(loc="lower right", title="read from", ncols=2, frameon=False)
    return figure


def probes_figure(layers: Sequence[str], scores: Mapping[str, Sequence[Sequence[float]]], title: str = "") -> Figure:
    """What can be read linearly off each layer: the class's accuracy and each factor's R^2, a line each.

    Args:
        layers: names, from the first to the last.
        scores: "class" or a factor -> for each layer the value of each seed.
    """
    figure, axes = subplots(width=7.5, height=3.6)
    ends = {}
    for name, by_layer in scores.items():
        color = FACTORS.get(name, SKY)
        means = [float(np.mean(seeds)) for seeds in by_layer]
        axes.plot(
            range(len(layers)), means, color=color, linewidth=2, marker="o", linestyle="-" if name == "class" else "--"
        )
        for place, seeds in enumerate(by_layer):
            axes.scatter(np.full(len(seeds), place), seeds, s=14, color=color, alpha=0.6)
        ends[name] = means[-1]
    heights = _apart(list(ends.values()), 0.065)
    for (name, end), height in zip(ends.items(), heights):
        words = f"{name.replace('_', ' ')} {round(end, 2) + 0.0:.2f}"  # + 0.0: no minus before a zero
        axes.text(
            len(layers) - 1 + 0.06 * len(layers), height, words, color=FACTORS.get(name, SKY), fontsize=9.5, va="center"
        )
    axes.plot([-0.2, len(layers) - 0.95], [0, 0], color=MUTED, linewidth=1)
    axes.set_xticks(range(len(layers)), layers)
    axes.set(
        ylabel="class: accuracy; others: R²",
        ylim=(min(-0.06, min(ends.values()) - 0.04), 1.06),
        xlim=(-0.2, len(layers) * 1.33 - 0.8),
    )
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", visible=False)
    return figure


def _apart(heights: list[float], gap: float) -> list[float]:
    """The heights, pushed up where two labels would lie on each other."""
    order = np.argsort(heights)
    moved, last = list(heights), -np.inf
    for place in order:
        moved[place] = last = max(heights[place], last + gap)
    return moved
