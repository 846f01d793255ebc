"""BYOL (Grill et al. 2020, arXiv:2006.07733): no negatives; predict what a slow copy makes of the other view."""

import torch
from torch import Tensor, nn

from cl_course.losses import byol_loss
from cl_course.methods.method import Method, check_predictor, refuse_one_image
from cl_course.momentum import check_momentum, ema_update, frozen_copy, rising_momentum
from cl_course.values import real, whole


class BYOL(Method):
    """Online and target network, eq. 2 of the paper, made symmetric.

    Args:
        encoder: f, images (n, 3, h, w) -> h; the online network's, kept for later.
        projector: g, h -> z (n, d).
        predictor: q, z -> p of the same length, (n, d); of the online network alone.
        momentum: the target's, in [0, 1], at the start. 0 copies the online network after every step: that is SimSiam
            (Chen & He 2021, arXiv:2011.10566).
        predictor_rate: how many times faster than the rest the predictor learns. Above 1 it stays near the best
            possible prediction, which keeps the network from collapsing (Tian et al. 2021, arXiv:2102.06810; BYOL's
            App. I).
        total_steps: over which the momentum rises to 1 on a cosine (sec. 3.3); None leaves it constant.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, predictor: nn.Module, momentum: float = 0.99,
        predictor_rate: float = 1.0, total_steps: int | None = None,
    ):
        super().__init__()
        self.start_momentum = check_momentum(momentum)
        advice = "1 is the rate of the rest, 10 to 20 helps"
        self.rate_factors = {"predictor": real("predictor_rate", predictor_rate, above=0, advice=advice)}
        advice = "None keeps the momentum constant"
        self.total_steps = total_steps if total_steps is None else whole("total_steps", total_steps, 1, advice=advice)
        check_predictor(projector, predictor)
        self.encoder, self.projector, self.predictor = encoder, projector, predictor
        self.target_encoder, self.target_projector = frozen_copy(encoder), frozen_copy(projector)
        self._step = 0  # a plain number: reading a tensor's value would make a GPU wait

    @property
    def momentum(self) -> float:
        return rising_momentum(self.start_momentum, self._step, self.total_steps)

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2 of the online network, both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    @torch.no_grad()
    def targets(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """What the predictions are compared with; no gradient flows here."""
        return self.target_projector(self.target_encoder(torch.cat([view1, view2]))).chunk(2)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        p1, p2 = self.predictor(torch.cat(self.embeddings(view1, view2))).chunk(2)
        target1, target2 = self.targets(view1, view2)
        return byol_loss(p1, target2) + byol_loss(p2, target1)

    def after_step(self) -> None:
        """The target drifts towards the online network."""
        ema_update(self.target_encoder, self.encoder, self.momentum)
        ema_update(self.target_projector, self.projector, self.momentum)
        self._step += 1

    def chance(self, n: int) -> float:
        """The loss of predictions that know nothing of their targets: orthogonal, 2 in each direction."""
        return 4.0

    def check_data(self, images: int, batch_size: int) -> None:
        refuse_one_image(self, batch_size)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._step)

    def set_extra_state(self, step: Tensor) -> None:
        self._step = int(step)
