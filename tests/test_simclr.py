"""SimCLR: the loss of its own embeddings, both views through one network in one pass."""

import math

import pytest
import torch

from cl_course.losses import nt_xent
from cl_course.methods import METHODS, SimCLR
from cl_course.models import projector, small_resnet


@pytest.fixture
def method():
    torch.manual_seed(0)
    encoder = small_resnet(4)
    return SimCLR(encoder, projector(encoder.dim, 16, 8), temperature=0.2)


def views(n=6):
    return torch.rand(2, n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_the_loss_is_nt_xent_of_the_projections(method):
    view1, view2 = views()
    z = method.projector(method.encoder(torch.cat([view1, view2])))
    torch.testing.assert_close(method.loss(view1, view2), nt_xent(z[:6], z[6:], 0.2))
    method.temperature = 0.7
    torch.testing.assert_close(method.loss(view1, view2), nt_xent(z[:6], z[6:], 0.7))


def test_row_i_of_both_is_image_i(method):
    view1, view2 = views()
    z1, z2 = method.eval().embeddings(view1, view2)
    assert z1.shape == z2.shape == (6, 8)
    for i in range(6):  # in eval mode each image is looked at by itself
        torch.testing.assert_close(
            z1[i : i + 1], method.projector(method.encoder(view1[i : i + 1])), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            z2[i : i + 1], method.projector(method.encoder(view2[i : i + 1])), rtol=1e-4, atol=1e-5
        )


def test_batchnorm_sees_both_views_together(method):
    """Normalised apart, the two views could be told from each other's statistics."""
    view1, view2 = views()
    z1, _ = method.embeddings(view1, 0.2 * view2)
    alone = method.projector(method.encoder(view1))
    assert not torch.allclose(z1, alone, atol=1e-3)


def test_the_gradient_reaches_encoder_and_projector(method):
    method.loss(*views()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())


def test_after_step_changes_nothing(method):
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.after_step()
    assert all(torch.equal(before[name], tensor) for name, tensor in method.state_dict().items())


def test_chance_and_its_place_among_the_methods(method):
    assert method.chance(128) == pytest.approx(math.log(255))
    assert METHODS["simclr"] is SimCLR


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(method, temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
        SimCLR(method.encoder, method.projector, temperature)
