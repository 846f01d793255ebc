"""Which augmentations suit a set of pictures: chosen by two meters that need no labels and no training.

An augmentation has to close shortcuts (`cl_course.shortcut`) and must not lead out of the set: a mirrored 2 is none.
Where an augmented picture lies farther from its nearest picture of the set than the pictures lie from each other, the
set tells that this change matters, and so may the label.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.shortcut import FEATURES, mean_colour, shortcut_rate

FAR = 1.25  # times the usual distance: what an operation may lead out of the set
OPEN = 0.25  # of 256 partners: a shortcut that finds more of them is open
MOST = 1000  # pictures that are measured
GREY = 2 / 255  # the largest difference of channels in a grey picture
CROPS = ((0.35, 1.0), (0.2, 1.0), (0.08, 1.0))  # the mildest first
STILL = AugmentConfig(crop=(1, 1), flip=0, jitter=0, brightness=0, contrast=0, saturation=0, hue=0, grey=0)
HUES = {0.5: 0.3, 0.1: 0.2, 0.0: 0.0}  # turns either way -> share of grey views that goes with it


@dataclass(frozen=True)
class Choice:
    """A choice with what it follows from.

    Attributes:
        config: the augmentation.
        reasons: a sentence for each part of it, and for what the reader should look at.
        moved: operation -> how far out of the set it leads, times the usual distance; 1: not at all.
        rates: name of a cheap feature -> share of partners that it finds under `config`.
    """

    config: AugmentConfig
    reasons: tuple[str, ...]
    moved: dict[str, float]
    rates: dict[str, float]


def leads_out(images: Tensor, changed: Tensor, feature: Callable[[Tensor], Tensor]) -> float:
    """How far changed pictures lie from the set, as a multiple of the distance between its own pictures.

    The median distance of a changed picture to the nearest of the *other* pictures, divided by that of the unchanged
    one. About 1 where the change leads to pictures that could belong to the set.

    Args:
        images, changed: (n, 3, h, w) in [0, 1], n at least 2; row i of `changed` comes from row i of `images`.
        feature: images -> (n, d), in which distances are taken.
    """
    before, after = feature(images), feature(changed)
    usual, moved = (
        torch.cdist(h, before).fill_diagonal_(torch.inf).amin(dim=1).median().item() for h in (before, after)
    )
    return moved / max(usual, 1e-6)


def small(images: Tensor) -> Tensor:
    """Each image shrunk to 8 x 8 pixels, (n, 192): what is where, without fine detail."""
    return F.adaptive_avg_pool2d(images, 8).flatten(1)


def is_grey(images: Tensor) -> bool:
    """Whether no pixel has a colour, up to rounding."""
    return float((images.amax(dim=1) - images.amin(dim=1)).max()) <= GREY


def choose(images: Tensor, seed: int = 0) -> Choice:
    """An augmentation for these pictures, by a rule that looks at no label.

    1. Flip, where mirrored pictures could belong to the set.
    2. Hue as wide as the set allows (any hue, a tenth of a turn, or none), and grey views with it; grey pictures get
       brightness and contrast alone.
    3. The mildest crop under which no cheap feature finds more than a quarter of the partners.

    Args:
        images: (n, 3, h, w) in [0, 1], n at least 2; the first MOST are measured.
        seed: of the random changes.
    """
    images = images[:MOST]
    grey = is_grey(images)
    moved = {"flip": leads_out(images, images.flip(-1), small)}
    if not grey:
        moved |= {f"hue {hue:g}": leads_out(images, _turned(images, hue, seed), mean_colour) for hue in HUES if hue}
    flip = moved["flip"] <= FAR
    hue = 0.0 if grey else next(hue for hue in HUES if not hue or moved[f"hue {hue:g}"] <= FAR)
    config = AugmentConfig(flip=0.5 * flip, hue=hue, grey=HUES[hue])
    config = replace(config, saturation=0.0) if grey else config
    for crop in CROPS:
        config = replace(config, crop=crop)
        rates = _rates(images[:256], config, seed)
        if max(rates.values()) <= OPEN:
            break
    return Choice(config, tuple(_reasons(config, grey, moved, rates)), moved, rates)


def _turned(images: Tensor, hue: float, seed: int) -> Tensor:
    return augment(images, replace(STILL, jitter=1, hue=hue), Generator().manual_seed(seed))


def _rates(images: Tensor, config: AugmentConfig, seed: int) -> dict[str, float]:
    view1, view2 = two_views(images, config, Generator().manual_seed(seed))
    return {name: shortcut_rate(view1, view2, feature) for name, feature in FEATURES.items()}


def _reasons(config: AugmentConfig, grey: bool, moved: dict[str, float], rates: dict[str, float]) -> list[str]:
    out = f"{moved['flip']:.2f} times the usual distance from the set"
    if config.flip:
        sentences = [f"Flip: mirrored pictures lie {out}, so they could belong to it."]
    else:
        sentences = [f"No flip: mirrored pictures lie {out}. What is left and right may be the label."]
    if grey:
        sentences.append("Brightness and contrast alone: the pictures are grey.")
    elif config.hue == max(HUES):
        sentences.append(
            f"Any hue, and grey views: turned colours lie {moved['hue 0.5']:.2f} times the usual distance."
        )
    elif config.hue:
        sentences.append(
            f"Little hue: with any hue pictures lie {moved['hue 0.5']:.2f} times the usual distance from the set, with "
            f"a tenth of a turn {moved['hue 0.1']:.2f}. Colour may be part of the label."
        )
    else:
        sentences.append(
            f"No hue, no grey views: a tenth of a turn leads {moved['hue 0.1']:.2f} times the usual distance out of "
            "the set. Colour may be the label."
        )
    name, rate = max(rates.items(), key=lambda item: item[1])
    found = f"the best shortcut, {name}, finds {rate:.0%} of the partners"
    if rate <= OPEN:
        sentences.append(f"Crops from {config.crop[0]:.0%} of the area: {found}.")
    else:
        sentences.append(f"Crops from {config.crop[0]:.0%} of the area, and still {found}: look for copies first.")
    return sentences
