"""Near duplicates: the same picture again, saved anew, resized, or with other brightness by a little.

Copies in two splits make an encoder look better than it is, whatever it has learned. So this compares pixels, not
features: an encoder that finds two different pictures alike does not make them copies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.data import to_float
from cl_course.values import instance

COARSE, FINE = 8, 32  # pixels a side at which the most similar picture is searched for, and compared
TOLERANCE = 0.15  # of a picture's contrast: saving as JPEG and resizing change about 0.05, another picture 1 or more
ROUNDING = 1 / 255
CELLS = 1 << 24  # of a table of distances: 64 MB


def near_duplicates(images: Tensor) -> Tensor:
    """Pairs of images that show the same picture: (p, 2), each with the earlier image second.

    Every image is compared with the one before it that is most similar as a thumbnail. They are near duplicates if
    their root mean square difference is at most 15 % of the image's contrast (the standard deviation of its pixels),
    or one level of 255. An image stands first in at most one pair. Mirrored and cropped copies are not found.

    Args:
        images: uint8 (n, 3, h, w).
    """
    if len(instance("images", images, Tensor, "an ImageSet has them as .images")) < 2:
        return torch.empty(0, 2, dtype=torch.int64)
    coarse = _thumbnails(images, COARSE)
    coarse = coarse - coarse.mean(dim=0)  # small numbers, so that rounding does not hide small distances
    square = coarse.square().sum(dim=1)
    nearest = torch.zeros(len(images), dtype=torch.int64)
    for rows in torch.arange(1, len(images)).split(max(1, CELLS // len(images))):
        last = int(rows[-1])
        distance = torch.addmm(square[:last], coarse[rows], coarse[:last].T, alpha=-2)  # less the row's own square
        later = torch.arange(last) >= rows[:, None]
        nearest[rows] = distance.masked_fill_(later, torch.inf).argmin(dim=1)
    pairs = torch.stack([torch.arange(len(images)), nearest], dim=1)[1:]
    return torch.cat([part[_alike(images[part[:, 0]], images[part[:, 1]])] for part in pairs.split(1000)])


def _alike(images: Tensor, others: Tensor) -> Tensor:
    one, other = _thumbnails(images, FINE), _thumbnails(others, FINE)
    difference = (one - other).square().mean(dim=1).sqrt()
    return difference <= TOLERANCE * one.std(dim=1) + ROUNDING


def _thumbnails(images: Tensor, side: int) -> Tensor:
    """Float images (n, 3 side side); of wide ones stretched."""
    return torch.cat([F.adaptive_avg_pool2d(to_float(part), side).flatten(1) for part in images.split(500)])
