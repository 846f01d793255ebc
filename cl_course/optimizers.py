"""AdamW and SGD by name, with parts of a method that learn faster than the rest."""

import torch
from torch import Tensor, nn

from cl_course.values import one_of, real


def make_optimizer(method: nn.Module, name: str = "adamw", weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """An optimiser over the weights of a method that take gradients; its rate is set before every step with `set_rate`.

    Args:
        method: a `methods.Method`; its `rate_factors`, {name of a part: factor}, says which parts learn faster.
        name: "adamw", or "sgd" with Nesterov's momentum of 0.9.
    """
    one_of("optimizer", name, tuple(OPTIMIZERS))
    weight_decay = real("weight_decay", weight_decay, least=0, advice="1e-4 to 1e-2 is usual")
    fast = {id(p): factor for part, factor in method.rate_factors.items() for p in getattr(method, part).parameters()}
    groups: dict[float, list[Tensor]] = {}
    for parameter in method.parameters():
        if parameter.requires_grad:
            groups.setdefault(fast.get(id(parameter), 1.0), []).append(parameter)
    parts = [{"params": members, "rate_factor": factor} for factor, members in groups.items()]
    return OPTIMIZERS[name](parts, weight_decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, times each group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


OPTIMIZERS = {
    "adamw": lambda groups, decay: torch.optim.AdamW(groups, weight_decay=decay, fused=True),
    "sgd": lambda groups, decay: torch.optim.SGD(
        groups, lr=1.0, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
    ),
}
