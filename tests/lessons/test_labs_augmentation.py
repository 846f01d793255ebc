"""The augmentation lab: what Python hands to the page, and the lesson's figure of eight views.

The lab itself is tested in a browser: tests/test_page_lab_augmentation.py.
"""

import base64
import io
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator

from cl_course.augment import AugmentConfig, augment
from cl_course.data import load, to_float
from cl_course.lessons.two_views import lab_augmentation
from cl_course.lessons.two_views.lab_augmentation import (
    AUGMENTED,
    LARGE,
    PRESETS,
    augmentation_lab,
    credit,
    draw_views,
    enlarge,
    photos,
)


@pytest.fixture(scope="module")
def cards():
    return to_float(load("shapes", "val", limit=70).images)


@pytest.fixture
def shown(monkeypatch):
    """What a lab has displayed."""
    widgets = []
    monkeypatch.setattr(lab_augmentation, "display", widgets.append)
    return widgets


def pixels(address: str) -> np.ndarray:
    """The picture inside an address, (h, w, 3) in [0, 1]."""
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        return np.asarray(picture) / 255


def test_photos_are_square_and_in_range():
    for side in (96, LARGE):
        for photo in photos(side).values():
            assert photo.shape == (3, side, side) and photo.min() >= 0 and photo.max() <= 1 and photo.std() > 0.1
    assert "CC BY 2.0" in credit()


def test_the_page_gets_pictures_presets_and_the_default_recipe(shown, cards):
    augmentation_lab({**photos(LARGE), "card": cards[0]}, cards, seed=7)
    data = shown[0].data
    flower, temple, card = data["pictures"]
    assert [flower["name"], temple["name"], card["name"]] == ["flower", "temple", "card"]
    assert (flower["times"], flower["drawn"], card["times"], card["drawn"]) == (2, False, 1, True)
    assert np.abs(pixels(card["src"]) - cards[0].movedim(0, -1).numpy()).max() < 1e-6
    assert np.abs(pixels(flower["src"]) - photos(LARGE)["flower"].movedim(0, -1).numpy()).mean() < 0.02
    presets = {name: asdict(config) for name, config in PRESETS.items()}
    assert data["presets"] == presets and data["recipe"] == data["defaults"] == presets["the recipe"]
    assert data["seed"] == 7


def test_the_cards_of_the_meter_lie_on_one_sheet(shown, cards):
    augmentation_lab({"card": cards[0]}, cards[:7])
    sprite = shown[0].data["cards"]
    assert (sprite["count"], sprite["columns"], sprite["width"], sprite["height"]) == (7, 3, 32, 32)
    sheet = pixels(sprite["src"])
    assert sheet.shape == (96, 96, 3)
    for number, card in enumerate(cards[:7]):
        top, left = 32 * (number // 3), 32 * (number % 3)
        found = sheet[top : top + 32, left : left + 32]
        assert np.abs(found - card.movedim(0, -1).numpy()).mean() < 0.04  # JPEG, of noisy cards
    augmentation_lab({"card": cards[0]}, cards)
    assert shown[1].data["cards"]["count"] == 64


def test_all_of_it_is_small(shown, cards):
    augmentation_lab({**photos(LARGE), "card": cards[0], "another": cards[1]}, cards)
    assert len(json.dumps(shown[0].data)) < 120_000


@pytest.mark.parametrize("side, times", [(20, 1), (AUGMENTED, 1), (AUGMENTED + 1, 2), (500, 5)])
def test_a_large_picture_is_augmented_at_a_fraction_of_its_size(shown, cards, side, times):
    augmentation_lab({"mine": F.interpolate(cards[:1], size=(side, side))[0]}, cards)
    picture = shown[0].data["pictures"][0]
    assert picture["times"] == times and side / times <= AUGMENTED
    assert pixels(picture["src"]).shape == (side, side, 3)


def test_what_cannot_be_shown_is_refused(shown, cards):
    with pytest.raises(ValueError, match="pictures must name at least one picture, got none; photos"):
        augmentation_lab({}, cards)
    with pytest.raises(ValueError, match="the number of cards must be a whole number of at least 2, got 1"):
        augmentation_lab({"card": cards[0]}, cards[:1])
    with pytest.raises(TypeError, match="images must be floats in"):
        augmentation_lab({"card": cards[0]}, (255 * cards).byte())
    with pytest.raises(ValueError, match=r"images must be a batch \(n, 3, h, w\)"):
        augmentation_lab({"card": cards[0, :1]}, cards)
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got -1"):
        augmentation_lab({"card": cards[0]}, cards, seed=-1)
    assert shown == []


def test_the_figure_shows_what_augment_makes(cards):
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
