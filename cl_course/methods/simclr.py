"""SimCLR (Chen et al. 2020, arXiv:2002.05709): two views, one network, and everyone else in the batch as negatives."""

import torch
from torch import Tensor, nn

from cl_course.distributed import gather
from cl_course.losses import chance_loss, check_temperature, nt_xent
from cl_course.methods.method import Method


class SimCLR(Method):
    """Algorithm 1 of the paper.

    Args:
        encoder: f, images (n, 3, h, w) -> h (n, encoder.dim); kept for later.
        projector: g, h -> z (n, d); thrown away after training.
        temperature: T > 0 of NT-Xent.
    """

    def __init__(self, encoder: nn.Module, projector: nn.Module, temperature: float = 0.3):
        super().__init__()
        self.encoder, self.projector, self.temperature = encoder, projector, check_temperature(temperature)

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2: both views in one pass, so that BatchNorm sees the whole batch of 2n."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    def contrast(self, z1: Tensor, z2: Tensor) -> Tensor:
        """The loss of embeddings, apart from the network, through which a large batch can go in chunks."""
        return nt_xent(gather(z1), gather(z2), self.temperature)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        return self.contrast(*self.embeddings(view1, view2))

    def chance(self, n: int) -> float:
        """The loss of guessing, at a batch of n images."""
        return chance_loss(n)

    def after_step(self) -> None:
        """No copy drifts and no queue moves on."""
