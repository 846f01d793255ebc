"""Lesson 01's `my_blend` and `my_shortcut_rate`: right answers pass; wrong ones are named, or shown with an example."""

import functools
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError

SOURCE = Path(checks.__file__).parents[1] / "notebooks" / "src" / "01_two_views.py"
NAMES = ("random_flip", "blend", "two_views", "shortcut_rate", "choose_augmentation")


def each(cases):
    return pytest.mark.parametrize("attempt", cases.values(), ids=cases.keys())


def each_wrong(cases):
    return pytest.mark.parametrize(("attempt", "phrase"), cases.values(), ids=cases.keys())


def check_right(name, attempt):
    verdict = getattr(checks, name).judge(attempt)
    assert verdict.passed, verdict.sentence
    return verdict


def check_wrong(name, attempt, phrase):
    verdict = getattr(checks, name).judge(attempt)
    assert not verdict.passed
    assert phrase in verdict.sentence, verdict.sentence


# my_blend
def four(f):
    return f[:, None, None, None]


def line(x, n, f):
    return n + four(f) * (x - n)


def by_loop(pictures, greys, factors):
    return torch.stack([(g + float(k) * (p - g)).clamp(0, 1) for p, g, k in zip(pictures, greys, factors)])


def by_limits(images, neutral, factor):
    return torch.minimum(torch.maximum(neutral - four(factor) * (neutral - images), torch.zeros(())), torch.ones(()))


def by_own_grey(x, n, f):
    own = x.mean(dim=(1, 2, 3), keepdim=True)
    return (own + four(f) * (x - own)).clamp(0, 1)


def scaled(x, n, f):
    y = line(x, n, f)
    return (y - y.min()) / (y.max() - y.min())


BLENDS = {
    "lerp": lambda x, n, f: torch.lerp(n.expand_as(x), x, four(f)).clamp(0, 1),
    "weighted sum": lambda x, n, f: (four(f) * x + (1 - four(f)) * n).clamp(0, 1),
    "view and clip": lambda x, n, f: torch.clip(f.view(-1, 1, 1, 1) * (x - n) + n, 0, 1),
    "loop": by_loop,
    "double": lambda x, n, f: (n.double() + four(f) * (x - n)).clamp(0, 1),
    "einsum": lambda x, n, f: (n + torch.einsum("nchw,n->nchw", x - n, f)).clamp(0, 1),
    "limits": functools.partial(by_limits),
    "batch last": lambda x, n, f: (n + ((x - n).permute(1, 2, 3, 0) * f).permute(3, 0, 1, 2)).clamp(0, 1),
    "hardtanh": lambda x, n, f: F.hardtanh(line(x, n, f), 0, 1),
}
WRONG_BLENDS = {
    "factor minus 1": (lambda x, n, f: (n + (four(f) - 1) * (x - n)).clamp(0, 1), "a factor of 1 leaves the image"),
    "factor plus 1": (lambda x, n, f: line(x, n, f + 1).clamp(0, 1), "starts from the image"),
    "root": (lambda x, n, f: line(x, n, f.sqrt()).clamp(0, 1), "a factor of 0.5 goes half of the way"),
    "squared": (lambda x, n, f: line(x, n, f**2).clamp(0, 1), "a factor of 0.5 goes half of the way"),
    "way cut off": (lambda x, n, f: n + (four(f) * (x - n)).clamp(0, 1), "becomes 0.5 with yours, and 0.4 is expected"),
    "sigmoid": (lambda x, n, f: line(x, n, f).sigmoid(), "becomes 0.5987 with yours"),
    "distance": (lambda x, n, f: (n + four(f) * (x - n).abs()).clamp(0, 1), "becomes 0.6 with yours"),
    "scaled to 0 and 1": (scaled, "the images of a batch influence each other"),
    "largest factor": (
        lambda x, n, f: (n + f.max() * (x - n)).clamp(0, 1),
        "the images of a batch influence each other",
    ),
    "factors reversed": (lambda x, n, f: line(x, n, f.flip(0)).clamp(0, 1), "the images of a batch influence"),
    "modulo 1": (lambda x, n, f: line(x, n, f) % 1, "0.7 - 0.9 is below 0 and is cut off"),
    "factor of shape (n,)": (lambda x, n, f: (n + f * (x - n)).clamp(0, 1), "needs the shape (n, 1, 1, 1)"),
    "factor of shape (n, 1)": (lambda x, n, f: n + f[:, None] * (x - n), "needs the shape (n, 1, 1, 1)"),
    "one float": (lambda x, n, f: n + f.item() * (x - n), "Python wants one number"),
    "up to 255": (lambda x, n, f: line(x, n, f).clamp(0, 255), "values above 1 stay"),
    "from -1": (lambda x, n, f: line(x, n, f).clamp(-1, 1), "values below 0 stay"),
    "two at once": (lambda x, n, f: n + four(f) * x, "First: values leave the range"),
    "in place": (lambda x, n, f: x.sub_(n).mul_(four(f)).add_(n).clamp_(0, 1), "you changed the input in place"),
    "its own grey": (by_own_grey, "a factor of 0 gives the neutral picture"),
    "other beyond 1": (
        lambda x, n, f: torch.where(four(f) > 1, four(f) * x, line(x, n, f)).clamp(0, 1),
        "a factor of 2 goes twice as far",
    ),
    "grey answer": (lambda x, n, f: line(x, n, f).clamp(0, 1).mean(dim=1, keepdim=True), "the shape must stay"),
    "brighter by adding": (lambda x, n, f: (x + four(f) - 1).clamp(0, 1), "a factor of 0 gives the neutral picture"),
    "rounded": (lambda x, n, f: line(x, n, f).clamp(0, 1).round(), "becomes 0 with yours, and 0.4 is expected"),
    "stub": (lambda x, n, f: None, "not attempted"),
}


@each(BLENDS)
def test_right_blends_pass(attempt):
    check_right("blend", attempt)


@each_wrong(WRONG_BLENDS)
def test_wrong_blends_are_explained(attempt, phrase):
    check_wrong("blend", attempt, phrase)


# my_shortcut_rate
def hits(distances):
    return distances.argmin(dim=1) == torch.arange(len(distances))


def share_by_loop(a, b):
    found = 0
    for i, row in enumerate(a):
        squares = [float(((row - other) ** 2).sum()) for other in b]
        found += squares.index(min(squares)) == i
    return found / len(a)


def share_by_numpy(one, two):
    table = np.linalg.norm(one.numpy()[:, None] - two.numpy()[None], axis=2)
    return np.mean(table.argmin(axis=1) == np.arange(len(one)))


def expanded(a, b):
    return a.square().sum(dim=1)[:, None] - 2 * a @ b.T + b.square().sum(dim=1)


def among_all_views(a, b):
    both = torch.cat([a, b])
    table = torch.cdist(both, both).fill_diagonal_(torch.inf)
    return (table.argmin(dim=1) == torch.arange(len(both)).roll(len(a))).float().mean()


def cosines(a, b):
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def both_ways(a, b):
    return hits(torch.cdist(a, b)) & hits(torch.cdist(b, a))


RATES = {
    "loop": share_by_loop,
    "numpy": share_by_numpy,
    "topk": lambda a, b: (
        (torch.cdist(a, b).topk(1, largest=False).indices[:, 0] == torch.arange(len(a))).double().mean()
    ),
    "squares": lambda a, b: hits(((a[:, None] - b) ** 2).sum(dim=2)).sum().item() / len(a),
    "expanded": lambda a, b: hits(expanded(a, b)).float().mean(),
    "least on the diagonal": lambda a, b: (
        (torch.cdist(a, b).diagonal() <= torch.cdist(a, b).amin(dim=1)).float().mean()
    ),
    "double": lambda a, b: hits(torch.cdist(a.double(), b.double())).double().mean(),
    "partial": functools.partial(lambda p, a, b: hits(torch.cdist(a, b, p=p)).float().mean(), 2.0),
}
WRONG_RATES = {
    "among all views": (among_all_views, "for feature1 = "),
    "with itself": (
        lambda a, b: (torch.cdist(a, torch.cat([a, b])).argmin(dim=1) == torch.arange(len(a)) + len(a)).float().mean(),
        "your answer is 0 on every input tried",
    ),
    "always 1": (lambda a, b: 1.0, "your answer is 1 on every input tried"),
    "chance": (lambda a, b: 1 / len(a), "for two identical views"),
    "both ways at once": (lambda a, b: both_ways(a, b).float().mean(), "expected 0.6667"),
    "of n - 1": (lambda a, b: hits(torch.cdist(a, b)).sum() / (len(a) - 1), "for two identical views"),
    "one for each image": (lambda a, b: hits(torch.cdist(a, b)).float(), "the answer has the shape (7,)"),
    "mean of True": (lambda a, b: hits(torch.cdist(a, b)).mean(), ".float().mean()"),
    "mean distance": (lambda a, b: (a - b).norm(dim=1).mean(), "a share lies from 0 to 1"),
    "largest difference": (
        lambda a, b: hits(torch.cdist(a, b, p=torch.inf)).float().mean(),
        "(0, 0) is 3 from (0, 3), its partner, and 3.54",
    ),
    "nearer than usual": (
        lambda a, b: (torch.cdist(a, b).diagonal() < torch.cdist(a, b).mean(dim=1)).float().mean(),
        "your answer is 1, expected 0.3333",
    ),
    "two nearest": (
        lambda a, b: (
            (torch.cdist(a, b).topk(2, largest=False).indices == torch.arange(len(a))[:, None]).any(1).float().mean()
        ),
        "your answer is 0.6667, expected 0.3333",
    ),
    "first feature": (lambda a, b: hits((a[:, :1] - b[:, 0]).abs()).float().mean(), "(0, 0) is 2.83 from (2, 2)"),
    "signed": (lambda a, b: hits((a[:, None] - b).sum(dim=2)).float().mean(), "for two identical views"),
    "unlike directions": (lambda a, b: hits(cosines(a, b)).float().mean(), "First: you take the farthest row"),
    "for 256 images": (lambda a, b: (torch.cdist(a, b).argmin(1) == torch.arange(256)).float().mean(), "do not fit"),
    "all or nothing": (lambda a, b: hits(torch.cdist(a, b)).all(), "your answer is 0 on every input tried"),
    "views swapped": (lambda a, b: hits(torch.cdist(b, a)).float().mean(), "for each row of view 2"),
    "near enough": (lambda a, b: (torch.cdist(a, b).diagonal() < 0.5).float().mean(), "for feature1 = "),
    "different winners": (lambda a, b: len(torch.cdist(a, b).argmin(dim=1).unique()) / len(a), "expected 0.3333"),
    "words": (lambda a, b: "all", "a str came back"),
    "in place": (lambda a, b: hits(torch.cdist(a.sub_(1), b.sub_(1))).float().mean(), "come back changed"),
    "stub": (lambda a, b: ..., "not attempted"),
}


@each(RATES)
def test_right_rates_pass(attempt):
    check_right("shortcut_rate", attempt)


@each_wrong(WRONG_RATES)
def test_wrong_rates_are_explained(attempt, phrase):
    check_wrong("shortcut_rate", attempt, phrase)


def test_an_answer_of_shape_1_passes_with_a_note():
    verdict = check_right("shortcut_rate", lambda a, b: hits(torch.cdist(a, b)).float().mean()[None])
    assert "shape (1,)" in verdict.notes[0]


@pytest.mark.parametrize("name", ["blend", "shortcut_rate"])
def test_each_known_mistake_is_named(name):
    """No other mistake gives the same answer, so that each sentence is said of its own code alone."""
    exercise = getattr(checks, name)
    for mistake in exercise.mistakes:
        verdict = exercise.judge(exercise.make(**mistake.parts))
        assert not verdict.passed and verdict.sentence == mistake.sentence


# All five.
@pytest.mark.parametrize("name", NAMES)
def test_the_lesson_s_own_solution_passes(name):
    cells = jupytext.read(SOURCE, fmt="py:percent").cells
    exercise = next(c.source for c in cells if f"def {getattr(checks, name).name}(" in c.source)
    scope = {"torch": torch, "F": F}
    exec("from cl_course.augment import AugmentConfig\n" + exercise, scope)  # noqa: S102 - the lesson's own solution
    check_right(name, scope[getattr(checks, name).name])


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_fails_in_strict_mode_alone(name, monkeypatch, capsys):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    getattr(checks, name)(lambda *_: None)
    assert "not attempted" in capsys.readouterr().out
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError):
        getattr(checks, name)(lambda *_: None)
