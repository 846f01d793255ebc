"""Clinic lab: six recorded patients, a list of faults, and a verdict on your diagnosis."""

from collections.abc import Mapping, Sequence

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from cl_course.lessons.pitfalls_and_clinic.clinic_figure import clinic_figure
from cl_course.lessons.pitfalls_and_clinic.evidence import against
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, PATIENTS, health_of, sheet
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.show import canvas, png

UNDECIDED = "choose a fault"


class ClinicLab:
    """A slider through the patients and a list of faults to choose from.

    Args:
        runs: of the record `clinic`: "run" names a fault or, for the healthy, the method.
    """

    def __init__(self, runs: Sequence[Mapping]):
        self.runs, self.asked, self.named = runs, {}, set()  # a right diagnosis stays, whatever is asked later
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
            self.asked[letter] = self.fault.value
            if self.fault.value == PATIENTS[letter]:
                self.named.add(letter)
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
        asked = self.asked.get(letter)
        if asked is not None and asked == self.fault.value:
            not_it = f" Not fault {list(FAULTS).index(asked) + 1}: "
            text += " Yes, that is it." if asked == PATIENTS[letter] else not_it + against(self.runs, letter, asked)
        if letter in self.named and self.fault.value != PATIENTS[letter]:
            text += f" You have named {letter} already, and that stays."
        return f"{text} {len(self.named)} of {len(PATIENTS)} named."

    def figure(self) -> Figure:
        """The picture as it stands."""
        return clinic_figure({self.patient.value: sheet(self.runs, self.patient.value)})

    def _change(self, _=None) -> None:
        self.fault.value = self.asked.get(self.patient.value)
        self.picture.value = png(self.figure())
        self._draw_words()

    def _draw_words(self) -> None:
        self.ask.disabled = self.fault.value is None
        self.words.value = self.sentence


def clinic_lab(runs: Sequence[Mapping]) -> None:
    """Show a ClinicLab under the cell; its argument."""
    display(ClinicLab(runs).view)
