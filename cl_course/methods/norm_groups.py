"""With which other images BatchNorm normalises an image: the batch in groups, in order or dealt out."""

from collections.abc import Callable

import torch
from torch import Tensor


def in_groups(network: Callable[[Tensor], Tensor], x: Tensor, groups: int, dealt: bool = False) -> Tensor:
    """The network on each group of the batch by itself, as each GPU normalises its own share; answers in x's order.

    Args:
        groups: how many; a group is a stretch of neighbouring rows of the batch.
        dealt: a group takes some rows of every stretch instead, dealt out one by one like cards. Every stretch starts
            at another group, so that the two views of an image, half a symmetric batch apart, fall into two groups. A
            batch comes in random order, so dealing is a shuffle that needs no random numbers of its own, and a run that
            was cut off continues exactly.
    """
    if groups == 1:
        return network(x)
    order = torch.arange(len(x), device=x.device)
    if dealt:
        stretch = order * groups // len(x)
        start = (stretch * len(x) + groups - 1) // groups  # where the stretch begins
        order = ((order - start + stretch) % groups).argsort(stable=True)
    return torch.cat([network(x[group]) for group in order.tensor_split(groups)])[order.argsort()]
