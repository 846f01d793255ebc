"""SupCon (Khosla et al. 2020, arXiv:2004.11362): SimCLR that is told which images are of one class."""

import torch
from torch import Tensor, nn

from cl_course.distributed import gather
from cl_course.losses import chance_loss, check_temperature, supcon_loss
from cl_course.methods.method import Method


class SupCon(Method):
    """Sec. 3.2.2 of the paper: all views of one class are each other's positives.

    It needs labels, at training and not only at judging: compare it with supervised learning, not with SimCLR.

    Args:
        encoder: f, images (n, 3, h, w) -> h (n, encoder.dim); kept for later.
        projector: g, h -> z (n, d); thrown away after training.
        temperature: T > 0 of the loss.
    """

    uses_labels = True

    def __init__(self, encoder: nn.Module, projector: nn.Module, temperature: float = 0.1):
        super().__init__()
        self.encoder, self.projector, self.temperature = encoder, projector, check_temperature(temperature)

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2: both views in one pass, so that BatchNorm sees the whole batch of 2n."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    def loss(self, view1: Tensor, view2: Tensor, labels: Tensor) -> Tensor:
        z1, z2 = self.embeddings(view1, view2)
        return supcon_loss(gather(z1), gather(z2), gather(labels), self.temperature)

    def chance(self, n: int) -> float:
        """The loss of guessing, at a batch of n images: all embeddings alike."""
        return chance_loss(n)
