"""Other inputs for the checks: right work stays right, typed-in answers do not, and the checks are as before."""

import sys

import pytest
import torch

from cl_course import checks
from cl_course.coursework.hidden import INPUTS, on_other_inputs, right_on_other_inputs
from cl_course.lessons.shared.exercise import observed, same

WITH_ONE_RIGHT_ANSWER = [n for n in checks.__all__ if getattr(checks, n).make is not None and n != "diagnosis"]


def test_every_check_with_constants_has_others():
    assert set(INPUTS) <= set(WITH_ONE_RIGHT_ANSWER)
    for name, constants in INPUTS.items():
        module = sys.modules[getattr(checks, name).observe.__module__]
        assert all(hasattr(module, constant) for constant in constants), name


@pytest.mark.parametrize("name", WITH_ONE_RIGHT_ANSWER)
def test_right_work_is_right_and_typed_in_answers_are_wrong(name):
    exercise = getattr(checks, name)
    module = sys.modules[exercise.observe.__module__]
    before, seen = dict(vars(module)), observed(exercise.observe, exercise.make())
    for seed in (1, 2**31):
        assert right_on_other_inputs(exercise, name, exercise.make(), seed), seed
        with on_other_inputs(exercise, name, seed):
            assert not same(observed(exercise.observe, exercise.make()), seen), "these are the public inputs"
    assert all(vars(module)[key] is value for key, value in before.items())
    assert same(observed(exercise.observe, exercise.make()), seen)


def test_a_table_of_the_public_answers_fails():
    known = {}

    def record(*given):
        known[repr(given)] = checks.nt_xent.make()(*given)
        return known[repr(given)]

    assert checks.nt_xent.judge(record).passed
    assert not right_on_other_inputs(checks.nt_xent, "nt_xent", lambda *g: known.get(repr(g), torch.tensor(0.0)), 5)
