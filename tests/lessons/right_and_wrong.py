"""What each lesson's tests ask of its checks: right forms pass, wrong ones get their sentence, a stub is no error.

A lesson's test file makes a class of its own from it and says which answers are right and which are wrong.
"""

from pathlib import Path

import jupytext
import pytest
import torch
import torch.nn.functional as F
from torchvision import ops

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError

SOURCES = Path(__file__).parents[2] / "notebooks" / "src"


class RightAndWrong:
    """`lesson` is its file's name, `right` {check: right forms}, `wrong` {check: pairs of a form and what is said}."""

    lesson: str
    right: dict
    wrong: dict

    def pytest_generate_tests(self, metafunc):
        cases = {"good": self.right, "bad": self.wrong}
        for argument, forms in cases.items():
            if argument in metafunc.fixturenames:
                each = [(name, form) for name in forms for form in forms[name]]
                ids = [f"{name}-{number}" for name in forms for number in range(len(forms[name]))]
                metafunc.parametrize(("name", argument), each, ids=ids)
                return
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", list(self.right))

    def test_passes_every_right_form(self, name, good, monkeypatch, capsys):
        monkeypatch.setenv("CL_COURSE_STRICT", "1")
        check = getattr(checks, name)
        check(good)
        assert capsys.readouterr().out.startswith(f"✔ {check.name}")

    def test_what_is_said_of_a_mistake_that_nobody_listed(self, name, bad):
        attempt, said = bad
        verdict = getattr(checks, name).judge(attempt)
        assert not verdict.passed
        assert said in verdict.sentence and "\n" not in verdict.sentence

    @pytest.mark.parametrize("left", [None, ...])
    def test_a_stub_is_not_an_error(self, name, left, monkeypatch):
        def stub(*given):
            return left

        check = getattr(checks, name)
        assert "not attempted" in check.judge(stub).sentence
        check(stub)
        monkeypatch.setenv("CL_COURSE_STRICT", "1")
        with pytest.raises(ExerciseError, match=f"{check.name}: not attempted"):
            check(stub)

    def test_the_lessons_own_solution_passes(self, name):
        check = getattr(checks, name)
        cells = jupytext.read(SOURCES / f"{self.lesson}.py", fmt="py:percent").cells
        (cell,) = [cell for cell in cells if f"def {check.name}(" in cell.source]
        names = {"torch": torch, "F": F, "ops": ops}
        exec(cell.source, names)  # noqa: S102 - the lesson's own code
        verdict = check.judge(names[check.name])
        assert verdict.passed and verdict.notes == ()
