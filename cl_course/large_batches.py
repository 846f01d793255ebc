"""Large batches in small memory: in chunks, or with activations that are computed again.

A backward pass needs all that the network computed on the way. In chunks it never holds more than one chunk's share:
`grad_cache` gives the whole batch's gradient, `accumulate` only that of its chunks. `checkpointed` keeps the inputs of
the encoder's parts alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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


@contextmanager
def checkpointed(encoder: nn.Module | None, wanted: bool = True) -> Iterator[None]:
    """For a while, a backward pass through a ResNet computes its stem and its blocks once more, from their inputs.

    Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): of what a part computes on the way, its input alone
    is kept. The gradient is the same, for one more forward pass. BatchNorm updates its running statistics once, in the
    first pass; torch's `checkpoint` by itself would let the second pass update them again.
    """
    parts = [encoder.stem, *encoder.stages] if wanted else []
    for part in parts:
        once_more = partial(_contexts, part)
        part.forward = partial(checkpoint, part.forward, use_reentrant=False, context_fn=once_more)
    try:
        yield
    finally:
        for part in parts:
            del part.forward


def _contexts(part: nn.Module) -> tuple:
    """What torch's `checkpoint` enters for the first pass and for the second."""
    return nullcontext(), _on_copies_of_buffers(part)


@contextmanager
def _on_copies_of_buffers(part: nn.Module) -> Iterator[None]:
    """What is updated meanwhile, such as running statistics, is a copy that nobody keeps."""
    own = [(layer, *named) for layer in part.modules() for named in layer.named_buffers(recurse=False)]
    for layer, name, buffer in own:
        setattr(layer, name, buffer.clone())
    try:
        yield
    finally:
        for layer, name, buffer in own:
            setattr(layer, name, buffer)
