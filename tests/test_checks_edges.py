"""What passes a check by a hair, and what must not."""

from dataclasses import replace

import pytest
import test_checks_nt_xent as of_nt_xent
import torch
import torch.nn.functional as F
from test_checks_training_step import in_two_passes, write
from test_checks_two_views import SAFE, coins, flip_where, strict, verdict, views_plain  # noqa: F401  (strict: a fixture)

from cl_course import checks
from cl_course.checks import core
from cl_course.checks.core import same


def printed(check, attempt, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    check(attempt)
    return capsys.readouterr().out


def test_second_views_only(capsys, monkeypatch):
    def second(z1, z2, t):
        z = of_nt_xent.joined(z1, z2)
        return F.cross_entropy(of_nt_xent.masked(z @ z.T / t)[len(z1):], of_nt_xent.targets(z1)[len(z1):])
    assert "one direction only" in printed(checks.nt_xent, second, capsys, monkeypatch)
    assert "one direction only" in printed(checks.nt_xent, lambda a, b, t: of_nt_xent.across_one_way(b, a, t), capsys, monkeypatch)


def test_partner_is_the_one_before(capsys, monkeypatch):
    def before(z1, z2, t):
        z = of_nt_xent.joined(z1, z2)
        return F.cross_entropy(of_nt_xent.masked(z @ z.T / t), torch.arange(len(z)).roll(1))
    assert "wrong offset" in printed(checks.nt_xent, before, capsys, monkeypatch)


def test_right_for_one_batch_size_or_temperature_alone_fails(capsys, monkeypatch):
    three = lambda a, b, t: of_nt_xent.by_cross_entropy(a, b, t) if len(a) == 3 else of_nt_xent.by_cross_entropy(a, b, t) + 1
    assert printed(checks.nt_xent, three, capsys, monkeypatch).startswith("✘")
    cool = lambda a, b, t: of_nt_xent.by_cross_entropy(a, b, min(t, 1.0))
    assert printed(checks.nt_xent, cool, capsys, monkeypatch).startswith("✘")


def test_one_wrong_return_among_three(capsys, monkeypatch):
    first = []
    step = in_two_passes
    def attempt(*a):
        loss = step(*a).item()
        first.append(loss)
        return loss if len(first) % 3 == 0 else 2 * loss
    assert "not the loss of this step" in printed(checks.training_step, attempt, capsys, monkeypatch)


def test_images_written_to_do_not_change_the_verdict(capsys, monkeypatch):
    attempt = write(update="optimizer.zero_grad(); loss.backward(); optimizer.step(); images.zero_()")
    assert printed(checks.training_step, attempt, capsys, monkeypatch)


def test_same():
    a = torch.ones(3)
    assert not same(a, torch.ones(1)) and not same(a, torch.ones(1, 3)) and not same((a, a), (a,)) and not same([], [a])
    assert same(a, a.double()) and not same(a, "x") and same(torch.nan, torch.nan) and not same(torch.inf, 1.0)


def test_two_mistakes_lie_in_different_parts():
    pairs = list(core.one_or_two([("a", {"x": 1}), ("b", {"x": 2}), ("c", {"y": 3})]))
    assert [parts for _, parts in pairs[3:]] == [{"x": 1, "y": 3}, {"x": 2, "y": 3}]


def test_an_attempt_gets_copies():
    z = torch.ones(3)
    core.call(lambda x: x.zero_() + 1, z)
    assert z.sum() == 3


def test_how_often_at_a_half():
    assert "too often or too seldom" in verdict(checks.random_flip, lambda x, p, g: flip_where(x, p if p < 0.4 else 0.8, g))
    assert "one coin for the whole batch" in verdict(checks.random_flip, lambda x, p, g: x.flip(-1) if p < 0.4 or torch.rand(1, generator=g) < p else x)


@pytest.mark.parametrize("second", [lambda a: 0.9 * a + 0.05, lambda a: a**2])
def test_amounts_that_follow(second):
    def follow(x, d, g):
        a = coins(len(x), g)
        return d(x, a), d(x, second(a))
    assert "follow from the first's" in verdict(checks.two_views, follow)


def test_one_row_that_is_no_disguise():
    def spoilt(x, d, g):
        a, b = views_plain(x, d, g)
        a = a.clone(); a[3] = torch.rand(a[3].shape, generator=g)
        return a, b
    assert "view1 is not `disguise" in verdict(checks.two_views, spoilt)


def test_nearly_the_picture_itself():
    assert "view1 is the picture itself" in verdict(checks.two_views, lambda x, d, g: (x * (1 + 1e-7), d(x, coins(len(x), g))))


def test_where_a_shortcut_counts_as_open():
    assert "raw pixels find the partner of 26 %" in verdict(checks.choose_augmentation, lambda: replace(SAFE, crop=(0.9, 1)))
    checks.choose_augmentation(lambda: replace(SAFE, jitter=0.5))  # raw pixels: 23 %
