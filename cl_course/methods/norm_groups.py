"""With which other images BatchNorm normalises an image: the batch in groups, in order or dealt out.

Several processes share the groups of the whole batch, so that dealing shuffles images across GPUs as MoCo does (He et
al. 2020, arXiv:1911.05722, sec. 3.3). With one group they normalise the whole batch together, and need no shuffle.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.distributed import gather, share


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
    x = gather(x)
    order = torch.arange(len(x), device=x.device)
    if dealt:
        stretch = order * groups // len(x)
        start = (stretch * len(x) + groups - 1) // groups  # where the stretch begins
        order = ((order - start + stretch) % groups).argsort(stable=True)
    own = share(order.tensor_split(groups))
    out = gather(torch.cat([network(x[group]) for group in own]))
    return share(out[gather(torch.cat(own)).argsort()])
