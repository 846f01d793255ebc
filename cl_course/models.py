"""Encoders and heads.

An encoder maps images to features h, (n, dim): global average pooling over `feature_map(x)`. A head maps h to the
embeddings z that a loss compares; it is thrown away afterwards.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_course.values import one_of, whole


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ResNet's basic block (He et al. 2016, arXiv:1512.03385, fig. 2)."""

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != channels:
            convolution = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """A stem from 3 channels to `width`, then stages of `blocks` basic blocks: four in the paper.

    Each later stage doubles the channels and halves the sides, so that h has width * 2 ** (stages - 1) dimensions.
    """

    def __init__(self, stem: nn.Module, width: int, blocks: int, stages: int = 4):
        super().__init__()
        self.dim = width * 2 ** (stages - 1)
        self.blocks = blocks
        self.stem = stem
        parts, channels = [], width
        for stage in range(stages):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                parts.append(Block(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.stages = nn.Sequential(*parts)
        self.to(memory_format=torch.channels_last)  # a quarter less time per step on CPU, more on GPU

    def by_stage(self) -> list[nn.Sequential]:
        """The stages from the first to the last, each the blocks that work at one size."""
        starts = range(0, len(self.stages), self.blocks)
        return [self.stages[start : start + self.blocks] for start in starts]

    def feature_map(self, images: Tensor) -> Tensor:
        """Features before pooling, (n, dim, h', w')."""
        return self.stages(self.stem(images.contiguous(memory_format=torch.channels_last)))

    def stage_maps(self, images: Tensor, last: int | None = None) -> list[Tensor]:
        """Features after each stage up to the `last`, the finest first: (n, width * 2^s, h', w') for s = 0, 1, ..."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        return [x := stage(x) for stage in self.by_stage()[:last]]

    def forward(self, images: Tensor) -> Tensor:
        return self.feature_map(images).mean(dim=(2, 3))


def stages_of(encoder: nn.Module) -> list[nn.Module]:
    """Its stages by `by_stage`, or a TypeError where it is no encoder of this module's kind."""
    if not hasattr(encoder, "by_stage"):
        other = type(encoder)
        raise TypeError("the encoder must be a ResNet of cl_course.models, whose stages can be taken apart, got "
                        f"a {other.__module__}.{other.__name__}; make one with small_resnet() or resnet18()")
    return encoder.by_stage()


def _stem(width: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def small_resnet(width: int = 16, stages: int = 4) -> ResNet:
    """The quick encoder: a stride-2 stem, one block a stage; at width 16, 0.3 M weights and 128 dimensions of h.

    Width 64 with three stages has as many weights as width 32 with four, and a finer last map, 4 x 4 places for 32 x 32
    pixels instead of 2 x 2.
    """
    width = whole("width", width, 1)
    return ResNet(_stem(width, kernel=3, stride=2), width, 1, whole("stages", stages, 1))


def resnet18(stem: str = "cifar") -> ResNet:
    """ResNet-18, h has 512 dimensions.

    Args:
        stem: "cifar" for pictures of about 32 pixels: a 3x3 convolution without stride or max-pooling (SimCLR, App.
            B.9); "stl" for 96 pixels and above: ResNet's own 7x7 of stride 2, then max-pooling. `recipe` takes "cifar"
            where no side is longer than 64.
    """
    if one_of("stem", stem, ("cifar", "stl")) == "cifar":
        return ResNet(_stem(64, kernel=3, stride=1), 64, blocks=2)
    return ResNet(nn.Sequential(*_stem(64, kernel=7, stride=2), nn.MaxPool2d(3, 2, padding=1)), 64, blocks=2)


ENCODERS = {"small": small_resnet, "resnet18": resnet18}


def projector(in_dim: int, hidden_dim: int = 128, out_dim: int = 128, *, norm_output: bool = False) -> nn.Sequential:
    """SimCLR's head g: linear, BatchNorm, ReLU, linear (Chen et al. 2020, sec. 2.1 and App. B).

    Args:
        norm_output: end in a BatchNorm without scale and shift, so that every dimension of z has mean 0 and variance 1
            over the batch, much as SimSiam does (Chen & He 2021, arXiv:2011.10566, sec. 3).
    """
    hidden_dim, out_dim = whole("hidden_dim", hidden_dim, 1), whole("out_dim", out_dim, 1)
    hidden = [nn.Linear(in_dim, hidden_dim, bias=False), nn.BatchNorm1d(hidden_dim), nn.ReLU(inplace=True)]
    layers = [*hidden, nn.Linear(hidden_dim, out_dim)]
    if norm_output:
        layers.append(nn.BatchNorm1d(out_dim, affine=False))
    return nn.Sequential(*layers)


def predictor(dim: int = 128, hidden_dim: int = 128) -> nn.Sequential:
    """The head q of BYOL and SimSiam, z -> p of the same length, of the projector's shape (Grill et al., sec. 3.3)."""
    return projector(dim, hidden_dim, dim)


class Prototypes(nn.Module):
    """DINO's last layer: z (n, dim) -> its cosine similarity with each of `count` learned directions, (n, count).

    As a linear layer on normalised z with weights of length 1 (Caron et al. 2021, arXiv:2104.14294, App. C).
    """

    def __init__(self, dim: int = 128, count: int = 256):
        super().__init__()
        dim, count = whole("dim", dim, 1), whole("count", count, 2, advice="one direction tells nothing apart")
        self.directions = nn.Parameter(torch.randn(count, dim))

    def forward(self, z: Tensor) -> Tensor:
        return F.linear(F.normalize(z, dim=1), F.normalize(self.directions, dim=1))
