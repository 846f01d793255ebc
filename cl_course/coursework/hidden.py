"""Other inputs for the checks of the course: other seeds, other sizes, the same check functions.

Everyone can read the inputs that a lesson's check uses, and an answer could be typed in for each. So marking looks at
an attempt once more on inputs that follow from a seed: `on_other_inputs` puts them in place of the check's own
constants while a check looks, and its random generators start elsewhere.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.random import Generator as Draw

from cl_course.lessons.shared.exercise import Exercise, observed, same

ROUNDS = 2
# In whose place other inputs come, and how they are made: name of the check -> constant -> f(the check's module, draw).
# A check that is not named draws all it needs from its generators; those that start elsewhere are enough.
INPUTS: dict[str, dict[str, Callable[[ModuleType, Draw], Any]]] = {
    "counts": {"BATCHES": lambda m, draw: tuple(_whole(draw, 4, 300, 3))},
    "similarities": {"BATCHES": lambda m, draw: tuple(m._embeddings(n, n + 2) for n in _whole(draw, 2, 9, 3))},
    "partners": {"SIZES": lambda m, draw: tuple(_whole(draw, 5, 40, 3))},
    "row_loss": {"ROWS": lambda m, draw: _rows(draw)},
    "nt_xent": {"ORDINARY": lambda m, draw: tuple(m.views(n, _between(draw, 0.2, 2)) for n in _whole(draw, 3, 9, 3))},
    "gradient": {"ROWS": lambda m, draw: _rows(draw)},
    "log_sum_exp": {"ORDINARY": lambda m, draw: tuple(_normal(draw, n) for n in _whole(draw, 2, 9, 3))},
    "learning_rate": {
        "PLANS": lambda m, draw: tuple((total, total // 4, _between(draw, 0.2, 3)) for total in _whole(draw, 8, 40, 3))
    },
    "spread": {"BATCHES": lambda m, draw: tuple(m._embeddings(n, 3 + n % 5) for n in _whole(draw, 5, 20, 3))},
    "neighbours_agree": {
        "BATCHES": lambda m, draw: tuple(m._batch(n, 4, 3, n) for n in _whole(draw, 20, 60, 4)),
    },
    "features": {"IMAGES": lambda m, draw: m.torch.rand(*m.IMAGES.shape, generator=m.Generator().manual_seed(0))},
    "moco_loss": {
        "ORDINARY": lambda m, draw: tuple(m.batch(n, n + 4, _between(draw, 0.2, 2)) for n in _whole(draw, 3, 9, 3))
    },
    "queue_places": {"CASES": lambda m, draw: tuple(_ring(draw) for _ in range(5))},
    "queue_step": {"START": lambda m, draw: int(draw.integers(m.LENGTH))},
    "ema_update": {"MOMENTA": lambda m, draw: tuple(_between(draw, 0.3, 0.95) for _ in range(3))},
    "half_way": {"MOMENTA": lambda m, draw: tuple(_between(draw, 0.55, 0.995) for _ in range(4))},
    "byol_loss": {"ORDINARY": lambda m, draw: tuple(m.batch(n, n % 4 + 3) for n in _whole(draw, 3, 9, 3))},
    "byol_gradients": {
        "ORDINARY": lambda m, draw: tuple(
            (*m.vectors(d), stop) for d in _whole(draw, 3, 8, 2) for stop in (True, False)
        )
    },
    "byol_step": {"MOMENTUM": lambda m, draw: _between(draw, 0.5, 0.95)},
    "effective_rank": {"ORDINARY": lambda m, draw: tuple(m.embeddings(n, n % 4 + 3) for n in _whole(draw, 9, 24, 3))},
    "rising_momentum": {
        "ASKED": lambda m, draw: tuple(
            (int(step * total), total, _between(draw, 0, 0.99)) for total in (16, 40) for step in (0, 0.25, 0.625, 1)
        )
    },
    "knn": {
        "ORDINARY": lambda m, draw: tuple(m._images(n, 3, 4, _between(draw, 0.1, 2)) for n in _whole(draw, 9, 16, 3))
    },
    "standardised": {"ORDINARY": lambda m, draw: tuple(m._features(n, (n, 5, 7), 4) for n in _whole(draw, 8, 20, 3))},
    "fair_table": {
        "ORDINARY": lambda m, draw: tuple(
            m._runs(seed, {"A": range(5), "B": (0, 1, 3, 4, 5), "C": range(1, 6)}) for seed in _whole(draw, 9, 9999, 2)
        )
    },
    "average_precision": {"ORDINARY": lambda m, draw: tuple(m._list(n, 0.4) for n in _whole(draw, 12, 70, 3))},
    "iou": {"ORDINARY": lambda m, draw: tuple(m._masks(n, n % 5 + 1, n % 4 + 6) for n in _whole(draw, 2, 30, 3))},
    "copies": {
        "BATCHES": lambda m, draw: (*(m.batch(n, _between(draw, 0.3, 0.9)) for n in _whole(draw, 14, 19, 3)), m.PAIR)
    },
    "first_to_label": {"BATCHES": lambda m, draw: tuple(m.batch(n, n % 4 + 4) for n in _whole(draw, 41, 90, 3))},
    "replay": {"JOURNALS": lambda m, draw: tuple(m.journal(seed) for seed in _whole(draw, 4, 9999, 3))},
    "interval": {
        "COUNTS": lambda m, draw: tuple((n * part // 10, n) for n, part in zip(_whole(draw, 20, 99, 4), (9, 4, 1, 8)))
    },
    "box_iou": {
        "BATCHES": lambda m, draw: tuple((m.boxes(n, 7), m.boxes(n + 3, 8)) for n in _whole(draw, 6, 20, 3))
    },
    "centreness": {"BATCHES": lambda m, draw: tuple(m.places(n, 0.6) for n in _whole(draw, 10, 40, 3))},
    "nms": {
        "BATCHES": lambda m, draw: (
            *(m.crowd(n, _between(draw, 0.3, 0.7)) for n in _whole(draw, 14, 30, 3)),
            m.chain(_between(draw, 2.6, 3.2)),
        )
    },
    "detection_ap": {"BATCHES": lambda m, draw: tuple(m.found(n, 0.5, n % 5 + 1) for n in _whole(draw, 10, 40, 3))},
    "receptive_field": {
        "NETWORKS": lambda m, draw: tuple(
            tuple(tuple(int(x) for x in draw.integers(least, most, n)) for least, most in ((2, 6), (1, 4)))
            for n in _whole(draw, 3, 7, 3)
        )
    },
    "fresh_views": {"SIZES": lambda m, draw: tuple(_whole(draw, 2, 7, 2))},
    "unit_length": {"BATCHES": lambda m, draw: [_normal(draw, 5, 4), 9 * _normal(draw, 3, 6)]},
    "clip_loss": {
        "BATCHES": lambda m, draw: tuple(
            make(n, _between(draw, 0.2, 2))
            for n in _whole(draw, 3, 9, 2)
            for make in (m.shared.pairs, m.shared.exchanged)
        )
    },
    "siglip_loss": {
        "BATCHES": lambda m, draw: tuple(
            m.shared.pairs(n, _between(draw, 0.2, 2), _between(draw, -3, 1)) for n in _whole(draw, 3, 9, 3)
        )
    },
    "zero_shot": {"BATCHES": lambda m, draw: tuple(m.batch(n, n % 4 + 3, n % 3 + 2) for n in _whole(draw, 81, 140, 3))},
    "recall": {
        "BATCHES": lambda m, draw: (*(m.batch(n, n % 4 + 1) for n in _whole(draw, 32, 60, 3)), *m.at_extremes(14))
    },
    "without_gap": {"BATCHES": lambda m, draw: tuple(m.clouds(n, n % 9 + 5) for n in _whole(draw, 16, 40, 3))},
    "run_numbers": {"CASES": lambda m, draw: tuple(_shared_run(draw) for _ in range(4))},
    "scaled_rate": {
        "CASES": lambda m, draw: tuple(
            (batch, batch * 9 + int(draw.integers(1, batch)), batch + 31, _between(draw, 0.02, 0.5), 3)
            for batch in _whole(draw, 40, 400, 3)
        )
    },
    "gather_backward": {
        "CASES": lambda m, draw: tuple(
            (m.gradients_of(k, n), int(draw.integers(k))) for k, n in zip((2, 3, 5), _whole(draw, 2, 9, 3))
        )
    },
    "reported_accuracy": {
        "CASES": lambda m, draw: tuple(m.curves(n % 3 + 3, n) for n in _whole(draw, 10, 40, 4)),
    },
    "supcon_loss": {
        "BATCHES": lambda m, draw: tuple(
            m.batch(n, _between(draw, 0.2, 2), [int(label) for label in draw.integers(0, 3, n)])
            for n in _whole(draw, 5, 12, 3)
        )
    },
    "simsiam_loss": {"BATCHES": lambda m, draw: tuple(m.batch(n, n % 4 + 3) for n in _whole(draw, 3, 12, 3))},
    "barlow_loss": {
        "BATCHES": lambda m, draw: tuple(m.batch(n, n % 4 + 2, _between(draw, 0.02, 2)) for n in _whole(draw, 5, 14, 3))
    },
    "vicreg_terms": {"BATCHES": lambda m, draw: tuple(m.probes.views(n, n % 4 + 2) for n in _whole(draw, 5, 14, 3))},
    "dino_step": {
        "BATCHES": lambda m, draw: tuple(
            m.batch(n, n % 4 + 3, _between(draw, 0.4, 1), _between(draw, 0.2, 0.39), _between(draw, 0.55, 0.95))
            for n in _whole(draw, 3, 12, 3)
        )
    },
    "after_step": {"MOMENTA": lambda m, draw: tuple(_between(draw, 0.4, 0.95) for _ in range(2))},
}


def right_on_other_inputs(exercise: Exercise, name: str, attempt: Callable, seed: int) -> bool:
    """Whether the attempt agrees with the right way on inputs that follow from the seed; True where none is right."""
    if exercise.make is None or name == "diagnosis":  # answers are random and drawn often, or there is one answer
        return True
    for number in range(ROUNDS):
        with on_other_inputs(exercise, name, seed + number):
            if not same(observed(exercise.observe, attempt), observed(exercise.observe, exercise.make())):
                return False
    return True


@contextmanager
def on_other_inputs(exercise: Exercise, name: str, seed: int) -> Iterator[None]:
    """While this lasts, the check `name` looks at inputs that follow from the seed."""
    module, draw = sys.modules[exercise.observe.__module__], np.random.default_rng(seed)
    before = dict(vars(module))
    try:
        if hasattr(module, "Generator"):
            module.Generator = lambda: _Elsewhere(seed)
        vars(module).update({constant: make(module, draw) for constant, make in INPUTS.get(name, {}).items()})
        _forget(module)
        yield
    finally:
        vars(module).update(before)
        _forget(module)


WRONG_ELSEWHERE = (
    "right on the inputs of the lesson's check, and wrong on others, of other sizes. Look for a number or a size that "
    "is typed in where it must follow from the arguments."
)


class _Elsewhere:
    """Stands for torch's Generator: its seeds are others."""

    def __init__(self, shift: int):
        self.shift = shift

    def manual_seed(self, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed((seed * 1_000_003 + self.shift + 1) % 2**63)


def _forget(module: ModuleType) -> None:
    """What functions of a check have kept of its other inputs."""
    for value in vars(module).values():
        if hasattr(value, "cache_clear") and getattr(value, "__module__", "") == module.__name__:
            value.cache_clear()


def _whole(draw: Draw, least: int, most: int, count: int) -> list[int]:
    """Different whole numbers."""
    return [int(n) for n in draw.choice(np.arange(least, most + 1), size=count, replace=False)]


def _between(draw: Draw, least: float, most: float) -> float:
    return round(float(draw.uniform(least, most)), 3)


def _normal(draw: Draw, *shape: int) -> torch.Tensor:
    return torch.tensor(draw.normal(size=shape), dtype=torch.float32)


def _rows(draw: Draw) -> tuple:
    """Similarities, the partner's index, a temperature."""
    sizes = _whole(draw, 4, 12, 3)
    return tuple((0.5 * _normal(draw, m).clamp(-1, 1), int(draw.integers(m)), _between(draw, 0.2, 2)) for m in sizes)


def _ring(draw: Draw) -> tuple[int, int, int]:
    """(oldest, n, length) of a queue."""
    length = int(draw.integers(4, 20))
    return int(draw.integers(length)), int(draw.integers(1, length + 1)), length


def _shared_run(draw: Draw) -> tuple[int, int, int, int, bool]:
    """(images, batch, epochs, processes, gathered), where the processes share the batch equally."""
    processes, epochs = int(draw.integers(2, 7)), int(draw.integers(3, 9))
    batch = processes * int(draw.integers(8, 30))
    return 7 * batch + int(draw.integers(batch // 2, batch)), batch, epochs, processes, bool(draw.integers(2))
