"""The optimisers: LARS against loops, parts that learn faster, and names that do not exist."""

import math

import pytest
import torch
from torch import nn

from cl_course.methods import BYOL
from cl_course.models import predictor, projector, small_resnet
from cl_course.optimizers import LARS, OPTIMIZERS, make_optimizer, set_rate
from cl_course.train import TrainConfig


def lars_by_hand(w, grads, rate, decay, momentum, trust, scaled):
    """Algorithm 1 of You et al. for one tensor, number by number, with the size of the whole step, |g + b w|, below."""
    w, velocity = w.flatten().tolist(), [0.0] * w.numel()
    for g in grads:
        g = g.flatten().tolist()
        if scaled:
            g = [a + decay * b for a, b in zip(g, w)]
            ratio = trust * sum(a * a for a in w) ** 0.5 / sum(a * a for a in g) ** 0.5
            g = [ratio * a for a in g]
        velocity = [momentum * v + rate * a for v, a in zip(velocity, g)]
        w = [a - v for a, v in zip(w, velocity)]
    return w


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 3, 3), (5,)])
def test_lars_follows_numbers_and_leaves_vectors_alone(shape):
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    grads = [torch.randn(shape, dtype=torch.float64) for _ in range(3)]
    expected = lars_by_hand(w.detach(), grads, 0.5, 0.1, 0.9, 0.01, scaled=len(shape) > 1)
    optimizer = LARS([w], weight_decay=0.1, trust=0.01)
    for g in grads:
        for group in optimizer.param_groups:
            group["lr"] = 0.5
        w.grad = g.clone()
        optimizer.step()
        torch.testing.assert_close(w.grad, g)  # the gradient is the caller's
    torch.testing.assert_close(w.detach().flatten(), torch.tensor(expected, dtype=torch.float64))


def test_lars_moves_weights_that_are_zero():
    w = nn.Parameter(torch.zeros(2, 2))
    w.grad = torch.ones(2, 2)
    LARS([w]).step()
    torch.testing.assert_close(w.detach(), -torch.ones(2, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_from_its_own_state(name):
    """What a resumed run needs: two steps, or one step, its state saved and loaded, and one more."""

    def start():
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        return model, make_optimizer(model, name, 1e-2)

    def step(model, optimizer):
        model.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        set_rate(optimizer, 0.1)
        optimizer.step()

    (whole, optimizer), (cut, first) = start(), start()
    step(whole, optimizer)
    step(whole, optimizer)
    step(cut, first)
    _, second = start()
    second = make_optimizer(cut, name, 1e-2)
    second.load_state_dict(first.state_dict())
    step(cut, second)
    assert not torch.equal(whole.weight, start()[0].weight)
    torch.testing.assert_close(cut.weight, whole.weight, rtol=0, atol=0)


def test_the_predictor_alone_learns_faster():
    encoder = small_resnet(4)
    method = BYOL(encoder, projector(encoder.dim, 16, 8), predictor(8, 16), predictor_rate=20)
    optimizer = make_optimizer(method, "sgd")
    set_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in method.predictor.parameters()} == {10.0}
    assert {rates[id(p)] for part in (method.encoder, method.projector) for p in part.parameters()} == {0.5}
    assert len(rates) == sum(p.requires_grad for p in method.parameters()), "the target has no place in it"


def test_unknown_names_are_one_sentence():
    for make in (lambda: make_optimizer(nn.Linear(1, 1), "adm"), lambda: TrainConfig(optimizer="adm")):
        with pytest.raises(ValueError, match="unknown optimizer 'adm'; there are adamw, sgd, lars"):
            make()


@pytest.mark.parametrize(
    "settings", [{"epochs": 1.5}, {"learning_rate": float("inf")}, {"weight_decay": -1.0}, {"batch_size": "128"}]
)
def test_settings_that_cannot_be(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**settings)


def test_lars_keeps_the_rate_of_each_step_in_its_velocity():
    """You et al., Algorithm 1: v <- m v + rate * local rate * g, so that a lower rate does not shorten what is under way."""
    w = nn.Parameter(torch.zeros(1))  # one dimension: neither scaled nor decayed
    optimizer = LARS([w])
    for rate in (1.0, 0.1):
        optimizer.param_groups[0]["lr"] = rate
        w.grad = torch.ones(1)
        optimizer.step()
    assert float(w.detach()) == pytest.approx(-(1.0 + (0.9 * 1.0 + 0.1)))


def test_lars_leaves_weights_without_a_gradient_as_they_are():
    still, none = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    still.grad = torch.zeros(2, 2)
    LARS([still, none]).step()
    assert torch.equal(still.detach(), torch.ones(2, 2)) and torch.equal(none.detach(), torch.ones(2, 2))


def by_hand(name, w, grads, rate, decay):
    """One number through two steps of each, as their papers have them."""
    v, m, s = 0.0, 0.0, 0.0
    for t, g in enumerate(grads, 1):
        if name == "sgd":
            g = g + decay * w
            v = 0.9 * v + g
            w -= rate * (g + 0.9 * v)
        elif name == "adamw":
            w -= rate * decay * w
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            w -= rate * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_optimizer_by_hand(name):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    optimizer = make_optimizer(model, name, weight_decay=0.5)
    for g in (1.0, -3.0):
        model.weight.grad = torch.full((1, 1), g)
        set_rate(optimizer, 0.1)
        optimizer.step()
    assert model.weight.item() == pytest.approx(by_hand(name, 2.0, [1.0, -3.0], 0.1, 0.5), rel=1e-6)


def test_lars_by_name_decays():
    """[3, 4] has length 5; g + b w = [0, -2] + 0.5 [3, 4] = [1.5, 0], of length 1.5: the step is rate * trust * 5 along it."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[3.0, 4.0]])
    optimizer = make_optimizer(model, "lars", weight_decay=0.5)
    model.weight.grad = torch.tensor([[0.0, -2.0]])
    set_rate(optimizer, 100.0)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[3.0 - 0.5, 4.0]]))
