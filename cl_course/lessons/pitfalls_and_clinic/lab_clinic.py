"""Clinic lab: six recorded patients, a list of faults, and a verdict on your diagnosis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import display

from cl_course.lessons.pitfalls_and_clinic.evidence import against
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, HEALTHY, PATIENTS, health_of, sheet
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.values import one_of

ALL = "all"
BINS = np.linspace(-1, 1, 41)  # of cosine similarities


def clinic_lab(runs: Sequence[Mapping], patient: str = ALL) -> None:
    """The health panels of six patients over those of healthy runs, and a verdict on each diagnosis; see lab_clinic.js.

    Args:
        runs: of the record `clinic`: "run" names a fault or, for the healthy, the method.
        patient: "A" to "F", or "all": whose panels are seen at first.

    Raises:
        ValueError: there is no such patient, or a run is missing from `runs`.
    """
    one_of("patient", patient, (*PATIENTS, ALL))
    display(page_lab(__file__, "lab_clinic", patient=patient, **clinic(runs)))


def clinic(runs: Sequence[Mapping]) -> dict[str, Any]:
    """What the page needs: the patients with all that speaks against each wrong diagnosis, the healthy, the faults."""
    names = {run["run"] for run in runs if run["seed"] == 0}
    if missing := [name for name in (*HEALTHY, *PATIENTS.values()) if name not in names]:
        raise ValueError(
            f"runs must have a run {missing[0]!r} of seed 0, and it has none; use records.read('clinic')['runs']"
        )
    return {
        "faults": [{"name": name, "text": text} for name, text in FAULTS.items()],
        "patients": [_patient(runs, letter) for letter in PATIENTS],
        "healthy": {method: _panels(run) for run in runs if (method := run["run"]) in HEALTHY and run["seed"] == 0},
    }


def _patient(runs: Sequence[Mapping], letter: str) -> dict[str, Any]:
    run, _ = sheet(runs, letter)
    own = PATIENTS[letter]
    return _panels(run) | {
        "letter": letter,
        "method": run["method"],
        "fault": own,
        "chance": run["chance"],
        "health": health_of(run).sentence,
        "ends": [other["rows"][-1]["knn"] for other in runs if other["run"] == own],  # kNN at the end, one a seed
        "against": {fault: against(runs, letter, fault) for fault in FAULTS if fault != own},
    }


def _panels(run: Mapping) -> dict[str, list]:
    """Curves by epoch, with the effective rank as a share of the dimensions, and shares of all pairs by bin."""
    columns = {name: [row[name] for row in run["rows"]] for name in ("epoch", "loss", "knn", "spread")}
    columns["rank"] = [round(row["effective_rank"] / run["dim"], 4) for row in run["rows"]]
    for pairs in ("positive", "negative"):
        counts, _ = np.histogram(np.clip(run[pairs], -1, 1), BINS)
        columns[pairs] = (counts / len(run[pairs])).round(4).tolist()
    return columns
