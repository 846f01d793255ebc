"""Scenes with their boxes, what a place of the map should say, and what pre-training is worth by labelled scenes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, SKY, subplots

Boxes = Sequence[tuple[Sequence[float], str]]  # (x1, y1, x2, y2) and what is written above it

# (start, what is trained) -> its name, colour, marker and line.
WAYS = {
    ("cards", "all"): ("SimCLR on cards, fine-tuned", GREEN, "D", "-"),
    ("cards", "head"): ("SimCLR on cards, frozen", GREEN, "D", ":"),
    ("scenes", "all"): ("SimCLR on scenes, fine-tuned", BLUE, "o", "-"),
    ("scenes", "head"): ("SimCLR on scenes, frozen", BLUE, "o", ":"),
    ("no pre-training", "scratch"): ("from scratch", INK, "X", "-"),
    ("random", "head"): ("random weights, frozen", MUTED, "v", ":"),
}


def boxes_figure(pictures: np.ndarray, boxes: Sequence[Boxes], titles: Sequence[str] = (), columns: int = 4) -> Figure:
    """Pictures (n, h, w, 3) with boxes drawn on them."""
    rows = -(-len(pictures) // columns)
    figure, panels = subplots(rows, columns, width=9, height=2.4 * rows, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    for number, (panel, picture, drawn) in enumerate(zip(panels.flat, pictures, boxes)):
        _scene(panel, picture)
        for (x1, y1, x2, y2), text in drawn:
            panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="white", linewidth=2))
            panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=INK, linewidth=0.8))
            panel.text(x1, y1 - 1, text, fontsize=7.5, color="white", va="bottom", bbox=_label())
        if titles:
            panel.set_title(titles[number], fontsize=9.5)
    return figure


def targets_figure(picture: np.ndarray, box: Sequence[float], place: Sequence[float], centreness: np.ndarray) -> Figure:
    """The four distances of one place to the sides of its box, and the centre-ness of all places of the map (h, w)."""
    figure, (left, right) = subplots(1, 2, width=7.5, height=3.3)
    (x, y), (x1, y1, x2, y2) = place, box
    _scene(left, picture)
    left.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="white", linewidth=2))
    for name, end in {"left": (x1, y), "top": (x, y1), "right": (x2, y), "bottom": (x, y2)}.items():
        left.annotate("", end, place, arrowprops={"arrowstyle": "->", "color": "white", "linewidth": 1.8})
        towards = np.subtract(end, place) / max(1e-6, np.linalg.norm(np.subtract(end, place)))
        left.text(
            *(np.array(end) + 5 * towards), name, fontsize=8, color="white", ha="center", va="center", bbox=_label()
        )
    left.plot(*place, "o", color=ORANGE, markersize=6)
    left.set_title("what one place says of its box", fontsize=10)
    shown = right.imshow(centreness, vmin=0, vmax=1, cmap="viridis", extent=(0, picture.shape[1], picture.shape[0], 0))
    figure.colorbar(shown, ax=right, shrink=0.8)
    right.set_title(f"centre-ness at all {' x '.join(map(str, centreness.shape))} places", fontsize=10)
    for panel in (left, right):
        panel.set_axis_off()
    return figure


def dense_figure(panels: Mapping[str, tuple[str, Sequence[Mapping]]]) -> Figure:
    """A panel a task: the measure on test by the number of labelled scenes, each way a line of means, each seed a dot.

    Args:
        panels: title -> (name of the measure, runs with "start", "layers", "count" and that measure).
    """
    figure, axes = subplots(1, len(panels), width=9.5, height=4.2, squeeze=False)
    for panel, (title, (measure, runs)) in zip(axes[0], panels.items()):
        counts = sorted({run["count"] for run in runs})
        for number, (way, (name, colour, marker, line)) in enumerate(WAYS.items()):
            scores = {
                c: [r[measure] for r in runs if (r["start"], r["layers"], r["count"]) == (*way, c)] for c in counts
            }
            known = [(place, seeds) for place, seeds in enumerate(scores.values()) if seeds]
            if not known:
                continue
            places = [place + 0.05 * (number - 2.5) for place, _ in known]
            panel.plot(
                places, [np.mean(seeds) for _, seeds in known], color=colour, marker=marker, linestyle=line, label=name
            )
            for place, (_, seeds) in zip(places, known):
                panel.scatter(
                    [place] * len(seeds), seeds, s=9, color="white", edgecolor=colour, linewidth=0.8, zorder=3
                )
        panel.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
        panel.set(xlabel="labelled scenes", ylabel=f"{measure} on test", ylim=(0, 1.02))
        panel.set_title(title, fontsize=11)
        panel.grid(axis="x", visible=False)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def curves_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Precision against recall, name -> (recall, precision)."""
    figure, axes = subplots(width=6, height=3.2)
    for (name, (recall, precision)), colour, line in zip(curves.items(), (GREEN, INK, SKY), ("-", "--", "-.")):
        axes.plot(recall, precision, color=colour, linestyle=line, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left")
    return figure


def _scene(panel: Axes, picture: np.ndarray) -> None:
    panel.imshow(picture, interpolation="nearest", extent=(0, picture.shape[1], picture.shape[0], 0))
    panel.set_axis_off()


def _label() -> dict:
    return {"facecolor": INK, "edgecolor": "none", "pad": 1, "alpha": 0.75}
