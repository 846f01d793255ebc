"""Figures of lesson 01: views, the shortcut meter, and what three encoders kept. Images are arrays (n, h, w, 3)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.cards import COLOURS, MARKERS, draw_card, mean_and_reach
from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, RED, subplots

GAP = 4  # white pixels between two pictures of a sheet
FACTORS = {
    "class": "class\n(accuracy)",
    "object_hue": "object\nhue",
    "background_hue": "background\nhue",
    "position": "position",
    "scale": "scale",
    "angle": "angle",
}
SETTINGS = {
    "untrained": (MUTED, "v"),
    "weak": (ORANGE, "o"),
    "right": (BLUE, "s"),
    "strong": (RED, "^"),
    "yours": (GREEN, "*"),
}


def view_sheet(original: np.ndarray, views: np.ndarray, caption: str = "") -> Figure:
    """The original, twice as large, and beside it its views in two rows.

    Args:
        original: (h, w, 3); views: (n, h, w, 3), n even.
    """
    sheet = _mosaic(original, views)
    figure, axes = subplots(width=8.4, height=8.4 * sheet.shape[0] / sheet.shape[1] + 0.35)
    axes.set_axis_off()
    axes.imshow(sheet, interpolation="nearest", vmin=0, vmax=1, aspect="equal")
    axes.set_title(caption, fontsize=10, loc="left")
    return figure


def _mosaic(original: np.ndarray, views: np.ndarray) -> np.ndarray:
    n, h, w, _ = views.shape
    columns, unit = n // 2, GAP * h // 96 + 1
    sheet = np.ones((2 * h + unit, 2 * w + 3 * unit + columns * (w + unit), 3))
    large = original.repeat(2, axis=0).repeat(2, axis=1)
    sheet[: 2 * h, : 2 * w] = large
    for i, view in enumerate(views):
        top, left = (i // columns) * (h + unit), 2 * w + 3 * unit + (i % columns) * (w + unit)
        sheet[top : top + h, left : left + w] = view
    return sheet


def pairs_figure(view1: np.ndarray, view2: np.ndarray, title: str = "") -> Figure:
    """Two views of the same images, one above the other."""
    figure, places = subplots(2, len(view1), width=8.5, height=8.5 / len(view1) * 2 + 0.45, squeeze=False)
    for row, name, views in zip(places, ("view1", "view2"), (view1, view2)):
        for place, view in zip(row, views):
            draw_card(place, view)
        row[0].set_ylabel(name, fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def histograms_figure(images: np.ndarray, histograms: np.ndarray, titles: Sequence[str]) -> Figure:
    """Pictures, and under each the shares of red, green and blue values in equal bins.

    Args:
        histograms: (n, 3 bins), red first; the shares themselves, not their roots.
    """
    figure, places = subplots(2, len(images), width=2.3 * len(images), height=3.6, height_ratios=[1.5, 1])
    bins = histograms.shape[1] // 3
    for image, histogram, title, above, below in zip(images, histograms, titles, *places):
        draw_card(above, image)
        above.set_title(title, fontsize=10, loc="center")
        for channel, (color, name) in enumerate(((RED, "red"), (GREEN, "green"), (BLUE, "blue"))):
            x = np.arange(bins) + channel * (bins + 1)
            below.bar(x, histogram[channel * bins : (channel + 1) * bins], color=color, width=0.9)
            below.text(
                x.mean(),
                -0.06,
                name,
                ha="center",
                va="top",
                fontsize=8,
                color=color,
                transform=below.get_xaxis_transform(),
            )
        below.set(xticks=[], ylim=(0, 1), yticks=[0, 0.5, 1])
        below.grid(False)
    places[1][0].set_ylabel("share of\npixels", fontsize=9)
    return figure


def meter_figure(
    recipes: Sequence[str], rates: Mapping[str, np.ndarray], n: int, guess: Sequence[float | None] = ()
) -> Figure:
    """How often each cheap feature finds the partner, recipe by recipe.

    Args:
        rates: feature -> share found, (recipes, seeds); the bars reach from the smallest to the largest seed.
        n: images to choose from; 1 / n is chance.
        guess: what the reader expected of the colour histogram, recipe by recipe; None where nothing.
    """
    figure, axes = subplots(width=8.4, height=3.8)
    axes.axhline(1 / n, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        f"1 of {n}",
        (len(recipes) - 0.5, 1 / n),
        xytext=(3, 0),
        textcoords="offset points",
        fontsize=8,
        color=MUTED,
        va="center",
        annotation_clip=False,
    )
    for number, (feature, found) in enumerate(rates.items()):
        mean, spread = mean_and_reach(found)
        x = np.arange(len(recipes)) + 0.14 * (number - (len(rates) - 1) / 2)
        color = COLOURS.get(feature, INK)
        axes.errorbar(
            x,
            mean,
            spread,
            color=color,
            marker=MARKERS.get(feature, "o"),
            capsize=3,
            linestyle=":",
            linewidth=1,
            label=feature,
        )
    highest = np.max([found.max(axis=1) for found in rates.values()], axis=0)
    for place, (value, top) in enumerate(zip(rates["colour histogram"].mean(axis=1), highest)):
        axes.annotate(
            f"{100 * value:.0f} %",
            (place, top),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=COLOURS["colour histogram"],
        )
    known = [(x, g) for x, g in enumerate(guess) if g is not None]
    if known:
        axes.plot(*zip(*known), linestyle="none", marker="*", markersize=13, color=INK, label="your guess (histogram)")
    axes.set(
        xticks=range(len(recipes)),
        xticklabels=recipes,
        ylim=(0, 1.1),
        xlim=(-0.5, len(recipes) - 0.5),
        ylabel=f"partner found among {n}",
    )
    axes.legend(loc="upper right", frameon=False)
    return figure


def invariance_figure(runs: Sequence[Mapping]) -> Figure:
    """What can be read linearly off encoders of several settings; each mark is a seed, each bar their mean.

    Args:
        runs: dicts with "setting" (of SETTINGS), "seed", "knn", "linear" and "probes": factor -> R^2, for the class
            its accuracy.
    """
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.7, width_ratios=[1, 2.6])
    settings = [name for name in SETTINGS if any(run["setting"] == name for run in runs)]
    groups = {
        left: {"kNN": lambda run: run["knn"], "linear\nprobe": lambda run: run["linear"]},
        right: {label: lambda run, f=factor: run["probes"][f] for factor, label in FACTORS.items()},
    }
    for axes, measures in groups.items():
        for place, measure in enumerate(measures.values()):
            for number, setting in enumerate(settings):
                values = np.array([measure(run) for run in runs if run["setting"] == setting])
                x = place + 0.8 / len(settings) * (number - (len(settings) - 1) / 2)
                color, marker = SETTINGS[setting]
                label = setting if place == 0 else None
                axes.bar(x, max(values.mean(), 0), width=0.7 / len(settings), color=color, alpha=0.35)
                axes.plot(
                    np.full(len(values), x),
                    values,
                    linestyle="none",
                    marker=marker,
                    markersize=5,
                    color=color,
                    label=label,
                )
        axes.axhline(0, color=MUTED, linewidth=1)
        axes.set(
            xticks=range(len(measures)),
            xticklabels=measures,
            ylim=(min(0, _lowest(runs)) - 0.02, 1.25),
            yticks=np.arange(0, 1.1, 0.2),
        )
        axes.grid(axis="x", visible=False)
    left.set_title("Class, encoder trained\nwithout labels", fontsize=11, loc="left")
    left.set_ylabel("accuracy on test")
    right.set_title("What can be read linearly off h", fontsize=11, loc="left")
    right.set_ylabel("R² (class: accuracy)")
    right.legend(loc="upper right", ncols=len(settings), frameon=False, columnspacing=1)
    return figure


def _lowest(runs: Sequence[Mapping]) -> float:
    return max(-0.3, min(min(run["probes"].values()) for run in runs))


def values_figure(groups: Mapping[str, np.ndarray], allowed: tuple[float, float] = (0, 1)) -> Figure:
    """Histograms of pixel values side by side, on one axis; the allowed range is shaded."""
    figure, places = subplots(1, len(groups), width=8.5, height=2.5, sharex=True, sharey=True)
    everything = np.concatenate([values.ravel() for values in groups.values()])
    bins = np.linspace(everything.min(), everything.max(), 40)
    for place, (name, values), color in zip(np.atleast_1d(places), groups.items(), (BLUE, ORANGE, RED)):
        place.axvspan(*allowed, color=GREEN, alpha=0.12)
        place.hist(values.ravel(), bins=bins, weights=np.full(values.size, 1 / values.size), color=color)
        place.set_title(name, fontsize=10, loc="left")
        place.set_xlabel("value")
    np.atleast_1d(places)[0].set_ylabel("share of pixels")
    return figure
