"""Encoders and heads: shapes, sizes known from the literature, and the same numbers as torchvision's ResNet-18."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cl_course.models import predictor, projector, resnet18, small_resnet


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    "encoder, side, dim, map_side",
    [
        (small_resnet(), 32, 128, 2),
        (small_resnet(8), 32, 64, 2),
        (small_resnet(16, stages=3), 32, 64, 4),
        (small_resnet(8), 96, 64, 6),
        (resnet18("cifar"), 32, 512, 4),
        (resnet18("stl"), 96, 512, 3),
    ],
    ids=["small 16", "small 8", "three stages", "small 8 at 96 px", "ResNet-18, CIFAR stem", "ResNet-18, STL stem"],
)
def test_shapes(encoder, side, dim, map_side):
    images = torch.rand(2, 3, side, side)
    assert encoder.dim == dim
    feature_map = encoder.feature_map(images)
    assert feature_map.shape == (2, dim, map_side, map_side)
    torch.testing.assert_close(encoder.eval()(images), encoder.feature_map(images).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    "encoder, shape",
    [(small_resnet(), (2, 128, 3, 10)), (resnet18(), (2, 512, 6, 20)), (resnet18("stl"), (2, 512, 2, 5))],
)
def test_pictures_need_not_be_square(encoder, shape):
    images = torch.rand(2, 3, 48, 160)
    maps = encoder.eval().feature_map(images)
    assert maps.shape == shape
    torch.testing.assert_close(encoder(images), maps.mean(dim=(2, 3)))


def test_parameter_counts():
    torchvisions = count(torchvision.models.resnet18()) - 512 * 1000 - 1000  # without its classifier
    assert count(resnet18("stl")) == torchvisions == 11_176_512
    assert count(resnet18("cifar")) == torchvisions - 64 * 3 * (7 * 7 - 3 * 3)

    def block(a, b):
        """Two 3x3 convolutions, a 1x1 one where the width changes, and two numbers a channel for each BatchNorm."""
        return 9 * a * b + 9 * b * b + 4 * b + (a * b + 2 * b if a != b else 0)

    assert count(small_resnet()) == 9 * 3 * 16 + 2 * 16 + block(16, 16) + block(16, 32) + block(32, 64) + block(64, 128)
    assert count(projector(128)) == 128 * 128 + 2 * 128 + 128 * 128 + 128


def test_the_same_features_as_torchvisions_resnet18():
    ours, theirs = resnet18("stl").eval(), torchvision.models.resnet18().eval()
    theirs.fc = nn.Identity()
    for module in theirs.modules():  # running statistics that are not all alike
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(), module.running_var.uniform_(0.5, 2)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_channels_last_all_the_way():
    encoder = small_resnet(8)
    convolutions = [m.weight for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions)
    assert encoder.feature_map(torch.rand(2, 3, 32, 32)).is_contiguous(memory_format=torch.channels_last)


def test_projector_is_simclrs_head():
    head = projector(10, hidden_dim=20, out_dim=5)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert head[0].bias is None, "BatchNorm takes any bias away"
    assert head(torch.rand(4, 10)).shape == (4, 5)


def test_an_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="'imagenet'"):
        resnet18("imagenet")


def test_a_normed_output_has_no_mean_and_unit_variance_and_nothing_to_learn():
    plain, normed_head = projector(10, 20, 5), projector(10, 20, 5, norm_output=True)
    z = normed_head(torch.randn(64, 10))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(dim=0, correction=0), torch.ones(5), atol=1e-2, rtol=0)
    assert [p.shape for p in normed_head.parameters()] == [p.shape for p in plain.parameters()]


def test_predictor_maps_z_to_its_own_length_through_the_hidden_width():
    head = predictor(5, 20)
    assert [type(layer) for layer in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert (head[0].in_features, head[0].out_features, head[3].out_features) == (5, 20, 5)


def test_resnet18_is_channels_last_and_for_32_pixels():
    encoder = resnet18()
    assert encoder.stem[0].kernel_size == (3, 3) and encoder.stem[0].stride == (1, 1)
    for e in (encoder, resnet18("stl")):
        assert all(
            m.weight.is_contiguous(memory_format=torch.channels_last) for m in e.modules() if isinstance(m, nn.Conv2d)
        )


def test_widths_are_whole_numbers_of_python():
    assert type(small_resnet(np.int64(4)).dim) is int
    for widths in ({"hidden_dim": 0}, {"out_dim": 2.5}):
        with pytest.raises(ValueError, match="(hidden|out)_dim must be a whole number of at least 1"):
            projector(8, **widths)
