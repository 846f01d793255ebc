"""Slow copies of a network: the key encoder of MoCo, the target network of BYOL, the teacher of DINO."""

import copy
import math

import torch
from torch import nn

from cl_course.values import real


def frozen_copy(module: nn.Module) -> nn.Module:
    """A copy with the same weights that no optimiser will ever move."""
    return copy.deepcopy(module).requires_grad_(False)


def check_momentum(momentum: float, name: str = "momentum") -> float:
    """The momentum as a float; a ValueError unless it is a number in [0, 1]."""
    return real(name, momentum, least=0, most=1, advice="0 copies, 1 freezes, 0.99 is usual")


def rising_momentum(start: float, step: int, total_steps: int | None) -> float:
    """From `start` to 1 on half a cosine over `total_steps` (BYOL, sec. 3.3); `start` throughout where that is None."""
    if total_steps is None:
        return start
    progress = min(1.0, step / total_steps)
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Let `target` drift towards `online`: target <- m * target + (1 - m) * online, in place.

    MoCo, eq. 2 (He et al. 2020, arXiv:1911.05722); BYOL, eq. 1 (Grill et al. 2020, arXiv:2006.07733). Buffers
    (BatchNorm's running statistics) are averages already and are copied.
    """
    momentum = check_momentum(momentum)
    shapes = [[tensor.shape for tensor in (*network.parameters(), *network.buffers())] for network in (target, online)]
    if shapes[0] != shapes[1]:  # before anything moves
        raise ValueError(f"target and online must have weights of the same shapes, got {len(shapes[0])} and "
                         f"{len(shapes[1])} tensors that differ; make the target with frozen_copy(online)")
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)
    for slow, fast in zip(target.buffers(), online.buffers(), strict=True):
        slow.copy_(fast)
