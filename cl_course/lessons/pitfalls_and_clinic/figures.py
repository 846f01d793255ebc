"""The four pitfalls of lesson 07 and what each does to the accuracy: every seed a dot, the mean a bar."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_course.lessons.shared.seeds import seed_dots
from cl_course.lessons.shared.style import BLUE, GREEN, INK, MUTED, ORANGE, PINK, RED, SKY, subplots

CHANCE = 0.1


def trained_temperatures_figure(runs: Sequence[Mapping], sweeps: Sequence[Sequence[Mapping]], negatives: int) -> Figure:
    """Accuracy by temperature, and which negatives are pushed.

    Args:
        runs: dicts with "encoder" (a temperature as text, or another name, left out here), "knn" and "linear".
        sweeps: for each seed points with "temperature", "effective_negatives" and "share_same_class".
        negatives: how many there are.
    """
    figure, (left, right) = subplots(1, 2, width=9.5, height=3.4)
    temperatures = sorted({float(run["encoder"]) for run in runs if is_number(run["encoder"])})
    for measure, color, marker, shift, label in (
        ("knn", BLUE, "o", -0.13, "kNN"),
        ("linear", ORANGE, "s", 0.13, "linear probe"),
    ):
        for place, temperature in enumerate(temperatures):
            scores = [
                run[measure] for run in runs if is_number(run["encoder"]) and float(run["encoder"]) == temperature
            ]
            seed_dots(left, place + shift, scores, color, marker, label if place == 0 else None)
    _chance(left, len(temperatures))
    left.set_xticks(range(len(temperatures)), [f"{t:g}" for t in temperatures])
    left.set_title("Accuracy on test", loc="left", fontsize=11)
    left.set(xlabel="temperature in training", ylim=(0, 1.02))
    left.grid(axis="x", visible=False)
    left.legend(loc="upper right", frameon=False)
    at = [point["temperature"] for point in sweeps[0]]
    for name, label, color, style, share in (
        ("effective_negatives", f"share that counts, of {negatives}", BLUE, "-", negatives),
        ("share_same_class", "push on the own class", RED, "--", 1),
    ):
        values = np.array([[point[name] / share for point in sweep] for sweep in sweeps])  # (seeds, temperatures)
        right.plot(at, values.mean(axis=0), color=color, linestyle=style, linewidth=2, label=label)
        right.fill_between(at, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2)
    right.set_title("Which negatives are pushed", loc="left", fontsize=11)
    right.set(xlabel="temperature", xscale="log", ylim=(0, 1.03))
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.3), frameon=False, fontsize=8.5)
    return figure


def strengths_figure(
    rates: Mapping[str, Sequence[float]], recognised: Mapping[str, Sequence[float]], runs: Sequence[Mapping]
) -> Figure:
    """What can be known of three augmentations before training, beside what came of it.

    Args:
        rates: setting -> how often a colour histogram finds the partner, one value a seed.
        recognised: setting -> how often a trained eye still tells the class of a view, one value a seed.
        runs: dicts with "setting" and "knn".
    """
    figure, axes = subplots(1, 3, width=9.5, height=3.0, sharey=True)
    settings = list(rates)
    knn = {name: [run["knn"] for run in runs if run["setting"] == name] for name in settings}
    titles = ("Colours find the positive", "A network finds the class", "kNN after training")
    for panel, title, scores, color in zip(axes, titles, (rates, recognised, knn), (ORANGE, GREEN, BLUE)):
        for place, name in enumerate(settings):
            seed_dots(panel, place, scores[name], color, "o", None, width=0.25)
            panel.annotate(
                f"{np.mean(scores[name]):.2f}",
                (place, max(scores[name])),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        panel.set_title(title, loc="left", fontsize=11)
        panel.set_xticks(range(len(settings)), settings)
        panel.set_xlim(-0.5, len(settings) - 0.5)
        panel.grid(axis="x", visible=False)
    _chance(axes[2], len(settings))
    axes[0].set(ylabel="share", ylim=(0, 1.12))
    return figure


def judges_figure(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Encoders under several judges, a line an encoder: where lines cross, the judges disagree about who is better.

    Args:
        scores: encoder -> judge -> its score for every seed; the same judges for all.
    """
    figure, axes = subplots(width=9.5, height=3.8)
    judges = list(next(iter(scores.values())))
    looks = zip(
        (INK, BLUE, ORANGE, PINK, SKY, GREEN), ("-", "-", "--", "-.", ":", "--"), ("D", "o", "s", "^", "v", "P")
    )
    for (encoder, of_judge), (color, style, marker) in zip(scores.items(), looks):
        means = [np.mean(of_judge[judge]) for judge in judges]
        axes.plot(means, color=color, linestyle=style, linewidth=1.6, marker=marker, markersize=7, label=encoder)
        for place, judge in enumerate(judges):
            axes.plot([place, place], [min(of_judge[judge]), max(of_judge[judge])], color=color, linewidth=4, alpha=0.3)
    axes.set_xticks(range(len(judges)), judges, fontsize=9)
    axes.set(ylim=(-0.06, 1.03), ylabel="score on test", xlim=(-0.3, len(judges) - 0.7))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def memory_figure(
    apart: Mapping[str, Sequence[float]],
    megabytes: Mapping[str, Sequence[float]],
    accuracy: Mapping[str, Sequence[float]],
) -> Figure:
    """A large batch in chunks: is it the same gradient, what does it save, what comes of it?

    Args:
        apart: way -> the gradient's distance from the whole batch's, as a share of its length, one value a batch.
        megabytes: way -> peak memory of a step, one value a measurement.
        accuracy: way -> kNN on test, one value a seed.
    """
    figure, axes = subplots(1, 3, width=11, height=3.2, width_ratios=[1.6, 1.4, 2.9])
    titles = ("Gradient off by", "MB that a step adds", "kNN on test")
    for panel, title, values, color in zip(axes, titles, (apart, megabytes, accuracy), (RED, GREEN, BLUE)):
        for place, scores in enumerate(values.values()):
            seed_dots(panel, place, scores, color, "o", None, width=0.25)
        panel.set_title(title, loc="left", fontsize=11)
        panel.set_xticks(range(len(values)), [way.replace(" ", "\n", 1) for way in values], fontsize=8)
        panel.set_xlim(-0.5, len(values) - 0.5)
        panel.grid(axis="x", visible=False)
    left, middle, right = axes
    for place, scores in enumerate(accuracy.values()):
        right.annotate(
            f"{np.mean(scores):.3f}",
            (place, max(scores)),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    left.set_yscale("log")
    middle.set_ylim(0, None)
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.12 * (high - low))
    return figure


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _chance(axes: Axes, places: int) -> None:
    axes.axhline(CHANCE, color=MUTED, linestyle="--", linewidth=1)
    axes.annotate(
        "chance",
        ((places - 1) / 2, CHANCE),
        xytext=(0, 3),
        textcoords="offset points",
        color=MUTED,
        fontsize=8,
        ha="center",
    )
