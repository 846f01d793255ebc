"""BYOL (Grill et al. 2020, arXiv:2006.07733): no negatives; predict what a slow copy makes of the other view."""

import math

import torch
from torch import Tensor, nn

from cl_course.losses import byol_loss
from cl_course.methods.method import Method
from cl_course.momentum import check_momentum, ema_update, frozen_copy


class BYOL(Method):
    """Online and target network, eq. 2 of the paper, made symmetric.

    Args:
        encoder: f, images (n, 3, h, w) -> h; the online network's, kept for later.
        projector: g, h -> z (n, d).
        predictor: q, z -> p (n, d); of the online network alone.
        momentum: the target's, in [0, 1], where it starts. 0 copies the online network after every step:
            that is SimSiam (Chen & He 2021, arXiv:2011.10566).
        predictor_rate: how many times faster than the rest the predictor learns. Above 1 it stays near the best
            prediction there is, which Tian et al. (2021, arXiv:2102.06810) and BYOL's App. I find to keep the network from collapsing.
        total_steps: over which the momentum rises to 1 on a cosine (sec. 3.3); None leaves it constant.

    Raises:
        ValueError: an impossible setting; a predictor that does not map z to vectors of its own length.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        predictor: nn.Module,
        momentum: float = 0.99,
        predictor_rate: float = 1.0,
        total_steps: int | None = None,
    ):
        super().__init__()
        check_momentum(momentum)
        if not predictor_rate > 0:
            raise ValueError(f"predictor_rate must be positive, got {predictor_rate}; 1 is the rate of the rest, 10 to 20 helps")
        if total_steps is not None and total_steps < 1:
            raise ValueError(f"total_steps must be at least 1 or None, got {total_steps}")
        _check_width(projector, predictor)
        self.encoder, self.projector, self.predictor = encoder, projector, predictor
        self.target_encoder, self.target_projector = frozen_copy(encoder), frozen_copy(projector)
        self.start_momentum, self.total_steps = momentum, total_steps
        self.rate_factors = {"predictor": predictor_rate}
        self._step = 0  # no tensor: to ask a GPU for its value would stop the pipeline

    @property
    def momentum(self) -> float:
        if self.total_steps is None:
            return self.start_momentum
        progress = min(1.0, self._step / self.total_steps)
        return 1 - (1 - self.start_momentum) * (math.cos(math.pi * progress) + 1) / 2

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2 of the online network, both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    @torch.no_grad()
    def targets(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """What the predictions are held against; no gradient ever flows here."""
        return self.target_projector(self.target_encoder(torch.cat([view1, view2]))).chunk(2)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        if len(view1) == 1 and self.training and any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in self.modules()):
            raise ValueError("a batch of 1 image is too small for BYOL with BatchNorm, which compares the images of a batch; take at least 2, better 64")
        p1, p2 = self.predictor(torch.cat(self.embeddings(view1, view2))).chunk(2)
        target1, target2 = self.targets(view1, view2)
        return byol_loss(p1, target2) + byol_loss(p2, target1)

    def chance(self, n: int) -> float:
        """The loss of predictions that know nothing of their targets: orthogonal, 2 in each direction."""
        return 4.0

    def after_step(self) -> None:
        """The target drifts towards the online network."""
        ema_update(self.target_encoder, self.encoder, self.momentum)
        ema_update(self.target_projector, self.projector, self.momentum)
        self._step += 1

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._step)

    def set_extra_state(self, step: Tensor) -> None:
        self._step = int(step)


def _check_width(projector: nn.Module, predictor: nn.Module) -> None:
    """By their linear layers; heads without one are taken at their word."""
    of_projector, of_predictor = ([part for part in head.modules() if isinstance(part, nn.Linear)] for head in (projector, predictor))
    if of_projector and of_predictor:
        dim, takes, gives = of_projector[-1].out_features, of_predictor[0].in_features, of_predictor[-1].out_features
        if not dim == takes == gives:
            raise ValueError(f"the predictor maps vectors of {takes} to vectors of {gives}, but z has {dim} dimensions; build it with predictor({dim})")
