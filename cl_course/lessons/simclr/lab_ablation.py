"""Ablation lab: set the sliders, say what you expect, and let the recorded runs answer."""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from cl_course.lessons.shared.ablation_figure import LABELS, ablation_figure
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.show import canvas, png

LABEL_WIDTH = {"description_width": "100px"}


class AblationLab:
    """Sliders over recorded runs; a setting's accuracy is covered until you have guessed it.

    Args:
        runs: one dict a run, with a value for each of `factors`, "seed" and `measure`.
        factors: what was varied; a slider or buttons each, for all values that were run.
        start: where they stand at first; the middle where not given.
        revealed: settings (values in the order of `factors`) that are known from the start.
    """

    def __init__(
        self,
        runs: Sequence[Mapping],
        factors: Sequence[str] = ("temperature", "augment", "batch_size"),
        *,
        measure: str = "knn",
        start: Mapping[str, object] | None = None,
        revealed: Sequence[tuple] = (),
    ):
        self.runs, self.factors, self.measure = runs, tuple(factors), measure
        self.settings = {tuple(run[f] for f in self.factors) for run in runs}
        self.revealed, self.errors = set(revealed), []
        self.controls = {factor: self._control(factor, (start or {}).get(factor)) for factor in self.factors}
        self.guess = widgets.FloatSlider(
            0.5,
            max=1,
            step=0.01,
            description="your guess",
            readout_format=".2f",
            style=LABEL_WIDTH,
            layout=widgets.Layout(width="360px"),
        )
        self.reveal = widgets.Button(
            description="Reveal", button_style="primary", tooltip="show what was measured at this setting"
        )
        self.reveal_all = widgets.Button(description="Reveal all", tooltip="show every setting")
        self.words = widgets.HTML()
        self.picture = canvas(950)
        for control in (*self.controls.values(), self.guess):
            control.observe(self._draw, "value")
        self.reveal.on_click(lambda _: self.open())
        self.reveal_all.on_click(lambda _: self.open_all())
        row = widgets.Layout(flex_flow="row wrap")
        sliders = [control for control in self.controls.values() if isinstance(control, widgets.SelectionSlider)]
        buttons = [control for control in self.controls.values() if control not in sliders]
        rows = [
            widgets.HBox(line, layout=row) for line in (sliders, buttons, [self.guess, self.reveal, self.reveal_all])
        ]
        self.view = lab_view("Ablation lab", *rows, self.picture, self.words)
        self._draw()

    @property
    def chosen(self) -> dict[str, object]:
        return {factor: control.value for factor, control in self.controls.items()}

    def scores(self) -> list[float]:
        """What was measured at the chosen setting, one value a seed; nothing where it was not run."""
        return [run[self.measure] for run in self.runs if all(run[f] == v for f, v in self.chosen.items())]

    def open(self) -> None:
        """Reveal the chosen setting, and score the guess made for it."""
        setting = tuple(self.chosen.values())
        if setting in self.settings - self.revealed:
            self.revealed.add(setting)
            self.errors.append(abs(self.guess.value - float(np.mean(self.scores()))))
        self._draw()

    def open_all(self) -> None:
        """Reveal everything; nothing is scored."""
        self.revealed |= self.settings
        self._draw()

    @property
    def sentence(self) -> str:
        setting = ", ".join(f"{LABELS.get(f, f)} {v}" for f, v in self.chosen.items())
        scores = self.scores()
        if not scores:
            return f"{setting}: not among the recorded runs."
        if tuple(self.chosen.values()) not in self.revealed:
            text = f"{setting}: covered. What do you expect? Set your guess, then press Reveal."
        else:
            seeds = ", ".join(f"{score:.3f}" for score in scores)
            text = f"{setting}: mean {np.mean(scores):.3f} (seeds {seeds})."
        if self.errors:
            text += f" {len(self.errors)} guessed so far, off by {np.mean(self.errors):.2f} on average."
        return text

    def figure(self) -> Figure:
        """The picture as it stands."""
        covered = self.settings - self.revealed
        here = tuple(self.chosen.values()) in covered
        return ablation_figure(
            self.runs, self.chosen, measure=self.measure, hidden=covered, guess=self.guess.value if here else None
        )

    def _control(self, factor: str, start: object) -> widgets.SelectionSlider | widgets.ToggleButtons:
        """A slider through numbers; buttons for words, which a slider has no room for."""
        values = list(dict.fromkeys(run[factor] for run in self.runs))
        keywords = {
            "options": [(str(value), value) for value in values],
            "value": values[len(values) // 2] if start is None else start,
            "description": LABELS.get(factor, factor),
        }
        if isinstance(values[0], str):
            return widgets.ToggleButtons(**keywords, style={"button_width": "auto", "description_width": "initial"})
        return widgets.SelectionSlider(**keywords, style=LABEL_WIDTH, layout=widgets.Layout(width="300px"))

    def _draw(self, _=None) -> None:
        covered = tuple(self.chosen.values()) in self.settings - self.revealed
        self.guess.disabled = self.reveal.disabled = not covered
        self.picture.value = png(self.figure())
        self.words.value = self.sentence


def ablation_lab(runs: Sequence[Mapping], **keywords) -> None:
    """Show an AblationLab under the cell; its arguments."""
    display(AblationLab(runs, **keywords).view)
