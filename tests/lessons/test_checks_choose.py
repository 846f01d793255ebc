"""Lesson 01's choice of augmentations: what keeps the label passes; what loses it, or leaves a shortcut open, is "
"named."""

import functools
from dataclasses import replace

import pytest
from test_checks_flip import strict, verdict  # noqa: F401  (strict: a fixture)

from cl_course import checks
from cl_course.augment import AugmentConfig
from cl_course.lessons.two_views.check_choose_augmentation import NOTHING, label_kept
from cl_course.lessons.two_views.lab_augmentation import PRESETS

SAFE = AugmentConfig(hue=0, grey=0)


@pytest.mark.parametrize(
    "config",
    [
        SAFE,
        replace(SAFE, hue=0.05),
        replace(SAFE, crop=(0.2, 1), blur=0.5),
        replace(SAFE, solarize=0.1),
        replace(SAFE, flip=1, jitter=1),
        replace(SAFE, hue=0.5, saturation=0.3, jitter=0.06, crop=(0.15, 0.5), brightness=0.7),
        replace(SAFE, grey=0.02, ratio=(1, 1)),
    ],
    ids=str,
)
def test_choices_that_keep_the_colour_pass(config, capsys):
    checks.choose_augmentation(functools.partial(replace, config))
    said = capsys.readouterr().out
    assert said.startswith("✔ my_choice") and "Note: the colour can be told in " in said


CHOICE_MISTAKES = {
    "the usual recipe": (AugmentConfig(), ["hue = 0.5 destroys", "grey = 0.3 destroys"]),
    "hue": (replace(SAFE, hue=0.2), ["hue = 0.2 destroys"]),
    "grey": (replace(SAFE, grey=0.3), ["grey = 0.3 destroys"]),
    "solarize": (replace(SAFE, solarize=0.5), ["solarize = 0.5 destroys"]),
    "bleached": (replace(SAFE, saturation=1.0, jitter=1), ["saturation = 1.0 destroys"]),
    "darkened": (replace(SAFE, brightness=1.0, jitter=1), ["brightness = 1.0 destroys"]),
    "flattened": (replace(SAFE, contrast=1.0, jitter=1), ["contrast = 1.0 destroys"]),
    "object cut away": (replace(SAFE, crop=(0.03, 0.15)), ["crop = (0.03, 0.15) destroys"]),
    "nothing at all": (NOTHING, ["raw pixels find the partner of 100 %", "light and dark alone"]),
    "no crop": (replace(SAFE, crop=(1, 1), flip=0), ["raw pixels"]),
    "crop and flip only": (replace(SAFE, jitter=0), ["light and dark alone"]),
    "hue, a little": (replace(SAFE, hue=0.1), ["hue = 0.1 destroys"]),
    "grey, a little": (replace(SAFE, grey=0.1), ["grey = 0.1 destroys"]),
    "all at once": (
        replace(PRESETS["too strong"]),
        ["hue = 0.5 destroys", "grey = 0.5 destroys", "solarize = 0.3 destroys", "crop = (0.03, 0.15) destroys"],
    ),
    "jitter too seldom": (replace(SAFE, jitter=0.2), ["raw pixels", "light and dark alone"]),
    "saturation alone": (replace(SAFE, brightness=0, contrast=0, saturation=0.9), ["light and dark alone"]),
    "mirrored only": (replace(NOTHING, flip=1), ["raw pixels find the partner of 100 %"]),
    "the class": (AugmentConfig, ["the class AugmentConfig itself came back"]),
    "no config": ({"hue": 0}, ["a dict came back"]),
    "stub": (..., ["not attempted"]),
}


@pytest.mark.parametrize("config, words", CHOICE_MISTAKES.values(), ids=CHOICE_MISTAKES)
def test_choices_that_fail_are_named(config, words):
    said = verdict(checks.choose_augmentation, lambda: config)
    assert all(word in said for word in words)
    if isinstance(config, AugmentConfig):  # and nothing else is blamed
        assert said.count("destroys") == sum("destroys" in word for word in words)


def test_a_setting_that_does_not_exist_is_explained():
    assert "grey must be a finite number at least 0 and at most 1" in verdict(
        checks.choose_augmentation, lambda: AugmentConfig(grey=2)
    )


def test_without_augmentation_the_colour_always_stays():
    assert label_kept(NOTHING) == 1


def test_outside_strict_mode_the_lesson_goes_on(monkeypatch, capsys):
    monkeypatch.delenv("CL_COURSE_STRICT")
    checks.random_flip(lambda *_: ...)
    checks.two_views(lambda *_: 1 / 0)
    checks.choose_augmentation(lambda: AugmentConfig())
    said = capsys.readouterr().out
    assert said.count("✘") == 3 and "ZeroDivisionError" in said
