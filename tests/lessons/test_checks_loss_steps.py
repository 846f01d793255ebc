"""Lesson 02's small exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import math
from functools import partial, reduce
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError

SOURCE = Path(__file__).parents[2] / "notebooks" / "src" / "02_infonce.py"
unit = partial(F.normalize, dim=1)


def joined(a, b):
    return unit(torch.cat([a, b]))


def table_of(z):
    return z @ z.T


# similarities(z1, z2)
def cosines_by_loops(a, b):
    views = [*a, *b]
    return [[float(x @ y / (x.norm() * y.norm())) for y in views] for x in views]


def cosines_in_numpy(a, b):
    z = torch.cat([a, b]).numpy()
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T


def cosines_in_blocks(a, b):
    a, b = unit(a), unit(b)
    return torch.cat([torch.cat([a @ a.T, a @ b.T], dim=1), torch.cat([b @ a.T, b @ b.T], dim=1)])


def divided_at_the_end(a, b):
    z = torch.cat([a, b])
    return z @ z.T / (z.norm(dim=1)[:, None] * z.norm(dim=1))


def blocks_exchanged(a, b):
    a, b = unit(a), unit(b)
    return torch.cat([torch.cat([a @ b.T, a @ a.T], dim=1), torch.cat([b @ b.T, b @ a.T], dim=1)])


def in_place(a, b):
    a /= a.norm(dim=1, keepdim=True)
    return cosines_in_blocks(a, b)


RIGHT_SIMILARITIES = [
    cosines_by_loops,
    cosines_in_numpy,
    cosines_in_blocks,
    divided_at_the_end,
    lambda left, right: torch.einsum("id,jd->ij", joined(left, right), joined(left, right)),
    lambda a, b: F.cosine_similarity(torch.cat([a, b])[:, None], torch.cat([a, b])[None], dim=2),
    lambda a, b: table_of(joined(a.double(), b.double())),
    lambda a, b: [joined(a, b) @ row for row in joined(a, b)],
    lambda a, b: 1 - torch.cdist(joined(a, b), joined(a, b)).square() / 2,
]
DIAGONAL = "your diagonal, are"
WRONG_SIMILARITIES = [
    (lambda a, b: table_of(joined(a, b)).triu(), "row B1, column A1 of your table is 0.0000"),
    (blocks_exchanged, DIAGONAL),
    (lambda a, b: table_of(torch.cat([a, b])) / torch.cat([a, b]).norm(dim=1), DIAGONAL),
    (lambda a, b: table_of(torch.cat([a, b]) / torch.cat([a, b]).norm(dim=1, keepdim=True).sqrt()), DIAGONAL),
    (lambda a, b: table_of(torch.cat([a, b]) / torch.cat([a, b]).amax(dim=1, keepdim=True)), DIAGONAL),
    (lambda a, b: table_of(torch.cat([a, b]).softmax(dim=1)), DIAGONAL),
    (lambda a, b: F.normalize(table_of(torch.cat([a, b])), dim=1), DIAGONAL),
    (lambda a, b: table_of(joined(a, b)) / 0.5, "[2, 2, 2, 2]"),
    (lambda a, b: table_of(joined(a, b)).exp(), DIAGONAL),
    (lambda a, b: table_of(unit(torch.cat([a, b]) - torch.cat([a, b]).mean(dim=0))), "lengths count in your table"),
    (lambda a, b: table_of(joined(a, b)).round(decimals=1), "is 0.4000. The cosine of [3, 4] and [-1, 2] is 0.4472"),
    (lambda a, b: table_of(joined(a, b).half()), "is 0.7998. The cosine of [3, 4] and [0, 2] is 0.8000"),
    (lambda a, b: table_of(joined(a, b)).flatten(), "has the shape (16,), expected (4, 4)"),
    (lambda a, b: table_of(unit(a + b)), "has the shape (2, 2)"),
    (lambda a, b: (table_of(joined(a, b)), joined(a, b)), "a tuple of 2 things"),
    (lambda a, b: a @ b, "the inner sizes must be equal"),
    (in_place, "changed an argument in place"),
    (lambda a, b: table_of(joined(b, a).flip(0)), "row A1, column A2 of your table is -0.4472"),
]


# partners(n)
def partners_by_loop(n):
    found = []
    for i in range(2 * n):
        found.append(i + n if i < n else i - n)
    return found


RIGHT_PARTNERS = [
    partners_by_loop,
    lambda count: (torch.arange(2 * count) + count) % (2 * count),
    lambda n: torch.cat([torch.arange(n, 2 * n), torch.arange(n)]),
    lambda n: np.roll(np.arange(2 * n), n),
    lambda n: torch.arange(2 * n, dtype=torch.int32).roll(-n),
    lambda n: torch.where(torch.arange(2 * n) < n, torch.arange(2 * n) + n, torch.arange(2 * n) - n),
    lambda n: torch.eye(2 * n).roll(n, dims=0).argmax(dim=0),
    lambda n: tuple(partners_by_loop(n)),
]
WRONG_PARTNERS = [
    (lambda n: torch.arange(2.0 * n).roll(n), "F.cross_entropy refuses others"),
    (lambda n: torch.tensor([3, 4, 5, 0, 1, 2]), "right for n = 3, and wrong for n = 2"),
    (lambda n: (torch.arange(2 * n) + 8) % 16, "right for n = 8, and wrong for n = 2"),
    (lambda n: torch.arange(2 * n) ^ n, "wrong for n = 3, n = 5"),
    (lambda n: torch.arange(2 * n).roll(n // 2), "It gives A1 the partner 5, which is C2; it must be 3, A2"),
    (lambda n: torch.arange(2 * n) - n, "the partner -3, which is no row"),
    (lambda n: (torch.arange(2 * n) - n).abs(), "It gives B1 the partner 2, which is C1"),
    (lambda n: n, "has the shape (), expected (6,)"),
    (lambda n: (torch.arange(n) + n, torch.arange(n)), "the two halves are stacked"),
    (lambda n: torch.stack([torch.arange(n) + n, torch.arange(n)], dim=1).flatten(), "It gives B1 the partner 0"),
    (lambda n: torch.arange(2 * n) * n % (2 * n), "It gives A1 the partner 0"),
    (lambda n: partners_by_loop(n)[:-1], "has the shape (5,)"),
    (lambda n: set(partners_by_loop(n)), "a set came back"),
    (lambda n: torch.arange(2 * n).roll(n, 1), "your code stopped with IndexError"),
    (lambda n: torch.arange(2 * n).roll, "look for missing brackets ()"),
]


# row_loss(similarities, partner, temperature)
def of_logits(loss):
    return lambda s, partner, t: loss(s / t, partner)


def in_floats(s, partner, t):
    e = [math.exp(float(x) / t) for x in s]
    return -math.log(e[partner] / sum(e))


def others(x, k):
    return torch.cat([x[:k], x[k + 1 :]])


def cross_entropy(x, k, **options):
    return F.cross_entropy(x, torch.tensor(k), **options)


RIGHT_ROW_LOSS = [
    of_logits(cross_entropy),
    of_logits(lambda x, k: F.cross_entropy(x[None], torch.tensor([k]))),
    of_logits(lambda x, k: -(x[k].exp() / x.exp().sum()).log()),
    in_floats,
    of_logits(lambda x, k: np.log(np.exp(x.numpy()).sum()) - x.numpy()[k]),
    of_logits(lambda x, k: -x.double().log_softmax(0)[k]),
    of_logits(lambda x, k: -x.log_softmax(0)[k : k + 1]),
    of_logits(lambda x, k: F.softplus(others(x, k).logsumexp(0) - x[k])),
    of_logits(lambda x, k: F.nll_loss(x.log_softmax(-1)[None], torch.tensor([k]))),
]
EVEN = "four candidates that are equally near"
WRONG_ROW_LOSS = [
    (lambda s, k, t: cross_entropy(s + t, k), "the temperature has no effect"),
    (lambda s, k, t: t * cross_entropy(s / t, k), "a factor in front that goes as T"),
    (lambda s, k, t: cross_entropy(s, k) / t, "the right loss at T = 1, multiplied by 1 / T"),
    (lambda s, k, t: -((s[k] / t).exp() / s.exp().sum()).log(), EVEN),
    (lambda s, k, t: cross_entropy(s.relu() / t, k), "for similarities = [-0.5, 0]"),
    (of_logits(lambda x, k: cross_entropy(x.clamp(-1, 1), k)), "expected 3.049: the softmax of s / T is"),
    (of_logits(lambda x, k: -(x.softmax(0)[k] + 0.01).log()), EVEN),
    (of_logits(lambda x, k: -x.softmax(0).sum().log()), "0 on every input tried"),
    (of_logits(lambda x, k: F.softplus(others(x, k).exp().mean().log() - x[k])), EVEN),
    (of_logits(lambda x, k: -(x.softmax(0)[k] ** 2).log()), "the right one times 2"),
    (of_logits(lambda x, k: -(x.softmax(0) * x.log_softmax(0)).sum()), "the first negative's similarity rises"),
    (of_logits(lambda x, k: cross_entropy(x, k) / len(x)), EVEN),
    (of_logits(lambda x, k: torch.log1p(x.exp().sum()) - x[k]), "yours is 1.5149"),
    (of_logits(lambda x, k: cross_entropy(F.normalize(x, dim=0), k)), "the temperature has no effect on your loss"),
    (of_logits(lambda x, k: (cross_entropy(x, k), x)), "a tuple of 2 things"),
    (of_logits(lambda x, k: -(F.one_hot(torch.tensor(k), len(x)) * x.softmax(0)).log().sum()), "not finite"),
    (of_logits(lambda x, k: -x.sort(descending=True).values.log_softmax(0)[k]), "the partner's similarity rises"),
    (lambda s, k, t: cross_entropy(s.div_(t), k), "changed an argument in place"),
    (lambda s, k, t: cross_entropy(s / max(t, 0.5), k), "temperature = 0.2 your answer is"),
    (of_logits(lambda x, k: cross_entropy(x, k, label_smoothing=0.1)), "the softmax of s / T is [0.7311, 0.2689]"),
    (lambda s, k, t: F.cross_entropy(s / t, k), "takes the target as a tensor"),
]


# gradient(similarities, partner, temperature)
def by_autograd(s, k, t):
    s = s.clone().requires_grad_()
    cross_entropy(s / t, k).backward()
    return s.grad


def by_index(s, k, t):
    p = (s / t).softmax(0) / t
    p[k] -= 1 / t
    return p


def in_a_list(s, k, t):
    return [(p - (i == k)) / t for i, p in enumerate((s / t).softmax(0).tolist())]


def by_differences(s, k, t, step=1e-3):
    loss = lambda x: cross_entropy(x.double() / t, k)
    moves = step * torch.eye(len(s), dtype=torch.double)
    return torch.stack([(loss(s + move) - loss(s - move)) / (2 * step) for move in moves])


def hot(s, k):
    return F.one_hot(torch.tensor(k), len(s)).float()


RIGHT_GRADIENT = [
    by_autograd,
    by_index,
    in_a_list,
    by_differences,
    lambda s, k, t: ((s / t).softmax(0) - hot(s, k)) / t,
    lambda s, k, t: torch.where(torch.arange(len(s)) == k, (s / t).softmax(0) - 1, (s / t).softmax(0)) / t,
    lambda s, k, t: by_index(s.double(), k, t),
    lambda s, k, t: torch.func.grad(lambda x: cross_entropy(x / t, k))(s),
    lambda s, k, t: (s / t).softmax(0).index_add(0, torch.tensor([k]), torch.tensor([-1.0])) / t,
]
EQUAL = "for similarities = [0.3, 0.3, 0.3, 0.3]"
SUM = "the entries of a row add up to 0"
WRONG_GRADIENT = [
    (lambda s, k, t: by_index(s, k, t)[:, None], "has the shape (4, 1), expected (4,)"),
    (lambda s, k, t: 2 * by_index(s, k, t), "the right one times 2"),
    (lambda s, k, t: by_index(s, k, t) + 0.1, "the right one plus 0.1000"),
    (
        lambda s, k, t: by_index(s, k, t) * t**0.5,
        "a factor that changes with T: 0.5, 0.7071, 1.414 at T = 0.25, 0.5, 2",
    ),
    (lambda s, k, t: F.normalize(by_index(s, k, t), dim=0), "a factor that changes with T"),
    (lambda s, k, t: by_index(s, k, t) * s, EQUAL),
    (lambda s, k, t: (s / t).softmax(0) / t - hot(s, k) * (1 - (s / t).softmax(0)[k]), SUM),
    (lambda s, k, t: torch.where(hot(s, k).bool(), (s / t).softmax(0) - 1, 1 - (s / t).softmax(0)) / t, SUM),
    (lambda s, k, t: by_index(s, k, t).sort().values, "the partner's entry is below 0"),
    (lambda s, k, t: by_index(s, k, t).flip(0), "the partner's entry is below 0"),
    (lambda s, k, t: cross_entropy(s / t, k), "has the shape (), expected (4,)"),
    (lambda s, k, t: by_index(s, k, t) + torch.rand(len(s)), SUM),
    (lambda s, k, t: s.softmax(0) - hot(s, k), "two things at once"),
    (lambda s, k, t: (by_index(s, k, t), 1.0), "a tuple of 2 things"),
    (lambda s, k, t: by_index(s.div_(t), k, 1.0), "changed an argument in place"),
    (lambda s, k, t: (s / t).softmax(0) - F.one_hot(k, len(s)), "F.one_hot takes a tensor"),
    (
        lambda s, k, t: torch.diag((s / t).softmax(0)) - (s / t).softmax(0)[:, None] * (s / t).softmax(0),
        "has the shape (4, 4)",
    ),
]


# log_sum_exp(x)
def in_python(x):
    m = max(x.tolist())
    return m + math.log(sum(math.exp(v - m) for v in x.tolist()))


RIGHT_LOG_SUM_EXP = [
    lambda x: x.max() + (x - x.max()).exp().sum().log(),
    lambda x: x.logsumexp(0),
    lambda x: x.logsumexp(0, keepdim=True),
    in_python,
    lambda x: np.logaddexp.reduce(x.double().numpy()),
    lambda x: reduce(torch.logaddexp, x.float()),
    lambda x: x.float().logcumsumexp(0)[-1],
    lambda x: (x - x.log_softmax(0))[x.argmax()],
    lambda x: (x.double() - x.double().amax()).exp().sum().log() + x.double().amax(),
]
ONE = "with a single number ln exp(x) = x"
WRONG_LOG_SUM_EXP = [
    (lambda x: x.exp().sum().log(), "exp(100) is more than a float32 holds"),
    (lambda x: (x.exp().sum() + 1e-8).log(), "exp(100) is more than a float32 holds"),
    (lambda x: x.clamp(max=80).exp().sum().log(), "your answer is 81.0986, expected 100.4076"),
    (lambda x: x.min() + (x - x.min()).exp().sum().log(), "You subtract the smallest number."),
    (lambda x: x.mean() + (x - x.mean()).exp().sum().log(), "You subtract the mean."),
    (lambda x: x[0] + (x - x[0]).exp().sum().log(), "You subtract the first number."),
    (lambda x: x.abs().max() + (x - x.abs().max()).exp().sum().log(), "You subtract the largest absolute value."),
    (lambda x: x.double().exp().sum().log(), "for x = [1000, 1000, -1000] your answer is inf"),
    (lambda x: x.max() * (x / x.max()).exp().sum().log(), ONE),
    (lambda x: x.softmax(0), "for 3 numbers your answer has the shape (3,)"),
    (lambda x: x.logcumsumexp(0), "for 3 numbers your answer has the shape (3,)"),
    (lambda x: x.logsumexp(0) - 1, ONE),
    (lambda x: x.logsumexp(0) / math.log(10), ONE),
    (lambda x: x.exp().log1p().sum(), ONE),
    (lambda x: x.expm1().sum().log(), ONE),
    (lambda x: (-x).logsumexp(0), ONE),
    (lambda x: x.abs().logsumexp(0), ONE),
    (lambda x: x.topk(min(2, len(x))).values.logsumexp(0), "for x = [0, 0, 0, 0]"),
    (lambda x: x.half().logsumexp(0), "yours is 1.3867"),
    (lambda x: x.sub_(x.max()).exp().sum().log(), "changed an argument in place"),
    (lambda x: torch.logsumexp(x), "wants to know the dimension"),
]

RIGHT = {
    "similarities": RIGHT_SIMILARITIES,
    "partners": RIGHT_PARTNERS,
    "row_loss": RIGHT_ROW_LOSS,
    "gradient": RIGHT_GRADIENT,
    "log_sum_exp": RIGHT_LOG_SUM_EXP,
}
WRONG = {
    "similarities": WRONG_SIMILARITIES,
    "partners": WRONG_PARTNERS,
    "row_loss": WRONG_ROW_LOSS,
    "gradient": WRONG_GRADIENT,
    "log_sum_exp": WRONG_LOG_SUM_EXP,
}
STUBS = {"similarities": 2, "partners": 1, "row_loss": 3, "gradient": 3, "log_sum_exp": 1}
each_exercise = pytest.mark.parametrize("name", RIGHT)


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in RIGHT for i in range(len(RIGHT[name]))])
def test_passes_every_right_form(name, number, monkeypatch, capsys):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    getattr(checks, name)(RIGHT[name][number])
    assert capsys.readouterr().out.startswith(f"✔ my_{name}")


@pytest.mark.parametrize(("name", "number"), [(name, i) for name in WRONG for i in range(len(WRONG[name]))])
def test_what_is_said_of_a_mistake_that_nobody_listed(name, number):
    wrong, said = WRONG[name][number]
    torch.manual_seed(0)
    verdict = getattr(checks, name).judge(wrong)
    assert not verdict.passed
    assert said in verdict.sentence and "\n" not in verdict.sentence


@each_exercise
def test_a_stub_is_not_an_error(name, monkeypatch):
    stub = {1: lambda a: None, 2: lambda a, b: ..., 3: lambda a, b, c: None}[STUBS[name]]
    assert "not attempted" in getattr(checks, name).judge(stub).sentence
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match=f"my_{name}: not attempted"):
        getattr(checks, name)(stub)


@pytest.mark.parametrize("name", [*RIGHT, "nt_xent"])
def test_the_lessons_own_solution_passes(name):
    cells = jupytext.read(SOURCE, fmt="py:percent").cells
    (cell,) = [cell for cell in cells if f"def my_{name}(" in cell.source]
    names = {"torch": torch, "F": F, "math": math}
    exec(cell.source, names)  # noqa: S102 - the lesson's own code
    verdict = getattr(checks, name).judge(names[f"my_{name}"])
    assert verdict.passed and verdict.notes == ()


def test_remarks_on_right_answers():
    assert "list" in checks.similarities.judge(cosines_by_loops).notes[0]
    assert "int32" in checks.partners.judge(RIGHT_PARTNERS[4]).notes[0]
    assert "Exercise 6" in checks.row_loss.judge(RIGHT_ROW_LOSS[2]).notes[0]
    assert "shape (1,)" in checks.log_sum_exp.judge(RIGHT_LOG_SUM_EXP[2]).notes[0]
