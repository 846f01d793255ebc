"""Tests that learners order: each shows a patient's fault where it should, and a healthy run beside it."""

import pytest

from cl_course.lessons.pitfalls_and_clinic.order_test import TESTS, findings, order_test, table
from cl_course.lessons.pitfalls_and_clinic.patients import PATIENTS


def test_each_fault_shows_in_its_own_test():
    healthy, partners, norm, views = (findings(run) for run in ("SimCLR", "partners", "norm", "views"))
    assert views.apart == 0 < healthy.apart == partners.apart
    assert views.losses[0] == views.losses[1] and healthy.losses[0] < healthy.losses[1]
    assert healthy.partner == 4 and partners.partner == 1 and norm.partner == 4  # of a1 b1 c1 d1 a2 b2 c2 d2
    assert healthy.row.isneginf().tolist() == [True] + [False] * 7  # a view is not its own candidate
    assert norm.row[1:].abs().max() < 0.5 < healthy.row[1:].abs().max()


def test_the_slow_copies():
    drift, moco, own_view, rate, byol = (findings(run) for run in ("drift", "MoCo", "own view", "rate", "BYOL"))
    assert drift.copy_moved == 0 < moco.copy_moved < moco.moved
    assert own_view.losses[0] == pytest.approx(own_view.losses[1], abs=1e-5)
    assert abs(byol.losses[0] - byol.losses[1]) > 1e-3
    assert rate.largest > 1 > 10 * byol.largest and rate.row is None


@pytest.mark.parametrize("test", TESTS)
def test_every_test_can_be_ordered_for_every_patient(test, capsys):
    for letter in PATIENTS:
        order_test(letter, test)  # what was found is kept
    patient = findings("drift")
    rows, columns = table(patient, findings("MoCo"), test, "MoCo")
    assert all(len(row) == len(columns) for row in rows)


@pytest.mark.parametrize("letter, test", [("G", "key drift"), ("A", "blood")])
def test_a_test_that_does_not_exist_is_one_sentence(letter, test):
    with pytest.raises(ValueError, match="letter|test"):
        order_test(letter, test)
