"""What holds for every check whose exercise has one right way: each mistake is named, and no two are taken for one."""

from itertools import combinations

import pytest

from cl_course import checks
from cl_course.lessons.shared.exercise import observed, same

WITH_MISTAKES = [name for name in checks.__all__ if getattr(checks, name).make and getattr(checks, name).mistakes]
each_exercise = pytest.mark.parametrize("name", WITH_MISTAKES)


@each_exercise
def test_every_mistake_is_named_when_it_is_made(name):
    exercise = getattr(checks, name)
    for mistake in exercise.mistakes:
        verdict = exercise.judge(exercise.make(**mistake.parts))
        assert not verdict.passed and verdict.sentence == mistake.sentence


@each_exercise
def test_no_two_mistakes_look_alike_on_the_hidden_inputs(name):
    exercise = getattr(checks, name)
    seen = [(mistake, observed(exercise.observe, exercise.make(**mistake.parts))) for mistake in exercise.mistakes]
    for (first, answer), (second, other) in combinations(seen, 2):
        assert first.sentence == second.sentence or not same(answer, other, 1e-3), (first.sentence, second.sentence)
