"""The running results table as a figure: a row for each way of describing images, with its spread over seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, subplots

MEASURES = {
    "knn": ("kNN", BLUE, "o", 0.14),
    "linear": ("linear probe", ORANGE, "s", -0.14),
    "fine_tuned": ("fine-tuned", GREEN, "D", -0.38),
}


def summarise(runs: Sequence[Mapping], measure: str) -> tuple[float, float] | None:
    """Mean and standard deviation (of a sample, n - 1) over the runs that have the measure; None where none has."""
    values = [run[measure] for run in runs if run.get(measure) is not None]
    return (float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0) if values else None


def results_figure(runs: Sequence[Mapping], live: Mapping | None = None, chance: float = 0.1) -> Figure:
    """Accuracy on test by row: the mean over seeds with one standard deviation, each seed as a small dot.

    Args:
        runs: one dict a run, with "row", "seed", the measures ("knn", "linear", ...), "cpu_minutes" and "labels".
        live: a run made just now, with "row" and measures; drawn as stars behind its row's dots.
    """
    rows = list(dict.fromkeys(run["row"] for run in runs))
    measures = {name: look for name, look in MEASURES.items() if any(run.get(name) is not None for run in runs)}
    heads = [*(name for name, *_ in measures.values()), "core min", "labels"]
    columns = np.cumsum([1.6] * len(measures) + [1.3, 1.0])
    unnamed = set(measures)  # what the legend does not show yet
    figure, (axes, words) = subplots(
        1, 2, width=9.5, height=1.1 + 0.55 * len(rows), width_ratios=[6, columns[-1] - 0.4], sharey=True
    )
    axes.axvline(chance, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (chance, -0.5), xytext=(3, 0), textcoords="offset points", fontsize=8, color=MUTED, va="top"
    )
    for place, row in enumerate(rows):
        of_row = [run for run in runs if run["row"] == row]
        cells = []
        for measure, (name, color, marker, shift) in measures.items():
            summary = summarise(of_row, measure)
            if summary is None:
                cells.append("–")
                continue
            mean, deviation = summary
            label = name if measure in unnamed else None
            unnamed.discard(measure)
            axes.errorbar(
                mean, place - shift, xerr=deviation, color=color, marker=marker, markersize=7, capsize=3, label=label
            )
            seeds = [run[measure] for run in of_row if run.get(measure) is not None]
            axes.scatter(
                seeds, np.full(len(seeds), place - shift), s=9, color="white", edgecolor=color, linewidth=0.8, zorder=3
            )
            cells.append(f"{mean:.3f} ± {deviation:.3f}" if len(seeds) > 1 else f"{mean:.3f}")
            if live is not None and live["row"] == row and live.get(measure) is not None:
                first = measure == next(iter(measures))
                axes.scatter(
                    live[measure],
                    place - shift,
                    s=330,
                    marker="*",
                    color="white",
                    edgecolor=INK,
                    linewidth=1,
                    zorder=1.5,
                    label="your run" if first else None,
                )
        minutes, labels = summarise(of_row, "cpu_minutes"), of_row[0].get("labels")
        cells += [f"{minutes[0]:.1f}" if minutes else "–", f"{labels:,}" if labels is not None else "–"]
        for x, cell in zip(columns, cells):
            words.text(x, place, cell, fontsize=9, va="center", ha="center")
    for x, head in zip(columns, heads):
        words.text(x, -0.62, head, fontsize=9, va="center", ha="center", weight="bold")
    axes.set_yticks(range(len(rows)), rows, fontsize=10)
    axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.5, -0.9), xlabel="accuracy on test")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower left", fontsize=8.5, bbox_to_anchor=(0.1, 0.02), frameon=False)
    words.set(xlim=(columns[0] - 0.8, columns[-1] + 0.5))
    words.set_axis_off()
    return figure
