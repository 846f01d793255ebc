"""Your loss, your training: whatever loss is given, the lesson goes on, and what differs is said."""

import math

import pytest
import torch
import torch.nn.functional as F

from cl_course.lessons.simclr import lab_your_loss as lab
from cl_course.lessons.simclr.lab_your_loss import Comparison, your_loss_training
from cl_course.losses import nt_xent


def forgotten_mask(z1, z2, temperature):
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    return F.cross_entropy(z @ z.T / temperature, torch.arange(2 * n).roll(n))


def no_temperature(z1, z2, temperature):
    return nt_xent(z1, z2, 1.0)


class Shown(list):
    """Stands in for a notebook's output: what is displayed or redrawn."""

    def __call__(self, bundle, **keywords):
        self.append(bundle)
        return self

    def update(self, bundle, **keywords):
        self.append(bundle)


@pytest.fixture
def shown(monkeypatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(lab, "display", shown)
    monkeypatch.setattr(lab, "IMAGES", 256)
    monkeypatch.setattr(lab, "GALLERY", 100)
    monkeypatch.setattr(lab, "QUERIES", 64)
    return shown


def test_a_right_loss_trains_the_same_network(shown, capsys):
    result = your_loss_training(nt_xent, steps=4)
    assert result.yours == result.course and [look["step"] for look in result.yours] == [0, 1, 2, 3, 4]
    assert "Your loss is the course's at every look" in capsys.readouterr().out
    assert len(shown) == 5 and 'alt="Your loss beside the course' in shown[-1]["text/html"]


@pytest.mark.parametrize("loss", [forgotten_mask, no_temperature])
def test_a_wrong_loss_starts_from_the_same_network_and_says_what_differs(loss, shown, capsys):
    result = your_loss_training(loss, steps=3, live=False)
    first, right = result.yours[0], result.course[0]
    assert len(shown) == 1, "not live: one figure"
    assert all(first[name] == right[name] for name in ("knn", "spread", "positive", "negative"))
    assert abs(first["loss"] - right["loss"]) > 0.1
    assert f"your loss is {first['loss']:.2f} and the course's {right['loss']:.2f}" in capsys.readouterr().out


def test_another_style_of_the_right_answer_is_right(shown, capsys):
    your_loss_training(lambda z1, z2, temperature: nt_xent(z1, z2, temperature)[None], steps=1)
    assert "is the course's at every look" in capsys.readouterr().out


def stub(z1, z2, temperature):
    raise NotImplementedError


UNUSABLE = {
    "stub": (lambda z1, z2, temperature: None, "Not attempted yet"),
    "ellipsis": (lambda z1, z2, temperature: ..., "Not attempted yet"),
    "not implemented": (stub, "Not attempted yet"),
    "raises": (lambda z1, z2, temperature: z1 @ z2, "Your loss stopped with RuntimeError"),
    "a number": (lambda z1, z2, temperature: nt_xent(z1, z2, temperature).item(), "returns a float, which carries no"),
    "a vector": (lambda z1, z2, temperature: (z1 * z2).sum(1), "returns 64 numbers, shape (64,)"),
    "nan": (lambda z1, z2, temperature: nt_xent(z1, z2, temperature) * math.nan, "Your loss is nan"),
    "no gradient": (lambda z1, z2, temperature: nt_xent(z1.detach(), z2.detach(), temperature), "no gradient to z1"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_loss_that_cannot_be_trained_with_is_one_sentence(name, shown, capsys):
    loss, sentence = UNUSABLE[name]
    assert your_loss_training(loss, steps=2) is None
    said = capsys.readouterr().out.strip()
    assert sentence in said and "\n" not in said and not shown


def test_a_loss_that_breaks_on_the_way_ends_alone(shown, capsys):
    calls = iter(range(100))

    def breaks(z1, z2, temperature):
        return nt_xent(z1, z2, temperature) * (math.nan if next(calls) >= 4 else 1)

    result = your_loss_training(breaks, steps=4)
    assert result.course[-1]["step"] == 4 and result.yours[-1]["step"] < 4
    assert "Your loss is nan" in result.sentence and result.sentence in capsys.readouterr().out


ONE_RUN = "as far as one run can show"


@pytest.mark.parametrize(
    ("knn", "spread", "verdict"),
    [
        (0.5, 0.05, "collapses"),
        (0.3, 0.9, "learns less in this run"),
        (0.85, 0.9, "learns more in this run"),
        (0.45, 0.9, ONE_RUN),  # a forgotten mask, as measured on one seed
        (0.69, 0.9, ONE_RUN),  # a right loss that rounds differently
    ],
)
def test_the_verdict_follows_the_numbers(knn, spread, verdict):
    look = {"loss": 3.0, "positive": 0.8, "negative": 0.1}
    course = [{"step": step, "knn": 0.6, "spread": 0.9, **look} for step in (0, 10)]
    yours = [{"step": step, "knn": knn, "spread": spread, **look, "loss": 4.0} for step in (0, 10)]
    assert verdict in Comparison(yours, course).sentence
