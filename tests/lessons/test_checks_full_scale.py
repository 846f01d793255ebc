"""Lesson 08's exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import math

import numpy as np
import pytest
import torch
from right_and_wrong import RightAndWrong

from cl_course.lessons.full_scale.small_run import FOLLOWS, NEEDED, first_difference, resumed, unbroken


# run_numbers(images, batch, epochs, processes, gathered)
def by_counting(images, batch, epochs, processes, gathered):
    steps = 0
    for _ in range(epochs):
        left = images
        while left >= batch:
            left, steps = left - batch, steps + 1
    share = len(range(0, batch, processes))
    views = 2 * (share * processes if gathered else share)
    return [steps, share, len([v for v in range(views) if v not in (0, 1)])]


RIGHT_NUMBERS = [
    by_counting,
    lambda n, b, e, k, g: (e * (n // b), b // k, 2 * (b if g else b // k) - 2),
    lambda n, b, e, k, g: torch.tensor([e * (n // b), b // k, 2 * (b if g else b // k) - 2]),
    lambda n, b, e, k, g: np.array([e * math.floor(n / b), b / k, 2 * (b / (1 if g else k) - 1)]),
]
WRONG_NUMBERS = [
    (lambda n, b, e, k, g: (e * (n // b), b // k), "your answer is the shape (2,): return three numbers"),
    (lambda n, b, e, k, g: e * (n // b), "your answer is one number: return three numbers"),
    (lambda n, b, e, k, g: (e * n // b, b, 2 * b - 2), "expected [4, 2, 6]"),
    (lambda n, b, e, k, g: (e * (n // b), b // k, 2 * b - 3), "your answer is [4, 2, 5], expected [4, 2, 6]"),
    (lambda n, b, e, k, g: (e * (n // b), 2, 6), "your number of images of a share is 2, expected 32"),
    (lambda n, b, e, k, g: ((e + 1) * (n // b), b // k, 2 * b - 2), "your answer is [6, 2, 6]"),
]


# scaled_rate(batch, images, base_batch, base_rate, warmup_epochs)
RIGHT_RATE = [
    lambda b, n, base, rate, w: (rate * b / base, w * (n // b)),
    lambda b, n, base, rate, w: torch.tensor([rate * b / base, w * (n // b)], dtype=torch.float64),
    lambda b, n, base, rate, w: [b * (rate / base), sum(len(range(b, n + 1, b)) for _ in range(w))],
]
WRONG_RATE = [
    (lambda b, n, base, rate, w: rate * b / base, "your answer is one number: return two numbers"),
    (lambda b, n, base, rate, w: (w * (n // b), rate * b / base), "expected [2, 6]"),
    (lambda b, n, base, rate, w: (rate * (b / base) ** 0.75, w * (n // b)), "expected [2, 6]: 4 times the batch"),
    (lambda b, n, base, rate, w: (rate * b / base, w * (n // b) + 1), "your answer is [2, 7], expected [2, 6]"),
    (lambda b, n, base, rate, w: (rate * 4, w * (n // b)), "your rate is 1.2, expected 0.18"),
]


# gather_backward(gradients, rank)
def by_loops(gradients, rank):
    k, n, d = gradients.shape
    rows = [i for i in range(n) if i % k == rank]
    return [[sum(float(gradients[p, i, j]) for p in range(k)) for j in range(d)] for i in rows]


RIGHT_BACKWARD = [
    by_loops,
    lambda g, rank: g[:, rank :: len(g)].sum(0),
    lambda g, rank: g.mean(0)[rank :: len(g)] * len(g),
    lambda g, rank: torch.einsum("knd->nd", g)[torch.arange(g.shape[1]) % len(g) == rank],
    lambda g, rank: g.sum(0).reshape(-1, len(g), g.shape[2])[:, rank],
]
WRONG_BACKWARD = [
    (lambda g, rank: g.sum(0)[rank :: len(g)][:-1], "process 1 made 3 of the 6 rows, so (3, 3) is expected"),
    (lambda g, rank: g.sum((0, 2))[rank :: len(g)], "your answer has the shape (3,)"),
    (lambda g, rank: 3 * g.sum(0)[rank :: len(g)], "your gradient is the right one times 3"),
    (lambda g, rank: -g.sum(0)[rank :: len(g)], "the right one times -1"),
    (lambda g, rank: g.sum(0)[rank :: len(g)].abs(), "on one of the test inputs your values differ"),
    (lambda g, rank: g.sum(0)[(rank + 1) % len(g) :: len(g)], "your answer is [[11]], expected [[22]]"),
    (lambda g, rank: g.zero_(), "changed an argument in place"),
]


# reported_accuracy(val, test)
def accuracy_by_loops(val, test):
    total = 0.0
    for of_val, of_test in zip(val.tolist(), test.tolist()):
        total += of_test[max(range(len(of_val)), key=of_val.__getitem__)]
    return total / len(val)


RIGHT_ACCURACY = [
    accuracy_by_loops,
    lambda val, test: test.gather(1, val.argmax(1, keepdim=True)).mean(),
    lambda val, test: test[range(len(val)), val.max(1).indices].mean(),
    lambda val, test: np.take_along_axis(test.numpy(), val.numpy().argmax(1)[:, None], 1).mean(),
    lambda val, test: test[val == val.amax(1, keepdim=True)].mean(),
]
WRONG_ACCURACY = [
    (lambda val, test: test[:, val.argmax(1)], "has the shape (3, 3); the mean over seeds is one number"),
    (lambda val, test: test.mean(), "your answer goes from 0.575 to 0.64 when test rises"),
    (lambda val, test: test.amax(1).median(), "what test says there must not count"),
    (lambda val, test: test.mean(0).max(), "one epoch for all seeds: where the mean of the test"),
    (lambda val, test: test[range(len(val)), (val + test).argmax(1)].mean(), "your answer is 1, expected 0.375"),
    (lambda val, test: test[range(len(val)), val.argmax(1)].median(), "your answer is 0.25, expected 0.375"),
    (lambda val, test: 100 * test[range(len(val)), val.argmax(1)].mean(), "your answer is 37.5, expected 0.375"),
]

# kept()
RIGHT_KEPT = [lambda: set(NEEDED), lambda: list(NEEDED), lambda: tuple(reversed(list(NEEDED)))]
WRONG_KEPT = [
    (lambda: "weights", "one name came back, 'weights': return a set of names"),
    (lambda: 6, "an int came back, where a set of names is expected"),
    (lambda: {"weight"}, "'weight' is not among the offered names"),
    (lambda: [1], "1 is not among the offered names"),
    (lambda: set(), "6 names are missing in all"),
    (lambda: {*NEEDED, *FOLLOWS}, "'gradients' need not be kept: each step computes them anew"),
    *((lambda name=name: set(NEEDED) - {name}, f"Without {name!r} {what}") for name, what in NEEDED.items()),
    *((lambda name=name: {*NEEDED, name}, f"{name!r} need not be kept: {why}") for name, why in FOLLOWS.items()),
]

RIGHT = {
    "run_numbers": RIGHT_NUMBERS,
    "scaled_rate": RIGHT_RATE,
    "gather_backward": RIGHT_BACKWARD,
    "reported_accuracy": RIGHT_ACCURACY,
    "kept": RIGHT_KEPT,
}
WRONG = {
    "run_numbers": WRONG_NUMBERS,
    "scaled_rate": WRONG_RATE,
    "gather_backward": WRONG_BACKWARD,
    "reported_accuracy": WRONG_ACCURACY,
    "kept": WRONG_KEPT,
}


class TestChecks(RightAndWrong):
    lesson = "08_full_scale"
    right, wrong = RIGHT, WRONG


# The run that is cut.
def test_with_all_that_is_needed_a_cut_run_goes_on_to_the_same_losses():
    assert resumed(NEEDED) == unbroken() and first_difference(NEEDED) is None
    assert first_difference([*NEEDED, *FOLLOWS]) is None


@pytest.mark.parametrize("name", NEEDED)
def test_each_part_is_needed(name):
    step, loss, right = first_difference(set(NEEDED) - {name})
    assert abs(loss - right) > 1e-3 and step <= 2


def test_without_its_epoch_a_run_begins_again():
    assert len(resumed(set(NEEDED) - {"epoch"})) == 2 * len(unbroken())
