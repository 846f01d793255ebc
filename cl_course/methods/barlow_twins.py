"""Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230): views agree in each dimension, and no two dimensions agree."""

import math

import torch
from torch import Tensor, nn

from cl_course.distributed import gather
from cl_course.losses import barlow_twins_loss
from cl_course.methods.method import Method, linear_widths, refuse_alone
from cl_course.values import real


class BarlowTwins(Method):
    """Algorithm 1 of the paper: one network, and the cross-correlation of its two answers.

    Args:
        encoder: f, images (n, 3, h, w) -> h (n, encoder.dim); kept for later.
        projector: h -> z (n, d); the paper gains from a z that is longer than h.
        redundancy_weight: lambda, at least 0, of the off-diagonal term.
    """

    def __init__(self, encoder: nn.Module, projector: nn.Module, redundancy_weight: float = 5e-3):
        super().__init__()
        self.redundancy_weight = real("redundancy_weight", redundancy_weight, least=0, advice="5e-3 is the paper's")
        self.encoder, self.projector = encoder, projector

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2: both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    def contrast(self, z1: Tensor, z2: Tensor) -> Tensor:
        return barlow_twins_loss(gather(z1), gather(z2), self.redundancy_weight)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        return self.contrast(*self.embeddings(view1, view2))

    def chance(self, n: int) -> float:
        """The loss where no dimension agrees with any: the number of dimensions of z; NaN where that is not known."""
        _, dim = linear_widths(self.projector) or (None, math.nan)
        return float(dim)

    def check_data(self, images: int, batch_size: int) -> None:
        refuse_alone(self, batch_size)
