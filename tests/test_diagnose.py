"""Diagnosis: numbers known on paper, and the sentence for each state of a run."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_course.diagnose import Health, effective_rank, health, spread
from cl_course.losses import chance_loss
from cl_course.methods import BYOL, MoCo, SimCLR


def circle(n: int, length: float = 1.0) -> torch.Tensor:
    angle = 2 * math.pi * torch.arange(n) / n
    return length * torch.stack([angle.cos(), angle.sin()], dim=1)


def test_spread_of_points_known_on_paper():
    assert spread(circle(12)) == pytest.approx(1)  # each coordinate has variance 1/2 = 1/d
    assert spread(circle(12, 7.0)) == pytest.approx(1), "only directions count"
    assert spread(torch.ones(5, 3)) == pytest.approx(0, abs=1e-6)
    assert spread(torch.tensor([[1.0, 0], [-1.0, 0]])) == pytest.approx(
        math.sqrt(2) / 2
    )  # a line: one coordinate of two
    many = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    assert spread(many) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("d", [2, 5, 64])
def test_spread_is_measured_against_one_over_the_root_of_d(d):
    """The 2d points at +-1 on every axis: each coordinate has variance 2 / 2d, the most that unit vectors can have."""
    axes = torch.cat([torch.eye(d), -torch.eye(d)])
    assert axes.std(dim=0, correction=0).mean() == pytest.approx(1 / math.sqrt(d))
    assert spread(axes) == pytest.approx(1)


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
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    )
    assert effective_rank(torch.cat([torch.eye(4), torch.zeros(4, 3)], dim=1)) == pytest.approx(4)


def test_effective_rank_of_nothing_is_a_number():
    assert math.isfinite(effective_rank(torch.zeros(4, 3)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_effective_rank_of_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="features must be finite.*has diverged"):
        effective_rank(torch.tensor([[1.0, value], [0.0, 1.0]]))


@pytest.mark.parametrize("n, chance", [(1, 0), (2, math.log(3)), (128, math.log(255))])
def test_the_chance_line_known_on_paper(n, chance):
    assert chance_loss(n) == pytest.approx(chance)


def test_a_batch_of_nothing_has_no_chance():
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0; a batch has"):
        chance_loss(0)


class Points(nn.Module):
    """A network that says the same of every image: the vector at +1 on one axis."""

    def __init__(self, axis: int = 0):
        super().__init__()
        self.answer = nn.Parameter(torch.eye(4)[axis])

    def forward(self, x):
        return self.answer.expand(len(x), 4)


@pytest.mark.parametrize(
    "method, chance",
    [
        (SimCLR(Points(), nn.Identity()), math.log(2 * 8 - 1)),
        (MoCo(Points(), nn.Identity(), queue_size=32, dim=4), math.log(32 + 1)),
        (BYOL(Points(), nn.Identity(), Points(axis=1)), 4),
    ],
    ids=["simclr", "moco", "byol"],
)
def test_who_knows_nothing_is_at_the_chance_line(method, chance):
    """SimCLR and MoCo: all candidates alike. BYOL: predictions orthogonal to their targets."""
    views = torch.zeros(2, 8, 3, 2, 2)
    if isinstance(method, MoCo):
        method.queue.copy_(torch.eye(4)[0].expand(32, 4))
    assert method.chance(8) == pytest.approx(chance)
    assert method.loss(*views).item() == pytest.approx(chance, rel=1e-5)


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


APART = torch.eye(8)  # every image at its own place


@pytest.mark.parametrize(
    "now, sentence",
    [
        (
            run(APART, APART),
            "Healthy: positive pairs are 1.00 more alike than negative pairs, "
            + "and the features use about 8 of 8 dimensions.",
        ),
        (run(APART[:4], APART[4:], loss=1.0), "Starting: positive pairs are no more alike than negative pairs yet."),
        (
            run(APART, APART, h=torch.ones(9, 128)),
            "Narrow: the features use about 1 of 128 dimensions; most of the network is idle.",
        ),
        (
            run(APART, APART, loss=chance_loss(8)),
            "Guessing: the loss (2.71) is at chance (2.71); no view finds its positive yet.",
        ),
        (
            run(torch.ones(8, 8), torch.ones(8, 8)),
            "Collapsed: all embeddings point the same way (spread 0.00 of 1), so no view can be told from another.",
        ),
        (
            run(APART, APART, loss=math.nan),
            "Broken: the loss is not finite; lower the learning rate or raise the temperature.",
        ),
    ],
    ids=["healthy", "starting", "narrow", "guessing", "collapsed", "broken"],
)
def test_the_sentence_of_a_state_known_on_paper(now, sentence):
    assert now.sentence == sentence


@pytest.mark.parametrize(
    "change, first_word",
    [
        ({"loss": math.inf}, "Broken"),
        ({"spread": 0.09}, "Collapsed"),
        ({"spread": 0.11}, "Healthy"),
        ({"loss": 2.96}, "Guessing"),
        ({"loss": 2.94}, "Healthy"),
        ({"effective_rank": 4.9}, "Narrow"),
        ({"effective_rank": 5.1}, "Healthy"),
        ({"positive": torch.tensor([0.29])}, "Starting"),
        ({"positive": torch.tensor([0.31])}, "Healthy"),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else "-".join(f"{name}-{float(number):g}" for name, number in value.items())
    ),
)
def test_where_each_line_is_drawn(change, first_word):
    """A run at chance 3, with 100 dimensions and strangers at 0.2, that is healthy but for the change."""
    healthy = Health(
        loss=1.0,
        chance=3.0,
        positive=torch.tensor([0.9]),
        negative=torch.tensor([0.2]),
        spread=0.9,
        effective_rank=50.0,
        dim=100,
    )
    assert replace(healthy, **change).sentence.startswith(first_word)


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


def test_embeddings_that_are_not_finite_are_not_healthy():
    z, h = torch.full((4, 3), math.nan), torch.eye(4)
    assert health(z, z, h, 1.0, 2.0).sentence.startswith("Broken")


def test_effective_rank_does_not_care_for_scale():
    assert effective_rank(1e-3 * torch.eye(6)) == pytest.approx(6) and effective_rank(
        (1e-3 * torch.eye(6)).half()
    ) == pytest.approx(6)


def test_one_pair_has_no_negatives():
    one = torch.ones(1, 4)
    with pytest.raises(ValueError, match="the number of pairs must be a whole number of at least 2, got 1; one image"):
        health(one, one, torch.rand(8, 4), 1.0, 2.0)
