"""Large batches in small memory: a loss that is streamed, a gradient that is cached, and what plain accumulation gives instead.

`nt_xent` holds the similarities of all 2n views with each other, and a backward pass all that the network
computed on the way. `streamed_nt_xent` never holds the first, `grad_cache` never more than a chunk of the second.
`accumulate` is the usual trick beside them, which saves the same memory but does not add one negative.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.losses import check_temperature, in_float32
from cl_course.tensor_types import Embeddings, Scalar, checked

Embed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # view1, view2 -> z1, z2
Loss = Callable[[Tensor, Tensor], Tensor]  # z1, z2 -> a scalar


@in_float32
@checked
def streamed_nt_xent(z1: Embeddings, z2: Embeddings, temperature: float = 0.5, chunk: int = 256) -> Scalar:
    """`nt_xent` without the 2n x 2n matrix: the same value and gradient from `chunk` rows of it at a time.

    A row's gradient is its softmax less its partner (lesson 02), and is known as soon as the row is. So the forward pass
    adds up value and gradient together and forgets the row: one pass, no recomputation.

    Args:
        z1, z2: embeddings of two views, (n, d), of any length; row i of both is image i.
        temperature: T > 0.
        chunk: rows held at a time; memory grows with chunk * 2n.

    Raises:
        ValueError: `temperature` is not positive, or `chunk` less than 1.
    """
    check_temperature(temperature)
    _check_chunk(chunk)
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    return _StreamedNTXent.apply(z, temperature, chunk)


class _StreamedNTXent(torch.autograd.Function):
    """On normalised views z (2n, d). With P the row-wise softmax, the gradient is (P z + P^T z - 2 z[partner]) / (2n T)."""

    @staticmethod
    def forward(ctx, z: Tensor, temperature: float, chunk: int) -> Tensor:
        views = len(z)
        partner = torch.arange(views, device=z.device).roll(views // 2)
        loss, gradient = z.new_zeros(()), -2 * z[partner]
        for rows in torch.arange(views, device=z.device).split(chunk):
            logits = (z[rows] / temperature) @ z.T  # (chunk, 2n)
            logits[torch.arange(len(rows), device=z.device), rows] = -torch.inf
            total = logits.logsumexp(dim=1, keepdim=True)
            loss += (total - logits.gather(1, partner[rows, None])).sum()
            if ctx.needs_input_grad[0]:
                p = logits.sub_(total).exp_()
                gradient[rows] += p @ z
                gradient.addmm_(p.T, z[rows])
        ctx.save_for_backward(gradient.div_(views * temperature))
        return loss / views

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():  # by create_graph; once_differentiable would let it pass, since `upstream` is no function of z
            raise RuntimeError("streamed_nt_xent has no second derivative; take nt_xent, or leave create_graph out")
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def grad_cache(embed: Embed, loss: Loss, view1: Tensor, view2: Tensor, chunk: int) -> Tensor:
    """The full batch's loss and gradient at the memory of one chunk: GradCache (Gao et al. 2021, arXiv:2101.06983, sec. 3.2).

    First all embeddings, without a graph; then the loss on them, whose gradient with respect to every embedding is
    kept; then chunk by chunk through the network once more, each with its part of that gradient. Costs one more forward pass.

    Adds to the weights' .grad, as backward() does. Whatever treats each image by itself gives the full batch's gradient
    exactly. BatchNorm in training mode does not: it normalises each chunk by the chunk's own statistics, and moves its running ones
    twice. Randomness inside the network (dropout) would differ between the two passes.

    Args:
        embed: view1, view2 of some images -> their z1, z2, such as a method's `embeddings`.
        loss: z1, z2 of all images -> a scalar, such as `nt_xent`.
        view1, view2: (n, 3, h, w); row i of both is image i.
        chunk: images that go through the network at a time.

    Returns:
        The loss of the whole batch, detached.
    """
    _check_chunk(chunk)
    _check_pairs(view1, view2)
    with torch.no_grad():
        z1, z2 = (torch.cat(parts) for parts in zip(*(embed(a, b) for a, b in zip(view1.split(chunk), view2.split(chunk)))))
    z1.requires_grad_(), z2.requires_grad_()
    value = loss(z1, z2)
    cached = torch.autograd.grad(value, (z1, z2))
    for a, b, *gradients in zip(view1.split(chunk), view2.split(chunk), *(g.split(chunk) for g in cached)):
        torch.autograd.backward(embed(a, b), gradients)
    return value.detach()


def accumulate(embed: Embed, loss: Loss, view1: Tensor, view2: Tensor, chunk: int) -> Tensor:
    """Plain gradient accumulation: the mean of the chunks' own losses. Each view meets the negatives of its chunk, and no others.

    Arguments as of `grad_cache`. Adds to the weights' .grad.

    Returns:
        The mean over images of the chunks' losses, detached.
    """
    _check_chunk(chunk)
    _check_pairs(view1, view2)
    total = view1.new_zeros(())
    for a, b in zip(view1.split(chunk), view2.split(chunk)):
        part = loss(*embed(a, b)) * (len(a) / len(view1))
        part.backward()
        total += part.detach()
    return total


def _check_pairs(view1: Tensor, view2: Tensor) -> None:
    if len(view1) != len(view2) or not len(view1):
        raise ValueError(f"row i of both views is image i, at least one, got {len(view1)} and {len(view2)} rows; give two views of the same images")


def _check_chunk(chunk: int) -> None:
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}; the largest that fits into memory is the fastest")
