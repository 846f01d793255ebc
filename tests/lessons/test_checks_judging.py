"""Three more checks of lesson 06, standardised features, average precision and IoU, on right and on wrong answers."""

import functools
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks, evaluate, segment
from cl_course.lessons.shared.exercise import NOT_ATTEMPTED, ExerciseError

SOURCE = Path(checks.__file__).parents[1] / "notebooks" / "src" / "06_what_did_it_learn.py"
ROOM = "cl_course.lessons.what_did_it_learn.check_"
NAMES = ("standardised", "average_precision", "iou")
MODULES = {name: import_module(ROOM + name) for name in NAMES}  # as attributes these are the exercises


# Standardised features.
def with_numpy(train_h, val_h, test_h):
    train = train_h.numpy().astype(np.float64)
    mean, std = train.mean(axis=0), train.std(axis=0)
    return [(h.numpy() - mean) / np.where(std > 1e-6, std, 1) for h in (train_h, val_h, test_h)]


def with_a_tiny_number(a, b, c):
    mean, std = a.mean(dim=0, keepdim=True), a.std(dim=0, keepdim=True)
    return tuple(h.sub(mean).div(std + 1e-7) for h in (a, b, c))


def with_a_clamp(train_h, val_h, test_h):
    centre, spread = train_h.mean(0), train_h.var(0, unbiased=False).clamp(min=1e-12).sqrt()
    return (train_h - centre) / spread, (val_h - centre) / spread, (test_h - centre) / spread


def with_columns(*sets):
    out = [torch.zeros_like(h, dtype=torch.double) for h in sets]
    for d in range(sets[0].shape[1]):
        mean = sum(sets[0][:, d]) / len(sets[0])
        std = (sum((x - mean) ** 2 for x in sets[0][:, d]) / (len(sets[0]) - 1)) ** 0.5
        for h, to in zip(sets, out):
            to[:, d] = (h[:, d] - mean) / (std if std > 1e-6 else 1)
    return out


def with_nan_to_num(train_h, val_h, test_h):
    std, mean = torch.std_mean(train_h, dim=0)
    return tuple(((h - mean) / std).nan_to_num(0, 0, 0) for h in (train_h, val_h, test_h))


def as_a_dict(train_h, val_h, test_h):
    return dict(zip(("train", "val", "test"), with_a_clamp(train_h, val_h, test_h)))


class Standardiser:
    def __call__(self, *sets):
        return (h for h in with_a_clamp(*sets))


def by_course(train_h, val_h, test_h):
    return evaluate._standardised(train_h, val_h, test_h)


def scaled(by, only=(0, 1, 2)):
    """Each set of `only` by `by(set, train)`."""

    def attempt(*sets):
        return tuple(by(h, sets[0]) if i in only else h for i, h in enumerate(sets))

    return attempt


def in_place(train_h, val_h, test_h):
    std, mean = torch.std_mean(train_h, dim=0)
    return train_h.sub_(mean).div_(std), (val_h - mean) / std, (test_h - mean) / std


def z(h, by):
    return (h - by.mean(dim=0)) / by.std(dim=0)


# Average precision.
def with_ranks(right):
    ranks = right.nonzero().flatten() + 1
    return (torch.arange(1, len(ranks) + 1) / ranks).mean()


def with_a_loop(cards):
    found, total = 0, 0.0
    for rank, card in enumerate(cards.tolist(), 1):
        if card:
            found += 1
            total += found / rank
    return total / found


def with_a_matrix(right):
    n = len(right)
    right = right.double()
    precision = torch.einsum("rc,c->r", torch.ones(n, n).tril().double(), right) / torch.arange(1, n + 1)
    return (precision * right).sum() / right.sum()


def of_shape_1(right):
    return with_ranks(right)[None]


def a_list(right):
    return [with_a_loop(right)]


def ap(each, average):
    """Precision-like values at each rank, then their average, from 0/1 numbers, ranks and the number of cards."""

    def attempt(right):
        r, ranks = right.double(), torch.arange(1, len(right) + 1)
        return average(each(r, ranks), r)

    return attempt


def precision(r, ranks):
    return r.cumsum(dim=0) / ranks


def at_right(values, r):
    return values[r > 0].mean()


# IoU.
def with_counts(predicted, masks):
    a, b = predicted.flatten().double(), masks.flatten().double()
    return (a @ b) / (a.sum() + b.sum() - a @ b)


def with_sets(predicted, masks):
    a, b = ({tuple(place) for place in mask.nonzero().tolist()} for mask in (predicted, masks))
    return len(a & b) / len(a | b)


def with_logic(p, t):
    both, either = np.logical_and(p.numpy(), t.numpy()), np.logical_or(p.numpy(), t.numpy())
    return both.sum() / either.sum()


def with_minimum(p, t):
    p, t = p.float(), t.float()
    return torch.minimum(p, t).sum() / torch.maximum(p, t).sum().clamp(min=1e-9)


def one_by_one(predicted, masks):
    above = below = 0
    for p, m in zip(predicted, masks):
        above, below = above + (p & m).sum(), below + (p | m).sum()
    return (above / below).reshape(1)


def ratio(above, below):
    return lambda p, t: above(p, t).sum() / below(p, t).sum()


RIGHT = {
    "standardised": (
        with_numpy,
        with_a_tiny_number,
        with_a_clamp,
        with_columns,
        with_nan_to_num,
        as_a_dict,
        Standardiser(),
        by_course,
    ),
    "average_precision": (
        with_ranks,
        with_a_loop,
        with_a_matrix,
        of_shape_1,
        a_list,
        functools.partial(with_ranks),
        lambda right: float(with_ranks(right)),
    ),
    "iou": (with_counts, with_sets, with_logic, with_minimum, one_by_one, segment.iou, functools.partial(with_counts)),
}

NAMED = {
    "standardised": [
        (scaled(lambda h, train: z(h, h)), "each set has its own"),
        (lambda *s: tuple(z(h, torch.cat(s)) for h in s), "all three sets together"),
        (lambda a, b, c: (z(a, a), z(b, a), z(c, c)), "the test cards have their own"),
        (scaled(lambda h, train: (h - train.mean()) / train.std()), "one mean and one deviation"),
        (scaled(lambda h, train: h - train.mean(dim=0)), "do not divide"),
        (scaled(lambda h, train: h / train.std(dim=0)), "not subtracted"),
        (scaled(lambda h, train: z(h.T, h.T).T), "along its row"),
        (scaled(lambda h, train: F.normalize(h, dim=1)), "length 1"),
        (scaled(lambda h, train: (h - train.mean(dim=0)) / train.var(dim=0)), "by the variance"),
        (lambda a, b, c: z(a, a), "only the training cards came back"),
    ],
    "average_precision": [
        (ap(precision, lambda v, r: v.mean()), "over all ranks"),
        (ap(precision, lambda v, r: (v * r).sum()), "is added up"),
        (ap(precision, lambda v, r: (v * r).mean()), "length of the list"),
        (lambda right: right.double().mean(), "the order does not count"),
        (ap(lambda r, n: r.cumsum(0) / (n - 1), at_right), "start at 0"),
        (ap(lambda r, n: r.cumsum(0) / (n + 1), at_right), "start at 2"),
        (ap(lambda r, n: r / n, at_right), "forgets the right cards above"),
        (ap(lambda r, n: r.cumsum(0) / r.sum(), at_right), "recall"),
        (lambda right: with_ranks(right.flip(0)), "from its end"),
        (lambda right: with_ranks(~right), "two things at once"),
        (ap(precision, lambda v, r: v[r > 0]), "at each right card came back"),
    ],
    "iou": [
        (ratio(torch.eq, lambda p, t: torch.ones_like(p)), "accuracy of the pixels"),
        (ratio(torch.logical_and, lambda p, t: t), "recall"),
        (ratio(torch.logical_and, lambda p, t: p), "precision"),
        (ratio(lambda p, t: 2.0 * (p & t), lambda p, t: p.double() + t.double()), "Dice"),
        (ratio(torch.logical_and, lambda p, t: p.double() + t.double()), "counted twice"),
        (ratio(torch.logical_and, torch.logical_xor), "where the masks differ"),
        (lambda p, t: with_counts(~p, ~t), "background"),
        (lambda p, t: ((p & t).sum((1, 2)) / (p | t).sum((1, 2))).mean(), "image by image"),
        (lambda p, t: (p & t).sum((1, 2)) / (p | t).sum((1, 2)), "for each image"),
    ],
}

# On no list of known mistakes.
UNLISTED = {
    "standardised": [
        (lambda a, b, c: (a, z(b, a), z(c, a)), "the training cards become [[0, 10], [2, 30], [4, 50]]"),
        (lambda a, b, c: (z(a, a), z(b, a), c), "test_h"),
        (lambda a, b, c: (z(a, a), b, c), "val_h"),
        (lambda a, b, c: (z(a, a), z(b, b), z(c, b)), "for the test cards changes"),
        (lambda a, b, c: (z(a, torch.cat([a, c])), z(b, a), z(c, a)), "tell nothing before the end"),
        (
            scaled(lambda h, train: ((h - train.mean(0)) / train.std(0)).clamp(-1, 1)),
            "becomes [[1, 0]], expected [[2, 0]]",
        ),
        (scaled(lambda h, train: torch.tanh(z(h, train))), "become [[-0.762"),
        (scaled(lambda h, train: (h - train[0]) / train.std(0)), "become [[0, 0], [1, 1], [2, 2]]"),
        (scaled(lambda h, train: (h - train.mean(0)) / train.abs().amax(0)), ""),
        (scaled(lambda h, train: (h - train.mean(0)) / (train.std(0) + 1)), ""),
        (scaled(lambda h, train: (h - 1.5) / 2.5), "expected [[-1, -1], [0, 0], [1, 1]]"),
        (scaled(lambda h, train: 2 * z(h, train)), "become [[-2, -2]"),
        (scaled(lambda h, train: F.layer_norm(h, h.shape[1:])), ""),
        (scaled(lambda h, train: z(h, train)[:, :2]), "(12, 3), and what you return for it (12, 2)"),
        (scaled(lambda h, train: z(h, train).T), "and what you return for it (3, 12)"),
        (scaled(lambda h, train: z(h, train) @ torch.eye(h.shape[1]).flip(0)), ""),
        (lambda a, b, c: (z(a, a), z(b, a)), "2 values came back"),
        (lambda a, b, c: torch.stack([z(a, a)] * 3), ""),
        (lambda a, b, c: (z(c, a), z(b, a), z(a, a)), ""),
        (in_place, "in place"),
        (scaled(lambda h, train: z(h, train)), "0 on all training cards"),
        (scaled(lambda h, train: z(h, train)[:, train.std(0) > 1e-6]), "then you leave it out"),
        (scaled(lambda h, train: (h - train.mean(1)) / train.std(1)), "one number a card"),
        (lambda a, b, c: 3, "int came back"),
        (scaled(lambda h, train: z(h, train) + 0.1 * torch.randn_like(h)), "two answers"),
    ],
    "average_precision": [
        (ap(precision, lambda v, r: v[r > 0].median()), "(1/1 + 2/3) / 2"),
        (ap(precision, lambda v, r: v[r > 0].max()), "largest precision"),
        (ap(precision, lambda v, r: v[r > 0].prod()), ""),
        (ap(precision, lambda v, r: (v * r).sum() / r.argmax()), ""),
        (ap(lambda r, n: r.cumsum(0) / n.flip(0), at_right), ""),
        (ap(lambda r, n: r.cumsum(0) / n**0.5, at_right), ""),
        (ap(lambda r, n: 1 / n, at_right), "forgets"),
        (ap(lambda r, n: r / (n + 1).log2(), lambda v, r: v.sum() / v.count_nonzero()), ""),
        (lambda right: right.double()[: int(right.sum())].mean(), ""),
        (lambda right: right.double()[:5].mean(), ""),
        (lambda right: 1 - with_ranks(right), ""),
        (lambda right: with_ranks(right) ** 2, "stands at rank 2"),
        (lambda right: with_ranks(right.sort(descending=True).values), "moved to the front"),
        (lambda right: with_ranks(right).round(decimals=2), ""),
        (lambda right: with_ranks(right[:10]), "(1/1 + 2/12) / 2"),
        (lambda right: (right.nonzero().flatten() + 1).double().mean(), ""),
        (lambda right: (1 / (right.nonzero().flatten() + 1)).mean(), "forgets"),
        (lambda right: right[0], "first rank came back"),
        (lambda right: with_ranks(right.logical_not_()), "in place"),
        (lambda right: "0.5", "a str came back"),
        (lambda right: evaluate.precision_at_k(right), "stopped with TypeError"),
        (lambda right: ap(lambda r, n: r.cumsum(0) / n, lambda v, r: v[r > 0][:3].mean())(right), "4/7"),
    ],
    "iou": [
        (lambda p, t: (p & t).sum() // (p | t).sum(), ""),
        (lambda p, t: (p and t).sum() / (p or t).sum(), "is ambiguous. `if`, `and`, `or` and `not` ask for one"),
        (lambda p, t: (p ^ t).double().mean(), "masks differ"),
        (lambda p, t: 1 - (p ^ t).sum() / (p | t).sum(), "PASS"),
        (lambda p, t: with_counts(p, t) ** 2, ""),
        (lambda p, t: with_counts(p[:1], t[:1]), "for two images"),
        (lambda p, t: with_counts(p, ~t), ""),
        (lambda p, t: with_counts(p, t) * 100, "is 100.0000, expected 1.0000"),
        (lambda p, t: 2 * with_counts(p, t), ""),
        (lambda p, t: with_counts(p, t).round(decimals=1), ""),
        (lambda p, t: (p & t).sum() / torch.maximum(p.sum(), t.sum()), ""),
        (lambda p, t: (p & t).sum() / torch.minimum(p.sum(), t.sum()), ""),
        (lambda p, t: (p & t).sum() / (p.sum() * t.sum()).sqrt(), ""),
        (lambda p, t: ((p & t).sum() + 1) / ((p | t).sum() + 1), "no pixel is in both"),
        (lambda p, t: (p & t).sum(), ""),
        (lambda p, t: (p & t).sum() / len(p), ""),
        (lambda p, t: torch.stack([with_counts(a, b) for a, b in zip(p, t)]).median(), ""),
        (lambda p, t: (p & t).sum(0) / (p | t).sum(0), "shape (8, 8)"),
        (lambda p, t: (p - t).abs().sum(), "stopped with NotImplementedError"),
        (lambda p, t: with_counts(p.logical_not_(), t), "in place"),
        (lambda p, t: with_counts(p.transpose(1, 2), t), ""),
        (lambda p, t: {"iou": 1.0}, "a dict came back"),
    ],
}


def cases(of):
    return [pytest.param(name, *case, id=f"{name} {i}") for name in NAMES for i, case in enumerate(of[name])]


@pytest.mark.parametrize(("name", "attempt"), [(name, attempt) for name in NAMES for attempt in RIGHT[name]])
def test_right_answers_pass(name, attempt):
    verdict = getattr(checks, name).judge(attempt)
    assert verdict.passed, verdict.sentence


def test_remarks_on_right_answers():
    assert "shape (1,)" in checks.average_precision.judge(of_shape_1).notes[0]
    assert "reach 5e+06" in checks.standardised.judge(with_a_clamp).notes[0]
    assert not checks.standardised.judge(by_course).notes


@pytest.mark.parametrize(("name", "attempt", "phrase"), cases(NAMED) + cases(UNLISTED))
def test_wrong_answers_are_explained(name, attempt, phrase):
    verdict = getattr(checks, name).judge(attempt)
    if phrase == "PASS":
        assert verdict.passed
        return
    assert not verdict.passed
    assert phrase in verdict.sentence


def test_the_right_answers_are_the_courses():
    generator = torch.Generator().manual_seed(0)
    h, y = torch.randn(40, 3, generator=generator), torch.arange(40) % 4
    ranked, _ = evaluate.retrieve(h[:10], h[10:], 30)
    right = [MODULES["average_precision"].right_answer(y[10:][row] == y[i]) for i, row in enumerate(ranked)]
    course = evaluate.mean_average_precision(h[:10], y[:10], h[10:], y[10:])
    assert float(torch.stack(right).mean()) == pytest.approx(course, abs=1e-5)
    for given in MODULES["iou"].ORDINARY:
        assert float(MODULES["iou"].right(*given)) == pytest.approx(segment.iou(*given))


def lesson_answers():
    """name of the check -> (the learner's function as the stub is, the lesson's own solution)."""
    found, scope = {}, {"torch": torch, "np": np, "F": F}
    codes = [cell.source for cell in jupytext.read(SOURCE, fmt="py:percent").cells if cell.cell_type == "code"]
    for code, after in pairwise(codes):
        if "### BEGIN SOLUTION" in code:
            before, _, behind = code.partition("    ### BEGIN SOLUTION")
            solution = behind.partition("### END SOLUTION")[0]
            stub = {}
            exec(before + "    ...", stub)  # noqa: S102 - the lesson's own cells
            exec(before + "    " + solution.lstrip(" \n"), scope)  # noqa: S102
            name, attempt = after.strip().splitlines()[-1].removeprefix("checks.").rstrip(")").split("(")
            found[name] = stub[attempt], scope[attempt]
    return found


@pytest.mark.parametrize("name", [*NAMES, "knn", "fair_table"])
def test_the_stub_is_not_attempted_and_the_lessons_solution_passes(name, monkeypatch):
    stub, solution = lesson_answers()[name]
    assert getattr(checks, name).judge(stub).sentence == NOT_ATTEMPTED
    assert getattr(checks, name).judge(solution).passed
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="not attempted"):
        getattr(checks, name)(stub)
