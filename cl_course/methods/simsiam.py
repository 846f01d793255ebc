"""SimSiam (Chen & He 2021, arXiv:2011.10566): a predictor and a stop-gradient; no negatives and no slow copy."""

import torch
from torch import Tensor, nn

from cl_course.losses import byol_loss
from cl_course.methods.method import Method, check_predictor, refuse_one_image
from cl_course.values import real


class SimSiam(Method):
    """Algorithm 1 of the paper, with BYOL's loss: four times the paper's plus 4, so the same up to the learning rate.

    Args:
        encoder: f, images (n, 3, h, w) -> h; kept for later.
        projector: h -> z (n, d); the paper's ends in BatchNorm (`norm_output`).
        predictor: h of the paper, z -> p of the same length; the paper's is a bottleneck of a quarter of d.
        predictor_rate: how many times faster than the rest the predictor learns; see `BYOL`.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, predictor: nn.Module, predictor_rate: float = 1.0
    ):  # fmt: skip
        super().__init__()
        advice = "1 is the rate of the rest"
        self.rate_factors = {"predictor": real("predictor_rate", predictor_rate, above=0, advice=advice)}
        check_predictor(projector, predictor)
        self.encoder, self.projector, self.predictor = encoder, projector, predictor

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2: both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        z1, z2 = self.embeddings(view1, view2)
        p1, p2 = self.predictor(torch.cat([z1, z2])).chunk(2)
        return byol_loss(p1, z2.detach()) + byol_loss(p2, z1.detach())  # z is a target here: no gradient

    def chance(self, n: int) -> float:
        """The loss of predictions that know nothing of their targets: orthogonal, 2 in each direction."""
        return 4.0

    def check_data(self, images: int, batch_size: int) -> None:
        refuse_one_image(self, batch_size)
