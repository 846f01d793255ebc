"""What the checks of random operations share: a batch of test images, and how an answer is read."""

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Fault, kind_of

N, HEIGHT, WIDTH = 48, 6, 8  # images of a test batch, and their sides
IN_PLACE = (
    "you changed the input in place: the caller's images are altered. Make new tensors (torch.where, a * b, "
    "torch.flip), "
    "or clone first. Operations such as images *= 2, images.clamp_() and images[...] = ... write into the caller's "
    "tensor."
)


def batch(seed: int = 0, n: int = N) -> Tensor:
    return torch.rand(n, 3, HEIGHT, WIDTH, generator=Generator().manual_seed(100 + seed))


def rows_equal(a: Tensor, b: Tensor) -> Tensor:
    return (a == b).flatten(1).all(dim=1)


def expect_images(answer: object, images: Tensor, name: str = "the answer") -> Tensor:
    """The answer in the images' dtype and shape; a `Fault` says what it is instead."""
    if not isinstance(answer, Tensor):
        raise Fault(f"{name} is {kind_of(answer)}; a tensor of the images' shape, (n, 3, h, w), is expected.")
    if answer.shape != images.shape:
        raise Fault(
            f"{name} has the shape {tuple(answer.shape)} for images of {tuple(images.shape)}; the shape must stay."
        )
    return answer.detach().to(images.dtype)
