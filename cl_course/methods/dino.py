"""DINO (Caron et al. 2021, arXiv:2104.14294): a student takes over the distributions of a slow, centred teacher."""

import math

import torch
from torch import Tensor, nn

from cl_course.distributed import average
from cl_course.losses import dino_loss
from cl_course.methods.method import Method, refuse_one_image
from cl_course.models import Prototypes
from cl_course.momentum import check_momentum, ema_update, frozen_copy, rising_momentum
from cl_course.values import real, whole


class DINO(Method):
    """Algorithm 1 of the paper, with two views and no smaller crops.

    Args:
        encoder: images (n, 3, h, w) -> h; the student's, kept for later. (The paper keeps the teacher's.)
        projector: h -> z (n, d).
        prototypes: z -> scores (n, K), cosine similarities with K learned directions.
        momentum: the teacher's, in [0, 1], at the start.
        center_momentum: the centre's, in [0, 1]; 1 keeps the centre at 0, which is no centring.
        student_temperature, teacher_temperature: above 0; the targets are sharpened where the teacher's is lower.
        total_steps: over which the teacher's momentum rises to 1 on a cosine; None leaves it constant.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, prototypes: Prototypes, momentum: float = 0.99,
        center_momentum: float = 0.9, student_temperature: float = 0.1, teacher_temperature: float = 0.04,
        total_steps: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self.start_momentum = check_momentum(momentum)
        self.center_momentum = check_momentum(center_momentum, "center_momentum")
        self.student_temperature = real("student_temperature", student_temperature, above=0, advice="0.1 is usual")
        advice = "0.04 to 0.07 is usual"
        self.teacher_temperature = real("teacher_temperature", teacher_temperature, above=0, advice=advice)
        advice = "None keeps the momentum constant"
        self.total_steps = total_steps if total_steps is None else whole("total_steps", total_steps, 1, advice=advice)
        self.encoder, self.projector, self.prototypes = encoder, projector, prototypes
        self.teacher_encoder, self.teacher_projector = frozen_copy(encoder), frozen_copy(projector)
        self.teacher_prototypes = frozen_copy(prototypes)
        self.register_buffer("center", torch.zeros(len(prototypes.directions)))  # (K,)
        self.new_scores: Tensor | None = None
        self._step = 0

    @property
    def momentum(self) -> float:
        return rising_momentum(self.start_momentum, self._step, self.total_steps)

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2 of the student, both views in one pass."""
        return self.projector(self.encoder(torch.cat([view1, view2]))).chunk(2)

    @torch.no_grad()
    def teach(self, view1: Tensor, view2: Tensor) -> Tensor:
        """The teacher's scores of both views, (2n, K); no gradient flows here."""
        return self.teacher_prototypes(self.teacher_projector(self.teacher_encoder(torch.cat([view1, view2]))))

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        student1, student2 = self.prototypes(torch.cat(self.embeddings(view1, view2))).chunk(2)
        self.new_scores = self.teach(view1, view2)
        teacher1, teacher2 = self.new_scores.chunk(2)
        temperatures = self.student_temperature, self.teacher_temperature
        loss1 = dino_loss(student1, teacher2, self.center, *temperatures)
        return (loss1 + dino_loss(student2, teacher1, self.center, *temperatures)) / 2

    @torch.no_grad()
    def after_step(self) -> None:
        """The teacher drifts towards the student, the centre towards the mean of the teacher's new scores (eq. 4)."""
        for name in ("encoder", "projector", "prototypes"):
            ema_update(getattr(self, f"teacher_{name}"), getattr(self, name), self.momentum)
        now = average(self.new_scores.mean(dim=0, dtype=self.center.dtype))
        self.center.lerp_(now, 1 - self.center_momentum)
        self._step += 1

    def chance(self, n: int) -> float:
        """The loss of a student that knows nothing: ln K, the uniform distribution."""
        return math.log(len(self.center))

    def check_data(self, images: int, batch_size: int) -> None:
        refuse_one_image(self, batch_size)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self._step)

    def set_extra_state(self, step: Tensor) -> None:
        self._step = int(step)
