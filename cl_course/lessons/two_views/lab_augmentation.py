"""The augmentation lab of lesson 01: a slider for each strength, eight views, and the shortcut meter in words."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment, two_views
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import canvas, png
from cl_course.lessons.two_views.figures import view_sheet
from cl_course.shortcut import FEATURES, shortcut_rate

SIZE = 96  # pixels of a picture in the lab
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
CROPS = ("crop", "largest")  # the two sliders of the one field
# field of AugmentConfig -> (label, largest value, what the slider means)
SLIDERS = {
    "crop": ("smallest crop", 1.0, "smallest share of the picture's area that a crop keeps; 1 is no crop"),
    "largest": ("largest crop", 1.0, "largest share of the picture's area that a crop keeps"),
    "flip": ("flip", 1.0, "probability of a mirror image"),
    "jitter": ("jitter", 1.0, "probability that brightness, contrast, saturation and hue change at all"),
    "brightness": ("brightness", 1.0, "largest change of the brightness factor"),
    "contrast": ("contrast", 1.0, "largest change of the contrast factor"),
    "saturation": ("saturation", 1.0, "largest change of the saturation factor"),
    "hue": ("hue", 0.5, "largest turn of the hue, in turns of the colour circle"),
    "grey": ("grey", 1.0, "probability of losing all colour"),
    "blur": ("blur", 1.0, "probability of a blur"),
    "solarize": ("solarize", 1.0, "probability that all bright values are inverted"),
}


@cache
def photos() -> dict[str, Tensor]:
    """scikit-learn's two sample photos, cut square at the centre, (3, 96, 96) in [0, 1]; see `credit`."""
    from sklearn.datasets import load_sample_image

    def prepare(name: str) -> Tensor:
        pixels = torch.from_numpy(load_sample_image(name).copy()).movedim(-1, 0).float() / 255
        h, w = pixels.shape[1:]
        side = min(h, w)
        square = pixels[:, (h - side) // 2 : (h + side) // 2, (w - side) // 2 : (w + side) // 2]
        return F.interpolate(square[None], size=(SIZE, SIZE), mode="bilinear", antialias=True)[0].clamp(0, 1)

    return {"flower": prepare("flower.jpg"), "temple": prepare("china.jpg")}


def credit() -> str:
    """Whose photos they are, and under which licence."""
    return _CREDIT


def enlarge(card: Tensor) -> Tensor:
    """A small card (3, h, w) blown up to about SIZE pixels, pixel by pixel."""
    times = max(1, SIZE // card.shape[-1])
    return card.repeat_interleave(times, dim=-1).repeat_interleave(times, dim=-2)


def draw_views(
    picture: Tensor, config: AugmentConfig, seed: int, caption: str = "", figure: Figure | None = None
) -> Figure:
    """Eight views of one picture (3, h, w), drawn from `seed`; augmented at its own size, then enlarged for the eye."""
    views = augment(picture.expand(8, -1, -1, -1), config, Generator().manual_seed(seed))
    original, *views = (channels_last(enlarge(p)) for p in (picture, *views))
    return view_sheet(original, np.stack(views), caption, figure)


def meter(cards: Tensor, config: AugmentConfig, seed: int = 0) -> dict[str, float]:
    """feature -> how often it alone finds the partner among `cards` (n, 3, h, w)."""
    view1, view2 = two_views(cards, config, Generator().manual_seed(seed))
    return {name: shortcut_rate(view1, view2, feature) for name, feature in FEATURES.items()}


class AugmentationLab:
    """Sliders, and below them eight views; `config` is what the sliders say.

    Args:
        pictures: name -> picture (3, h, w) in [0, 1], to choose from.
        cards: (n, 3, h, w) in [0, 1], which the shortcut meter is read on.
    """

    def __init__(self, pictures: Mapping[str, Tensor], cards: Tensor, seed: int = 0):
        self.pictures, self.cards, self.figure, self.busy = dict(pictures), cards, None, False
        names = {"description_width": "90px"}
        self.sliders = {
            field: widgets.FloatSlider(
                value=0,
                min=0.03 if field in CROPS else 0,
                max=largest,
                step=0.01,
                description=label,
                description_tooltip=meaning,
                style=names,
                layout=widgets.Layout(width="290px"),
            )
            for field, (label, largest, meaning) in SLIDERS.items()
        }
        # Not a Dropdown: its arrow keys would move JupyterLab's cursor to another cell.
        self.which = widgets.ToggleButtons(
            options=list(self.pictures), description="picture", style=names | {"button_width": "auto"}
        )
        self.seed = widgets.BoundedIntText(
            value=seed, min=0, max=10**6, description="seed", style=names, layout=widgets.Layout(width="190px")
        )
        self.reroll = widgets.Button(
            description="Reroll", tooltip="new random numbers, the same strengths", layout=widgets.Layout(width="92px")
        )
        self.presets = [
            widgets.Button(description=name, tooltip=f"set the sliders to: {name}", layout=widgets.Layout(width="auto"))
            for name in PRESETS
        ]
        self.picture = canvas(756)
        self.words = widgets.HTML()

        # Two columns above the picture: beside it they would push it below the screen on a narrow page.
        fields, wrap = list(self.sliders.values()), widgets.Layout(flex_flow="row wrap")
        left, right = widgets.VBox(fields[:6]), widgets.VBox([*fields[6:], widgets.HBox([self.seed, self.reroll])])
        presets = widgets.HBox([widgets.Label("set to:"), *self.presets], layout=wrap)
        self.view = lab_view(
            "Augmentation lab", self.which, widgets.HBox([left, right], layout=wrap), presets, self.picture, self.words
        )
        self.reroll.on_click(lambda _: setattr(self.seed, "value", self.seed.value + 1))
        for button in self.presets:
            button.on_click(lambda pressed: self.set(PRESETS[pressed.description]))
        self.set(PRESETS["the recipe"])
        for control in (self.which, self.seed, *self.sliders.values()):
            control.observe(lambda _: self.redraw(), names="value")

    @property
    def config(self) -> AugmentConfig:
        values = {field: slider.value for field, slider in self.sliders.items()}
        return AugmentConfig(crop=tuple(sorted(values.pop(field) for field in CROPS)), **values)

    def set(self, config: AugmentConfig) -> None:
        """Move all sliders, and draw once."""
        self.busy = True
        for field, slider in self.sliders.items():
            slider.value = config.crop[CROPS.index(field)] if field in CROPS else getattr(config, field)
        self.busy = False
        self.redraw()

    def redraw(self) -> None:
        if self.busy:
            return
        name = self.which.value
        self.figure = draw_views(
            self.pictures[name], self.config, self.seed.value, f"{name}, and eight views of it", self.figure
        )
        self.picture.value = png(self.figure)
        found = ", ".join(
            f"{feature} {100 * rate:.0f} %" for feature, rate in meter(self.cards, self.config, self.seed.value).items()
        )
        n = len(self.cards)
        self.words.value = (
            f'<div role="status"><b>Shortcut meter</b>, partner found among {n} cards by {found}; '
            f"guessing {100 / n:.1f} %.</div>"
        )


def augmentation_lab(pictures: Mapping[str, Tensor], cards: Tensor, seed: int = 0) -> AugmentationLab:
    """Show the lab under the cell; `lab.config` is what its sliders say."""
    lab = AugmentationLab(pictures, cards, seed)
    display(lab.view)
    return lab
