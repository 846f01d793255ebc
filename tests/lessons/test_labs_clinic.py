"""The clinic lab: every patient can be looked at, and a diagnosis is judged only when it is asked for."""

import pytest

from cl_course.lessons.pitfalls_and_clinic.clinic_figure import TITLES, clinic_figure
from cl_course.lessons.pitfalls_and_clinic.lab_clinic import ClinicLab
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, PATIENTS, health_of, sheet

METHODS = {
    "partners": "SimCLR",
    "norm": "SimCLR",
    "views": "SimCLR",
    "drift": "MoCo",
    "own view": "BYOL",
    "rate": "BYOL",
}


def invented(run: str, method: str, seed: int, level: float) -> dict:
    rows = [
        {"epoch": e, "loss": 5.0 - e * level, "knn": level + 0.01 * seed, "spread": 0.9, "effective_rank": 40.0}
        for e in (1, 2)
    ]
    return {
        "run": run,
        "method": method,
        "seed": seed,
        "chance": 5.54,
        "dim": 128,
        "rows": rows,
        "positive": [0.5, 0.9],
        "negative": [-0.1, 0.1],
    }


@pytest.fixture
def runs():
    healthy = [invented(method, method, seed, 0.8) for method in ("SimCLR", "MoCo", "BYOL") for seed in range(3)]
    return healthy + [
        invented(fault, method, seed, 0.1 + 0.05 * place)
        for place, (fault, method) in enumerate(METHODS.items())
        for seed in range(3)
    ]


@pytest.fixture
def lab(runs):
    return ClinicLab(runs)


def test_each_patient_has_a_panel_of_its_own(lab):
    seen = set()
    for letter in PATIENTS:
        lab.patient.value = letter
        seen.add(lab.picture.value)
        assert (
            lab.sentence.startswith(f"Patient {letter}, {METHODS[PATIENTS[letter]]}.") and "Healthy: " in lab.sentence
        )
    assert len(seen) == 6


def test_nothing_is_told_before_it_is_asked(lab):
    lab.fault.value = PATIENTS["A"]
    assert "Yes" not in lab.sentence and "0 of 6 named" in lab.sentence
    lab.ask.click()
    assert "Yes, that is it. 1 of 6 named." in lab.sentence


def test_a_wrong_diagnosis_gets_a_clue_and_can_be_mended(lab):
    lab.fault.value = "queue"
    lab.ask.click()
    assert "Not fault 7" in lab.sentence and "0 of 6 named" in lab.sentence
    lab.fault.value = PATIENTS["A"]
    assert "Not fault 7" not in lab.sentence
    lab.ask.click()
    assert "1 of 6 named" in lab.sentence


def test_each_patient_keeps_its_diagnosis(lab):
    lab.fault.value = PATIENTS["A"]
    lab.ask.click()
    lab.patient.value = "B"
    assert lab.fault.value is None and lab.ask.disabled
    lab.patient.value = "A"
    assert lab.fault.value == PATIENTS["A"] and "Yes" in lab.sentence


def test_the_list_has_every_fault_and_its_number(lab):
    assert [label.split("  ")[0] for label, _ in lab.fault.options[1:]] == [str(n) for n in range(1, len(FAULTS) + 1)]


def test_a_patient_is_shown_over_a_healthy_run_of_its_method(runs):
    patient, healthy = sheet(runs, "D")
    assert (patient["run"], healthy["run"], patient["method"]) == ("drift", "MoCo", "MoCo")
    assert health_of(patient).sentence.startswith("Healthy: positive pairs are 0.70 more alike")
    figure = clinic_figure({"D": (patient, healthy), "E": sheet(runs, "E")})
    assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == list(TITLES) and len(figure.axes) == 8
    grey, green = figure.axes[2].lines
    assert list(grey.get_ydata()) == [0.8, 0.8] and green.get_ydata()[0] == pytest.approx(0.25)


def test_a_wrong_later_diagnosis_does_not_undo_a_right_one(lab):
    for fault in (PATIENTS["A"], "queue"):
        lab.fault.value = fault
        lab.ask.click()
    assert "Not fault 7: SimCLR has no queue" in lab.sentence
    assert "You have named A already, and that stays. 1 of 6 named." in lab.sentence
