"""Recorded runs of an ablation: one panel for each thing that was varied, the others held where they are chosen."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GRID, INK, MUTED, RED, subplots

LABELS = {
    "temperature": "temperature",
    "augment": "augmentation",
    "batch_size": "batch size",
    "queue_size": "keys in the queue",
}


def ablation_figure(
    runs: Sequence[Mapping],
    chosen: Mapping[str, object],
    *,
    measure: str = "knn",
    chance: float = 0.1,
    hidden: Collection[tuple] = (),
    guess: float | None = None,
    title: str = "",
) -> Figure:
    """How the measure moves when one thing is changed: all seeds as dots, their mean as a line.

    Args:
        runs: one dict a run, with the keys of `chosen`, "seed" and `measure`.
        chosen: factor -> value: where each panel holds the other factors; a band marks it.
        hidden: settings (values in the order of `chosen`) that are drawn as question marks.
        guess: drawn as a line across all panels.
        chance: accuracy of guessing.
    """
    values = {factor: _values(runs, factor) for factor in chosen}
    figure, axes = subplots(
        1, len(chosen), width=9.5, height=3.1, sharey=True, width_ratios=[0.4 + len(v) for v in values.values()]
    )
    for panel, factor in zip(axes, chosen):
        scores = []
        for value in values[factor]:
            setting = {**chosen, factor: value}
            covered = tuple(setting.values()) in hidden
            scores.append(
                [] if covered else [run[measure] for run in runs if all(run[f] == v for f, v in setting.items())]
            )
        _panel(panel, scores, values[factor].index(chosen[factor]), chance)
        panel.set_xticks(range(len(values[factor])), [str(value) for value in values[factor]])
        panel.set_xlabel(LABELS.get(factor, factor))
        if guess is not None:
            panel.axhline(guess, color=RED, linestyle=":", linewidth=1.5)
    if guess is not None:
        axes[0].annotate(
            f"dotted: your guess {guess:.2f}", (0, 1.02), xycoords="axes fraction", color=RED, fontsize=9
        )  # above: dots and ? may lie at its height
    axes[0].set(ylabel=f"{'kNN' if measure == 'knn' else measure} accuracy on test", ylim=(0, 1.03))
    axes[-1].annotate(
        "chance",
        (len(values[factor]) - 0.55, chance),
        xytext=(0, -3),
        textcoords="offset points",
        color=MUTED,
        fontsize=8,
        ha="right",
        va="top",
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _values(runs: Sequence[Mapping], factor: str) -> list:
    """What a factor was set to: numbers in their order, names as they come."""
    values = list(dict.fromkeys(run[factor] for run in runs))
    return values if any(isinstance(value, str) for value in values) else sorted(values)


def _panel(axes: Axes, scores: Sequence[Sequence[float]], here: int, chance: float) -> None:
    """`scores`: for each value of one factor the accuracy of each seed; none where it is covered."""
    axes.axvspan(here - 0.33, here + 0.33, color=GRID, alpha=0.6, zorder=0)
    axes.axhline(chance, color=MUTED, linestyle="--", linewidth=1)
    known = [place for place, seeds in enumerate(scores) if seeds]
    axes.plot(
        known,
        [np.mean(scores[place]) for place in known],
        color=BLUE,
        linewidth=1.5,
        marker="_",
        markersize=22,
        markeredgewidth=2,
    )
    for place, seeds in enumerate(scores):
        if seeds:
            axes.scatter(
                np.full(len(seeds), place) + np.linspace(-0.12, 0.12, len(seeds)),
                seeds,
                s=26,
                color=BLUE,
                edgecolor="white",
                linewidth=0.7,
                zorder=3,
            )
            # Under the dots where there is room, else above them.
            low = np.mean(seeds) > 0.3
            text = (min(seeds), -7, "top") if low else (max(seeds), 6, "bottom")
            axes.annotate(
                f"{np.mean(seeds):.2f}",
                (place, text[0]),
                xytext=(0, text[1]),
                textcoords="offset points",
                ha="center",
                va=text[2],
                fontsize=9,
                color=INK,
            )
        else:
            axes.text(place, 0.5, "?", ha="center", va="center", fontsize=18, color=MUTED)
    axes.set_xlim(-0.5, len(scores) - 0.5)
    axes.grid(axis="x", visible=False)
