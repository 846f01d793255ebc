"""The drawn data set: the same bytes everywhere, factors that say what was drawn, masks that show where."""

import colorsys
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from cl_course.images.shapes import CLASS_NAMES, OUTLINES, SPLIT_SIZES, STRIPES, Style, draw

# sha256 of all images, masks and labels of seed 0. It changes with the style, and then every recorded
# number, shipped checkpoint and figure is of another data set.
CHECKSUM = "a9ccd31b549423dd0d0a1f5df931a82d97807d4da8b678f5d9ad00aec575ed4d"
STYLE = Style()


@pytest.fixture(scope="module")
def drawings():
    return {split: draw(split) for split in SPLIT_SIZES}


def test_the_bytes_are_known(drawings):
    found = hashlib.sha256()
    for d in drawings.values():
        for array in (d.images, d.masks, d.labels.astype("<i8")):
            found.update(array.tobytes())
    assert found.hexdigest() == CHECKSUM, f"the drawn data set changed: its checksum is now {found.hexdigest()}"


def test_shapes_and_types(drawings):
    for split, n in SPLIT_SIZES.items():
        d = drawings[split]
        assert (d.images.shape, d.images.dtype) == ((n, 3, 32, 32), np.uint8)
        assert (d.labels.shape, d.labels.dtype) == ((n,), np.int64)
        assert (d.masks.shape, d.masks.dtype) == ((n, 32, 32), bool)
        assert all(len(values) == n for values in d.factors.values())
    assert len(CLASS_NAMES) == len(OUTLINES) == len(STRIPES) == 10


def test_classes_are_balanced_and_mixed(drawings):
    for d in drawings.values():
        assert (np.bincount(d.labels) == len(d.labels) // 10).all()
        assert len(np.unique(d.labels[:100])) == 10  # the first few are no single class


def test_splits_and_seeds_share_nothing(drawings):
    hues = np.concatenate(
        [d.factors["object_hue"] for d in drawings.values()] + [draw("train", seed=1, limit=1000).factors["object_hue"]]
    )
    assert len(np.unique(hues)) == len(hues) == 13_000
    images = {image.tobytes() for d in drawings.values() for image in d.images}
    assert len(images) == 12_000


@pytest.mark.parametrize("limit", [1, 499, 500, 501, 1700])  # drawn 500 at a time
def test_a_limit_gives_the_first_of_the_whole(drawings, limit):
    some, whole = draw("train", limit=limit), drawings["train"]
    assert len(some.images) == len(some.labels) == limit
    assert np.array_equal(some.images, whole.images[:limit])
    assert np.array_equal(some.masks, whole.masks[:limit]) and np.array_equal(some.labels, whole.labels[:limit])
    assert all(np.array_equal(some.factors[name], whole.factors[name][:limit]) for name in whole.factors)


def test_a_limit_beyond_the_end_gives_all(drawings):
    assert np.array_equal(draw("test", limit=10**6).images, drawings["test"].images)


def test_factors_keep_their_ranges_and_fill_them(drawings):
    factors = drawings["train"].factors
    ranges = {
        "object_hue": (0, 1),
        "background_hue": (0, 1),
        "position": (-STYLE.position, STYLE.position),
        "scale": STYLE.scale,
        "angle": (-STYLE.angle, STYLE.angle),
        "gradient": (-STYLE.gradient, STYLE.gradient),
    }
    for name, (low, high) in ranges.items():
        values = factors[name]
        assert low <= values.min() and values.max() <= high, name
        assert values.max() - values.min() > 0.98 * (high - low), name


def test_object_and_background_differ_in_hue(drawings):
    for d in drawings.values():
        apart = np.abs(d.factors["object_hue"] - d.factors["background_hue"])
        assert np.minimum(apart, 1 - apart).min() >= 0.2 - 1e-12


def test_class_and_factors_are_independent(drawings):
    d = drawings["train"]
    for name in ("object_hue", "background_hue", "scale", "angle"):
        means = [d.factors[name][d.labels == c].mean() for c in range(10)]
        expected = d.factors[name].std() / np.sqrt(800)
        assert np.ptp(means) < 6 * expected, name  # ten means of 800: 6 standard errors apart happens once in thousands


def hue_inside(image: np.ndarray, where: np.ndarray) -> float:
    return colorsys.rgb_to_hsv(*(image[:, where].mean(axis=1) / 255))[0]


def turns_apart(a: float, b: float) -> float:
    return abs((a - b + 0.5) % 1 - 0.5)


def test_masks_cover_the_object_and_nothing_else():
    d = draw("val", limit=300, style=replace(STYLE, noise=0.0))
    for i in range(300):
        inside, outside = d.masks[i], ~d.masks[i]
        assert turns_apart(hue_inside(d.images[i], inside), d.factors["object_hue"][i]) < 0.04
        assert turns_apart(hue_inside(d.images[i], outside), d.factors["background_hue"][i]) < 0.04


def test_the_mask_lies_where_position_and_scale_say(drawings):
    """Of a disc: centre and radius, in half-widths of the image, against the factors."""
    d = drawings["train"]
    ticks = (np.arange(32) + 0.5) / 16 - 1
    radius = 0.9 * d.factors["scale"]
    whole = np.abs(d.factors["position"]).max(axis=1) + radius < 1  # not cut off by the edge
    discs = np.flatnonzero((d.labels == CLASS_NAMES.index("disc")) & whole)
    assert len(discs) > 100
    for i in discs:
        rows, columns = np.nonzero(d.masks[i])
        assert abs(ticks[columns].mean() - d.factors["position"][i, 0]) < 0.03
        assert abs(ticks[rows].mean() - d.factors["position"][i, 1]) < 0.03
        assert len(rows) / 256 == pytest.approx(np.pi * radius[i] ** 2, rel=0.05)


def test_an_angle_turns_the_object_clockwise():
    """A square's mask against the square that position, scale and angle describe."""
    d = draw("train", limit=2000)
    squares = np.flatnonzero(
        (d.labels == CLASS_NAMES.index("square"))
        & (np.abs(d.factors["angle"]) > 0.2)
        & (np.abs(d.factors["position"]).max(axis=1) < 0.2)
    )
    ticks = (np.arange(32) + 0.5) / 16 - 1
    assert len(squares) > 10
    for i in squares:
        x, y = ticks[None, :] - d.factors["position"][i, 0], ticks[:, None] - d.factors["position"][i, 1]
        angle, side = d.factors["angle"][i], 0.8 * d.factors["scale"][i]
        u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        expected = (np.abs(u) < side) & (np.abs(v) < side)
        assert (expected != d.masks[i]).mean() < 0.01


def test_every_class_can_be_seen(drawings):
    d = drawings["train"]
    covered = d.masks.mean(axis=(1, 2))
    for c, name in enumerate(CLASS_NAMES):
        assert 0.02 < covered[d.labels == c].min(), name
    assert covered.max() < 0.8


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="no split 'dev'; it has train, val, test"):
        draw("dev")
