"""Lesson 03's smaller exercises: every right form passes; wrong ones are named, or shown with what was observed."""

import copy
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
from cl_course.lessons.shared.exercise import ExerciseError
from cl_course.train import TrainConfig, learning_rate_at

SOURCE = Path(checks.__file__).parents[1] / "notebooks" / "src" / "03_simclr.py"
NAMES = ("learning_rate", "spread", "neighbours_agree", "features")


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


# The learning rate.
def at_once(step, total, warmup, peak):
    rise = (step + 1) / (warmup + 1)
    fall = math.cos(math.pi / 2 * max(0, step - warmup) / (total - warmup)) ** 2
    return peak * min(1, rise) * fall


def by_list(step, total, warmup, peak):
    rates = [peak * (i + 1) / (warmup + 1) for i in range(warmup)]
    rates += [0.5 * peak * (1 + math.cos(math.pi * i / (total - warmup))) for i in range(total - warmup)]
    return rates[step]


def by_torch(step, total, warmup, peak):
    if step < warmup:
        return torch.tensor([peak]) * (1 + step) / (1 + warmup)
    return peak / 2 * (1 + torch.cos(torch.tensor([math.pi * (step - warmup) / (total - warmup)])))


def by_numpy_rate(step, total, warmup, peak):
    rates = np.concatenate(
        [np.arange(1, warmup + 1) / (warmup + 1), (1 + np.cos(np.linspace(0, np.pi, total - warmup + 1))) / 2]
    )
    return peak * rates[step]


def by_config(step, total, warmup, peak):
    return learning_rate_at(step, total, TrainConfig(learning_rate=peak, warmup=warmup / total))


class RateObject:
    def __call__(self, i, n, w, top):
        return top * (i + 1) / (w + 1) if i < w else top * math.sin(math.pi / 2 * (n - i) / (n - w)) ** 2


RIGHT_RATES = {
    "at once": at_once,
    "by a list": by_list,
    "torch, shape (1,)": by_torch,
    "numpy": by_numpy_rate,
    "the package's": by_config,
    "object": RateObject(),
    "double": lambda *given: torch.tensor(at_once(*given), dtype=torch.float64),
}
right_rate = by_list
WRONG_RATES = {
    "doubled": (lambda *given: 2 * right_rate(*given), "times 2"),
    "offset": (lambda *given: right_rate(*given) + 0.1, "plus 0.1"),
    "negative": (lambda *given: -right_rate(*given), "times -1"),
    "zero": (lambda *given: 0.0, "is 0 on every input"),
    "typed peak": (lambda s, t, w, p: right_rate(s, t, w, 0.5), "yours is"),
    "typed warm-up": (lambda s, t, w, p: right_rate(s, t, 4, p), "yours is"),
    "typed total": (lambda s, t, w, p: by_list(s, 20, w, p), "yours is"),
    "squared": (lambda *given: right_rate(*given) ** 2, "yours is"),
    "exponential": (lambda s, t, w, p: p * 0.9**s, "yours is"),
    "steps from 1": (lambda s, t, w, p: at_once(s + 1, t, w, p), "yours is"),
    "floor": (lambda *given: max(0.1, right_rate(*given)), "yours is"),
    "quadratic warm-up": (lambda s, t, w, p: right_rate(s, t, w, p) * min(1, (s + 1) / (w + 1)), "yours is"),
    "multiplied": (lambda s, t, w, p: p * min(1, (s + 1) / (w + 1)) * (1 + math.cos(math.pi * s / t)) / 2, "yours is"),
    "a list": (lambda s, t, w, p: [right_rate(i, t, w, p) for i in range(t)], "numbers come back"),
    "text": (lambda *given: "0.1", "a str comes back"),
    "no warm-up": (lambda s, t, w, p: by_list(s, t, w, p) * (w / w), "divides by zero"),
    "whole numbers": (lambda *given: int(right_rate(*given)), "yours is"),
    "rounded": (lambda *given: round(right_rate(*given), 1), "yours is"),
    "division by zero": (lambda s, t, w, p: p * s / w if s <= w else by_list(s, t, w, p), "Yours starts at 0"),
}


@each(RIGHT_RATES)
def test_right_rates_pass(attempt):
    check_right("learning_rate", attempt)


@each_wrong(WRONG_RATES)
def test_wrong_rates_are_explained(attempt, phrase):
    check_wrong("learning_rate", attempt, phrase)


# The spread.
unit = F.normalize


def spread_by_loops(z):
    total = 0.0
    rows = [row / row.norm() for row in z]
    for j in range(z.shape[1]):
        column = [float(row[j]) for row in rows]
        mean = sum(column) / len(column)
        total += math.sqrt(sum((x - mean) ** 2 for x in column) / len(column))
    return total / z.shape[1] * math.sqrt(z.shape[1])


class SpreadObject:
    def __call__(self, embeddings):
        return unit(embeddings).std(0).mean() * embeddings.shape[1] ** 0.5


RIGHT_SPREADS = {
    "torch's own deviation": lambda z: unit(z).std(dim=0).mean() * z.shape[1] ** 0.5,
    "correction 0": lambda z: unit(z, dim=-1).std(dim=0, correction=0).mean().mul(math.sqrt(z.size(1))),
    "sum over root d": lambda z: unit(z).std(dim=0, unbiased=False).sum() / z.shape[1] ** 0.5,
    "loops, a float": spread_by_loops,
    "double": lambda z: unit(z.double()).std(0, correction=0).mean() * math.sqrt(z.shape[1]),
    "numpy": lambda z: np.std((z / z.norm(dim=1, keepdim=True)).numpy(), axis=0).mean() * z.shape[1] ** 0.5,
    "shape (1,)": lambda z: (unit(z).std(dim=0).mean() * z.shape[1] ** 0.5)[None],
    "einsum": lambda z: (
        (torch.einsum("md,md->d", unit(z), unit(z)) / len(z) - unit(z).mean(0).square()).sqrt().mean()
        * z.shape[1] ** 0.5
    ),
    "object": SpreadObject(),
    "partial": functools.partial(lambda dim, z: unit(z).std(dim).mean() * z.shape[1] ** 0.5, 0),
}
WRONG_SPREADS = {
    "cubed": (lambda z: checks_right_spread(z) ** 3, "deviation 0 counts"),
    "half": (lambda z: checks_right_spread(z) / 2, "root(2) this is 1"),
    "one minus": (lambda z: 1 - checks_right_spread(z), "All are one point"),
    "constant": (lambda z: torch.tensor(1.0), "All are one point"),
    "typed d": (lambda z: unit(z).std(0).mean() * 128**0.5, "root(2) this is 1"),
    "first dimension": (lambda z: unit(z).std(0)[0] * z.shape[1] ** 0.5, "deviation 0 counts"),
    "first dimension, by m": (lambda z: unit(z).std(0, correction=0)[0] * z.shape[1] ** 0.5, "deviation 0 counts"),
    "last dimension": (lambda z: unit(z).std(0)[-1] * z.shape[1] ** 0.5, "deviation 0 counts"),
    "first half": (lambda z: unit(z[: len(z) // 2]).std(0, correction=0).mean() * z.shape[1] ** 0.5, "your answer is"),
    "distance": (lambda z: torch.pdist(unit(z)).mean(), "your answer is"),
    "one minus cosine": (lambda z: 1 - (unit(z) @ unit(z).T).mean(), "these are variances"),
    "norm of the mean": (lambda z: unit(z).mean(0).norm(), "All are one point"),
    "l1 lengths": (lambda z: unit(z, p=1).std(0, correction=0).mean() * z.shape[1] ** 0.5, "sum of its absolute"),
    "infinity": (lambda z: torch.tensor(torch.inf), "is inf"),
    "text": (lambda z: "1.0", "a str came back"),
    "in place": (lambda z: z.div_(z.norm(dim=1, keepdim=True)).std(0).mean() * z.shape[1] ** 0.5, "in place"),
    "rank": (lambda z: torch.linalg.svdvals(unit(z)).sum(), "your answer is"),
    "after centring": (
        lambda z: unit(z - z.mean(0)).std(0, correction=0).mean() * z.shape[1] ** 0.5,
        "the mean is subtracted",
    ),
    "cube root of d": (lambda z: unit(z).std(0).mean() * z.shape[1] ** (1 / 3), "root(2) this is 1"),
    "two deviations": (lambda z: unit(z).std(0).std() * z.shape[1] ** 0.5, "your answer is"),
}


def checks_right_spread(z):
    return unit(z).std(dim=0, correction=0).mean() * z.shape[1] ** 0.5


@each(RIGHT_SPREADS)
def test_right_spreads_pass(attempt):
    check_right("spread", attempt)


@each_wrong(WRONG_SPREADS)
def test_wrong_spreads_are_explained(attempt, phrase):
    check_wrong("spread", attempt, phrase)


def test_the_default_deviation_is_right_and_said():
    assert "m - 1" in check_right("spread", RIGHT_SPREADS["torch's own deviation"]).notes[0]


DEFAULT_DEVIATION_SPREADS = {
    "lengths": (lambda z: z.std(0).mean() * z.shape[1] ** 0.5, "Yours takes z as it comes"),
    "columns": (lambda z: unit(z, dim=0).std(0).mean() * z.shape[1] ** 0.5, "wrong dimension"),
    "no factor": (lambda z: unit(z).std(0).mean(), "It is missing"),
    "d": (lambda z: unit(z).std(0).mean() * z.shape[1], "Yours is d"),
    "root of m": (lambda z: unit(z).std(0).mean() * len(z) ** 0.5, "root of the number of images"),
    "sum": (lambda z: unit(z).std(0).sum() * z.shape[1] ** 0.5, "the exercise asks for their mean"),
    "no average": (lambda z: unit(z).std(0) * z.shape[1] ** 0.5, "average over the dimensions"),
    "largest": (lambda z: unit(z).std(0).max() * z.shape[1] ** 0.5, "the largest deviation"),
}


@each_wrong(DEFAULT_DEVIATION_SPREADS)
def test_a_mistake_beside_the_default_deviation_is_known_as_beside_the_other(attempt, phrase):
    check_wrong("spread", attempt, phrase)


# The nearest neighbour.
def table(h):
    return unit(h) @ unit(h).T


def by_loops(h, labels):
    hits = 0
    for i in range(len(h)):
        others = [j for j in range(len(h)) if j != i]
        best = max(others, key=lambda j: float(F.cosine_similarity(h[i], h[j], dim=0)))
        hits += int(labels[i] == labels[best])
    return hits / len(h)


def second_of_two(h, labels):
    return (labels[table(h).topk(2).indices[:, 1]] == labels).double().mean()


def by_distance(h, labels):
    distance = torch.cdist(unit(h), unit(h)) + 10 * torch.eye(len(h))
    return (labels[distance.argmin(dim=1)] == labels).float().mean()


def by_numpy(h, labels):
    s = np.array(table(h))
    np.fill_diagonal(s, -np.inf)
    return np.mean(labels.numpy()[s.argmax(1)] == labels.numpy())


def filled(value):
    def attempt(h, labels):
        s = table(h)
        s.fill_diagonal_(value)
        return (labels[s.argmax(1)] == labels).float().mean()

    return attempt


class AgreeObject:
    def __call__(self, features, names):
        return filled(-2.0)(features, names).item()


RIGHT_NEIGHBOURS = {
    "loops": by_loops,
    "second of two": second_of_two,
    "distance of directions": by_distance,
    "numpy": by_numpy,
    "filled": filled(-torch.inf),
    "shape (1,)": lambda h, labels: filled(-2.0)(h, labels)[None],
    "object": AgreeObject(),
    "sum over n": lambda h, y: (y[(table(h) - 3 * torch.eye(len(h))).argmax(0)] == y).sum() / len(h),
    "double, sorted": lambda h, y: (y[table(h.double()).argsort(dim=1)[:, -2]] == y).double().mean(),
}
right_neighbours = filled(-2.0)
WRONG_NEIGHBOURS = {
    "the next image": (lambda h, y: (y.roll(-1) == y).float().mean(), "your share is"),
    "the first image": (lambda h, y: (y[0] == y).float().mean(), "the share is 0"),
    "constant": (lambda h, y: 1.0, "as when each image finds itself"),
    "squared": (lambda h, y: right_neighbours(h, y) ** 2, "your share is"),
    "typed n": (lambda h, y: (y[filled_table(h).argmax(1)] == y).sum() / 40, "so the share is 1"),
    "five nearest": (lambda h, y: agree_of(h, y, 5), "your share is"),
    "index against label": (lambda h, y: (filled_table(h).argmax(1) == y).float().mean(), "so the share is 1"),
    "difference of labels": (
        lambda h, y: (y[filled_table(h).argmax(1)] - y).float().abs().mean(),
        "so the share is 1",
    ),
    "half of the images": (lambda h, y: right_neighbours(h[: len(h) // 2], y[: len(h) // 2]), "your share is"),
    "values, not places": (lambda h, y: filled_table(h).amax(1).mean(), "a share lies between"),
    "centred": (lambda h, y: right_neighbours(h - h.mean(0), y), "mean is subtracted"),
    "l1 lengths": (lambda h, y: agree_by(unit(h, p=1) @ unit(h, p=1).T, y), "absolute values"),
    "without the last": (lambda h, y: right_neighbours(h[:-1], y[:-1]), "your share is"),
    "same class of any": (lambda h, y: (y[:, None] == y).float().mean(), "the share is 0"),
    "in place": (lambda h, y: agree_by(h.div_(h.norm(dim=1, keepdim=True)) @ h.T, y), "in place"),
    "text": (lambda h, y: "0.5", "a str came back"),
    "not a number": (lambda h, y: torch.tensor(torch.nan), "not finite"),
}


def filled_table(h):
    return table(h).fill_diagonal_(-torch.inf)


def agree_by(s, y):
    s = s.clone().fill_diagonal_(-torch.inf)
    return (y[s.argmax(1)] == y).float().mean()


def agree_of(h, y, k):
    k = min(k, len(h) - 1)
    return (y[filled_table(h).topk(k).indices] == y[:, None]).float().mean()


@each(RIGHT_NEIGHBOURS)
def test_right_neighbours_pass(attempt):
    check_right("neighbours_agree", attempt)


@each_wrong(WRONG_NEIGHBOURS)
def test_wrong_neighbours_are_explained(attempt, phrase):
    check_wrong("neighbours_agree", attempt, phrase)


# Features.
def read_by(**changes):
    return import_module("cl_course.lessons.simclr.check_features").make(**changes)


@torch.no_grad()
def decorated(encoder, projector, images):
    mode = encoder.training
    h = encoder.eval()(images)
    encoder.train(mode)
    return h


def of_a_copy(encoder, projector, images):
    return copy.deepcopy(encoder).eval()(images).detach()


def one_by_one(encoder, projector, images):
    modes = {part: part.training for part in encoder.modules()}
    encoder.eval()
    with torch.inference_mode():
        h = [encoder(image[None])[0] for image in images]
    for part, mode in modes.items():
        part.training = mode
    return h


def in_parts(encoder, projector, images):
    was = encoder.training
    encoder.train(False)
    with torch.no_grad():
        h = torch.cat([encoder(part) for part in images.split(4)])
    if was:
        encoder.train()
    return h.double()


def with_finally(f, g, x):
    mode = f.training
    try:
        f.eval()
        g.eval()
        with torch.no_grad():
            return f(x).numpy()
    finally:
        f.train(mode)


class FeaturesObject:
    def __call__(self, encoder, head, pictures):
        return decorated(encoder, head, pictures)


RIGHT_FEATURES = {
    "decorated": decorated,
    "of a copy": of_a_copy,
    "one by one": one_by_one,
    "in parts, double": in_parts,
    "with finally, numpy": with_finally,
    "object": FeaturesObject(),
    "detached": lambda f, g, x: of_a_copy(f, g, x).detach(),
}


def with_output(output):
    return read_by(output=output)


WRONG_FEATURES = {
    "h and z": (with_output(lambda f, g, x: torch.cat([f(x), g(f(x))], dim=1)), "shape (6, 9)"),
    "first half": (with_output(lambda f, g, x: f(x[:3])), "shape (3, 5)"),
    "of the inner layer": (with_output(lambda f, g, x: f[:3](x)), "encoder(images) in eval mode gives"),
    "rows reversed": (with_output(lambda f, g, x: f(x.flip(0))), "the first row of your answer"),
    "images scaled": (with_output(lambda f, g, x: f(x * 2 - 1)), "in eval mode gives"),
    "minus the mean": (with_output(lambda f, g, x: f(x) - f(x).mean(0)), "must depend on that image alone"),
    "columns normalised": (with_output(lambda f, g, x: F.normalize(f(x), dim=0)), "must depend on that image alone"),
    "a pair": (lambda f, g, x: (decorated(f, g, x), 1), "a tuple came back"),
    "only BatchNorm in eval": (lambda f, g, x: bn_only(f, x), "leave it as it came"),
    "one pass to warm up": (lambda f, g, x: (f(x), decorated(f, g, x))[1], "running mean"),
    "zeros": (lambda f, g, x: torch.zeros(6, 5), "in eval mode gives"),
    "squared": (with_output(lambda f, g, x: f(x) ** 2), "in eval mode gives"),
    "transposed": (read_by(result=lambda h: h.T), "shape (5, 6)"),
    "text": (lambda f, g, x: "h", "a str came back"),
    "in place": (lambda f, g, x: decorated(f, g, x.mul_(2)), "in place"),
    "statistics off": (lambda f, g, x: without_statistics(f, x), "must depend on that image alone"),
    "rounded": (read_by(result=lambda h: h.round()), "in eval mode gives"),
}


@torch.no_grad()
def bn_only(encoder, images):
    encoder[2].eval()
    return encoder(images)


@torch.no_grad()
def without_statistics(encoder, images):
    mine = copy.deepcopy(encoder).eval()
    mine[2].running_mean = mine[2].running_var = None
    return mine(images)


@each(RIGHT_FEATURES)
def test_right_features_pass(attempt):
    check_right("features", attempt)


@each_wrong(WRONG_FEATURES)
def test_wrong_features_are_explained(attempt, phrase):
    check_wrong("features", attempt, phrase)


# All of them.
@pytest.mark.parametrize("name", NAMES)
def test_the_stub_is_not_attempted(name, capsys, monkeypatch):
    exercise = getattr(checks, name)
    exercise(lambda *arguments: None)
    assert "not attempted yet" in capsys.readouterr().out
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="not attempted"):
        exercise(lambda *arguments: None)


@pytest.mark.parametrize("name", (*NAMES, "nt_xent"))
def test_the_lessons_solution_passes(name):
    cells = jupytext.read(SOURCE, fmt="py:percent").cells
    cell = next(cell for cell in cells if f"def my_{name}(" in cell.source)
    scope = {"torch": torch, "F": F, "math": math}
    exec(cell.source, scope)  # noqa: S102 - the course's own cell
    check_right(name, scope[f"my_{name}"])
