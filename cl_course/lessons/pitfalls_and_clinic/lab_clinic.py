"""Clinic lab: six recorded patients, a list of faults, and a verdict on your diagnosis."""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import display
from matplotlib.figure import Figure

from cl_course.diagnose import Health
from cl_course.lessons.pitfalls_and_clinic.check_clinic import CLUES, FAULTS, PATIENTS
from cl_course.lessons.pitfalls_and_clinic.clinic_figure import clinic_figure
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.show import canvas, png

UNDECIDED = "choose a fault"


def health_of(run: Mapping) -> Health:
    """The last look at a recorded run."""
    last = run["rows"][-1]
    similarities = {pairs: torch.tensor(run[pairs]) for pairs in ("positive", "negative")}
    return Health(
        loss=last["loss"],
        chance=run["chance"],
        spread=last["spread"],
        effective_rank=last["effective_rank"],
        dim=run["dim"],
        knn=last["knn"],
        **similarities,
    )


def sheet(runs: Sequence[Mapping], letter: str, seed: int = 0) -> tuple[Mapping, Mapping]:
    """A patient's run, and a healthy one of the same method."""
    by_name = {run["run"]: run for run in runs if run["seed"] == seed}
    patient = by_name[PATIENTS[letter]]
    return patient, by_name[patient["method"]]


class ClinicLab:
    """A slider through the patients and a list of faults to choose from.

    Args:
        runs: of the record `clinic`: "run" names a fault or, for the healthy, the method.
    """

    def __init__(self, runs: Sequence[Mapping]):
        self.runs, self.verdicts = runs, {}
        wide = {"description_width": "80px"}
        self.patient = widgets.SelectionSlider(
            options=list(PATIENTS), description="patient", style=wide, layout=widgets.Layout(width="320px")
        )
        numbered = [(f"{number}  {text}", fault) for number, (fault, text) in enumerate(FAULTS.items(), start=1)]
        self.fault = widgets.Dropdown(
            options=[(UNDECIDED, None), *numbered],
            description="diagnosis",
            style=wide,
            layout=widgets.Layout(width="560px"),
        )
        self.ask = widgets.Button(
            description="Is that it?", button_style="primary", tooltip="check the diagnosis of this patient"
        )
        self.words = widgets.HTML()
        self.picture = canvas(1100)
        self.patient.observe(self._change, "value")
        self.fault.observe(lambda _: self._draw_words(), "value")
        self.ask.on_click(lambda _: self.judge())
        row = widgets.Layout(flex_flow="row wrap")
        self.view = lab_view(
            "Clinic",
            widgets.HBox([self.patient], layout=row),
            widgets.HBox([self.fault, self.ask], layout=row),
            self.picture,
            self.words,
        )
        self._change()

    def judge(self) -> None:
        """Say whether the chosen fault is the patient's; nothing where none is chosen."""
        letter = self.patient.value
        if self.fault.value is not None:
            self.verdicts[letter] = self.fault.value
        self._draw_words()

    @property
    def sentence(self) -> str:
        letter = self.patient.value
        patient, healthy = sheet(self.runs, letter)
        ends = [run["rows"][-1]["knn"] for run in self.runs if run["run"] == patient["run"]]
        seeds = ", ".join(f"{end:.2f}" for end in ends)
        text = (
            f"Patient {letter}, {patient['method']}. {health_of(patient).sentence} kNN {np.mean(ends):.2f} "
            f"(seeds {seeds}), a healthy run's {healthy['rows'][-1]['knn']:.2f}."
        )
        verdict = self.verdicts.get(letter)
        if verdict is not None and verdict == self.fault.value:
            text += " Yes, that is it." if verdict == PATIENTS[letter] else f" Not that one: {CLUES[PATIENTS[letter]]}"
        right = sum(PATIENTS[name] == fault for name, fault in self.verdicts.items())
        return f"{text} {right} of {len(PATIENTS)} named."

    def figure(self) -> Figure:
        """The picture as it stands."""
        return clinic_figure({self.patient.value: sheet(self.runs, self.patient.value)})

    def _change(self, _=None) -> None:
        self.fault.value = self.verdicts.get(self.patient.value)
        self.picture.value = png(self.figure())
        self._draw_words()

    def _draw_words(self) -> None:
        self.ask.disabled = self.fault.value is None
        self.words.value = self.sentence


def clinic_lab(runs: Sequence[Mapping]) -> None:
    """Show a ClinicLab under the cell; its argument."""
    display(ClinicLab(runs).view)
