"""One view against its candidates at a temperature, and what a temperature does over all of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, subplots

KINDS = {"partner": BLUE, "other class": ORANGE, "same class": PINK}
HATCH = {"same class": "////"}  # for those who cannot tell the colours apart
MARKERS = {"other class": "o", "same class": "D"}


class RowPicture:
    """Similarities, softmax and push of one row of candidates; `update` moves the marks of the same figure.

    Args:
        anchor: picture (h, w, 3) in [0, 1] of the view that looks for its partner.
        pictures: (m, h, w, 3), its m candidates.
        similarities: (m,), cosines; kinds: m of "partner", "other class", "same class".
    """

    def __init__(self, anchor: np.ndarray, pictures: np.ndarray, similarities: np.ndarray, kinds: Sequence[str]):
        self.similarities, self.kinds = similarities, kinds
        self.figure, axes = subplots(4, 1, width=9.2, height=5.0)
        self.figure.set_layout_engine("none")  # laying out again at each move would double the time
        for panel, (bottom, height) in zip(axes, ((0.70, 0.17), (0.43, 0.17), (0.16, 0.17), (0.035, 0.075))):
            panel.set_position((0.075, bottom, 0.915, height))
        self.axes = dict(zip(("similarity", "probability", "pull"), axes))
        self.title = self.figure.text(0.012, 0.965, "", fontsize=11, va="center")
        self._strip(axes[3], anchor, pictures)
        self.bars = {
            name: self.axes[name].bar(range(len(kinds)), np.ones(len(kinds)), width=0.8)
            for name in ("similarity", "probability")
        }
        for bars in self.bars.values():
            for bar, kind in zip(bars, kinds):
                bar.set(facecolor=KINDS[kind], edgecolor="white", linewidth=0, hatch=HATCH.get(kind))
        # Dots, since a bar on a logarithmic axis has no zero to stand on.
        self.dots = {
            kind: self.axes["pull"].plot([], [], marker=marker, linestyle="", color=KINDS[kind], markersize=5)[0]
            for kind, marker in MARKERS.items()
        }
        self._label(len(kinds))
        self._set("similarity", similarities)

    def _strip(self, below: Axes, anchor: np.ndarray, pictures: np.ndarray) -> None:
        """The candidates, each under its bars, and the anchor to their left."""
        gap = np.ones((len(pictures), pictures.shape[1], max(1, pictures.shape[2] // 10), 3))
        strip = np.concatenate(list(np.concatenate([pictures, gap], axis=2)), axis=1)
        below.imshow(strip, extent=(-0.46, len(pictures) - 0.46, 0, 1), aspect="auto", interpolation="nearest")
        below.set(xlim=(-0.7, len(pictures) - 0.3), xticks=[], yticks=[], frame_on=False)
        left = self.figure.add_axes([0.012, 0.022, 0.06, 0.1])
        left.imshow(anchor, interpolation="nearest")
        left.set(xticks=[], yticks=[])
        left.set_title("anchor", fontsize=9, loc="center", pad=2)

    def _label(self, m: int) -> None:
        for axes in self.axes.values():
            axes.set(xlim=(-0.7, m - 0.3), xticks=[])
            axes.grid(axis="x", visible=False)
        self.axes["similarity"].set(ylim=(-1, 1), yticks=[-1, 0, 1])
        self.axes["similarity"].axhline(0, color=MUTED, linewidth=0.8)
        self.axes["probability"].set(ylim=(0, 1), yticks=[0, 0.5, 1])
        self.axes["probability"].axhline(1 / m, color=MUTED, linewidth=0.8, linestyle="--")
        self.axes["pull"].set(yscale="log", ylim=(1e-3, 1e2), yticks=[1e-2, 1, 1e2], yticklabels=["0.01", "1", "100"])
        self.axes["pull"].minorticks_off()
        titles = {
            "similarity": "Similarity s, the same at every temperature",
            "probability": "Softmax of s / T: the probability of being taken for the partner (dashed: even shares)",
            "pull": "Push on each negative, away from the anchor: p / T, on a logarithmic axis (below 0.001 not shown)",
        }
        for name, title in titles.items():
            self.axes[name].set_title(title, loc="left")
        shown = [kind for kind in KINDS if kind in self.kinds]
        names = {"partner": "partner", "other class": "negative", "same class": "negative of the same class"}
        legend = [
            Patch(facecolor=KINDS[kind], hatch=HATCH.get(kind), edgecolor="white", linewidth=0, label=names[kind])
            for kind in shown
        ]
        self.figure.legend(
            handles=legend,
            loc="upper right",
            bbox_to_anchor=(0.998, 0.925),
            ncols=len(legend),
            handlelength=1.2,
            fontsize=9,
            frameon=False,
        )

    def _set(self, name: str, values: np.ndarray) -> None:
        for bar, value in zip(self.bars[name], values):
            bar.set_height(value)

    def update(self, probabilities: np.ndarray, pull: np.ndarray, title: str) -> Figure:
        """Marks for a temperature: probabilities (m,), and pull, the push on the negatives (m,), 0 for the partner."""
        self._set("probability", probabilities)
        for kind, dots in self.dots.items():
            at = [place for place, of_place in enumerate(self.kinds) if of_place == kind]
            dots.set_data(at, pull[at])
        self.title.set_text(title)
        return self.figure


def temperature_sweep(
    temperatures: Sequence[float], counted: np.ndarray, alike: np.ndarray, total: int, share_alike: float
) -> Figure:
    """How many negatives count, and how much of the push falls on the anchor's own class.

    Args:
        temperatures: (t,); counted: effective number of negatives, (seeds, t); alike: shares in [0, 1], (seeds, t).
        total: how many negatives there are; share_alike: the share of them that is of the anchor's class.
    """
    figure, (left, right) = subplots(1, 2, width=9, height=3.1)
    for axes, curves, color in ((left, counted, BLUE), (right, alike, PINK)):
        for curve in curves:
            axes.plot(temperatures, curve, color=color, linewidth=1, alpha=0.5)
        axes.plot(temperatures, curves.mean(axis=0), color=color, marker="o", markersize=4)
        axes.set(xscale="log", xlabel="temperature", xticks=[0.01, 0.1, 1], xticklabels=["0.01", "0.1", "1"])
    left.axhline(total, color=MUTED, linestyle="--", linewidth=1)
    left.annotate(
        f"all {total}",
        (temperatures[0], total),
        xytext=(0, -4),
        textcoords="offset points",
        color=MUTED,
        va="top",
        fontsize=9,
    )
    left.set_title("Effective number of negatives", loc="left")
    left.set(
        yscale="log",
        ylim=(1, total * 1.4),
        yticks=[1, 10, 100],
        yticklabels=["1", "10", "100"],
    )
    right.axhline(share_alike, color=MUTED, linestyle="--", linewidth=1)
    right.annotate(
        "their share of the negatives",
        (temperatures[-1], share_alike),
        xytext=(0, -4),
        textcoords="offset points",
        color=MUTED,
        va="top",
        ha="right",
        fontsize=9,
    )
    right.set_title("Share of the push on the same class", loc="left")
    right.set(ylim=(0, 1))
    return figure


def trained_at(runs: Sequence[Mapping]) -> Figure:
    """How runs at several training temperatures ended: each with "temperature", "alignment", "uniformity", "knn"."""
    figure, panels = subplots(1, 3, width=9, height=2.9)
    temperatures = sorted({run["temperature"] for run in runs})
    shown = (
        ("alignment", "Alignment (0: partners meet)", BLUE, (0, 0.6)),
        ("uniformity", "Uniformity (lower: more even)", ORANGE, (-4, 0)),
        ("knn", "kNN accuracy (validation)", GREEN, (0, 1)),
    )
    for axes, (name, title, color, limits) in zip(panels, shown):
        values = [[run[name] for run in runs if run["temperature"] == t] for t in temperatures]
        axes.plot(range(len(values)), [np.mean(v) for v in values], color=color)
        for place, of_seeds in enumerate(values):
            axes.scatter([place] * len(of_seeds), of_seeds, color=color, edgecolor=INK, linewidth=0.5, s=28, zorder=3)
        axes.set(
            title=title,
            ylim=limits,
            xlabel="trained at temperature",
            xticks=range(len(values)),
            xticklabels=[f"{t:g}" for t in temperatures],
            xlim=(-0.4, len(values) - 0.6),
        )
    return figure
