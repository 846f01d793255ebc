"""Slow copies: against a loop over plain numbers, and what must not move."""

import pytest
import torch
from torch import nn

from cl_course.momentum import ema_update, frozen_copy


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_follows_a_loop_over_plain_numbers():
    online, target = network(), frozen_copy(network())
    momentum, expected = 0.9, [[float(v) for v in p.flatten()] for p in target.parameters()]
    for _ in range(3):
        with torch.no_grad():
            for p in online.parameters():
                p.add_(torch.randn_like(p))
        for values, p in zip(expected, online.parameters()):
            for i, fast in enumerate(p.flatten().tolist()):
                values[i] = momentum * values[i] + (1 - momentum) * fast
        ema_update(target, online, momentum)
    for values, p in zip(expected, target.parameters()):
        assert p.flatten().tolist() == pytest.approx(values, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("momentum, follows", [(0, True), (1, False)])
def test_zero_copies_and_one_freezes(momentum, follows):
    online, target = network(), frozen_copy(network())
    before = [p.clone() for p in target.parameters()]
    ema_update(target, online, momentum)
    wanted = online.parameters() if follows else before
    assert all(torch.equal(p, w) for p, w in zip(target.parameters(), wanted))


def test_buffers_are_copied_whatever_the_momentum():
    online = network()
    target = frozen_copy(online)
    online(torch.randn(16, 3) + 5)  # moves the running statistics
    ema_update(target, online, 1.0)
    assert torch.equal(target[1].running_mean, online[1].running_mean)
    assert int(target[1].num_batches_tracked) == 1


def test_the_copy_learns_nothing_and_the_original_is_untouched():
    online = network()
    before = [p.clone() for p in online.parameters()]
    target = frozen_copy(online)
    ema_update(target, online, 0.5)
    assert all(p.requires_grad for p in online.parameters())
    assert not any(p.requires_grad for p in target.parameters())
    assert all(torch.equal(p, b) for p, b in zip(online.parameters(), before))
    assert not {id(p) for p in target.parameters()} & {id(p) for p in online.parameters()}


@pytest.mark.parametrize("momentum", [-0.1, 1.5, float("nan"), "0.9", torch.tensor(0.9)])
def test_momentum_outside_its_range_is_named(momentum):
    with pytest.raises(ValueError, match="momentum must be a finite number at least 0 and at most 1, got"):
        ema_update(network(), network(), momentum)


def test_networks_of_other_depth_are_refused():
    deeper = nn.Sequential(*network(), nn.Linear(4, 4))
    for target, online in ((deeper, network()), (network(), deeper)):
        before = [weight.clone() for weight in target.parameters()]
        with pytest.raises(ValueError, match="target and online must have weights of the same shapes"):
            ema_update(target, online, 0.9)
        assert all(map(torch.equal, before, target.parameters()))
    with pytest.raises(ValueError):
        ema_update(
            nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Sequential(nn.Linear(3, 4), nn.GroupNorm(1, 4)), 0.9
        )


def test_a_copy_is_in_the_mode_of_the_original():
    for mode in (True, False):
        assert all(m.training == mode for m in frozen_copy(network().train(mode)).modules())
