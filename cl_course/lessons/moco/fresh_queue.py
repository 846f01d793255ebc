"""What a loss owes to the age of the queue's keys: the same queries against a queue whose keys were all made now."""

import copy

import torch
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet, to_float
from cl_course.losses import info_nce
from cl_course.methods import MoCo


@torch.no_grad()
def fresh_keys(method: MoCo, images: ImageSet, batch_size: int, augment: AugmentConfig, generator: Generator) -> Tensor:
    """As many keys as the queue holds, (K, dim), all of the key network as it is now, in batches as in training."""
    device, keys, start = method.queue.device, [], 0
    while sum(map(len, keys)) < len(method.queue):
        batch = to_float(images.images[start : start + batch_size]).to(device)
        keys.append(_asked(method, *two_views(batch, augment, generator))[1])
        start = (start + batch_size) % max(1, len(images) - batch_size + 1)
    return torch.cat(keys)[: len(method.queue)]


@torch.no_grad()
def own_and_fresh(
    method: MoCo,
    images: ImageSet,
    queries: ImageSet,
    batch_size: int,
    augment: AugmentConfig,
    batches: int = 8,
    seed: int = 0,
) -> tuple[float, float]:
    """The loss of the same queries and keys against the method's own queue, and against one with fresh keys.

    Args:
        images: whose keys make the fresh queue; queries: whose views ask, at most `batches` of `batch_size`.

    Returns:
        Mean losses in training mode; the method itself stays as it is.
    """
    method, generator = copy.deepcopy(method).train(), Generator().manual_seed(seed)
    fresh, device = fresh_keys(method, images, batch_size, augment, generator), method.queue.device
    losses = []
    for start in range(0, min(batches, max(1, len(queries) // batch_size)) * batch_size, batch_size):
        batch = to_float(queries.images[start : start + batch_size]).to(device)
        q, k = _asked(method, *two_views(batch, augment, generator))
        losses.append([float(info_nce(q, k, queue, method.temperature)) for queue in (method.queue, fresh)])
    own, remade = torch.tensor(losses).mean(dim=0).tolist()
    return own, remade


def _asked(method: MoCo, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys as the method's loss makes them."""
    if method.symmetric:
        view1, view2 = torch.cat([view1, view2]), torch.cat([view2, view1])
    return method.embeddings(view1, view2)
