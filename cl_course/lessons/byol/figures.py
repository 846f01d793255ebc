"""BYOL as a picture, its momentum over a run, and what each of its parts is good for."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.diagram import arrow, box, note, picture, sheet
from cl_course.lessons.shared.seeds import seed_dots
from cl_course.lessons.shared.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PINK, RED, subplots


def byol_figure(image: np.ndarray, view1: np.ndarray, view2: np.ndarray) -> Figure:
    """From an image to the loss: the online network predicts, its slow copy gives the target.

    Args:
        image, view1, view2: pictures (h, w, 3) in [0, 1].
    """
    figure, axes = sheet(9.5, 3.3)
    picture(axes, image, 0.15, 1.3, name="image")
    for view, y, name in ((view1, 2.55, "view1"), (view2, 0.9, "view2")):
        arrow(axes, (1.1, 1.75), (1.63, y))
        picture(axes, view, 1.7, y - 0.45, name=name)
        arrow(axes, (2.65, y), (2.98, y))
        arrow(axes, (4.2, y), (4.4, y))
        arrow(axes, (5.62, y), (5.9, y))
    for x, name, letter in ((3.0, "encoder", "h1"), (4.42, "projector", "z1")):
        box(axes, x, 2.55, name, BLUE)
        box(axes, x, 0.9, name, ORANGE, dashed=True)
        arrow(axes, (x + 0.6, 2.2), (x + 0.6, 1.26), ORANGE, width=2)
    axes.text(6.08, 2.55, "z1", fontsize=13, ha="center", va="center", color=BLUE)
    arrow(axes, (6.27, 2.55), (6.5, 2.55))
    box(axes, 6.52, 2.55, "predictor", GREEN)
    arrow(axes, (7.74, 2.55), (8.05, 2.55))
    axes.text(8.25, 2.55, "p1", fontsize=13, ha="center", va="center", color=GREEN)
    axes.text(6.35, 0.9, "target2", fontsize=13, ha="center", va="center", color=ORANGE)
    arrow(axes, (6.85, 0.9), (8.25, 0.9), ORANGE, "-", 2)
    arrow(axes, (8.25, 0.9), (8.25, 2.3), ORANGE, width=2)
    for x in (7.42, 7.52):
        axes.plot([x - 0.05, x + 0.05], [0.72, 1.08], color=RED, linewidth=2)
    note(axes, 7.47, 0.55, "no gradient back", RED)
    note(axes, 8.35, 1.65, "loss: p1 should\npoint where\ntarget2 does", INK, ha="left")
    note(axes, 4.32, 1.72, "follows\nslowly", ORANGE)
    note(axes, 4.32, 3.1, "online network: learns, and its encoder is kept", BLUE)
    note(axes, 4.32, 0.38, "target network: a slow copy, never trained", ORANGE)
    note(axes, 8.2, 0.2, "and the same with the views exchanged", MUTED)
    return figure


def schedule_figure(momenta: Mapping[str, Sequence[float]]) -> Figure:
    """Momentum over a run, and the mean age of what an average with that momentum holds.

    Args:
        momenta: name -> one value for each step.
    """
    figure, (left, right) = subplots(1, 2, width=9, height=3.0)
    for (name, values), color, style in zip(momenta.items(), (BLUE, ORANGE, PINK, GREEN), ("-", "--", "-.", ":")):
        values = np.asarray(values)
        left.plot(values, color=color, linestyle=style, label=name)
        right.plot(values / np.maximum(1 - values, 1e-9), color=color, linestyle=style)
    left.set(title="Momentum", xlabel="step", ylim=(None, 1.01))
    left.legend(loc="lower right", frameon=False)
    last = len(values)
    right.set(title="Mean age at this momentum, m / (1 - m) steps", xlabel="step", yscale="log", ylim=(1, 1e5))
    right.axhline(last, color=MUTED, linestyle=":", linewidth=1)
    right.annotate("as long as the run", (0, last), xytext=(4, 3), textcoords="offset points", color=MUTED, fontsize=8)
    return figure


ROWS = {
    "accuracy on test": (("knn", "kNN", BLUE, "o"), ("linear", "linear probe", ORANGE, "s")),
    "effective rank": (("rank_h", "of h", BLUE, "o"), ("rank_z", "of z", ORANGE, "s")),
}


def parts_figure(runs: Sequence[Mapping], factors: Mapping[str, Sequence], chosen: Mapping[str, object]) -> Figure:
    """What one change does to accuracy and to the effective rank: every seed as a dot, the mean as a bar.

    Args:
        runs: one dict a run with "factor", "value", the measures of ROWS; the unchanged ones have the factor "recipe".
        factors: which to show, with their values; chosen: the recipe's value of each, marked by a band.
    """
    figure, axes = subplots(
        2,
        len(factors),
        width=9.8,
        height=4.6,
        sharey="row",
        squeeze=False,
        width_ratios=[0.6 + len(values) for values in factors.values()],
    )
    for row, (title, measures) in enumerate(ROWS.items()):
        for panel, (factor, values) in zip(axes[row], factors.items()):
            panel.axvspan(
                values.index(chosen[factor]) - 0.45,
                values.index(chosen[factor]) + 0.45,
                color=GRID,
                alpha=0.6,
                zorder=0,
            )
            for side, (measure, name, color, marker) in zip((-0.16, 0.16), measures):
                for place, value in enumerate(values):
                    wanted = ("recipe", None) if value == chosen[factor] else (factor, value)
                    seed_dots(
                        panel,
                        place + side,
                        [run[measure] for run in runs if (run["factor"], run["value"]) == wanted],
                        color,
                        marker,
                        name if place == 0 else None,
                        width=0.14,
                    )
            panel.set_xticks(range(len(values)), [str(value).replace(" ", "\n") for value in values])
            panel.set_xlim(-0.6, len(values) - 0.4)
            panel.grid(axis="x", visible=False)
            if row == 0:
                panel.set_title(factor.replace(" at the ", "\nat the "), fontsize=9.5)
        axes[row, 0].set(ylabel=title, ylim=(0, 1.02 if row == 0 else None))
        axes[row, -1].legend(loc="lower right", frameon=False, fontsize=8)
    return figure


def takeoff_figure(groups: Mapping[str, Sequence[Sequence[float]]], start: float) -> Figure:
    """kNN accuracy on validation by epoch, a panel a setting, a line a seed.

    Args:
        groups: name -> for each of up to five seeds one value an epoch; start: of a random encoder, dashed.
    """
    figure, axes = subplots(1, len(groups), width=10.5, height=2.6, sharey=True, squeeze=False)
    for panel, (name, curves) in zip(axes[0], groups.items()):
        epochs = np.arange(1, len(curves[0]) + 1)
        for curve, color, style, marker in zip(
            curves, (BLUE, ORANGE, GREEN, PINK, RED), ("-", "--", "-.", ":", "-"), "os^Dv"
        ):
            panel.plot(epochs, curve, color=color, linestyle=style, marker=marker, markersize=3.5)
        panel.axhline(start, color=MUTED, linestyle="--", linewidth=1)
        panel.set_title(name, fontsize=9.5)
        panel.set(xlabel="epoch", xticks=[1, (1 + epochs[-1]) // 2, epochs[-1]])
    axes[0, 0].set(ylabel="kNN (validation)", ylim=(0, None))
    axes[0, 0].annotate("dashed: random encoder", (0.03, 0.04), xycoords="axes fraction", color=MUTED, fontsize=7.5)
    return figure
