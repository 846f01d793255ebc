"""AdamW, SGD and LARS by name, with parts of a method that learn faster than the rest."""

import torch
from torch import Tensor, nn

SGD_MOMENTUM = 0.9  # of SGD (Nesterov's form) and of LARS, in all three papers


def make_optimizer(method: nn.Module, name: str = "adamw", weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """An optimiser over the weights of a method that take gradients; its rate is set before every step with `set_rate`.

    Args:
        method: its `rate_factors`, {name of a part: factor}, says which parts learn faster; SimCLR and MoCo have none.
        name: "adamw", "sgd" (Nesterov) or "lars".

    Raises:
        ValueError: another name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    factors = getattr(method, "rate_factors", {})
    fast = {id(p): factor for part, factor in factors.items() for p in getattr(method, part).parameters()}
    groups: dict[float, list[Tensor]] = {}
    for parameter in method.parameters():
        if parameter.requires_grad:
            groups.setdefault(fast.get(id(parameter), 1.0), []).append(parameter)
    return OPTIMIZERS[name]([{"params": members, "rate_factor": factor} for factor, members in groups.items()], weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, times each group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


class LARS(torch.optim.Optimizer):
    """SGD with momentum whose step is scaled, weight by weight tensor, to the size of what it changes.

    After You et al. 2017, arXiv:1708.03888, Algorithm 1: with gradient g, weights w and decay b, the local rate is
    trust * |w| / |g + b w|, as in MoCo v3's code; the paper divides by |g| + b |w|. What has one dimension (biases, BatchNorm) is neither decayed nor scaled, as SimCLR
    (Chen et al. 2020, App. B) and BYOL (Grill et al. 2020, sec. 3.3) have it.

    Args:
        trust: how large a step may be, as a share of the weights' own length; 0.001 in the paper.
    """

    def __init__(self, params, weight_decay: float = 0.0, momentum: float = SGD_MOMENTUM, trust: float = 1e-3):
        super().__init__(params, {"lr": 1.0, "weight_decay": weight_decay, "momentum": momentum, "trust": trust})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                step = w.grad
                if w.ndim > 1:
                    step = step.add(w, alpha=group["weight_decay"])
                    length, step_length = w.norm(), step.norm()
                    known = (length > 0) & (step_length > 0)  # a tensor of zeros has no size to go by
                    step = step * torch.where(known, group["trust"] * length / step_length, 1.0)
                velocity = self.state[w].setdefault("velocity", torch.zeros_like(w))
                velocity.mul_(group["momentum"]).add_(step, alpha=group["lr"])
                w.sub_(velocity)


OPTIMIZERS = {
    "adamw": lambda groups, decay: torch.optim.AdamW(groups, weight_decay=decay, fused=True),
    "sgd": lambda groups, decay: torch.optim.SGD(groups, lr=1.0, momentum=SGD_MOMENTUM, nesterov=True, weight_decay=decay, fused=True),
    "lars": lambda groups, decay: LARS(groups, decay),
}
