"""Lesson 11's exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from right_and_wrong import RightAndWrong

from cl_course import losses


def unit(z, dim=1):
    return F.normalize(z, dim=dim)


# supcon_loss(z1, z2, labels, temperature)
def logits_of(a, b, t):
    z = unit(torch.cat([a, b]))
    return (z @ z.T / t).masked_fill(torch.eye(len(z), dtype=torch.bool), -torch.inf)


def positives(y):
    y = torch.cat([y, y])
    return (y[:, None] == y[None]) & ~torch.eye(len(y), dtype=torch.bool)


def supcon_by_loops(a, b, y, t):
    logits, total = logits_of(a, b, t), 0
    for row, mask in zip(logits, positives(y)):
        total = total + (row.logsumexp(0) - row[mask]).mean()
    return total / len(logits)


def supcon_with_weights(a, b, y, t):
    p = positives(y).float()
    p = p / p.sum(1, keepdim=True)
    logits = logits_of(a, b, t)
    return (logits.logsumexp(1) - (p * logits.masked_fill(logits.isinf(), 0)).sum(1)).mean()


RIGHT_SUPCON = [
    losses.supcon_loss,
    supcon_by_loops,
    supcon_with_weights,
    lambda a, b, y, t: losses.supcon_loss(b, a, y, t),
    lambda a, b, y, t: losses.supcon_loss(a.double(), b.double(), y, t),
    lambda a, b, y, t: F.cross_entropy(
        logits_of(a, b, t).clamp(min=-1e4), positives(y).float() / positives(y).sum(1, keepdim=True)
    ),
]
WRONG_SUPCON = [
    (lambda a, b, y, t: 2.5 * losses.supcon_loss(a, b, y, t), "your loss is the right one times 2.5"),
    (lambda a, b, y, t: losses.supcon_loss(a, b, y, t).detach(), "no gradient reaches z1 and z2"),
    (lambda a, b, y, t: losses.supcon_loss(a, b, y, t**0.5), "the right loss at the root of T"),
    (lambda a, b, y, t: losses.supcon_loss(a, b, y.clamp(max=1), t), "with the classes renamed"),
    (lambda a, b, y, t: supcon_by_loops(a, b, y, t)[None].repeat(3), "has the shape (3,)"),
    (lambda a, b, y, t: losses.supcon_loss(a, a, y, t), "the partners' similarities are 0.6, 0"),
    (
        lambda a, b, y, t: -(logits_of(a, b, t).log_softmax(1) * positives(y)).sum(1).mean(),
        "put the 0 in with torch.where",
    ),
    (lambda a, b, y, t: losses.nt_xent(a, b, t), "the partner is the only positive"),
    (lambda a, b, y, t: (losses.supcon_loss(a, b, y, t), y), "a tuple of 2 things"),
    (lambda a, b, y, t: losses.supcon_loss(a.sign(), b, y, t), "for z1 = "),
]


# simsiam_loss(z1, z2, predictor)
def cosine(p, z):
    return F.cosine_similarity(p, z, dim=1).mean()


def simsiam_without_grad(a, b, f):
    with torch.no_grad():
        first, second = unit(a), unit(b)
    return -((unit(f(a)) * second).sum(1) + (unit(f(b)) * first).sum(1)).mean() / 2


RIGHT_SIMSIAM = [
    lambda a, b, f: -(cosine(f(a), b.detach()) + cosine(f(b), a.detach())) / 2,
    simsiam_without_grad,
    lambda a, b, f: -0.5 * cosine(f(a), b.detach()) - 0.5 * cosine(f(b), a.detach()),
    lambda a, b, f: -cosine(f(torch.cat([a, b])), torch.cat([b, a]).detach()),
    lambda a, b, f: (losses.byol_loss(f(a), b.detach()) + losses.byol_loss(f(b), a.detach())) / 4 - 1,
    lambda a, b, f: -cosine(f(a.clone()), b.data) / 2 - cosine(f(b), a.data) / 2,
]
WRONG_SIMSIAM = [
    (lambda a, b, f: -(cosine(f(a), b) + cosine(f(b), a)).detach() / 2, "no gradient leads back"),
    (lambda a, b, f: -(cosine(f(a), b.detach()) + cosine(f(b), a.detach())) / 6, "the right one times 0.3333"),
    (lambda a, b, f: -((f(a) - b.detach()).norm() + (f(b) - a.detach()).norm()), "expected -0.6"),
    (lambda a, b, f: -(cosine(f(a), b.detach()) + cosine(f(b).detach(), a)) / 2, "the gradient of z1 and of z2 and of"),
    (lambda a, b, f: [cosine(f(a), b.detach()), cosine(f(b), a.detach())], "no gradient leads back"),
    (lambda a, b, f: -(cosine(f(a), b.detach()) + cosine(f(b), a.detach())) / 2 + 3, "plus 3.0000"),
]


# barlow_loss(z1, z2, weight)
def barlow_by_corrcoef(a, b, w):
    d = a.shape[1]
    c = torch.corrcoef(torch.cat([a.T, b.T]))[:d, d:]
    return ((c - torch.eye(d)).square() * torch.where(torch.eye(d) == 1, 1, w)).sum()


def barlow_by_loops(a, b, w):
    total = 0
    for i in range(a.shape[1]):
        for j in range(a.shape[1]):
            x, y = a[:, i] - a[:, i].mean(), b[:, j] - b[:, j].mean()
            c = (x * y).sum() / (x.square().sum() * y.square().sum()).sqrt()
            total = total + ((1 - c) ** 2 if i == j else w * c**2)
    return total


def barlow_unbiased(a, b, w):
    a, b = ((z - z.mean(0)) / z.std(0) for z in (a, b))
    c = a.T @ b / (len(a) - 1)
    return (1 - c.diagonal()).square().sum() + w * (c.square().sum() - c.diagonal().square().sum())


RIGHT_BARLOW = [
    losses.barlow_twins_loss,
    barlow_by_corrcoef,
    barlow_by_loops,
    barlow_unbiased,
    lambda a, b, w: losses.barlow_twins_loss(b, a, w),
    lambda a, b, w: losses.barlow_twins_loss(F.batch_norm(a, None, None, training=True), b, w),
]
WRONG_BARLOW = [
    (lambda a, b, w: 3 * losses.barlow_twins_loss(a, b, w), "your loss is the right one times 3"),
    (lambda a, b, w: losses.barlow_twins_loss(a, b, w).item(), "no gradient reaches z1 and z2"),
    (lambda a, b, w: losses.barlow_twins_loss(a, b, w**2), "for z1 = [[1, 1], [1, -1]"),
    (lambda a, b, w: losses.barlow_twins_loss(a, b, 0.1), "for z1 = [[1, 1], [1, -1]"),
    (lambda a, b, w: losses.cross_correlation(a, b), "has the shape (3, 3), expected ()"),
    (lambda a, b, w: losses.barlow_twins_loss(a, b.sort(0)[0], w), "for z1 = [[1, 1], [1, -1]"),
    (lambda a, b, w: losses.barlow_twins_loss(a, b, w) + 1, "plus 1.0000"),
]


# vicreg_terms(z1, z2)
def vicreg_by_cov(a, b):
    c = [torch.cov(z.T) for z in (a, b)]
    off = sum((x - torch.diag(x.diagonal())).pow(2).sum() / len(x) for x in c)
    low = sum(F.relu(1 - torch.sqrt(x.diagonal() + 1e-4)).mean() for x in c)
    return [F.mse_loss(a, b), low, off]


def vicreg_clamped(a, b):
    s, v, c = losses.vicreg_terms(a, b)
    return torch.stack([s, v, c])


RIGHT_VICREG = [
    losses.vicreg_terms,
    vicreg_by_cov,
    vicreg_clamped,
    lambda a, b: losses.vicreg_terms(b, a),
    lambda a, b: losses.vicreg_terms(a.double(), b.double()),
]


def changed(place, how):
    def attempt(a, b):
        terms = list(losses.vicreg_terms(a, b))
        terms[place] = how(terms[place])
        return tuple(terms)

    return attempt


WRONG_VICREG = [
    (changed(0, lambda x: 3 * x), "the invariance is not right: for z1 = [[1, 1]"),
    (changed(1, lambda x: x + 0.2), "the variance is not right"),
    (changed(2, lambda x: x**2), "the covariance is not right"),
    (lambda a, b: sum(losses.vicreg_terms(a, b)), "has the shape ()"),
    (lambda a, b: [x.detach() for x in losses.vicreg_terms(a, b)], "no gradient reaches z1 and z2"),
    (
        lambda a, b: (F.mse_loss(a, b), sum((1 - z.std(0)).relu().mean() for z in (a, b)), vicreg_by_cov(a, b)[2]),
        "right, until all embeddings are alike",
    ),
    (lambda a, b: np.ones(3), "is not right: for z1 = [[1, 1]"),
]


# dino_step(student, teacher, center, student_temperature, teacher_temperature, momentum)
def dino(s, t, c, ts, tt, m):
    with torch.no_grad():
        p = torch.softmax((t - c) / tt, dim=-1)
        new = c * m + t.mean(0) * (1 - m)
    return F.cross_entropy(s / ts, p), new


def dino_by_loops(s, t, c, ts, tt, m):
    total = 0
    for row, target in zip(s, t.detach()):
        p = F.softmax((target - c) / tt, dim=0)
        total = total - (p * F.log_softmax(row / ts, dim=0)).sum()
    return [total / len(s), torch.lerp(t.detach().mean(dim=0), c, m)]


RIGHT_DINO = [
    dino,
    dino_by_loops,
    lambda s, t, c, ts, tt, m: (
        losses.dino_loss(s, t.detach(), c, ts, tt),
        c + (1 - m) * (t.detach().mean(0) - c),
    ),
]


def stepped(loss=lambda value: value, center=lambda new: new):
    """The right step with one of its answers changed."""

    def attempt(s, t, c, ts, tt, m):
        value, new = dino(s, t, c, ts, tt, m)
        return loss(value), center(new)

    return attempt


WRONG_DINO = [
    (lambda *given: dino(*given)[0], "return two, the loss and the new centre"),
    (stepped(loss=torch.detach), "does not carry"),
    (stepped(loss=lambda value: 2 * value), "the loss is not right"),
    (lambda s, t, c, ts, tt, m: (dino(s, t, c, ts, tt, m)[0], c * m + t.detach().amax(0) * (1 - m)), "the new centre"),
    (lambda s, t, c, ts, tt, m: (dino(s, t, c, ts, tt, m)[0], m * c + (1 - m) * t.mean(0)), "drags the teacher's"),
    (lambda s, t, c, ts, tt, m: (dino(s, t, c, ts, tt, m)[0], c.mul_(m)), "changed an argument in place"),
    (lambda s, t, c, ts, tt, m: dino(s, t, c, ts, tt**2, m), "the loss is not right"),
    (stepped(center=lambda new: new.mean()), "the new centre is not right"),
]

RIGHT = {
    "supcon_loss": RIGHT_SUPCON,
    "simsiam_loss": RIGHT_SIMSIAM,
    "barlow_loss": RIGHT_BARLOW,
    "vicreg_terms": RIGHT_VICREG,
    "dino_step": RIGHT_DINO,
}
WRONG = {
    "supcon_loss": WRONG_SUPCON,
    "simsiam_loss": WRONG_SIMSIAM,
    "barlow_loss": WRONG_BARLOW,
    "vicreg_terms": WRONG_VICREG,
    "dino_step": WRONG_DINO,
}


class TestChecks(RightAndWrong):
    lesson = "11_family"
    right, wrong = RIGHT, WRONG


def test_the_numbers_said_of_a_small_example_are_right():
    """Two classes at opposite points: a row's positives are three candidates of five."""
    z, labels = torch.tensor([[1.0, 0], [1, 0], [-1, 0]]), torch.tensor([0, 0, 1])
    rows = [math.log(3 + 2 * math.exp(-2))] * 4 + [math.log(1 + 4 * math.exp(-2))] * 2
    assert losses.supcon_loss(z, z, labels, 1.0).item() == pytest.approx(sum(rows) / 6)
