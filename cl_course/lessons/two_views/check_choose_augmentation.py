"""Lesson 01: the learner's `my_choice()`, augmentations for a task where the object's colour is the label.

The choice is measured, not compared with a list: on cards of the embedded set, how often each chosen
operation leaves the colour readable, and how often a shortcut that is not the label finds the partner.
"""

import colorsys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment, draw_parameters, greyscale, resized_crop, two_views
from cl_course.data import load, to_float
from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of
from cl_course.shortcut import colour_histogram, raw_pixels, shortcut_rate

COLOURS = ("red", "yellow", "green", "cyan", "blue", "magenta")  # sixths of the circle of hues
KEPT = 0.95  # each operation alone must leave the label right at least this often
OPEN = 0.25  # a shortcut that finds the partner more often than this is open
NOTHING = AugmentConfig(crop=(1, 1), flip=0, jitter=0, brightness=0, contrast=0, saturation=0, hue=0, grey=0)
# operation -> (the fields that make it, what it does to a colour)
OPERATIONS = {
    "hue": (("jitter", "hue"), "turns one colour into another"),
    "grey": (("grey",), "takes all colour away"),
    "solarize": (("solarize",), "turns bright colours into their opposites"),
    "saturation": (("jitter", "saturation"), "bleaches colours until they cannot be told"),
    "brightness": (("jitter", "brightness"), "darkens until no colour is left"),
    "contrast": (("jitter", "contrast"), "flattens everything to one grey"),
    "crop": (("crop", "ratio"), "cuts the object out of the view"),
}


def observe(attempt: Callable[[], AugmentConfig]) -> list[float]:
    """The choice, as numbers; a `Fault` where none came back. An impossible value is AugmentConfig's own error."""
    config = chosen(attempt)
    return [config.hue, config.grey]


def chosen(attempt: Callable[[], AugmentConfig]) -> AugmentConfig:
    config = call(attempt)
    if not isinstance(config, AugmentConfig):
        what = "the class AugmentConfig itself" if config is AugmentConfig else kind_of(config)
        raise Fault(f"an AugmentConfig is expected, {what} came back: return AugmentConfig(crop=..., flip=..., ...).")
    return config


def keeps_the_label_and_closes_shortcuts(attempt: Callable[[], AugmentConfig]) -> str | None:
    config = chosen(attempt)
    faults = [*destroyers(config), *open_shortcuts(config)]
    return " ALSO: ".join(faults) or None


def how_well(attempt: Callable[[], AugmentConfig]) -> str:
    config = chosen(attempt)
    return (
        f"the colour can be told in {100 * label_kept(config):.0f} % of the views. The colour histogram finds "
        f"{100 * _rate(config, colour_histogram):.0f} % of the partners; it is allowed to, since colour is the label."
    )


def destroyers(config: AugmentConfig) -> list[str]:
    """One sentence for each chosen operation that, alone, loses the label too often."""
    sentences = []
    for name, (fields, effect) in OPERATIONS.items():
        kept = label_kept(replace(NOTHING, **{field: getattr(config, field) for field in fields}))
        if kept < KEPT:
            sentences.append(
                f"{name} = {getattr(config, name)} destroys the label: it {effect}, and alone it leaves the colour "
                "right "
                f"in only {100 * kept:.0f} % of the views."
            )
    return sentences


def open_shortcuts(config: AugmentConfig) -> list[str]:
    """One sentence for each shortcut, other than the colour itself, that the choice leaves open."""
    sentences = []
    layout, lightness = _rate(config, raw_pixels), _rate(config, _lightness_histogram)
    if layout > OPEN:
        sentences.append(
            f"a shortcut stays open: raw pixels find the partner of {100 * layout:.0f} % of the cards, so each value "
            "in "
            "its place is enough. Crop more, flip, or jitter more."
        )
    if lightness > OPEN:
        sentences.append(
            "a shortcut stays open: light and dark alone (a histogram of grey values) find the partner of "
            f"{100 * lightness:.0f} % of the cards. Jitter brightness and contrast: they leave the hue as it is."
        )
    return sentences


def label_kept(config: AugmentConfig) -> float:
    """In what share of views the object still shows, and in the colour that its card has."""
    images, masks, colour = _cards()
    generator = Generator().manual_seed(0)
    right = []
    for _ in range(3):  # views of every card
        views = augment(
            images, replace(config, crop=(1, 1), flip=0.0), generator
        )  # in place, so that the mask still fits
        named, strength = _object_colour(views, masks)
        box = draw_parameters(len(images), images.shape[-2:], config, generator)["box"]
        visible = resized_crop(masks.to(images.dtype).expand(-1, 3, -1, -1), box).mean(dim=(1, 2, 3)) > 0.05
        right.append((named == colour) & (strength > 0.06) & visible)  # of a range of 1: below, the eye calls it grey
    return torch.cat(right).float().mean().item()


@cache
def _cards() -> tuple[Tensor, Tensor, Tensor]:
    """Cards (n, 3, h, w) whose colour is no border case, the object's mask (n, 1, h, w), and its colour (n,)."""
    cards = load("shapes", "val", limit=500)
    images, masks = to_float(cards.images), cards.masks[:, None]
    hue = _hue(_object_mean(images, masks))
    clear = ((hue * len(COLOURS) + 0.5) % 1 - 0.5).abs() < 0.3
    return images[clear], masks[clear], _sector(hue[clear])


def _object_colour(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Which of COLOURS the object has on average, and how strong the colour is (largest minus smallest channel)."""
    mean = _object_mean(images, masks)
    return _sector(_hue(mean)), mean.amax(dim=1) - mean.amin(dim=1)


def _object_mean(images: Tensor, masks: Tensor) -> Tensor:
    return (images * masks).sum(dim=(2, 3)) / masks.sum(dim=(2, 3))


def _hue(rgb: Tensor) -> Tensor:
    """In turns, (n,)."""
    return torch.tensor([colorsys.rgb_to_hsv(*colour)[0] for colour in rgb.tolist()])


def _sector(hue: Tensor) -> Tensor:
    return (hue * len(COLOURS)).round().long() % len(COLOURS)


def _rate(config: AugmentConfig, feature: Callable[[Tensor], Tensor]) -> float:
    return shortcut_rate(*two_views(_meter_images(), config, Generator().manual_seed(0)), feature)


@cache
def _meter_images() -> Tensor:
    return to_float(load("shapes", "val", limit=256).images)


def _lightness_histogram(images: Tensor) -> Tensor:
    return colour_histogram(greyscale(images, torch.ones(len(images), dtype=torch.bool)))


choose_augmentation = Exercise(
    name="my_choice",
    observe=observe,
    make=None,
    mistakes=(),
    praise="every operation keeps the colour, and no shortcut other than the colour is open.",
    demands=(keeps_the_label_and_closes_shortcuts,),
    notes=(how_well,),
)
