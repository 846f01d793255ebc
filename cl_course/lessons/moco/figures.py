"""MoCo as a picture, and what its recorded runs say of the ages of keys, of starts and of epochs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_course.lessons.shared.diagram import arrow, box, note, picture, sheet
from cl_course.lessons.shared.seeds import seed_curves
from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, subplots

LOOKS = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "D"), (PINK, ":", "^"), (INK, "-", "v"), (RED, "-.", "x"))


def moco_figure(image: np.ndarray, view1: np.ndarray, view2: np.ndarray, earlier: np.ndarray) -> Figure:
    """From an image to the loss: a query, its key, and the belt of earlier keys.

    Args:
        image, view1, view2: pictures (h, w, 3) in [0, 1].
        earlier: views whose keys are in the queue, newest first, (m, h, w, 3).
    """
    figure, axes = sheet(9.5, 3.9)
    picture(axes, image, 0.15, 1.95, name="image")
    for view, y, name in ((view1, 3.1, "view1"), (view2, 1.55, "view2")):
        arrow(axes, (1.1, 2.4), (1.68, y))
        picture(axes, view, 1.75, y - 0.45, name=name)
        arrow(axes, (2.7, y), (3.08, y))
        arrow(axes, (4.82, y), (5.3, y))
    box(axes, 3.1, 3.1, "query network", BLUE, width=1.7)
    box(axes, 3.1, 1.55, "key network", ORANGE, width=1.7, dashed=True)
    arrow(axes, (3.95, 2.74), (3.95, 1.92), ORANGE, width=2)
    note(axes, 4.05, 2.33, "drifts after it, slowly:\nm of itself + (1 - m) of the other", ORANGE, ha="left")
    note(axes, 3.95, 1.1, "no gradient", MUTED)
    note(axes, 3.95, 3.56, "learns; its encoder is kept", MUTED)
    axes.text(5.5, 3.1, "q", fontsize=15, ha="center", va="center", color=BLUE)
    axes.text(5.5, 1.55, "k", fontsize=15, ha="center", va="center", color=ORANGE)
    arrow(axes, (5.62, 2.92), (7.1, 2.92 - 0.62), GREEN, "<->", 2)
    arrow(axes, (5.62, 1.72), (7.1, 2.92 - 0.62), GREEN, "-", 2)
    note(axes, 7.2, 2.3, "own key: pulled together", GREEN, ha="left")
    arrow(axes, (5.62, 3.2), (9.1, 3.2), RED, "-", 2)
    arrow(axes, (9.1, 3.2), (9.1, 0.1), RED, "-", 2)
    arrow(axes, (9.1, 0.1), (7.3, 0.1), RED, "->", 2)
    note(axes, 7.4, 3.35, "all keys of the queue: pushed away", RED)
    _belt_of_cards(axes, earlier)
    return figure


def _belt_of_cards(axes: Axes, earlier: np.ndarray) -> None:
    """Under everything else: the new key gets on at the left, the oldest falls off at the right."""
    left, size = 2.9, 0.62
    arrow(axes, (5.5, 1.37), (5.5, 1.0), ORANGE, "-", 1.3)
    arrow(axes, (5.5, 1.0), (left - 0.35, 1.0), ORANGE, "-", 1.3)
    arrow(axes, (left - 0.35, 1.0), (left - 0.35, 0.5), ORANGE, "-", 1.3)
    arrow(axes, (left - 0.35, 0.5), (left - 0.05, 0.5), ORANGE)
    for place, view in enumerate(earlier):
        picture(axes, view, left + place * (size + 0.1), 0.2, size)
    right = left + len(earlier) * (size + 0.1)
    axes.plot([left - 0.05, right], [0.1, 0.1], color=INK, linewidth=2)
    arrow(axes, (right, 0.5), (right + 0.35, 0.15), MUTED)
    note(axes, left - 0.45, 0.5, "after the step\nthe new keys\nget on ...", ORANGE, ha="right")
    note(axes, right + 0.1, 0.62, "... and the\noldest fall off", MUTED, ha="left", va="bottom")


def ages_figure(groups: Mapping[str, Sequence[Mapping]], ages: Sequence[int]) -> Figure:
    """What age does to keys: how alike the key network's keys stay, and what old ones cost as negatives.

    Args:
        groups: up to six: name -> for each seed a dict with "drift", one cosine similarity for each of `ages`, and
            "cost", one value for each step of age in the queue, from 1 on.
        ages: in steps; the last ones may be missing from a short run.
    """
    figure, (alike, cost) = subplots(1, 2, width=9.5, height=3.5)
    for (name, runs), (color, style, marker) in zip(groups.items(), LOOKS):
        drift, costs = (np.array([run[measure] for run in runs]) for measure in ("drift", "cost"))  # (seeds, ages)
        steps = np.arange(1, costs.shape[1] + 1)
        for panel, x, values in ((alike, ages[: drift.shape[1]], drift), (cost, steps, costs - costs[:, :1])):
            panel.plot(
                x,
                values.mean(axis=0),
                color=color,
                linestyle=style,
                marker=marker,
                markersize=4 if len(x) < 20 else 0,
                linewidth=2,
                label=name if panel is alike else None,
            )
            panel.plot(x, values.T, color=color, linestyle=style, linewidth=0.7, alpha=0.5)
    for panel, label in ((alike, "steps between two keys of one view"), (cost, "age of a key in the queue, in steps")):
        reach = max(line.get_xdata()[-1] for line in panel.lines)
        shown = [age for age in ages if age <= reach]
        panel.set(xscale="log", xticks=shown, xticklabels=shown, xlabel=label)
        panel.minorticks_off()
    alike.set_ylim(None, 1.02)
    alike.set_title("How alike they are (cosine similarity)", loc="left")
    cost.axhline(0, color=MUTED, linestyle="--", linewidth=1)
    cost.set_title("What it costs as a negative, against the newest\n(log of mean exp(s / T))", loc="left")
    figure.legend(loc="outside lower center", ncols=min(len(groups), 3), frameon=False, handlelength=2.6)
    return figure


def lottery_figure(groups: Mapping[str, Mapping[str, Sequence[float]]], lines: Mapping[str, float]) -> Figure:
    """Accuracy of many short runs, a row for each setting: the mean as a bar, every seed with a marker of its own.

    Args:
        groups: what was changed -> setting -> accuracy of each seed, in the order of the seeds.
        lines: name -> accuracy without any training of this kind, drawn across all rows.
    """
    rows = [(group, name, scores) for group, settings in groups.items() for name, scores in settings.items()]
    figure, axes = subplots(1, 1, width=9.5, height=0.9 + 0.28 * (len(rows) + len(groups)))
    place, ticks, unnamed = 0.0, {}, True
    for number, (group, name, scores) in enumerate(rows):
        if number == 0 or rows[number - 1][0] != group:
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 2}
            axes.text(0.005, place, group, fontsize=9.5, weight="bold", va="center", bbox=ground)
            place += 1
        ticks[place] = name
        axes.plot([np.mean(scores)] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=2)
        for seed, (score, (color, _, marker)) in enumerate(zip(scores, LOOKS)):
            label = f"seed {seed}" if unnamed else None
            axes.scatter(score, place, s=34, color=color, marker=marker, edgecolor="white", label=label, zorder=3)
        unnamed, place = False, place + 1
    for name, height in lines.items():
        axes.axvline(height, color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(f"{name} {height:.2f}", (height, -0.9), xytext=(3, 0), textcoords="offset points", fontsize=9)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set(xlim=(0, 1), ylim=(place - 0.4, -1.3), xlabel="kNN accuracy on test; the bar is the mean")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right", frameon=False)
    return figure


def epochs_figure(groups: Mapping[str, Sequence[Mapping]], measures: Mapping[str, str]) -> Figure:
    """Curves by epoch, a panel a measure.

    Args:
        groups: up to six: name -> for each seed a dict of measures, one value an epoch.
        measures: key -> title of its panel.
    """
    figure, axes = subplots(1, len(measures), width=9.5, height=3.3, squeeze=False)
    for panel, (measure, title) in zip(axes[0], measures.items()):
        epochs = seed_curves(panel, groups, measure, LOOKS, labelled=panel is axes[0, 0])
        panel.set(xlabel="epoch", xticks=epochs)
        panel.set_title(title, fontsize=10, loc="left")
    figure.legend(loc="outside lower center", ncols=min(len(groups), 3), frameon=False, handlelength=2.6)
    return figure
