"""What lies near what: nearest neighbours as cards, and a map of all features."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, SKY, new_figure, subplots

CLASS_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, INK, "#8a6d00", MUTED, "#56407c")
CLASS_MARKERS = ("o", "s", "^", "*", "h", "P", "D", "<", "v", "d")


def neighbour_grid(
    queries: np.ndarray, found: Mapping[str, tuple[np.ndarray, np.ndarray]], width: float = 9.5
) -> Figure:
    """Each query, then what each description found for it, the nearest first.

    A neighbour of the query's class has a green frame, any other a dashed red one.

    Args:
        queries: pictures (q, h, w, 3) in [0, 1].
        found: name of a description -> pictures (q, k, h, w, 3) and whether they are right, bool (q, k).
    """
    k = next(iter(found.values()))[1].shape[1]
    columns = 1 + sum(0.4 + k for _ in found)
    figure = new_figure(width, width * (len(queries) + 0.45) / columns)
    axes = figure.add_subplot()
    axes.set(xlim=(-0.05, columns), ylim=(len(queries), -0.45), aspect="equal")
    axes.set_axis_off()
    axes.text(0.46, -0.12, "query", ha="center", fontsize=10)
    for row, query in enumerate(queries):
        _card(axes, query, 0, row, INK, "-")
    for block, (name, (pictures, right)) in enumerate(found.items()):
        left = 1.4 + block * (k + 0.4)
        axes.text(left, -0.12, f"{name}: {right.mean():.0%} of these right", fontsize=10)
        for row, column in np.ndindex(right.shape):
            good = right[row, column]
            _card(
                axes, pictures[row, column], left + column, row, GREEN if good else RED, "-" if good else (0, (2, 1.2))
            )
    return figure


def _card(axes, picture: np.ndarray, x: float, y: float, color: str, linestyle) -> None:
    axes.imshow(picture, extent=(x + 0.05, x + 0.87, y + 0.92, y + 0.1), interpolation="nearest", zorder=1)
    axes.add_patch(
        Rectangle(
            (x + 0.03, y + 0.08), 0.86, 0.86, fill=False, edgecolor=color, linewidth=2.2, linestyle=linestyle, zorder=2
        )
    )


def embedding_map(
    points: Mapping[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    painted: Mapping[str, np.ndarray] = {},
    width: float = 9.5,
) -> Figure:
    """Points in the plane, a panel for each of `points`; each class has a colour and a marker.

    Args:
        points: title -> (n, 2); labels: (n,), places in `class_names`.
        painted: title -> RGB (n, 3) in [0, 1], for panels that show these colours in place of the class's.
    """
    figure, axes = subplots(1, len(points), width=width, height=width / len(points) + 0.35, squeeze=False)
    for panel, (title, xy) in zip(axes[0], points.items()):
        for label, name in enumerate(class_names):
            of_class = xy[labels == label]
            look = label % len(CLASS_MARKERS)
            color = painted[title][labels == label] if title in painted else CLASS_COLOURS[look]
            panel.scatter(
                *of_class.T, s=11, color=color, marker=CLASS_MARKERS[look], linewidth=0, alpha=0.75, label=name
            )
        panel.set_title(title, loc="left", fontsize=11)
        panel.set(xticks=[], yticks=[])
        panel.grid(False)
        panel.set_aspect("equal", adjustable="datalim")
        for spine in panel.spines.values():
            spine.set(visible=True, color="#cccccc")
    by_class = next((panel for panel, title in zip(axes[0], points) if title not in painted), axes[0, 0])
    handles, names = by_class.get_legend_handles_labels()
    legend = figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=len(class_names),
        handletextpad=0.1,
        columnspacing=0.9,
        fontsize=9,
        frameon=False,
    )
    for handle in legend.legend_handles:
        handle.set(sizes=[34], alpha=1)
    return figure
