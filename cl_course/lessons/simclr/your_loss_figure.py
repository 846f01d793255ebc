"""Two runs side by side: one with the learner's loss, one with the course's."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, MUTED, ORANGE, subplots

LOOKS = {"yours": (ORANGE, "--", "s"), "the course's": (BLUE, "-", "o")}
PANELS = {
    "loss": "Loss",
    "knn": "kNN (validation)",
    "similarity": "Similarity of pairs",
    "spread": "Spread of z (0: collapse)",
}


def your_loss_figure(runs: Mapping[str, Sequence[Mapping]], steps: int, chance: float, title: str = "") -> Figure:
    """Loss, kNN accuracy, similarities and spread by step, both runs in every panel.

    Args:
        runs: of LOOKS -> looks, dicts with "step", "loss", "knn", "positive", "negative" and "spread".
        steps: how long the axis is; chance: the loss of guessing.
    """
    figure, axes = subplots(1, 4, width=10.5, height=3.0)
    panels = dict(zip(PANELS, axes))
    panels["loss"].axhline(chance, color=MUTED, linestyle=":", linewidth=1.2)
    panels["loss"].annotate(
        f"guessing {chance:.2f}", (0, chance), xytext=(2, 3), textcoords="offset points", color=MUTED, fontsize=8
    )
    for name, looks in runs.items():
        color, style, marker = LOOKS[name]
        look = {"color": color, "linestyle": style, "marker": marker, "markersize": 3.5}
        at = [row["step"] for row in looks]
        for measure in ("loss", "knn", "spread"):
            panels[measure].plot(at, [row[measure] for row in looks], label=name, **look)
        panels["similarity"].plot(at, [row["positive"] for row in looks], **look)
        panels["similarity"].plot(at, [row["negative"] for row in looks], **look, alpha=0.45)
    panels["similarity"].set_ylim(-0.25, 1.08)
    panels["similarity"].annotate("strong: positive pairs\npale: negative pairs", (0.97, 0.5), fontsize=8, ha="right",
                                  xycoords="axes fraction", va="center", color=MUTED)  # fmt: skip
    panels["knn"].set_ylim(0, 1)
    panels["spread"].set_ylim(0, 1.1)
    panels["loss"].set_ylim(min(0, *(row["loss"] for looks in runs.values() for row in looks)), None)
    for measure, panel in panels.items():
        panel.set_title(PANELS[measure], fontsize=10.5, loc="left")
        panel.set(xlabel="step", xlim=(0, 1.02 * steps))
    handles, names = panels["loss"].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, handlelength=3, frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure
