"""Lesson 10: how its encoders are trained, live and recorded, and the prompts by which they are asked."""

from collections.abc import Sequence
from dataclasses import replace

from cl_course.augment import AugmentConfig
from cl_course.captions import FACTORS, UNNAMED, VALUES, sentence
from cl_course.train import TrainConfig

AS_IT_IS = AugmentConfig(crop=(1, 1), flip=0, jitter=0, grey=0)  # a caption names hue, size and place: none may change
CONFIG = TrainConfig(epochs=8, augment=AS_IT_IS)
FLIPPED = replace(CONFIG, augment=replace(AS_IT_IS, flip=0.5))
SHARE = 0.3  # of the captions name any one factor besides the class
GALLERY = 1000  # images among which a caption looks for its own


def prompts(factor: str, mention: Sequence[str] = FACTORS) -> list[list[str]]:
    """For each value of a factor the captions by which it is asked for, in words that captions of `mention` use.

    For a hue there are ten, one for each class: "a red disc", ...; for a class seven, alone and in each of six hues.
    """
    names = VALUES["class"] if "class" in mention else (UNNAMED,)
    if factor == "class":
        hues = [{}, *({"hue": hue} for hue in VALUES["hue"] if "hue" in mention)]
        return [[sentence(**{"class": name}, **hue) for hue in hues] for name in names]
    return [[sentence(**{"class": name, factor: value}) for name in names] for value in VALUES[factor]]
