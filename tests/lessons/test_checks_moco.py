"""Lesson 04's checks of the loss, the places and the half-way time: right answers pass in any style, wrong ones get a
sentence that is true of them, whether anyone has listed them or not."""

import functools
import math
from importlib import import_module
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError, observed, same
from cl_course.losses import info_nce

ROOM = Path(import_module("cl_course.lessons.moco").__file__).parent
SOURCE = ROOM.parents[2] / "notebooks" / "src" / "04_moco.py"
ALL = {name: getattr(checks, name) for name in ("moco_loss", "queue_places", "queue_step", "ema_update", "half_way")}


# The loss: right, in different ways.
def with_cross_entropy(q, k, queue, temperature):
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def own_key_last(q, k, queue, temperature):
    q, k = q / q.norm(dim=1, keepdim=True), k / k.norm(dim=1, keepdim=True)
    logits = torch.hstack([q @ queue.T, torch.einsum("nd,nd->n", q, k)[:, None]]) / temperature
    return F.cross_entropy(logits, torch.full((len(q),), len(queue)))


def with_logsumexp(q, k, queue, temperature):
    own = F.cosine_similarity(q, k) / temperature
    others = F.cosine_similarity(q[:, None], queue[None], dim=2) / temperature
    return (torch.logsumexp(torch.cat([own[:, None], others], dim=1), dim=1) - own).mean()


def in_a_loop(q, k, queue, temperature):
    losses = []
    for query, key in zip(q, k):
        candidates = torch.stack([F.cosine_similarity(query, other, dim=0) for other in (key, *queue)])
        losses.append(-F.log_softmax(candidates / temperature, dim=0)[0])
    return sum(losses) / len(losses)


def in_double_and_shape_one(queries, keys, negatives, t):
    return with_cross_entropy(queries.double(), keys.double(), negatives.double(), t).reshape(1)


class AnObject:
    def __call__(self, q, k, queue, temperature):
        return with_cross_entropy(q, k.detach(), queue.clone().detach(), temperature)


RIGHT_LOSSES = [
    info_nce, with_cross_entropy, own_key_last, with_logsumexp, in_a_loop, in_double_and_shape_one, AnObject(),
    functools.partial(with_cross_entropy),
]  # fmt: skip


@pytest.mark.parametrize("solution", RIGHT_LOSSES)
def test_right_losses_pass(solution):
    verdict = checks.moco_loss.judge(solution)
    assert verdict.passed, verdict
    assert bool(verdict.notes) == (solution is in_double_and_shape_one)


def logits_of(q, k, queue, t):
    q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
    return torch.cat([(q * k).sum(dim=1, keepdim=True), q @ queue.T], dim=1) / t


def ce(logits, target=0):
    return F.cross_entropy(logits, torch.full((len(logits),), target))


def textbook(q, k, queue, t):
    score = logits_of(q, k, queue, t).exp()
    return -(score[:, 0] / score.sum(dim=1)).log().mean()


# Wrong: (attempt, words of the sentence that it must get). Those marked * are in no list of mistakes.
WRONG_LOSSES = {
    "own key left out of the sum": (
        lambda q, k, queue, t: (logits_of(q, k, queue, t)[:, 1:].logsumexp(1) - logits_of(q, k, queue, t)[:, 0]).mean(),
        "leaves the own key out"),
    "q @ k.T for own": (
        lambda q, k, queue, t: ce(torch.cat([F.normalize(q, dim=1) @ F.normalize(k, dim=1).T,
                                             F.normalize(q, dim=1) @ queue.T], 1) / t), "column belongs to key 0"),
    "own key last, target 0": (lambda q, k, queue, t: ce(logits_of(q, k, queue, t).roll(-1, 1)), "first key"),
    "targets arange": (
        lambda q, k, queue, t: F.cross_entropy(logits_of(q, k, queue, t), torch.arange(len(q))), "Yours are 0, 1, 2"),
    "T forgotten and summed": (
        lambda q, k, queue, t: len(q) * ce(logits_of(q, k, queue, 1.0)), "two things at once"),
    "shapes": (lambda q, k, queue, t: ce(torch.cat([q @ k, q @ queue.T], 1)), "your code stopped with RuntimeError"),
    "textbook": (textbook, "not finite"),
    "log of softmax": (
        lambda q, k, queue, t: -logits_of(q, k, queue, t).softmax(1)[:, 0].log().mean(), "never log(softmax)"),
    "item": (lambda q, k, queue, t: with_cross_entropy(q, k, queue, t).item(), "no gradient reaches them"),
    "q detached": (lambda q, k, queue, t: with_cross_entropy(q.detach(), k, queue, t), "no gradient reaches them"),
    "queue changed": (
        lambda q, k, queue, t: (with_cross_entropy(q, k, queue, t), queue.mul_(0.5))[0], "you changed queue in place"),
    "* log of base 2": (lambda q, k, queue, t: with_cross_entropy(q, k, queue, t) / math.log(2), "base 2"),
    "* plus a constant": (lambda q, k, queue, t: with_cross_entropy(q, k, queue, t) + 0.1, "right one plus 0.1000"),
    "* against chance": (
        lambda q, k, queue, t: with_cross_entropy(q, k, queue, t) - math.log(1 + len(queue)), "1 + 4 equal candidates"),
    "* times T": (lambda q, k, queue, t: t * with_cross_entropy(q, k, queue, t), "factor in front that goes as T"),
    "* T twice as large": (lambda q, k, queue, t: with_cross_entropy(q, k, queue, 2 * t), "right loss at 2 T"),
    "* T typed in": (lambda q, k, queue, t: with_cross_entropy(q, k, queue, 0.07), "temperature has no effect"),
    "* half of the queue": (
        lambda q, k, queue, t: with_cross_entropy(q, k, queue[: len(queue) // 2], t), "1 + 4 equal candidates"),
    "* the queue's first key left out": (
        lambda q, k, queue, t: with_cross_entropy(q, k, queue[1:], t), "as for 4 candidates"),
    "* distances": (
        lambda q, k, queue, t: ce(-torch.cat([(F.normalize(q) - F.normalize(k)).norm(dim=1, keepdim=True),
                                              torch.cdist(F.normalize(q), queue)], 1) / t), "for q = [[1, 0]]"),
    "* absolute similarities": (lambda q, k, queue, t: ce(logits_of(q, k, queue, t).abs()), "rises from -0.4 to -0.2"),
    "* keys of the queue that look like the query are masked": (
        lambda q, k, queue, t: ce((x := logits_of(q, k, queue, t)).masked_fill(x > 0.5 / t, -torch.inf)),
        "not a finite number"),
    "* other queries as negatives too": (
        lambda q, k, queue, t: ce(torch.cat([logits_of(q, k, queue, t),
                                             (F.normalize(q) @ F.normalize(q).T / t).fill_diagonal_(-torch.inf)], 1)),
        "with an empty queue"),
    "* both directions": (
        lambda q, k, queue, t: (with_cross_entropy(q, k, queue, t) + with_cross_entropy(k, q, queue, t)) / 2,
        "of the key of image 1 and a key of the queue"),
    "own similarity without T": (
        lambda q, k, queue, t: ce(logits_of(q, k, queue, t) * torch.tensor([t] + [1.0] * len(queue))),
        "only the similarities with the queue"),
    "* margin": (
        lambda q, k, queue, t: F.relu(0.5 + logits_of(q, k, queue, t)[:, 1:] - logits_of(q, k, queue, t)[:, :1]).mean(),
        "candidates"),
    "* a mean over the queue in the sum": (
        lambda q, k, queue, t: (logits_of(q, k, queue, t)[:, 0].exp() + logits_of(q, k, queue, t)[:, 1:].exp().mean(1)
                                ).log().sub(logits_of(q, k, queue, t)[:, 0]).mean(), "2 candidates"),
    "* focal": (
        lambda q, k, queue, t: ((1 - logits_of(q, k, queue, t).softmax(1)[:, 0])
                                * -logits_of(q, k, queue, t).log_softmax(1)[:, 0]).mean(), "equal candidates"),
    "* label smoothing": (
        lambda q, k, queue, t: F.cross_entropy(logits_of(q, k, queue, t), torch.zeros(len(q), dtype=torch.long),
                                               label_smoothing=0.1), "for q ="),
    "* first query alone": (
        lambda q, k, queue, t: with_cross_entropy(q[:1], k[:1], queue, t), "similarity of query 2"),
    "* a queue of long rows": (
        lambda q, k, queue, t: with_cross_entropy(q, k, 2 * queue, t), "1 + 4 equal candidates"),
    "* mse": (lambda q, k, queue, t: (q - k).square().mean(), "lengths count"),
    "* a pair": (lambda q, k, queue, t: (with_cross_entropy(q, k, queue, t), q), "a tuple of 2 values came back"),
    "* text": (lambda q, k, queue, t: "1.2", "a str came back"),
}  # fmt: skip


# The places.
def by_looping(oldest, n, length):
    places = []
    for _ in range(n):
        places.append(oldest)
        oldest = 0 if oldest == length - 1 else oldest + 1
    return places


RIGHT_PLACES = [
    lambda oldest, n, length: (oldest + torch.arange(n)) % length,
    lambda oldest, n, length: torch.arange(oldest, oldest + n).remainder(length),
    by_looping,
    lambda oldest, n, length: np.arange(oldest, oldest + n) % length,
    lambda oldest, n, length: torch.roll(torch.arange(length), -oldest)[:n],
    lambda o, n, size: torch.cat([torch.arange(o, min(o + n, size)), torch.arange(max(0, o + n - size))]),
    lambda start, count, size: ((start + torch.arange(count)) % size)[None],
    lambda oldest, n, length: ((oldest + i) % length for i in range(n)),
]  # fmt: skip


@pytest.mark.parametrize("solution", RIGHT_PLACES)
def test_right_places_pass(solution):
    verdict = checks.queue_places.judge(solution)
    assert verdict.passed, verdict


WRONG_PLACES = {
    "no modulo": (lambda o, n, length: torch.arange(o, o + n), "run beyond the queue's end"),
    "modulo too early": (lambda o, n, length: o + torch.arange(n) % length, "run beyond the queue's end"),
    "range": (lambda o, n, length: range(o, o + n), "run beyond the queue's end"),
    "one further": (lambda o, n, length: (o + torch.arange(1, n + 1)) % length, "place `oldest` itself"),
    "a pair": (lambda o, n, length: ((o + torch.arange(n)) % length, (o + n) % length), "more than the places"),
    "a mask": (
        lambda o, n, length: torch.zeros(length).index_fill(0, (o + torch.arange(n)) % length, 1).bool(), "a mask"),
    "floats": (lambda o, n, length: (o + torch.arange(n)) % length * 1.0, "they are floats"),
    "linspace is one too wide": (
        lambda o, n, length: torch.linspace(o, o + n, n).long() % length, "for oldest = 2, n = 3, length = 7"),
    "* modulo n": (lambda o, n, length: (o + torch.arange(n)) % n, "for oldest = 2, n = 3"),
    "* end, not number": (lambda o, n, length: torch.arange(o, n) % length, "for oldest = 2, n = 3"),
    "* times n": (lambda o, n, length: (o * n + torch.arange(n)) % length, "for oldest = 2, n = 3"),
    "* backwards over the end": (
        lambda o, n, length: torch.tensor([p if p < length else 2 * length - 1 - p for p in range(o, o + n)]),
        "5 and 6 are the last places"),
    "* random": (lambda o, n, length: torch.full((n,), length - 1), "for oldest = 2, n = 3"),
    "* the rest begins at 1": (
        lambda o, n, length: torch.tensor([p if p < length else p - length + 1 for p in range(o, o + n)]),
        "5 and 6 are the last places"),
    "* stays at 0 after the end": (
        lambda o, n, length: torch.tensor([p if p < length else 0 for p in range(o, o + n)]), "after them comes 0"),
    "* whole queue from oldest": (lambda o, n, length: (o + torch.arange(length)) % length, "for oldest = 2, n = 3"),
    "* shape (n, 2)": (
        lambda o, n, length: ((o + torch.arange(n)) % length)[:, None].repeat(1, 2), "for oldest = 2, n = 3"),
    "* negative places": (lambda o, n, size: torch.tensor([p if p < size else p - 2 * size for p in range(o, o + n)]),
                          "after them comes 0"),
    "* right only below length": (
        lambda o, n, length: (o + torch.arange(min(n, length - 1))) % length, "length = 6"),
    "* text": (lambda o, n, length: "5, 6, 0, 1", "a str came back"),
    "* a sum": (lambda o, n, length: (o + n) % length, "for oldest = 2, n = 3"),
}  # fmt: skip


# Half of the way.
def by_simulating(momentum):
    left, steps = 1.0, 0
    while left > 0.5 + 1e-12:
        left, steps = left * momentum, steps + 1
    return steps


RIGHT_TIMES = [
    lambda m: math.log(2) / -math.log(m),
    lambda m: math.log(0.5) / math.log(m),
    lambda m: math.log(0.5, m),
    lambda m: -1 / math.log2(m),
    lambda momentum: torch.log(torch.tensor([0.5])) / torch.log(torch.tensor([momentum])),
    lambda m: np.log(2) / np.log(1 / m),
    by_simulating,
    lambda m: math.ceil(math.log(0.5) / math.log(m)),
]


@pytest.mark.parametrize("solution", RIGHT_TIMES)
def test_right_times_pass(solution):
    verdict = checks.half_way.judge(solution)
    assert verdict.passed, verdict
    assert bool(verdict.notes) == (solution in RIGHT_TIMES[-2:])


WRONG_TIMES = {
    "lag": (lambda m: m / (1 - m), "mean age"),
    "time constant": (lambda m: 1 / (1 - m), "time constant"),
    "near one": (lambda m: math.log(2) / (1 - m), "stands for -ln m"),
    "sign": (lambda m: math.log(2) / math.log(m), "sign is wrong"),
    "down": (lambda m: int(math.log(0.5) / math.log(m)), "rounded down"),
    "* twice": (lambda m: 2 * math.log(0.5) / math.log(m), "right one times 2"),
    "* offset": (lambda m: math.log(0.5) / math.log(m) - 1, "right one plus -1"),
    "* typed in": (lambda m: 69, "half of it is gone after 1 step; your answer is 69"),
    "* log of the share": (lambda m: -math.log(1 - m), "after 1 step; your answer is 0.6931"),
    "* half of the lag": (lambda m: 0.5 * m / (1 - m), "after 1 step; your answer is 0.5"),
    "* a quarter is left": (lambda m: math.log(0.25) / math.log(m), "right one times 2"),
    "* momentum itself": (lambda m: m, "your answer is 0.5"),
    "* square": (lambda m: m**2, "your answer is 0.25"),
    "* exp": (lambda m: math.exp(-m), "your answer is 0.6065"),
    "* off by two": (lambda m: by_simulating(m) + 2, "your answer is 3"),
    "* linear steps": (lambda m: math.ceil(0.5 / (1 - m)), "at momentum 0.8 your answer is 3 steps"),
    "* lag plus one half": (lambda m: m / (1 - m) + 0.5, "your answer is 1.5"),
    "* text": (lambda m: "ln 2", "one finite number is asked for"),
    "* infinite": (lambda m: math.inf, "one finite number is asked for"),
}
KINDS = [("moco_loss", WRONG_LOSSES), ("queue_places", WRONG_PLACES), ("half_way", WRONG_TIMES)]


@pytest.mark.parametrize("name, what", [(name, what) for name, wrong in KINDS for what in wrong])
def test_wrong_answers_get_a_true_sentence(name, what):
    attempt, words = dict(KINDS)[name][what]
    verdict = ALL[name].judge(attempt)
    assert not verdict.passed and words in verdict.sentence, verdict
    listed = any(m.sentence in verdict.sentence for m in ALL[name].mistakes)
    assert not (what.startswith("*") and listed), verdict  # then it is no test of the ladder


@pytest.mark.parametrize("name", ALL)
def test_every_mistake_leaves_something_of_its_own(name):
    """Otherwise one would be named as another."""
    check = ALL[name]
    runs = [observed(check.observe, check.make(**mistake.parts)) for mistake in check.mistakes]
    right = observed(check.observe, check.make())
    for mistake, run in zip(check.mistakes, runs):
        assert not same(run, right), mistake.sentence
        alike = {other.sentence for other, theirs in zip(check.mistakes, runs) if same(run, theirs)}
        assert alike == {mistake.sentence}


@pytest.mark.parametrize("name", ALL)
def test_stubs_are_not_attempted(name, capsys, monkeypatch):
    def stub(*arguments): ...

    def refuses(*arguments):
        raise NotImplementedError

    for attempt in (stub, refuses):
        monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
        ALL[name](attempt)
        assert "not attempted yet" in capsys.readouterr().out
        monkeypatch.setenv("CL_COURSE_STRICT", "1")
        with pytest.raises(ExerciseError, match="not attempted"):
            ALL[name](attempt)


def test_the_checks_leave_torchs_own_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    for check in ALL.values():
        check(check.make())
        check(check.make(**check.mistakes[0].parts))
        check(lambda *arguments: 1.5)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.skipif(not SOURCE.exists(), reason="only the package is here, without its lessons")
@pytest.mark.parametrize("name", ALL)
def test_the_lessons_solutions_pass(name, capsys, monkeypatch):
    learner = ALL[name].name
    cell = next(cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if f"def {learner}(" in cell.source)
    scope = {"info_nce": info_nce, "torch": torch, "F": F, "math": math}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    ALL[name](scope[learner])
    assert capsys.readouterr().out.startswith("✔")
