"""Diagnosis: numbers known on paper, and the sentence for each state of a run."""

import math

import pytest
import torch

from cl_course.diagnose import effective_rank, health, spread
from cl_course.losses import chance_loss


def circle(n: int, length: float = 1.0) -> torch.Tensor:
    angle = 2 * math.pi * torch.arange(n) / n
    return length * torch.stack([angle.cos(), angle.sin()], dim=1)


def test_spread_of_points_known_on_paper():
    assert spread(circle(12)) == pytest.approx(1)  # each coordinate has variance 1/2 = 1/d
    assert spread(circle(12, 7.0)) == pytest.approx(1), "only directions count"
    assert spread(torch.ones(5, 3)) == pytest.approx(0, abs=1e-6)
    assert spread(torch.tensor([[1.0, 0], [-1.0, 0]])) == pytest.approx(math.sqrt(2) / 2)  # a line: one coordinate of two
    many = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert spread(many) == pytest.approx(1, abs=0.01)


def test_spread_falls_as_points_gather():
    directions = torch.randn(200, 16, generator=torch.Generator().manual_seed(0))
    values = [spread(directions + pull * torch.ones(16)) for pull in (0, 1, 3, 10, 100)]
    assert values == sorted(values, reverse=True) and values[-1] < 0.02


def test_effective_rank_known_on_paper():
    assert effective_rank(torch.eye(6)) == pytest.approx(6)
    assert effective_rank(3 * torch.eye(6)) == pytest.approx(6)
    assert effective_rank(torch.ones(9, 4)) == pytest.approx(1)
    assert effective_rank(torch.outer(torch.arange(1.0, 6), torch.tensor([1.0, -2, 0.5]))) == pytest.approx(1)
    assert effective_rank(circle(8)) == pytest.approx(2)
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
    assert effective_rank(torch.cat([torch.eye(4), torch.zeros(4, 3)], dim=1)) == pytest.approx(4)


def test_effective_rank_of_nothing_is_a_number():
    assert math.isfinite(effective_rank(torch.zeros(4, 3)))


def run(z1, z2, h=None, loss=2.0, knn=None):
    return health(z1, z2, torch.eye(8) if h is None else h, loss, chance_loss(len(z1)), knn)


def random_pairs(noise, n=64, d=16):
    generator = torch.Generator().manual_seed(0)
    z1 = torch.randn(n, d, generator=generator)
    return z1, z1 + noise * torch.randn(n, d, generator=generator)


def test_what_health_measures():
    z1 = torch.tensor([[1.0, 0], [0, 1.0], [-1.0, 0]])
    z2 = torch.tensor([[2.0, 0], [0, 3.0], [0, 1.0]])
    now = run(z1, z2, knn=0.5)
    torch.testing.assert_close(now.positive, torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(now.negative, torch.tensor([0.0, 0.0, 0.0, 1.0, -1.0, 0.0]))
    assert (now.loss, now.chance, now.dim, now.knn) == (2.0, pytest.approx(math.log(5)), 8, 0.5)
    assert now.effective_rank == pytest.approx(8)
    assert now.spread == pytest.approx(spread(torch.cat([z1, z2])))


@pytest.mark.parametrize(
    "now, first_word",
    [
        (run(*random_pairs(0.3)), "Healthy"),
        (run(*random_pairs(0.3), loss=math.nan), "Broken"),
        (run(*random_pairs(0.3), loss=math.inf), "Broken"),
        (run(*(z + 1000 for z in random_pairs(0.3))), "Collapsed"),
        (run(*random_pairs(0.3), loss=chance_loss(64)), "Guessing"),
        (run(*random_pairs(0.3), h=torch.ones(9, 128)), "Narrow"),
        (run(*random_pairs(20.0)), "Starting"),
    ],
    ids=["healthy", "nan", "inf", "collapsed", "guessing", "narrow", "starting"],
)
def test_the_sentence(now, first_word):
    assert now.sentence.startswith(f"{first_word}:") and now.sentence.endswith(".")


def test_the_worst_is_said_first():
    collapsed = random_pairs(0.3)[0] + 1000
    assert run(collapsed, collapsed, h=torch.ones(9, 128), loss=math.nan).sentence.startswith("Broken")
    assert run(collapsed, collapsed, h=torch.ones(9, 128), loss=10.0).sentence.startswith("Collapsed")
    assert run(*random_pairs(0.3), h=torch.ones(9, 128), loss=10.0).sentence.startswith("Guessing")


def test_numbers_stand_in_the_sentence():
    z1, z2 = random_pairs(0.3)
    now = run(z1, z2)
    gap = float(now.positive.mean() - now.negative.mean())
    assert f"{gap:.2f}" in now.sentence and "8 of 8" in now.sentence
