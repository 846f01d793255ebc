"""The shortcut meter: how often a cheap description of the pixels finds an image's partner.

A contrastive loss rewards every difference between two views of one image and the views of other images. If the colours
alone are enough (SimCLR, fig. 6: Chen et al. 2020, arXiv:2002.05709, sec. 3.1), a network need not look at the object.
The meter needs no network, so it can be read before any training.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cl_course.tensor_types import Embeddings, Images, Labels, check_finite, checked, in_float32

BINS = 8  # of a histogram, per channel


@checked
def mean_colour(images: Images) -> Embeddings:
    """The mean red, green and blue of each image, (n, 3)."""
    return images.mean(dim=(2, 3))


@checked
def colour_histogram(images: Images) -> Embeddings:
    """Of each channel, the share of pixels in each of 8 equal bins, as its square root, (n, 24).

    With the square root, the Euclidean distance of two histograms is (up to a factor) Hellinger's, so that the few
    largest bins do not decide alone.
    """
    bins = (images * BINS).floor().clamp(0, BINS - 1)  # a value of exactly 1 belongs to the last bin
    shares = [(bins == b).to(images.dtype).mean(dim=(2, 3)) for b in range(BINS)]  # each (n, 3)
    return torch.stack(shares, dim=2).flatten(1).sqrt()


@checked
def raw_pixels(images: Images) -> Embeddings:
    """All values in a row, (n, 3 h w): a partner is found only in the same place."""
    return images.flatten(1)


FEATURES = {"mean colour": mean_colour, "colour histogram": colour_histogram, "raw pixels": raw_pixels}


@checked
def nearest(queries: Images, candidates: Float[Tensor, "m 3 h w"], feature: Callable) -> Labels:
    """For each query, the row of `candidates` at the smallest Euclidean distance of their features.

    `feature`: images (n, 3, h, w) -> vectors (n, d); one of `FEATURES`, or an encoder.
    """
    of_queries, of_candidates = feature(queries), feature(candidates)
    check_finite("features", of_queries, of_candidates)
    return in_float32(torch.cdist)(of_queries, of_candidates).argmin(dim=1)


@checked
def shortcut_rate(view1: Images, view2: Images, feature: Callable) -> float:
    """The share of images in view1 whose nearest of all n images in view2, by `feature`, is their own partner.

    Row i of both views is image i. 1 / n is chance; near 1, the feature is a shortcut: it solves the task alone.
    """
    partner = torch.arange(len(view1), device=view1.device)
    return (nearest(view1, view2, feature) == partner).float().mean().item()
