"""The shortcut meter on cases that can be worked out by eye."""

import pytest
import torch

from cl_course.augment import AugmentConfig, two_views
from cl_course.images.shapes import draw
from cl_course.shortcut import FEATURES, colour_histogram, mean_colour, nearest, raw_pixels, shortcut_rate


def flat(*colours):
    return torch.tensor(colours)[:, :, None, None].expand(len(colours), 3, 4, 4)


def test_features_of_a_picture_known_by_eye():
    image = flat([1.0, 0.0, 0.5]).clone()
    image[:, :, :, 2:] = 0.0  # the right half is black
    assert mean_colour(image).tolist() == [[0.5, 0.0, 0.25]]
    histogram = colour_histogram(image).square().view(3, 8)
    assert histogram[0, 0] == pytest.approx(0.5) and histogram[0, 7] == pytest.approx(0.5)  # 1.0 is in the last bin
    assert histogram[1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert histogram[2, 4] == pytest.approx(0.5)
    assert raw_pixels(image).shape == (1, 48)


def test_histogram_by_counting():
    images = torch.rand(3, 3, 5, 7)
    for row, image in zip(colour_histogram(images), images):
        counts = torch.cat([torch.histc(channel, 8, 0, 1) for channel in image]) / 35
        torch.testing.assert_close(row, counts.sqrt())


def test_a_partner_of_the_same_colour_is_found_and_one_of_another_colour_is_not():
    red, green, blue = [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]
    assert nearest(flat(red, green, blue), flat(blue, red, green), mean_colour).tolist() == [1, 2, 0]
    assert shortcut_rate(flat(red, green, blue), flat(red, green, blue), mean_colour) == 1
    assert shortcut_rate(flat(red, green, blue), flat(green, blue, red), mean_colour) == 0
    assert shortcut_rate(flat(red, green, blue), flat(red, blue, green), mean_colour) == pytest.approx(1 / 3)


def test_a_feature_that_tells_nothing_is_at_chance():
    view1, view2 = torch.rand(2, 50, 3, 4, 4)
    assert shortcut_rate(view1, view2, lambda images: torch.zeros(len(images), 1)) == pytest.approx(1 / 50)


def test_crops_alone_leave_the_colours_open_and_the_recipe_closes_them():
    images = torch.from_numpy(draw("val", 0, 256).images).float() / 255
    weak, right = AugmentConfig(jitter=0, grey=0), AugmentConfig()
    for name, feature in FEATURES.items():
        rates = [
            shortcut_rate(*two_views(images, config, torch.Generator().manual_seed(0)), feature)
            for config in (weak, right)
        ]
        assert rates[0] > 0.35 and rates[1] < 0.1, name
    assert shortcut_rate(*two_views(images, weak, torch.Generator().manual_seed(0)), colour_histogram) > 0.9


def test_different_numbers_of_images_are_refused():
    with pytest.raises(TypeError, match="view2"):
        shortcut_rate(torch.rand(4, 3, 8, 8), torch.rand(5, 3, 8, 8), raw_pixels)


def test_features_that_are_nan_find_nobody():
    with pytest.raises(ValueError, match="features must be finite"):
        nearest(torch.rand(2, 3, 4, 4), torch.rand(3, 3, 4, 4), lambda images: images.flatten(1) / 0 * 0)
