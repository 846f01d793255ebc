"""The contract between a method and all that trains or watches one."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn


class Method(nn.Module):
    """A network and its loss. A method of your own derives from this, sets `encoder` and overrides `loss`.

    `contrast` is the loss of embeddings z1, z2 alone, so that a large batch can go through the network in chunks; None
    where the loss takes more than z1 and z2 (a predictor, labels, a queue), and chunks are refused.

    Of several processes each gives `loss` its own share of the batch; what compares its images takes all of them with
    `distributed.gather`.
    """

    encoder: nn.Module  # images (n, 3, h, w) -> features h (n, encoder.dim); kept after training
    temperature: float | None = None  # the loss's, for messages about a failed run
    rate_factors: Mapping[str, float] = MappingProxyType({})  # {part: how many times faster than the rest it learns}
    contrast: Callable[[Tensor, Tensor], Tensor] | None = None
    norm_groups: int = 1  # into how many groups BatchNorm cuts the batch of all processes
    uses_labels: bool = False  # whether `loss` takes the images' labels, int64 (n,), as a third argument

    def embeddings(self, view1: Tensor, view2: Tensor) -> tuple[Tensor, Tensor]:
        """z1, z2 (n, d), row i of both from image i; the features themselves, unless a method has heads."""
        return self.encoder(torch.cat([view1, view2])).chunk(2)

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        """What a training step minimises, a scalar, from two views (n, 3, h, w) of the same images."""
        raise NotImplementedError(f"{type(self).__name__} has no loss; define loss(self, view1, view2)")

    def chance(self, n: int) -> float:
        """The loss of guessing at a batch of n images; NaN where it is not known."""
        return math.nan

    def after_step(self) -> None:
        """What follows the optimiser's step: nothing, unless a slow copy drifts or a queue moves on."""

    def check_data(self, images: int, batch_size: int) -> None:
        """Raise a ValueError, before training, for a number of images or a batch that the method cannot train on."""


def linear_widths(head: nn.Module) -> tuple[int, int] | None:
    """What a head's first Linear layer takes and its last one gives; None for a head without one, left unchecked."""
    linear = [part for part in head.modules() if isinstance(part, nn.Linear)]
    return (linear[0].in_features, linear[-1].out_features) if linear else None


def check_predictor(projector: nn.Module, predictor: nn.Module) -> None:
    """Raise a ValueError unless the predictor maps z to vectors of the same length."""
    of_projector, of_predictor = linear_widths(projector), linear_widths(predictor)
    if of_projector and of_predictor and of_predictor != (of_projector[1], of_projector[1]):
        raise ValueError(f"the predictor maps vectors of {of_predictor[0]} to vectors of {of_predictor[1]}, but z has "
                         f"{of_projector[1]} dimensions; build it with predictor({of_projector[1]})")


def refuse_one_image(method: Method, batch_size: int) -> None:
    """Raise a ValueError for a batch of one where BatchNorm would compare it with itself."""
    if batch_size < 2 and any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in method.modules()):
        raise ValueError(f"a batch of 1 image is too small for {type(method).__name__} with BatchNorm, which compares "
                         "the images of a batch; take at least 2, better 64")


def refuse_alone(method: Method, batch_size: int) -> None:
    """Raise a ValueError for a batch of one where the loss itself compares images."""
    if batch_size < 2:
        raise ValueError(f"a batch of 1 image is too small for {type(method).__name__}, whose loss compares the images "
                         "of a batch; take at least 2, better 128")


def encoder_of(method: Method) -> nn.Module | None:
    """Its encoder; None where a method of one's own calls it by another name."""
    return getattr(method, "encoder", None)


def check_labels(method: Method, labels: Tensor | None) -> None:
    """Raise a ValueError where a method that uses labels has none, or those of one class only."""
    name = type(method).__name__
    if not method.uses_labels:
        return
    if labels is None:
        raise ValueError(f"{name} learns from labels and these images have none; load a split that has them, such as "
                         "load(source, 'train'), or take a method that needs none, such as SimCLR")
    if len(found := labels.unique()) < 2:
        raise ValueError(f"{name} pulls images of one class together and apart from others, and all these images are "
                         f"of class {int(found[0])}; give it images of at least 2 classes")
