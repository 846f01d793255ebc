"""The vote's check in lesson 06: every right form passes; wrong ones are named, or shown with what was observed."""

import functools
from importlib import import_module

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.evaluate import knn_accuracy
from cl_course.lessons.shared.exercise import ExerciseError

module = import_module("cl_course.lessons.what_did_it_learn.check_knn")  # as an attribute it is the exercise


def one_by_one(h, y, k, temperature):
    """Loops and floats."""
    votes = torch.zeros(len(h), int(y.max()) + 1)
    for i in range(len(h)):
        near = sorted(
            ((float(F.cosine_similarity(h[i], h[j], dim=0)), int(y[j])) for j in range(len(h)) if j != i), reverse=True
        )
        for similarity, label in near[:k]:
            votes[i, label] += torch.tensor(similarity / temperature).exp()
    return votes


def drop_the_first(h, y, k, temperature):
    h = F.normalize(h, dim=1)
    values, nearest = (h @ h.T).topk(k + 1, dim=1)
    weight = (values[:, 1:] / temperature).softmax(dim=1)
    return (F.one_hot(y)[nearest[:, 1:]] * weight[:, :, None]).sum(dim=1)


def in_numpy(h, y, k, temperature):
    h, y = h.numpy().astype(np.float64), y.numpy()
    h = h / np.linalg.norm(h, axis=1, keepdims=True)
    s = h @ h.T
    np.fill_diagonal(s, -np.inf)
    order = np.argsort(-s, axis=1)[:, :k]
    votes = np.zeros((len(h), y.max() + 1))
    for i, row in enumerate(order):
        np.add.at(votes[i], y[row], np.exp(s[i, row] / temperature))
    return votes


def by_a_threshold(features, labels, neighbours, t):
    """Other names; all weights at once, those below the k-th are 0; einsum."""
    similarity = F.cosine_similarity(features[:, None], features[None], dim=2)
    similarity = similarity - 9 * torch.eye(len(features))
    least = similarity.sort(dim=1, descending=True).values[:, neighbours - 1 : neighbours]
    weight = torch.where(similarity >= least, (similarity / t).exp(), 0.0)
    return torch.einsum("ij,jc->ic", weight, F.one_hot(labels).float())


def as_lists(h, y, k, temperature):
    return one_by_one(h, y, k, temperature).tolist()


def as_rows(h, y, k, temperature):
    return list(drop_the_first(h.double(), y, k, temperature))


def by_distance(h, y, k, temperature):
    """On the sphere the squared distance is 2 - 2 s; a factor common to all votes of an image is free."""
    h = F.normalize(h, dim=1)
    distance = torch.cdist(h, h).square().fill_diagonal_(torch.inf)
    near = distance.topk(k, dim=1, largest=False)
    votes = torch.zeros(len(h), int(y.max()) + 1)
    for place in range(k):
        votes[torch.arange(len(h)), y[near.indices[:, place]]] += (-near.values[:, place] / 2 / temperature).exp()
    return votes


class Voter:
    def __call__(self, h, y, k, temperature):
        return drop_the_first(h, y, k, temperature)


def with_an_option(h, y, k, temperature, scale=1.0):
    return scale * one_by_one(h, y, k, temperature)


RIGHT = (
    one_by_one,
    drop_the_first,
    in_numpy,
    by_a_threshold,
    as_lists,
    as_rows,
    by_distance,
    Voter(),
    functools.partial(with_an_option, scale=3.0),
)


@pytest.mark.parametrize("attempt", RIGHT)
def test_right_votes_pass(attempt):
    verdict = checks.knn.judge(attempt)
    assert verdict.passed, verdict.sentence


def test_a_right_vote_gets_remarks():
    (cold,) = checks.knn.judge(one_by_one).notes
    assert "not finite" in cold
    assert checks.knn.judge(module.right).notes == (cold,)


# Wrong, written out by hand: no code shared with the check's own mistakes. `line` is what a learner changes.
TEMPLATE = """
def attempt(h, y, k, temperature):
    {normalise}
    {compare}
    {mask}
    {nearest}
    {weigh}
    {vote}
    return {answer}
"""
LINES = {
    "normalise": "h = F.normalize(h, dim=1)",
    "compare": "similarity = h @ h.T",
    "mask": "similarity.fill_diagonal_(-torch.inf)",
    "nearest": "values, nearest = similarity.topk(k, dim=1)",
    "weigh": "weight = (values / temperature).exp()",
    "vote": "votes = torch.zeros(len(h), int(y.max()) + 1).scatter_add_(1, y[nearest], weight)",
    "answer": "votes",
}


def write(**lines):
    scope = {"F": F, "torch": torch}
    exec(TEMPLATE.format(**LINES | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


ZEROS = "votes = torch.zeros(len(h), int(y.max()) + 1)"
TAKE = "values, nearest = similarity.topk({}, dim=1)".format
NAMED = [
    ({"mask": "pass"}, "votes for itself"),
    ({"mask": "pass", "nearest": TAKE("k + 1")}, "votes for itself"),
    ({"mask": "pass", "nearest": "values, nearest = (x[:, 1:] for x in similarity.topk(k, dim=1))"}, "k - 1"),
    ({"nearest": "values, nearest = (x[:, 1:] for x in similarity.topk(k + 1, dim=1))"}, "is left out"),
    ({"nearest": TAKE("k + 1")}, "too many votes"),
    ({"normalise": "pass"}, "not normalised"),
    ({"normalise": "h = F.normalize(h, dim=0)"}, "wrong dimension"),
    ({"weigh": "weight = torch.ones_like(values)"}, "not weighted"),
    ({"weigh": "weight = values.exp()"}, "temperature is forgotten"),
    ({"weigh": "weight = (values * temperature).exp()"}, "multiply by the temperature"),
    ({"weigh": "weight = values"}, "exponential is forgotten"),
    ({"weigh": "weight = values / temperature"}, "exponential is forgotten"),
    ({"weigh": "weight = (-values / temperature).exp()"}, "sign is turned"),
    ({"mask": "similarity.fill_diagonal_(torch.inf)", "nearest": TAKE("k, largest=False")}, "least* similar"),
    ({"nearest": "values, nearest = similarity.sort(dim=1, descending=True)"}, "everybody else votes"),
    ({"normalise": "pass", "compare": "similarity = -((h[:, None] - h) ** 2).sum(dim=2).sqrt()"}, "distance between"),
    ({"vote": f"{ZEROS}\n    for p in range(k): votes[range(len(h)), y[nearest[:, p]]] = weight[:, p]"}, "overwrote"),
    (
        {"vote": "votes = torch.stack([(weight * (y[nearest] == c)).amax(1) for c in range(int(y.max()) + 1)], 1)"},
        "largest vote",
    ),
    ({"answer": "votes.argmax(dim=1)"}, "winning classes came back"),
    ({"answer": "votes.T"}, "turned round"),
    ({"normalise": "pass", "weigh": "weight = torch.ones_like(values)"}, "two things at once. First: the features"),
    ({"answer": "None"}, "not attempted"),
    ({"compare": "similarity = h @ h"}, "your code stopped with RuntimeError"),
]

# On no list of known mistakes.
UNLISTED = [
    ({"answer": "votes.argmin(dim=1)"}, "shape (9,), expected (9, 3)"),
    ({"answer": "votes[:, :2]"}, "shape (9, 2), expected (9, 3)"),
    ({"vote": "votes = torch.zeros(len(h), 10).scatter_add_(1, y[nearest], weight)"}, "shape (9, 10), expected (9, 3)"),
    ({"mask": "similarity[0, 0] = -torch.inf"}, "class of images 3 and 4"),
    ({"nearest": TAKE("3")}, "With k = 2 its row has votes for the class of images 1, 2 and 3"),
    ({"mask": "similarity = similarity.tril(-1) - 9 * torch.eye(len(h))"}, "class of images 2 and 4"),
    ({"weigh": "weight = (values / temperature).exp() ** 3"}, "times that of image 2"),
    ({"weigh": "weight = 1 / (1.001 - values)"}, "temperature has no effect"),
    ({"weigh": "weight = values.softmax(dim=1)"}, "temperature is forgotten"),
    ({"weigh": "weight = (values / 0.1).exp()"}, "temperature has no effect"),
    ({"weigh": "weight = 1 / torch.arange(1, k + 1).expand(len(h), k)"}, "temperature has no effect"),
    ({"weigh": "weight = (values / temperature).sigmoid()"}, "times that of image 2"),
    ({"weigh": "weight = ((values - 1) * temperature).exp()"}, "multiply by the temperature"),
    ({"weigh": "weight = (values / temperature).exp().log1p()"}, "times that of image 2"),
    ({"weigh": "weight = (values / temperature).softmax(dim=0)"}, "times that of image 2"),
    ({"vote": f"{ZEROS}.scatter_(1, y[nearest], weight)"}, "overwrote"),
    ({"vote": f"{ZEROS}.scatter_add_(1, nearest % (int(y.max()) + 1), weight)"}, "are added"),
    ({"normalise": "h = h / h.norm(dim=1)[:, None] ** 2"}, "three times as long"),
    ({"normalise": "h = h / h.abs().max(dim=1, keepdim=True).values"}, "times that of image 2"),
    ({"normalise": "h = F.normalize(h - h.mean(dim=0), dim=1)"}, "class of images 1, 2 and 4"),
    ({"answer": "votes + 1"}, "which no other image has"),
    ({"answer": "votes.round()"}, "times that of image 2"),
    ({"answer": "F.one_hot(votes.argmax(dim=1), votes.shape[1])"}, "class of image 1, expected"),
    ({"answer": "votes.softmax(dim=1)"}, "which no other image has"),
    ({"mask": "similarity[similarity > 0.9999] = -torch.inf"}, "by its place, the diagonal"),
    ({"normalise": "F.normalize(h, dim=1, out=h)"}, "changed h or y in place"),
    ({"weigh": "weight = (values / temperature).exp() * (0.5 + torch.rand(len(h), 1))"}, "PASS"),
    ({"weigh": "weight = (values / temperature).exp() * torch.rand_like(values)"}, "two answers"),
    ({"answer": "{'votes': votes}"}, "a dict came back"),
    (
        {"nearest": "nearest = similarity.topk(k, dim=1)", "weigh": "weight = (nearest / temperature).exp()"},
        "topk gives two things",
    ),
    ({"vote": f"{ZEROS}.scatter_add_(1, nearest, weight)"}, "taken for classes"),
]


def named(lines):
    return " ".join(lines.values())[:60]


@pytest.mark.parametrize(("lines", "phrase"), NAMED + UNLISTED, ids=lambda x: x if isinstance(x, str) else named(x))
def test_wrong_votes_are_explained(lines, phrase):
    verdict = checks.knn.judge(write(**lines))
    if phrase == "PASS":  # a factor of an image's own votes is free
        assert verdict.passed
        return
    assert not verdict.passed
    assert phrase in verdict.sentence


def test_strict_mode_raises(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_votes"):
        checks.knn(write(mask="pass"))


def test_the_right_vote_is_the_courses():
    h, y, k, temperature = module.ORDINARY[1]
    right = module.right(h, y, k, temperature).argmax(dim=1) == y
    others = [torch.arange(len(h)) != i for i in range(len(h))]
    assert right.tolist() == [
        bool(knn_accuracy(h[o], y[o], h[i : i + 1], y[i : i + 1], k, temperature)) for i, o in enumerate(others)
    ]
