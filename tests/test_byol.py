"""BYOL and SimSiam against the papers written as loops, and what must never be learned or written."""

import math

import pytest
import torch
from test_moco import Flat, moco, views
from torch import nn

from cl_course.losses import byol_loss
from cl_course.methods import BYOL, METHODS, MoCo, build
from cl_course.models import small_resnet


def byol(**settings) -> BYOL:
    torch.manual_seed(0)
    return BYOL(Flat(), nn.Linear(6, 4), nn.Linear(4, 4), **settings)


def by_hand(p: torch.Tensor, z: torch.Tensor) -> float:
    """Eq. 2, one image at a time."""
    total = 0.0
    for a, b in zip(p.tolist(), z.tolist()):
        a_norm, b_norm = (math.sqrt(sum(v * v for v in x)) for x in (a, b))
        total += sum((x / a_norm - y / b_norm) ** 2 for x, y in zip(a, b))
    return total / len(p)


def test_loss_by_hand_on_paper_and_by_lightly():
    p, z = torch.randn(5, 3), torch.randn(5, 3)
    assert float(byol_loss(p, z)) == pytest.approx(by_hand(p, z), rel=1e-5)
    right, up = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert [float(byol_loss(right, other)) for other in (5 * right, up, -right)] == pytest.approx([0, 2, 4], abs=1e-6)
    lightly = pytest.importorskip("lightly.loss")
    assert float(byol_loss(p, z)) == pytest.approx(2 + 2 * float(lightly.NegativeCosineSimilarity()(p, z)), rel=1e-5)


def test_each_view_predicts_the_others_target():
    method, (view1, view2) = byol(), views(3)
    target = lambda x: method.target_projector(method.target_encoder(x))
    prediction = lambda x: method.predictor(method.projector(method.encoder(x)))
    expected = by_hand(prediction(view1), target(view2)) + by_hand(prediction(view2), target(view1))
    assert float(method.loss(view1, view2)) == pytest.approx(expected, rel=1e-5)


def test_only_the_online_network_gets_gradients_and_loss_writes_nothing():
    method = byol()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.loss(*views(4)).backward()
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    for network in (method.encoder, method.projector, method.predictor):
        assert all(p.grad is not None for p in network.parameters())
    for network in (method.target_encoder, method.target_projector):
        assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_the_target_drifts_as_equation_1_says():
    method = byol(momentum=0.8)
    slow = method.target_encoder.linear.weight.clone()
    with torch.no_grad():
        method.encoder.linear.weight.add_(1)
    method.after_step()
    assert torch.allclose(
        method.target_encoder.linear.weight, 0.8 * slow + 0.2 * method.encoder.linear.weight, atol=1e-6
    )


def test_the_momentum_rises_to_one_on_a_cosine():
    method, seen = byol(momentum=0.9, total_steps=4), []
    for _ in range(5):
        seen.append(method.momentum)
        method.after_step()
    assert seen == pytest.approx([1 - 0.1 * (math.cos(math.pi * k / 4) + 1) / 2 for k in range(5)])
    assert seen[0] == pytest.approx(0.9) and seen[-1] == pytest.approx(1.0)


def test_momentum_zero_is_simsiam():
    """SimSiam, alg. 1: the target is the network itself behind a stop-gradient; same loss and gradients."""
    method, (view1, view2) = byol(momentum=0), views(4)
    method.after_step()
    loss = method.loss(view1, view2)
    loss.backward()
    gradient = method.encoder.linear.weight.grad.clone()

    method.zero_grad()
    z1, z2 = (method.projector(method.encoder(view)) for view in (view1, view2))
    p1, p2 = method.predictor(z1), method.predictor(z2)
    negative_cosine = (
        -(
            nn.functional.cosine_similarity(p1, z2.detach()).mean()
            + nn.functional.cosine_similarity(p2, z1.detach()).mean()
        )
        / 2
    )
    simsiam = 4 + 4 * negative_cosine
    simsiam.backward()
    assert float(loss) == pytest.approx(float(simsiam), rel=1e-5)
    assert torch.allclose(gradient, method.encoder.linear.weight.grad, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_by_name_and_takes_a_step(name):
    method = build(name, small_resnet(4))
    view1, view2 = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    loss = method.loss(view1, view2, *([torch.tensor([0, 1, 1, 0])] if method.uses_labels else []))
    loss.backward()
    method.after_step()
    assert loss.isfinite() and method.chance(4) > 0


def test_what_does_not_exist_is_named():
    with pytest.raises(ValueError, match="method must be 'simclr', .* or 'dino', got 'barlow'; did you mean"):
        build("barlow", small_resnet(4))
    with pytest.raises(
        ValueError, match="byol has no setting 'temperature'; it has momentum, predictor_rate, total_steps"
    ):
        build("byol", small_resnet(4), temperature=0.1)
    with pytest.raises(ValueError, match="momentum must be a finite number at least 0 and at most 1, got -1"):
        byol(momentum=-1)


@pytest.mark.parametrize("takes, gives", [(6, 6), (4, 6), (6, 4)])
def test_a_predictor_of_the_wrong_width_is_named_when_the_method_is_made(takes, gives):
    with pytest.raises(
        ValueError,
        match=rf"the predictor maps vectors of {takes} to vectors of {gives}, but z has 4 dimensions; build it with",
    ):
        BYOL(Flat(), nn.Linear(6, 4), nn.Sequential(nn.Linear(takes, 5), nn.ReLU(), nn.Linear(5, gives)))
    BYOL(Flat(), nn.Linear(6, 4), nn.Identity())  # no predictor at all is a fair experiment


def test_one_image_alone_is_refused_before_training_where_batchnorm_would_compare_it_with_itself():
    with pytest.raises(ValueError, match="a batch of 1 image is too small for BYOL with BatchNorm"):
        build("byol", Flat()).check_data(images=100, batch_size=1)
    build("byol", Flat()).check_data(images=100, batch_size=2)
    byol().check_data(images=100, batch_size=1)  # no BatchNorm


def test_no_gradient_flows_through_keys_or_targets_even_to_the_pixels():
    for method in (moco(), byol()):
        view1, view2 = (v.requires_grad_() for v in views(4))
        if isinstance(method, MoCo):
            method.loss(view1, view2).backward()
            assert view1.grad is not None and view2.grad is None
        else:
            assert not any(t.requires_grad for t in method.targets(view1, view2))


@pytest.mark.parametrize(
    "method, slow, fast",
    [
        (moco, "key_projector", "projector"),
        (byol, "target_projector", "projector"),
        (moco, "key_encoder", "encoder"),
        (byol, "target_encoder", "encoder"),
    ],
)
def test_encoder_and_projector_both_drift(method, slow, fast):
    method = method(momentum=0.7)
    (before, *_), (online, *_) = ([*getattr(method, part).parameters()] for part in (slow, fast))
    before = before.clone()
    with torch.no_grad():
        online.add_(1.0)
    method.loss(*views(4))
    method.after_step()
    torch.testing.assert_close(next(getattr(method, slow).parameters()), 0.7 * before + 0.3 * online.detach())


def test_the_momentum_stays_at_one_after_the_last_step():
    method = byol(momentum=0.9, total_steps=2)
    for _ in range(4):
        method.after_step()
    assert method.momentum == 1


def test_the_step_is_saved_with_the_weights():
    method, again = byol(momentum=0.9, total_steps=4), byol(momentum=0.9, total_steps=4)
    method.after_step(), method.after_step()
    again.load_state_dict(method.state_dict())
    assert again.momentum == method.momentum == pytest.approx(0.95)


def test_the_first_step_drifts_at_the_momentum_it_starts_with():
    method = byol(momentum=0.8, total_steps=2)
    slow = method.target_encoder.linear.weight.clone()
    with torch.no_grad():
        method.encoder.linear.weight.add_(1)
    method.after_step()
    torch.testing.assert_close(
        method.target_encoder.linear.weight, 0.8 * slow + 0.2 * method.encoder.linear.weight.detach()
    )


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"predictor_rate": 0}, "predictor_rate must be a finite number above 0, got 0"),
        ({"predictor_rate": math.nan}, "predictor_rate must be a finite number above 0, got nan"),
        ({"total_steps": 0}, "total_steps must be a whole number of at least 1, got 0; None keeps"),
    ],
)
def test_bad_settings_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        byol(**settings)


def test_heads_have_the_widths_asked_for():
    method = build("byol", Flat(), {"hidden_dim": 10, "out_dim": 5, "norm_output": True})
    assert [layer.out_features for layer in [*method.projector, *method.predictor] if isinstance(layer, nn.Linear)] == [
        10,
        5,
        10,
        5,
    ]
    assert isinstance(method.projector[-1], nn.BatchNorm1d)
