"""A task of one's own: the same id gives the same task, on every machine."""

import math

import pytest
import torch
from submissions import lesson

from cl_course.coursework.variants import QUESTIONS, Variant
from cl_course.running.lesson_files import lesson_id, lessons

LESSONS = [lesson(number).lesson for number in QUESTIONS]


def test_every_lesson_has_a_question():
    assert sorted(QUESTIONS) == [lesson_id(path.stem) for path in lessons()]


def test_the_same_id_gives_the_same_task_and_another_id_another():
    for name in LESSONS:
        assert Variant("Zoë ", name).text == Variant("zoe\u0308", name).text, "however its letters are coded"
        texts = {Variant(f"s{i}", name).text for i in range(30)}
        assert len(texts) >= 25, f"{name}: students share their numbers"
        assert len({Variant(f"s{i}", name).seed for i in range(30)}) == 30


def test_the_numbers_of_an_id_stay_for_ever():
    one = Variant("s01", "02_infonce")
    assert (one.seed, one.numbers) == (Variant("s01", "02_infonce").seed, one.numbers)


@pytest.mark.parametrize("name", LESSONS)
def test_answers_are_judged_with_a_tolerance_and_never_given_away(name):
    for student in ("a", "b", "c"):
        variant = Variant(student, name)
        right = variant.answer
        assert math.isfinite(right) and "{" not in variant.text
        for given in (right, str(right), torch.tensor(right), torch.tensor([right]), right * 1.005):
            assert variant.judge(given)[0], given
        for given in (right * 1.2 + 0.1, None, ..., "two", float("nan"), [], torch.ones(3)):
            is_right, sentence = variant.judge(given)
            assert not is_right and f"{right:.4g}" not in sentence


@pytest.mark.parametrize(
    "given, said",
    [
        (None, "no number was given"),
        (..., "no number was given"),
        ([], "one number"),
        ([1, 2], "one number"),
        ("four", "one number"),
        (lambda: 1, "one number"),
    ],
)
def test_what_is_no_number_is_called_so(given, said):
    right, sentence = Variant("ann", "02_infonce").judge(given)
    assert not right and sentence.startswith(said)
