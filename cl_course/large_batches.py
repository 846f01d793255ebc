"""Large batches in small memory: `grad_cache` gives the whole batch's gradient, `accumulate` only that of its chunks.

A backward pass needs all that the network computed on the way. In chunks it never holds more than one chunk's share.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.tensor_types import in_float32
from cl_course.values import whole

Embed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # view1, view2 -> z1, z2
Loss = Callable[[Tensor, Tensor], Tensor]  # z1, z2 -> a scalar


def grad_cache(embed: Embed, loss: Loss, view1: Tensor, view2: Tensor, chunk: int) -> Tensor:
    """The full batch's loss and gradient at the memory of one chunk: GradCache (Gao et al. 2021, arXiv:2101.06983).

    Sec. 3.2 there: first all embeddings, without a graph; then the loss on them, whose gradient with respect to every
    embedding is kept; then chunk by chunk through the network once more, each with its part of that gradient. This
    costs one more forward pass.

    Adds to the weights' .grad, as backward() does. A network that treats each image by itself gets the full batch's
    gradient exactly. BatchNorm in training mode does not: it normalises each chunk by the chunk's own statistics, and
    updates its running ones twice. Dropout would draw other random numbers in the second pass.

    Args:
        embed: view1, view2 of some images -> their z1, z2, such as a method's `embeddings`.
        loss: z1, z2 of all images -> a scalar, such as `nt_xent`; computed in float32 from half precision.
        view1, view2: (n, 3, h, w); row i of both is image i.
        chunk: images that go through the network at a time.

    Returns:
        The loss of the whole batch, detached.
    """
    pairs = _chunks(view1, view2, chunk)
    with torch.no_grad():
        z1, z2 = (torch.cat(parts) for parts in zip(*(embed(a, b) for a, b in pairs)))
    z1.requires_grad_(), z2.requires_grad_()
    value = in_float32(loss)(z1, z2)
    cached = torch.autograd.grad(value, (z1, z2))
    for (a, b), *gradients in zip(pairs, *(gradient.split(len(pairs[0][0])) for gradient in cached)):
        torch.autograd.backward(embed(a, b), gradients)
    return value.detach()


def accumulate(embed: Embed, loss: Loss, view1: Tensor, view2: Tensor, chunk: int) -> Tensor:
    """Plain gradient accumulation: the mean of the chunks' own losses. A view meets the negatives of its chunk alone.

    Arguments as of `grad_cache`. Adds to the weights' .grad; returns the mean over images of the chunks' losses.
    """
    parts = []
    for a, b in _chunks(view1, view2, chunk):
        part = in_float32(loss)(*embed(a, b)) * (len(a) / len(view1))
        part.backward()
        parts.append(part.detach())
    return torch.stack(parts).sum()


def _chunks(view1: Tensor, view2: Tensor, chunk: int) -> list[tuple[Tensor, Tensor]]:
    chunk = whole("chunk", chunk, 1, advice="the largest that fits into memory is the fastest")
    if len(view1) != len(view2) or not len(view1):
        raise ValueError(f"row i of both views is image i, at least one, got {len(view1)} and {len(view2)} rows; give "
                         "two views of the same images")
    return list(zip(view1.split(chunk), view2.split(chunk)))
