"""A task of one's own for each student: the lesson's seed, the hidden inputs and a number to work out, all from an id.

The same id gives the same task on every machine: its numbers come from the id's sha256, by numpy's PCG64.
"""

import hashlib
import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator as Draw

from cl_course.running.lesson_files import lesson_id

POINTS = 2.0
TOLERANCE = 0.01  # of the right number, and never less than half a hundredth


@dataclass(frozen=True)
class Question:
    """One question of a lesson.

    Attributes:
        text: with places for the numbers.
        draw: the numbers, by name.
        answer: the same numbers -> what is right.
        idea: what to read again after a wrong answer.
    """

    text: str
    draw: Callable[[Draw], dict[str, Any]]
    answer: Callable[..., float]
    idea: str


def _average_precision(right: list[int]) -> float:
    return float(np.mean([place / rank for place, rank in enumerate(right, 1)]))


def _wilson_low(n: int, right: int, z: float = 1.96) -> float:
    p = right / n
    return (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


QUESTIONS = {
    "00": Question(
        "A batch has {n} images, and of each two views. How many negatives does one view have?",
        lambda draw: {"n": int(draw.integers(20, 500))},
        lambda n: 2 * n - 2,
        "count the views of the other images: both views of each.",
    ),
    "01": Question(
        "Each view is mirrored with probability {p}, by a coin of its own. In what share of the images is exactly one "
        "of the two views mirrored?",
        lambda draw: {"p": int(draw.integers(100, 450)) / 1000},
        lambda p: 2 * p * (1 - p),
        "two coins, and two ways in which they differ.",
    ),
    "02": Question(
        "In a batch of {n} images all partners are alike, and all other views are at right angles. What is NT-Xent at "
        "T = {temperature}?",
        lambda draw: {"n": int(draw.integers(16, 300)), "temperature": int(draw.integers(10, 60)) / 100},
        lambda n, temperature: math.log(1 + (2 * n - 2) * math.exp(-1 / temperature)),
        "the partner's similarity is 1 and that of the 2n - 2 negatives is 0; the recap has the formula.",
    ),
    "03": Question(
        "A run has {total} steps, {warmup} of them warm-up, and the peak rate {peak}; the rate falls along half a "
        "cosine, as in the exercise on the learning rate. What is the rate in step {step} (counted from 0)?",
        lambda draw: {
            "total": int(draw.integers(200, 400)),
            "warmup": int(draw.integers(10, 40)),
            "peak": float(draw.integers(2, 9)),
            "step": int(draw.integers(60, 190)),
        },
        lambda total, warmup, peak, step: peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2,
        "how far the step lies between the end of the warm-up and the end of the run, and half a cosine of it.",
    ),
    "04": Question(
        "The key network has momentum {m}. After how many steps is half of its way to a query network gone that "
        "stands still?",
        lambda draw: {"m": int(draw.integers(9000, 9980)) / 10_000},
        lambda m: math.log(2) / -math.log(m),
        "m to the power of the steps is one half.",
    ),
    "05": Question(
        "Prediction and target of view 1 and view 2 meet at angles of {a} and {b} degrees. What is BYOL's loss, the "
        "sum of both directions?",
        lambda draw: {"a": int(draw.integers(5, 85)), "b": int(draw.integers(5, 85))},
        lambda a, b: 4 - 2 * math.cos(math.radians(a)) - 2 * math.cos(math.radians(b)),
        "each direction gives 2 - 2 cos(angle).",
    ),
    "06": Question(
        "Of a ranked list, the ranks {right} (counted from 1) hold right cards, and no other. What is its average "
        "precision?",
        lambda draw: {"right": sorted(int(r) for r in draw.choice(np.arange(1, 15), size=4, replace=False))},
        _average_precision,
        "the precision at each of these ranks, and their mean.",
    ),
    "06b": Question(
        "A box of {a} x {a} pixels is found {d} pixels too far to the right of an object whose box is just as large. "
        "What is their IoU?",
        lambda draw: {"a": int(draw.integers(12, 40)), "d": int(draw.integers(1, 11))},
        lambda a, d: (a - d) / (a + d),
        "both cover (a - d) times a pixels, and either covers (a + d) times a.",
    ),
    "07": Question(
        "A SimCLR run with {n} images a batch learns nothing: all embeddings are alike. At which loss does it stand?",
        lambda draw: {"n": int(draw.integers(16, 500))},
        lambda n: math.log(2 * n - 1),
        "all 2n - 1 candidates have the same share.",
    ),
    "08": Question(
        "A run has {epochs} epochs of {images} images in batches of {batch}; a last, shorter batch of an epoch is left "
        "out. A step takes {milliseconds} milliseconds. How many seconds do all steps take?",
        lambda draw: {
            "epochs": int(draw.integers(20, 200)),
            "images": int(draw.integers(2_000, 9_000)),
            "batch": int(draw.integers(3, 9)) * 32,
            "milliseconds": int(draw.integers(50, 400)),
        },
        lambda epochs, images, batch, milliseconds: epochs * (images // batch) * milliseconds / 1000,
        "whole batches in an epoch, times the epochs, times the time of a step.",
    ),
    "09": Question(
        "A classifier names {right} of {n} labelled test pictures rightly. What is the lower bound of Wilson's 95 % "
        "interval (z = 1.96)?",
        lambda draw: {"n": (n := int(draw.integers(20, 60))), "right": n - int(draw.integers(1, n // 3))},
        _wilson_low,
        "the formula of the exercise on the interval, with p the share of right ones.",
    ),
    "10": Question(
        "All embeddings of a CLIP run with {n} pairs a batch are alike. At which loss does it stand?",
        lambda draw: {"n": int(draw.integers(16, 500))},
        lambda n: math.log(n),
        "each image has n captions with the same share, and each caption n images.",
    ),
    "11": Question(
        "A batch of SupCon has {n} images of each of {classes} classes. All views of a class are at one point, and T "
        "is so low that other classes have no share. At which loss does it stand?",
        lambda draw: {"n": int(draw.integers(3, 40)), "classes": int(draw.integers(2, 12))},
        lambda n, classes: math.log(2 * n - 1),
        "each view shares its row among the other views of its class; count both views of each image.",
    ),
}


@dataclass(frozen=True)
class Variant:
    """What one student is asked in one lesson."""

    student: str
    lesson: str

    @property
    def seed(self) -> int:
        """Of the lesson's data and of the hidden inputs, below 2**31."""
        key = unicodedata.normalize("NFC", self.student).strip().casefold()
        return int.from_bytes(hashlib.sha256(f"{key}/{self.lesson}".encode()).digest()[:4]) >> 1

    @property
    def numbers(self) -> dict[str, Any]:
        return self._question.draw(np.random.default_rng(self.seed))

    @property
    def text(self) -> str:
        return self._question.text.format(**self.numbers)

    @property
    def answer(self) -> float:
        return self._question.answer(**self.numbers)

    def judge(self, given: Any) -> tuple[bool, str]:
        """Whether a number is right, and a sentence that never gives the right one away."""
        if given is None or given is ...:
            return False, "no number was given: put yours in the place of None."
        try:
            value = float(torch.as_tensor(float(given) if isinstance(given, str) else given))
        except (TypeError, ValueError, RuntimeError):
            return False, "one number was expected, such as 3.14."
        if math.isfinite(value) and abs(value - self.answer) <= max(TOLERANCE * abs(self.answer), 0.005):
            return True, "your number is right."
        return False, f"{value:.4g} is not right for your numbers: {self._question.idea}"

    @property
    def _question(self) -> Question:
        return QUESTIONS[lesson_id(self.lesson)]
