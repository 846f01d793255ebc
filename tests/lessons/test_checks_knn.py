"""The vote's check in lesson 06: it passes every right form, and names every planted mistake."""

from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from cl_course import checks
from cl_course.evaluate import knn_accuracy
from cl_course.lessons.shared.exercise import ExerciseError

module = import_module("cl_course.lessons.what_did_it_learn.check_knn")  # as an attribute it is the function


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


@pytest.mark.parametrize("solution", [one_by_one, drop_the_first])
def test_right_votes_pass(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.knn(solution)
    assert capsys.readouterr().out.startswith("✔ my_votes")


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
RIGHT = {
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
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


PLANTED = [
    ({"mask": "pass"}, "votes for itself"),
    ({"mask": "pass", "nearest": "values, nearest = similarity.topk(k + 1, dim=1)"}, "votes for itself"),
    (
        {"mask": "pass", "nearest": "values, nearest = (x[:, 1:] for x in similarity.topk(k, dim=1))"},
        "one neighbour too few",
    ),
    ({"normalise": "pass"}, "not normalised"),
    ({"normalise": "h = F.normalize(h, dim=0)"}, "wrong dimension"),
    ({"weigh": "weight = torch.ones_like(values)"}, "not weighted"),
    ({"weigh": "weight = values.exp()"}, "temperature is forgotten"),
    ({"weigh": "weight = (values * temperature).exp()"}, "multiply by the temperature"),
    ({"weigh": "weight = values"}, "exponential is forgotten"),
    ({"weigh": "weight = values / temperature"}, "exponential is forgotten"),
    ({"weigh": "weight = (-values / temperature).exp()"}, "sign is turned"),
    (
        {
            "mask": "similarity.fill_diagonal_(torch.inf)",
            "nearest": "values, nearest = similarity.topk(k, dim=1, largest=False)",
        },
        "least* similar",
    ),
    ({"nearest": "values, nearest = similarity.sort(dim=1, descending=True)"}, "everybody votes"),
    (
        {"normalise": "pass", "compare": "similarity = -((h[:, None] - h) ** 2).sum(dim=2).sqrt()"},
        "distance between vectors",
    ),
    (
        {
            "vote": "votes = torch.zeros(len(h), int(y.max()) + 1)\n    for p in range(k): votes[range(len(h)), y[nearest[:, p]]] = weight[:, p]"
        },
        "overwrites the others",
    ),
    (
        {
            "vote": "votes = torch.stack([(weight * (y[nearest] == c)).amax(dim=1) for c in range(int(y.max()) + 1)], dim=1)"
        },
        "largest vote",
    ),
    ({"answer": "votes.argmax(dim=1)"}, "winning classes came back"),
    ({"answer": "None"}, "not attempted"),
    ({"answer": "votes[:, :2]"}, "shape"),
    ({"answer": "votes.tolist()"}, "a list came back"),
    ({"compare": "similarity = h @ h"}, "your code stopped with RuntimeError"),
]


@pytest.mark.parametrize("lines, named", PLANTED, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60])
def test_planted_votes_are_named(lines, named, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.knn(write(**lines))
    said = capsys.readouterr().out
    assert said.startswith("✘ my_votes: ") and said.count("\n") == 1
    assert named in said
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_votes"):
        checks.knn(write(**lines))


def test_no_two_votes_look_alike_on_the_hidden_inputs():
    answers = [
        (mistake.sentence, [module._shares(mistake.code(*given)) for given in module.INPUTS])
        for mistake in module.MISTAKES
    ]
    answers.append(("right", [module._shares(module._reference(*given)) for given in module.INPUTS]))
    for i, (sentence, wrong) in enumerate(answers):
        for other, right in answers[:i]:
            alike = all(
                a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-3, atol=1e-3)
                for a, b in zip(wrong, right)
            )
            assert sentence == other or not alike, (sentence, other)


def test_the_reference_votes_as_the_course_does():
    h, y, k, temperature = module.INPUTS[1]
    right = module._reference(h, y, k, temperature).argmax(dim=1) == y
    others = [torch.arange(len(h)) != i for i in range(len(h))]
    assert right.tolist() == [
        bool(knn_accuracy(h[o], y[o], h[i : i + 1], y[i : i + 1], k, temperature)) for i, o in enumerate(others)
    ]
