"""The optimisers: by hand, parts that learn faster, and names that do not exist."""

import math

import pytest
import torch
from torch import nn

from cl_course.methods import BYOL, Method
from cl_course.models import predictor, projector, small_resnet
from cl_course.optimizers import OPTIMIZERS, make_optimizer, set_rate
from cl_course.train import TrainConfig


class Line(Method):
    """The smallest method: one linear layer without a bias."""

    def __init__(self, takes: int, gives: int):
        super().__init__()
        self.encoder = nn.Linear(takes, gives, bias=False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_from_its_own_state(name):
    """What a resumed run needs: two steps, or one step, its state saved and loaded, and one more."""

    def start():
        torch.manual_seed(1)
        model = Line(3, 2)
        return model, make_optimizer(model, name, 1e-2)

    def step(model, optimizer):
        model.zero_grad()
        model.encoder(torch.ones(1, 3)).square().sum().backward()
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
    assert not torch.equal(whole.encoder.weight, start()[0].encoder.weight)
    torch.testing.assert_close(cut.encoder.weight, whole.encoder.weight, rtol=0, atol=0)


def test_the_predictor_alone_learns_faster():
    encoder = small_resnet(4)
    method = BYOL(encoder, projector(encoder.dim, 16, 8), predictor(8, 16), predictor_rate=20)
    optimizer = make_optimizer(method, "sgd")
    set_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in method.predictor.parameters()} == {10.0}
    assert {rates[id(p)] for part in (method.encoder, method.projector) for p in part.parameters()} == {0.5}
    assert len(rates) == sum(p.requires_grad for p in method.parameters()), "the target has no place in it"


def test_what_does_not_exist_is_one_sentence():
    with pytest.raises(ValueError, match="^optimizer must be 'adamw' or 'sgd', got 'adm'; did you mean 'adamw'\\?$"):
        make_optimizer(Line(1, 1), "adm")
    with pytest.raises(ValueError, match="weight_decay must be a finite number at least 0, got -1"):
        make_optimizer(Line(1, 1), "sgd", -1)


@pytest.mark.parametrize(
    "settings", [{"epochs": 1.5}, {"learning_rate": float("inf")}, {"weight_decay": -1.0}, {"batch_size": "128"}]
)
def test_settings_that_cannot_be(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**settings)


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
    model = Line(1, 1)
    nn.init.constant_(model.encoder.weight, 2.0)
    optimizer = make_optimizer(model, name, weight_decay=0.5)
    for g in (1.0, -3.0):
        model.encoder.weight.grad = torch.full((1, 1), g)
        set_rate(optimizer, 0.1)
        optimizer.step()
    assert model.encoder.weight.item() == pytest.approx(by_hand(name, 2.0, [1.0, -3.0], 0.1, 0.5), rel=1e-6)
