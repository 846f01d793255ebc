"""The clinic lab's data: the panels are those of the record, and the page says what the check says."""

from itertools import pairwise

import pytest

from cl_course.lessons.pitfalls_and_clinic.evidence import against
from cl_course.lessons.pitfalls_and_clinic.lab_clinic import BINS, clinic, clinic_lab
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, PATIENTS, health_of, sheet
from cl_course.running import records


@pytest.fixture(scope="module")
def runs():
    return records.read("clinic")["runs"]


@pytest.fixture(scope="module")
def data(runs):
    return clinic(runs)


def in_bins(values) -> list[int]:
    """How many lie between each two edges, counted one by one; an edge belongs to the bin above it, 1 to the last."""
    return [sum(low <= v < high or v == high == 1 for v in values) for low, high in pairwise(BINS)]


def test_each_patient_has_the_curves_of_its_run(runs, data):
    assert [patient["letter"] for patient in data["patients"]] == list(PATIENTS)
    for patient in data["patients"]:
        run, healthy = sheet(runs, patient["letter"])
        for shown, recorded in ((patient, run), (data["healthy"][patient["method"]], healthy)):
            for name in ("epoch", "loss", "knn", "spread"):
                assert shown[name] == [row[name] for row in recorded["rows"]]
            ranks = [row["effective_rank"] / recorded["dim"] for row in recorded["rows"]]
            assert shown["rank"] == pytest.approx(ranks, abs=1e-4)
            for pairs in ("positive", "negative"):
                counts = [round(128 * share) for share in shown[pairs]]
                assert counts == in_bins(recorded[pairs]) and sum(counts) == len(recorded[pairs]) == 128
        assert patient["chance"] == run["chance"] and patient["health"] == health_of(run).sentence
        ends = [r["rows"][-1]["knn"] for r in runs if r["run"] == PATIENTS[patient["letter"]]]
        assert patient["ends"] == ends and len(ends) == 3


def test_what_speaks_against_a_fault_is_python_s(runs, data):
    for patient in data["patients"]:
        letter = patient["letter"]
        assert patient["fault"] == PATIENTS[letter]
        assert patient["against"] == {f: against(runs, letter, f) for f in FAULTS if f != PATIENTS[letter]}
        assert len(patient["against"]) == len(FAULTS) - 1
    assert [(fault["name"], fault["text"]) for fault in data["faults"]] == list(FAULTS.items())


def test_unknown_patients_and_missing_runs_are_refused(runs):
    with pytest.raises(ValueError, match="patient must be 'A', .* 'F' or 'all', got 'G'"):
        clinic_lab(runs, "G")
    for name in ("MoCo", "views"):
        with pytest.raises(ValueError, match=f"must have a run '{name}' of seed 0, and it has none"):
            clinic([run for run in runs if run["run"] != name])
