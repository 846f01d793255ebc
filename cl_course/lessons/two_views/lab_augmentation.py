"""The augmentation lab of lesson 01: a crop box and sliders, eight views, and the shortcut meter.

The lab itself is `lab_augmentation.js`; its mathematics, `augment.js` and `shortcut.js`, are the package's.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import channels_last, data_uri
from cl_course.lessons.two_views.figures import view_sheet
from cl_course.tensor_types import check_images
from cl_course.values import whole

SIDE = 96  # pixels of a photo in the lesson's figures
AUGMENTED = 112  # what is larger is augmented at a half, a third, ... of its size, so that eight views follow a slider
LARGE = 2 * AUGMENTED  # pixels of a photo in the lab
CARDS = 64  # that the meter is read on
_CREDIT = (
    "Photos: china.jpg by danielbuechele, flower.jpg by vultilion (flickr.com/photos/danielbuechele/6061409035, "
    "flickr.com/photos/vultilion/6056698931), CC BY 2.0, shipped with scikit-learn; cut and made smaller here."
)
NOTHING = AugmentConfig(crop=(1, 1), flip=0, jitter=0, grey=0)
PRESETS = {
    "nothing": NOTHING,
    "crop and flip": replace(NOTHING, crop=(0.35, 1), flip=0.5),
    "the recipe": AugmentConfig(),
    "too strong": AugmentConfig(
        crop=(0.03, 0.15), brightness=0.9, contrast=0.9, saturation=0.9, grey=0.5, blur=0.5, solarize=0.3
    ),
}


@cache
def photos(side: int = SIDE) -> dict[str, Tensor]:
    """scikit-learn's two sample photos, cut square at the centre, (3, side, side) in [0, 1]; see `credit`."""
    from sklearn.datasets import load_sample_image

    def prepare(name: str) -> Tensor:
        pixels = torch.from_numpy(load_sample_image(name).copy()).movedim(-1, 0).float() / 255
        h, w = pixels.shape[1:]
        short = min(h, w)
        square = pixels[:, (h - short) // 2 : (h + short) // 2, (w - short) // 2 : (w + short) // 2]
        return F.interpolate(square[None], size=(side, side), mode="bilinear", antialias=True)[0].clamp(0, 1)

    return {"flower": prepare("flower.jpg"), "temple": prepare("china.jpg")}


def credit() -> str:
    """Whose photos they are, and under which licence."""
    return _CREDIT


def enlarge(card: Tensor) -> Tensor:
    """A small card (3, h, w) blown up to about SIDE pixels, pixel by pixel."""
    times = max(1, SIDE // card.shape[-1])
    return card.repeat_interleave(times, dim=-1).repeat_interleave(times, dim=-2)


def draw_views(picture: Tensor, config: AugmentConfig, seed: int, caption: str = "") -> Figure:
    """Eight views of one picture (3, h, w), drawn from `seed`; augmented at its own size, then enlarged for the eye."""
    views = augment(picture.expand(8, -1, -1, -1), config, Generator().manual_seed(seed))
    original, *views = (channels_last(enlarge(p)) for p in (picture, *views))
    return view_sheet(original, np.stack(views), caption)


def augmentation_lab(pictures: Mapping[str, Tensor], cards: Tensor, seed: int = 0) -> None:
    """Drag the crop box, move the sliders, and see eight views; all of it happens in the page.

    Args:
        pictures: name -> picture (3, h, w) in [0, 1], to choose from; one larger than AUGMENTED pixels is augmented at
            a whole fraction of its size.
        cards: (n, 3, h, w) in [0, 1], n at least 2; the shortcut meter is read on the first CARDS of them.
        seed: of the page's own random numbers, which are not torch's.

    Raises:
        TypeError, ValueError: no picture, too few cards, or images of another type, shape or range.
    """
    if not pictures:
        raise ValueError("pictures must name at least one picture, got none; photos() has two")
    for images in (*(picture[None] for picture in pictures.values()), cards):
        check_images(images)
    whole("the number of cards", len(cards), 2, advice="the meter looks for a partner among them")
    whole("seed", seed, 0)
    presets = {name: asdict(config) for name, config in PRESETS.items()}
    shelf = [_shelved(name, picture) for name, picture in pictures.items()]
    defaults = asdict(AugmentConfig())
    page = {"pictures": shelf, "cards": _sprite(cards[:CARDS]), "presets": presets, "defaults": defaults}
    display(page_lab(__file__, "lab_augmentation", **page, recipe=defaults, seed=seed))


def _shelved(name: str, picture: Tensor) -> dict:
    side = max(picture.shape[1:])
    drawn = side < SIDE  # a small card, of which each pixel is to be seen
    times = ceil(side / AUGMENTED)
    return {"name": name, "src": data_uri(channels_last(picture), photo=not drawn), "drawn": drawn, "times": times}


def _sprite(cards: Tensor) -> dict:
    """All cards on one sheet, row by row, with what is needed to cut them apart."""
    n, _, height, width = cards.shape
    columns = ceil(n**0.5)
    places = cards.new_zeros(columns * ceil(n / columns), 3, height, width)
    places[:n] = cards
    rows = channels_last(places).reshape(-1, columns, height, width, 3)
    sheet = rows.transpose(0, 2, 1, 3, 4).reshape(-1, columns * width, 3)
    return {"src": data_uri(sheet, photo=True), "count": n, "columns": columns, "width": width, "height": height}
