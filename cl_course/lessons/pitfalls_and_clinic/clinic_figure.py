"""Health panels of recorded runs, each over a healthy run of the same method."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GREEN, MUTED, ORANGE, subplots

TITLES = ("Loss", "Similarity of pairs", "kNN accuracy (validation)", "Spread, effective rank")
BINS = np.linspace(-1, 1, 41)
HEALTHY = {"color": MUTED, "linestyle": "--", "linewidth": 1.2}


def clinic_figure(sheets: Mapping[str, tuple[Mapping, Mapping]]) -> Figure:
    """A row for each patient: in colour the patient, dashed and grey a healthy run of its method.

    Args:
        sheets: name -> (patient, healthy): recorded runs with "method", "chance", "dim", "rows" (a dict an epoch), and
            quantiles of the similarities of pairs, "positive" and "negative".
    """
    figure, axes = subplots(len(sheets), 4, width=11, height=0.7 + 2.0 * len(sheets), squeeze=False)
    for row, (name, (patient, healthy)) in zip(axes, sheets.items()):
        _sheet(row, patient, healthy)
        row[0].set_ylabel(f"{name}\n{patient['method']}", fontsize=11, rotation=0, ha="right", va="center", labelpad=14)
    for panel, title in zip(axes[0], TITLES):
        panel.set_title(title, loc="left", fontsize=11)
    for panel, label in zip(axes[-1], ("epoch", "cosine similarity", "epoch", "epoch")):
        panel.set_xlabel(label)
    axes[0, 1].legend(loc="upper left", handlelength=1, frameon=False, fontsize=8)
    axes[0, 3].legend(loc="upper left", handlelength=1.5, frameon=False, fontsize=8)
    return figure


def _sheet(axes: np.ndarray, patient: Mapping, healthy: Mapping) -> None:
    loss, similarity, knn, collapse = axes
    epochs = [row["epoch"] for row in patient["rows"]]
    loss.axhline(patient["chance"], color=MUTED, linestyle=":", linewidth=1)
    loss.annotate(
        "chance",
        (epochs[-1], patient["chance"]),
        xytext=(0, 2),
        textcoords="offset points",
        color=MUTED,
        fontsize=8,
        ha="right",
    )
    highest = max(patient["chance"], *(row["loss"] for row in patient["rows"]))
    loss.set_ylim(0, 1.15 * highest)
    for run, look in ((healthy, HEALTHY), (patient, {"color": BLUE, "marker": "o", "markersize": 3})):
        _line(loss, run, "loss", look)
    for run, look in ((healthy, HEALTHY), (patient, {"color": GREEN, "marker": "o", "markersize": 3})):
        _line(knn, run, "knn", look)
    knn.set_ylim(0, 1.05)
    knn.annotate(
        f"{patient['rows'][-1]['knn']:.2f}",
        (epochs[-1], patient["rows"][-1]["knn"]),
        xytext=(0, 5),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    for pairs, color in (("negative", ORANGE), ("positive", BLUE)):
        values = np.clip(patient[pairs], -1, 1)
        similarity.hist(values, bins=BINS, density=True, color=color, alpha=0.65, label=f"{pairs} pairs")
        similarity.hist(np.clip(healthy[pairs], -1, 1), bins=BINS, density=True, histtype="step", **HEALTHY)
    similarity.set(yticks=[], xlim=(-1, 1))
    for name, share, color, marker, label in (
        ("spread", 1, BLUE, "o", "spread"),
        ("effective_rank", patient["dim"], ORANGE, "s", "eff. rank / d"),
    ):
        _line(collapse, healthy, name, HEALTHY, share)
        _line(collapse, patient, name, {"color": color, "marker": marker, "markersize": 3, "label": label}, share)
    collapse.set(ylim=(0, 1.45), yticks=[0, 0.5, 1])
    for panel in (loss, knn, collapse):
        panel.set_xlim(0.7, epochs[-1] + 0.3)


def _line(axes: Axes, run: Mapping, column: str, look: Mapping, share: float = 1) -> None:
    axes.plot([row["epoch"] for row in run["rows"]], [row[column] / share for row in run["rows"]], **look)
