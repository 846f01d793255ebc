"""Lesson 00's exercises: picking a card by its embedding, and counting positives and negatives."""

import math
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import ExerciseError, Fault, difference, same
from cl_course.lessons.start_here.check_pick import COUNT_MISTAKES, PICK_MISTAKES, make_counts, make_pick

SOURCE = Path(__file__).parents[2] / "notebooks" / "src" / "00_start_here.py"


def unit(h):
    return F.normalize(h, dim=-1)


def by_loops(anchor, candidates):
    best, row = -2.0, None
    for i, c in enumerate(candidates.tolist()):
        a = anchor.tolist()
        s = sum(x * y for x, y in zip(a, c)) / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in c))
        if s > best:
            best, row = s, i
    return row


class AsAnObject:
    def __call__(self, anchor_h, candidates_h):
        return torch.cosine_similarity(anchor_h, candidates_h, dim=-1).argmax()


RIGHT_PICKS = {
    "a product": lambda a, c: (unit(c) @ unit(a)).argmax(),
    "torch's own": lambda a, c: int(torch.cosine_similarity(a[None], c).argmax()),
    "the anchor as it is": lambda a, c: (unit(c) @ a).argmax().item(),
    "distance on the sphere": lambda a, c: (unit(c) - unit(a)).norm(dim=1).argmin(),
    "squared distance on the sphere": lambda a, c: (unit(c) - unit(a)).square().sum(dim=1).argmin(),
    "loops": by_loops,
    "double precision": lambda a, c: (unit(c.double()) @ unit(a.double())).argmax(),
    "einsum": lambda a, c: torch.einsum("nd,d->n", unit(c), unit(a)).argmax(),
    "numpy": lambda a, c: np.argmax(unit(c).numpy() @ unit(a).numpy()),
    "topk": lambda a, c: (unit(c) @ unit(a)).topk(1).indices,
    "sorted": lambda a, c: (unit(c) @ unit(a)).argsort()[-1],
    "with a temperature": lambda a, c: ((unit(c) @ unit(a)) / 0.1).softmax(dim=0).argmax(),
    "an object": AsAnObject(),
}
# Wrong code that no list of mistakes has -> words of what is said about it.
WRONG_PICKS = {
    "always the first": (lambda a, c: 0, "card 0 in every round"),
    "always the last": (lambda a, c: len(c) - 1, "card 5 in every round"),
    "one-hot": (lambda a, c: F.one_hot((unit(c) @ unit(a)).argmax(), 6), "6 numbers came back"),
    "softmax": (lambda a, c: (unit(c) @ unit(a)).softmax(dim=0), "6 numbers came back"),
    "absolute coordinates": (lambda a, c: (unit(c).abs() @ unit(a).abs()).argmax(), "test rounds"),
    "the sum of the coordinates": (lambda a, c: c.sum(dim=1).argmax(), "the right row is 1"),
    "the first coordinate alone": (lambda a, c: (c[:, 0] * a[0]).argmax(), "the right row is 1"),
    "the nearest to the mean": (lambda a, c: (unit(c) @ unit(c.mean(dim=0))).argmax(), "test rounds"),
    "a similarity as a share": (lambda a, c: float((unit(c) @ unit(a)).softmax(dim=0).max()), "a whole number"),
    "one row too early": (lambda a, c: (unit(c) @ unit(a)).argmax() - 1, "expected"),
    "the product's sign": (lambda a, c: (unit(c) @ unit(a)).sign().argmax(), "test rounds"),
    "manhattan": (lambda a, c: (c - a).abs().sum(dim=1).argmin(), "the right row is 1"),
    "shapes the other way round": (lambda a, c: (unit(a) @ unit(c)).argmax(), "cannot be multiplied"),
    "in place": (lambda a, c: (c.div_(c.norm(dim=1, keepdim=True)) @ a).argmax(), "changed the embeddings in place"),
    "a string": (lambda a, c: "A", "a str came back; one number is expected"),
    "a place in the table": (lambda a, c: torch.outer(unit(c) @ unit(a), c[0]).argmax(), "a whole number from 0 to 5"),
    "no such dimension": (lambda a, c: (unit(c) @ unit(a)).argmax(dim=1), "dim=1 of a tensor with one dimension"),
}
RIGHT_COUNTS = {
    "a tuple": lambda n: (2 * n, 1, 2 * n - 2),
    "a list": lambda n: [2 * n, 1, 2 * (n - 1)],
    "a tensor": lambda n: torch.tensor([2 * n, 1, 2 * n - 2]),
    "an array": lambda n: tuple(np.array([2 * n, 1, 2 * n - 2])),
    "counted one by one": lambda n: (len(range(2 * n)), 1, sum(1 for j in range(2 * n) if j % n != 0)),
    "floats": lambda n: (2.0 * n, 1.0, 2.0 * n - 2),
}
WRONG_COUNTS = {
    "of one batch size": (lambda n: (4, 1, 2), "for n = 3 images you count 4 views, expected 6"),
    "squared": (lambda n: (2 * n, 1, n * n - 2), "for n = 3 images you count 7 negatives"),
    "one too few": (lambda n: (2 * n, 1, 2 * n - 3), "for n = 2 images you count 1 negatives"),
    "pairs": (lambda n: (2 * n, 1, n * (n - 1)), "for n = 3 images you count 6 negatives"),
    "all pairs of views": (lambda n: (n * (n - 1), 1, 2 * n - 2), "for n = 2 images you count 2 views"),
    "no positive": (lambda n: (2 * n, 0, 2 * n - 2), "you count 0 positives of each view, expected 1"),
    "half a positive": (lambda n: (2 * n, 0.5, 2 * n - 2), "you count 0.5 positives of each view"),
    "in another order": (lambda n: (1, 2 * n, 2 * n - 2), "you count 1 views, expected 4"),
    "views twice": (lambda n: (4 * n, 1, 2 * n - 2), "you count 8 views, expected 4"),
    "for small n": (lambda n: (2 * n, 1, min(2 * n - 2, 10)), "but not for every n"),
    "one number": (lambda n: 2 * n, "three numbers are expected"),
    "two numbers": (lambda n: (2 * n, 2 * n - 2), "three numbers are expected"),
    "text": (lambda n: ("2n", 1, "2n - 2"), "a str came back among the three numbers"),
}


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)


@pytest.mark.parametrize("attempt", RIGHT_PICKS.values(), ids=RIGHT_PICKS)
def test_right_picks_pass(attempt):
    assert checks.pick.judge(attempt).passed


@pytest.mark.parametrize("attempt", RIGHT_COUNTS.values(), ids=RIGHT_COUNTS)
def test_right_counts_pass(attempt):
    assert checks.counts.judge(attempt).passed


@pytest.mark.parametrize(("attempt", "words"), WRONG_PICKS.values(), ids=WRONG_PICKS)
def test_wrong_picks_are_explained(attempt, words):
    verdict = checks.pick.judge(attempt)
    assert not verdict.passed and words in verdict.sentence


@pytest.mark.parametrize(("attempt", "words"), WRONG_COUNTS.values(), ids=WRONG_COUNTS)
def test_wrong_counts_are_explained(attempt, words):
    verdict = checks.counts.judge(attempt)
    assert not verdict.passed and words in verdict.sentence


@pytest.mark.parametrize("mistake", PICK_MISTAKES, ids=lambda mistake: mistake.sentence[:50])
def test_every_known_pick_is_named(mistake):
    assert checks.pick.judge(make_pick(**mistake.parts)).sentence == mistake.sentence


@pytest.mark.parametrize("mistake", COUNT_MISTAKES, ids=lambda mistake: mistake.sentence[:50])
def test_every_known_count_is_named(mistake):
    assert checks.counts.judge(make_counts(**mistake.parts)).sentence == mistake.sentence


@pytest.mark.parametrize(("check", "name"), [(checks.pick, "my_pick"), (checks.counts, "my_counts")])
def test_the_lesson_s_own_stub_and_solution(check, name, monkeypatch):
    cell = next(cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if f"def {name}" in cell.source)
    scope = {"torch": torch, "F": F}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    check(scope[name])
    with pytest.raises(ExerciseError, match="not attempted yet"):
        check(lambda *arguments: ...)


def test_an_array_that_runs_backwards_is_numbers():
    x = torch.arange(3.0)
    assert answer_of(lambda x: np.sort(x.numpy())[::-1], x).tolist() == [2, 1, 0]
    assert same(np.flip(x.numpy()), torch.tensor([2.0, 1.0, 0.0]))
    assert "expected 2" in difference(np.flip(np.arange(1.0)), torch.tensor([2.0]))
    with pytest.raises(Fault, match="a tuple of 2 things came back: return the answer alone"):
        answer_of(lambda x: (x, "a word"), x)


@pytest.mark.parametrize("answer", ["3", torch.ones(6).argmax, [torch.ones(5), torch.ones(5)]])
def test_an_answer_that_is_no_number_is_no_error_of_the_learners_code(answer):
    said = checks.pick.judge(lambda a, c: answer).sentence
    assert "one number is expected" in said and "stopped" not in said
    assert ("brackets" in said) == callable(answer)


def test_changing_the_embeddings_is_said_plainly():
    said = checks.pick.judge(lambda a, c: c.div_(c.norm(dim=1, keepdim=True)).mv(a).argmax()).sentence
    assert "the caller's tensors are altered" in said


def test_the_pair_of_max_is_named():
    said = checks.pick.judge(lambda a, c: F.cosine_similarity(a[None], c).max(dim=0)).sentence
    assert "a pair came back" in said


def test_counts_in_an_array_pass_and_texts_are_no_counts():
    assert checks.counts.judge(lambda n: np.array([2 * n, 1, 2 * n - 2])).passed
    verdict = checks.counts.judge(lambda n: (str(2 * n), "1", str(2 * n - 2)))
    assert not verdict.passed and "a str came back" in verdict.sentence
