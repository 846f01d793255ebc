"""The augmentation lab: the sliders say what the picture shows, and the static figure is the same picture."""

from dataclasses import replace

import pytest
import torch
from torch import Generator

from cl_course.augment import AugmentConfig, augment
from cl_course.data import load, to_float
from cl_course.lessons.two_views.lab_augmentation import (
    NOTHING,
    PRESETS,
    AugmentationLab,
    draw_views,
    enlarge,
    meter,
    photos,
)


@pytest.fixture(scope="module")
def cards():
    return to_float(load("shapes", "val", limit=64).images)


@pytest.fixture
def lab(cards):
    return AugmentationLab({**photos(), "card": cards[0]}, cards)


def test_photos_are_square_and_in_range():
    for photo in photos().values():
        assert photo.shape == (3, 96, 96) and photo.min() >= 0 and photo.max() <= 1 and photo.std() > 0.1


def test_presets_move_the_sliders_and_the_config_follows(lab):
    for name, preset in PRESETS.items():
        next(button for button in lab.presets if button.description == name).click()
        assert lab.config == replace(preset, ratio=lab.config.ratio, blur_sigma=lab.config.blur_sigma)


def test_every_slider_redraws_picture_and_meter(lab):
    lab.set(NOTHING)
    words = lab.words.value
    assert "mean colour 100 %, colour histogram 100 %, raw pixels 100 %" in words and 'role="status"' in words
    lab.sliders["jitter"].value = 1.0  # alone it does nothing more: the strengths come next
    for field, value in {
        "crop": 0.2,
        "largest": 0.5,
        "flip": 1.0,
        "brightness": 0.8,
        "contrast": 0.9,
        "saturation": 1.0,
        "hue": 0.1,
        "grey": 1.0,
        "blur": 1.0,
        "solarize": 1.0,
    }.items():
        before = lab.picture.value
        lab.sliders[field].value = value
        assert lab.picture.value != before, field
        assert bytes(lab.picture.value[:4]) == b"\x89PNG"
    assert lab.words.value != words


def test_crop_sliders_in_either_order_make_a_range(lab):
    lab.sliders["crop"].value, lab.sliders["largest"].value = 0.9, 0.3
    assert lab.config.crop == (0.3, 0.9)


def test_reroll_takes_new_numbers_and_a_seed_brings_the_old_ones_back(lab):
    first = lab.picture.value
    lab.reroll.click()
    assert lab.seed.value == 1 and lab.picture.value != first
    lab.seed.value = 0
    assert lab.picture.value == first


def test_the_lab_redraws_one_figure(lab):
    figure = lab.figure
    lab.which.value = "card"
    lab.which.value = "temple"
    assert lab.figure is figure and len(figure.axes) == 1 and len(figure.axes[0].images) == 1


def test_the_static_figure_shows_what_augment_makes(cards):
    config = AugmentConfig(crop=(0.5, 1))
    figure = draw_views(cards[0], config, seed=3)
    sheet = torch.as_tensor(figure.axes[0].images[0].get_array())
    views = augment(cards[:1].expand(8, -1, -1, -1), config, Generator().manual_seed(3))
    places = (view_place(sheet, place) for place in range(8))
    for place, view in zip(places, views):
        torch.testing.assert_close(place.float(), enlarge(view).movedim(0, -1), atol=1e-6, rtol=0)


def view_place(sheet, i, side=96, columns=4):
    """Where view i lies: two rows of four at the right end, one gap apart and one gap from the edges."""
    gap = sheet.shape[0] - 2 * side
    left = sheet.shape[1] - (columns - i % columns) * (side + gap)
    top = (i // columns) * (side + gap)
    return sheet[top : top + side, left : left + side]


def test_the_meter_is_the_packages(cards):
    rates = meter(cards, NOTHING)
    assert set(rates) == {"mean colour", "colour histogram", "raw pixels"} and all(rate == 1 for rate in rates.values())
