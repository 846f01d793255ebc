"""The running results table: a row for each way of describing images, with its spread over seeds."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from cl_course.data import ImageSet
from cl_course.evaluate import embed, knn_accuracy, linear_probe
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, subplots
from cl_course.lessons.shared.tables import mean_and_spread, show_table
from cl_course.running import records

MEASURES = {
    "knn": ("kNN", BLUE, "o", 0.14),
    "linear": ("linear probe", ORANGE, "s", -0.14),
    "fine_tuned": ("fine-tuned", GREEN, "D", -0.38),
}


def results_section(
    record: str = "results",
    *,
    leave_out: Collection[str] = (),
    more: Sequence[Mapping] = (),
    live: Mapping | None = None,
    caption: str = "Accuracy on test, mean ± standard deviation over seeds",
) -> None:
    """Show a recorded results table and its figure under a cell; the figure's alt text is made of its numbers.

    Args:
        record: "results" (the embedded set) or "results_cifar10".
        leave_out: rows that later lessons add, such as "BYOL".
        more: runs to add below, as in `results_figure`.
        live: the learner's own run, from `judged`; None where it is not comparable with the record.
    """
    runs = [run for run in [*records.read(record)["runs"], *more] if run["row"] not in leave_out]
    measures = _measures(runs)
    columns = ["row", *(name for name, *_ in measures.values()), "core minutes", "labels"]
    show_table(_table_rows(runs, live), columns, caption)
    said = []
    for row in dict.fromkeys(run["row"] for run in runs):
        parts = [(name, summarise(_of(runs, row), measure)) for measure, (name, *_) in measures.items()]
        said.append(f"{row} " + ", ".join(f"{name} {summary[0]:.2f}" for name, summary in parts if summary))
    yours = f" Your {live['row']} run, a star: kNN {live['knn']:.2f}." if live else ""
    show(results_figure(runs, live), alt=f"{caption}: {'; '.join(said)}. Each seed is a dot.{yours}")


def judged(row: str, encoder: nn.Module, train: ImageSet, val: ImageSet, test: ImageSet, seed: int = 0) -> dict:
    """A trained encoder's own row of the table: {"row", "seed", "knn", "linear"}, accuracies on test.

    Args:
        row: its name in the table, such as "SimCLR".
        train: what the nearest neighbours and the linear probe may see, with labels; val chooses the probe's strength.
    """
    train_h, val_h, test_h = (embed(encoder, images) for images in (train, val, test))
    probe = linear_probe(train_h, train.labels, val_h, val.labels, test_h, test.labels, seed=seed)
    knn = knn_accuracy(train_h, train.labels, test_h, test.labels)
    return {"row": row, "seed": seed, "knn": knn, "linear": probe.accuracy}


def _table_rows(runs: Sequence[Mapping], live: Mapping | None) -> list[list]:
    measures, rows = _measures(runs), []
    for row in dict.fromkeys(run["row"] for run in runs):
        of_row = _of(runs, row)
        scores = [mean_and_spread(_values(of_row, measure)) for measure in measures]
        minutes = summarise(of_row, "cpu_minutes")
        rows.append([row, *scores, f"{minutes[0]:.1f}" if minutes else None, of_row[0].get("labels")])
        if live is not None and live["row"] == row:
            rows.append([f"{row}, your run", *(live.get(measure) for measure in measures), None, None])
    return rows


def _measures(runs: Sequence[Mapping]) -> dict[str, tuple]:
    """Those of MEASURES that any run has."""
    return {name: look for name, look in MEASURES.items() if _values(runs, name)}


def _of(runs: Sequence[Mapping], row: str) -> list[Mapping]:
    return [run for run in runs if run["row"] == row]


def _values(runs: Sequence[Mapping], measure: str) -> list[float]:
    return [run[measure] for run in runs if run.get(measure) is not None]


def summarise(runs: Sequence[Mapping], measure: str) -> tuple[float, float] | None:
    """Mean and standard deviation (of a sample, n - 1) over the runs that have the measure; None where none has."""
    values = _values(runs, measure)
    return (float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0) if values else None


def results_figure(runs: Sequence[Mapping], live: Mapping | None = None, chance: float = 0.1) -> Figure:
    """Accuracy on test by row: the mean over seeds with one standard deviation, each seed as a small dot.

    Args:
        runs: one dict a run, with "row", "seed" and the measures ("knn", "linear", ...).
        live: a run made just now, with "row" and measures; drawn as stars behind its row's dots.
    """
    rows = list(dict.fromkeys(run["row"] for run in runs))
    measures = _measures(runs)
    unnamed = set(measures)  # what the legend does not show yet
    figure, axes = subplots(width=8.5, height=1.1 + 0.5 * len(rows))
    axes.axvline(chance, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "chance", (chance, -0.6), xytext=(3, 0), textcoords="offset points", fontsize=8, color=MUTED, va="center"
    )
    for place, row in enumerate(rows):
        of_row = _of(runs, row)
        for measure, (name, color, marker, shift) in measures.items():
            seeds = _values(of_row, measure)
            if not seeds:
                continue
            mean, deviation = summarise(of_row, measure)
            look = {"color": color, "marker": marker, "markersize": 7, "capsize": 3}
            axes.errorbar(mean, place - shift, xerr=deviation, label=name if measure in unnamed else None, **look)
            unnamed.discard(measure)
            axes.scatter(
                seeds, np.full(len(seeds), place - shift), s=9, color="white", edgecolor=color, linewidth=0.8, zorder=3
            )
            if live is not None and live["row"] == row and live.get(measure) is not None:
                star = {"s": 330, "marker": "*", "color": "white", "edgecolor": INK, "linewidth": 1, "zorder": 1.5}
                first = measure == next(iter(measures))
                axes.scatter(live[measure], place - shift, label="your run" if first else None, **star)
    axes.set_yticks(range(len(rows)), rows, fontsize=10)
    axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.5, -0.9), xlabel="accuracy on test")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="center left", fontsize=9, bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure
