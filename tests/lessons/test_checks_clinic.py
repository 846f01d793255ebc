"""The clinic's checks: each solution passes, each mistake is named, and a wrong diagnosis is told what speaks against it."""

from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.pitfalls_and_clinic import check_clinic as clinic
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.losses import byol_loss
from cl_course.momentum import ema_update

SOURCE = Path(__file__).parents[2] / "notebooks" / "src" / "07_pitfalls_and_clinic.py"
RIGHT = {letter: list(clinic.FAULTS).index(fault) + 1 for letter, fault in clinic.PATIENTS.items()}


def partner(n):
    return torch.cat([torch.arange(n) + n, torch.arange(n)])


def unit(z):
    return z / z.norm(dim=1, keepdim=True)


def views(images, make_view):
    return make_view(torch.cat([images, images])).chunk(2)  # one pass makes two views as well


def after_step(method):
    ema_update(method.key_projector, method.projector, method.momentum)
    ema_update(method.key_encoder, method.encoder, method.momentum)
    method.enqueue(method.new_keys)


def crossed(p1, p2, target1, target2):
    return byol_loss(p2, target1) + byol_loss(p1, target2)


def slow_adam(weights):
    return torch.optim.AdamW(weights, lr=3e-3)


SIMCLR = {"my_partner": partner, "my_unit": unit, "my_views": views}
COPIES = {"my_after_step": after_step, "my_byol_loss": crossed, "my_optimizer": slow_adam}


def said(capsys, check, functions, **wrong) -> list[str]:
    check(*(functions | wrong).values())
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)


@pytest.mark.parametrize(
    "check, functions", [(checks.simclr_ward, SIMCLR), (checks.copies_ward, COPIES)], ids=["simclr", "copies"]
)
def test_mended_lines_pass_however_they_are_written(check, functions, capsys):
    lines = said(capsys, check, functions)
    assert [line.split(":")[0] for line in lines] == [f"✔ {name}" for name in functions]


def view_of_a_view(images, make_view):
    view1 = make_view(images)
    return view1, make_view(view1)


WRONG = [
    ("my_partner", lambda n: torch.arange(2 * n) ^ 1, "neighbours"),
    ("my_partner", lambda n: torch.arange(2 * n), "its own partner"),
    ("my_partner", lambda n: torch.arange(2 * n).roll(-1), "the next row"),
    ("my_partner", lambda n: torch.arange(2 * n).roll(1), "the row before"),
    ("my_partner", lambda n: n + torch.arange(n), "2n rows"),
    ("my_partner", lambda n: torch.cat([torch.arange(n) + n] * 2), "view1 is right"),
    ("my_partner", lambda n: torch.cat([torch.arange(n)] * 2), "view2 is right"),
    ("my_unit", lambda z: F.normalize(z.flatten(), dim=0).view_as(z), "one length for the whole batch"),
    ("my_unit", lambda z: z / z.norm(dim=0), "each column"),
    ("my_unit", lambda z: z, "nothing is scaled"),
    ("my_unit", lambda z: z / (z**2).sum(1, keepdim=True), "its square"),
    ("my_unit", lambda z: z / z.sum(1, keepdim=True), "not by the sum"),
    ("my_views", lambda images, make_view: [make_view(images)] * 2, "still view1"),
    ("my_views", lambda images, make_view: (make_view(images), images), "the image itself"),
    ("my_views", view_of_a_view, "a view of view1"),
    ("my_views", lambda images, make_view: (images, images), "neither"),
]


@pytest.mark.parametrize("name, code, words", WRONG, ids=[words for *_, words in WRONG])
def test_what_is_left_in_simclr_is_named(name, code, words, capsys):
    lines = said(capsys, checks.simclr_ward, SIMCLR, **{name: code})
    assert [line for line in lines if line.startswith(f"✘ {name}:") and words in line]
    assert sum(line.startswith("✔") for line in lines) == 2


def drift(encoder=True, projector=True, enqueue=1, swap=False, momentum=None):
    def step(method):
        m = method.momentum if momentum is None else momentum(method.momentum)
        pairs = [(method.key_encoder, method.encoder)] * encoder + [
            (method.key_projector, method.projector)
        ] * projector
        for key, query in pairs:
            ema_update(*((query, key) if swap else (key, query)), m)
        for _ in range(enqueue):
            method.enqueue(method.new_keys)

    return step


WRONG_COPIES = [
    ("my_after_step", drift(encoder=False, projector=False), "where chance put it"),
    ("my_after_step", drift(projector=False), "its projector does not"),
    ("my_after_step", drift(encoder=False), "its encoder does not"),
    ("my_after_step", drift(swap=True), "roles are swapped"),
    ("my_after_step", drift(enqueue=0), "no longer put into the queue"),
    ("my_after_step", drift(enqueue=2), "twice"),
    ("my_after_step", drift(momentum=lambda m: 0.0), "overwritten"),
    ("my_after_step", drift(momentum=lambda m: 1 - m), "exchanged"),
    ("my_byol_loss", lambda p1, p2, t1, t2: byol_loss(p1, t1) + byol_loss(p2, t2), "still its own view"),
    ("my_byol_loss", lambda p1, p2, t1, t2: byol_loss(p1, t2), "add p2 against target1"),
    ("my_byol_loss", lambda p1, p2, t1, t2: byol_loss(p2, t1), "add p1 against target2"),
    ("my_byol_loss", lambda p1, p2, t1, t2: crossed(p1, p2, t1, t2) / 2, "not averaged"),
    ("my_byol_loss", lambda p1, p2, t1, t2: 2 * byol_loss(p1, p2), "against predictions"),
    ("my_optimizer", lambda weights: torch.optim.Adam(weights, lr=0.2), "Adam moves every weight by about its rate"),
    ("my_optimizer", lambda weights: torch.optim.SGD(weights, lr=1e-9), "nothing is ever learned"),
    ("my_optimizer", lambda weights: 3e-3, "AttributeError"),
]


@pytest.mark.parametrize("name, code, words", WRONG_COPIES, ids=[words for *_, words in WRONG_COPIES])
def test_what_is_left_in_the_copies_is_named(name, code, words, capsys):
    lines = said(capsys, checks.copies_ward, COPIES, **{name: code})
    assert [line for line in lines if line.startswith(f"✘ {name}:") and words in line]
    assert sum(line.startswith("✔") for line in lines) == 2


@pytest.mark.parametrize(
    "optimizer", [lambda w: torch.optim.SGD(w, lr=0.05), lambda w: torch.optim.Adam(w, lr=1e-3)], ids=["SGD", "Adam"]
)
def test_any_sensible_optimiser_will_do(optimizer, capsys):
    assert said(capsys, checks.copies_ward, COPIES, my_optimizer=optimizer)[2].startswith("✔")


def test_the_right_diagnosis_passes_and_a_wrong_one_is_answered(capsys):
    checks.diagnosis(lambda: RIGHT)
    assert capsys.readouterr().out == "✔ my_diagnosis: all six are named.\n"
    checks.diagnosis(lambda: RIGHT | {"B": RIGHT["A"]})
    out = capsys.readouterr().out
    assert (
        "5 of 6 are right" in out
        and f"B has not got fault {RIGHT['A']}" in out
        and clinic.CLUES[clinic.PATIENTS["B"]] in out
    )


@pytest.mark.parametrize("answer", [{}, {"A": 1}, RIGHT | {"A": 9}, [1, 2, 3, 4, 5, 6]], ids=str)
def test_an_answer_of_another_form_is_sent_back(answer, capsys):
    checks.diagnosis(lambda: answer)
    assert "return a dict with a number from 1 to 8" in capsys.readouterr().out


def test_every_patient_has_a_fault_of_its_own_a_report_and_a_clue():
    faults = list(clinic.PATIENTS.values())
    assert len(set(faults)) == len(faults) < len(clinic.FAULTS)
    assert set(faults) == set(clinic.REPORTS) == set(clinic.CLUES)


def test_stubs_are_not_attempted(capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for attempt in (stub, refuses):
        for check, functions in ((checks.simclr_ward, SIMCLR), (checks.copies_ward, COPIES)):
            lines = said(capsys, check, functions, **dict.fromkeys(functions, attempt))
            assert len(lines) == 3 and all("not attempted yet" in line for line in lines)
        checks.diagnosis(attempt)
        assert "not attempted yet" in capsys.readouterr().out
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    for check in (checks.simclr_ward, checks.copies_ward):
        with pytest.raises(ExerciseError, match="not attempted"):
            check(stub, stub, stub)


@pytest.mark.skipif(not SOURCE.exists(), reason="lesson 07 is not written yet")
def test_the_lessons_solutions_pass(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    scope = {"torch": torch, "F": F, "byol_loss": byol_loss, "ema_update": ema_update}
    for cell in jupytext.read(SOURCE, fmt="py:percent").cells:
        if "exercise" in cell.metadata.get("tags", []):
            exec(cell.source, scope)  # noqa: S102 - the course's own cell
    checks.diagnosis(scope["my_diagnosis"])
    checks.simclr_ward(*(scope[name] for name in SIMCLR))
    checks.copies_ward(*(scope[name] for name in COPIES))
