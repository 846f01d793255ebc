"""Target lab: DINO's targets on a teacher's recorded scores; the learner moves centre and temperature."""

import base64
from typing import Any

import torch
from IPython.display import display
from torch import Tensor

from cl_course.lessons.family.small_runs import EVERY, PROTOTYPES
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.running import records
from cl_course.values import real, whole

CARDS = 32  # of a run, those that the lab shows


def target_lab(temperature: float = 0.02, momentum: float = 0.9, step: int = 96) -> None:
    """Sliders for the teacher's temperature, the centre's momentum and the step; see lab_targets.js.

    Args:
        temperature: the teacher's at first, 0.01 to 1.
        momentum: the centre's at first, in [0, 1]; 1 leaves the centre at 0.
        step: of training, at first, a multiple of EVERY.

    Raises:
        ValueError: a setting outside its range.
    """
    real("temperature", temperature, least=0.01, most=1, advice="0.04 is the paper's")
    real("momentum", momentum, least=0, most=1, advice="0.9 is the paper's, 1 is no centre")
    data = records.read("family_targets")["runs"][0]
    last = (data["looks"] - 1) * EVERY
    if whole("step", step, 0, last) % EVERY:
        raise ValueError(f"step must be a multiple of {EVERY}, at which the run was looked at, got {step}")
    shown = {"cards": CARDS, "prototypes": PROTOTYPES, "every": EVERY, "scores": data["scores"], "means": data["means"]}
    display(page_lab(__file__, "lab_targets", **shown, temperature=temperature, momentum=momentum, step=step))


def packed(values: Tensor) -> dict[str, Any]:
    """Numbers as whole ones of 16 bits: `step`, and `codes` in base64."""
    step = float(values.abs().max()) / 32767 or 1.0
    codes = (values.double() / step).round().to(torch.int16).numpy()
    return {"step": step, "codes": base64.b64encode(codes.tobytes()).decode()}


def unpacked(values: dict[str, Any]) -> Tensor:
    """What `packed` made, as the page reads it, in one dimension."""
    codes = torch.frombuffer(bytearray(base64.b64decode(values["codes"])), dtype=torch.int16)
    return codes.double() * values["step"]
