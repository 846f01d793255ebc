"""VICReg (Bardes et al. 2022, arXiv:2105.04906): invariance, and a variance and a covariance term against collapse."""

import torch
from torch import Tensor, nn

from cl_course.distributed import gather
from cl_course.losses import vicreg_loss
from cl_course.methods.method import Method, refuse_alone
from cl_course.values import real


class VICReg(Method):
    """Algorithm 1 of the paper: one network, and three terms that say what its answers should be.

    Args:
        encoder: f, images (n, 3, h, w) -> h (n, encoder.dim); kept for later.
        projector: the paper's expander, h -> z (n, d), longer than h.
        invariance_weight, variance_weight, covariance_weight: lambda, mu and nu, at least 0; see `vicreg_loss`.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, invariance_weight: float = 25.0, variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        self.invariance_weight = real("invariance_weight", invariance_weight, least=0)
        self.variance_weight = real("variance_weight", variance_weight, least=0, advice="0 lets everything collapse")
        self.covariance_weight = real("covariance_weight", covariance_weight, least=0)
        self.encoder, self.projector = encoder, projector

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2: both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    def contrast(self, z1: Tensor, z2: Tensor) -> Tensor:
        weights = self.invariance_weight, self.variance_weight, self.covariance_weight
        return vicreg_loss(gather(z1), gather(z2), *weights)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        return self.contrast(*self.embeddings(view1, view2))

    def chance(self, n: int) -> float:
        """The loss where all embeddings are alike: each dimension's standard deviation is sqrt(1e-4), in both views."""
        return 2 * 0.99 * self.variance_weight

    def check_data(self, images: int, batch_size: int) -> None:
        refuse_alone(self, batch_size)
