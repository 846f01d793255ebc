"""Scenes: the same bytes everywhere, boxes around what is seen, objects whole and hardly covered."""

import hashlib

import numpy as np
import pytest
import torch
from torchvision.ops import masks_to_boxes

from cl_course.data import load, load_splits, parts_of, pretraining_images
from cl_course.images import shapes
from cl_course.images.scenes import MOST, RADII, SIZE, SPLIT_SIZES, boxes_of, draw

# sha256 of all images, of what is seen where, and of the labels, of seed 0: the records of lesson 06b are of these.
CHECKSUM = "e6ea1b51430bc8e4d2a46b5d8d2297fecdce5e6fccbe0768ab6c526f836a1d4b"


@pytest.fixture(scope="module")
def drawings():
    return {split: draw(split) for split in SPLIT_SIZES}


def test_the_bytes_are_known(drawings):
    found = hashlib.sha256()
    for d in drawings.values():
        for array in (d.images, d.shown, d.labels.astype("<i8")):
            found.update(array.tobytes())
    assert found.hexdigest() == CHECKSUM, f"the scenes changed: their checksum is now {found.hexdigest()}"


def test_one_to_four_objects_of_all_classes(drawings):
    for split, n in SPLIT_SIZES.items():
        d = drawings[split]
        assert (d.images.shape, d.images.dtype) == ((n, 3, SIZE, SIZE), np.uint8)
        there = d.labels >= 0
        counts = np.bincount(there.sum(axis=1), minlength=MOST + 1)
        assert counts[0] == 0 and (counts[1:] > 0.15 * n).all()
        assert set(d.labels[there]) == set(range(10)) and d.labels.min() == -1
        assert (np.bincount(d.labels[there]) > 0.07 * there.sum()).all()


def test_what_is_seen_belongs_to_an_object_that_is_there(drawings):
    d = drawings["val"]
    for shown, labels in zip(d.shown, d.labels):
        assert set(np.unique(shown)) - {0} == {j + 1 for j in range(MOST) if labels[j] >= 0}


def test_objects_lie_whole_in_the_scene_and_are_hardly_covered(drawings):
    """Its mask on a card of its own has about as many pixels: little is cut off or covered by another."""
    d = drawings["train"]
    assert not (d.shown[:, [0, -1]].any() or d.shown[:, :, [0, -1]].any()), "no object touches an edge"
    share = np.array([(s == j + 1).sum() for s, labels in zip(d.shown, d.labels) for j in np.nonzero(labels >= 0)[0]])
    alone = shapes.draw("train", limit=2000)
    radius = alone.factors["scale"] * 16
    per_square = alone.masks.sum(axis=(1, 2)) / radius**2  # pixels of an object by the square of its radius
    least = np.array([per_square[alone.labels == c].min() for c in range(10)])
    classes = d.labels[d.labels >= 0]
    assert (share > 0.5 * least[classes] * RADII[0] ** 2).all()


def test_splits_seeds_and_cards_share_nothing(drawings):
    images = {image.tobytes() for d in drawings.values() for image in d.images}
    images |= {image.tobytes() for image in draw("train", seed=1, limit=200).images}
    assert len(images) == sum(SPLIT_SIZES.values()) + 200


@pytest.mark.parametrize("limit", [1, 124, 125, 126, 400])  # drawn 125 at a time
def test_a_limit_gives_the_first_of_the_whole(drawings, limit):
    some, whole = draw("val", limit=limit), drawings["val"]
    for name in ("images", "shown", "labels"):
        assert np.array_equal(getattr(some, name), getattr(whole, name)[:limit])


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="scenes has no split 'unlabeled'; it has train, val, test"):
        load("scenes", "unlabeled")


def test_boxes_are_those_of_torchvision_with_the_last_pixel_inside():
    masks = np.random.default_rng(0).random((20, 9, 12)) < 0.05
    masks[:, 4, 5] = True
    expected = masks_to_boxes(torch.from_numpy(masks)) + torch.tensor([0, 0, 1, 1])
    assert np.array_equal(boxes_of(masks), expected.numpy())
    assert boxes_of(np.eye(3, dtype=bool)[None]).tolist() == [[0, 0, 3, 3]]


def test_a_loaded_scene_has_boxes_labels_and_masks_of_the_same_objects(drawings):
    scenes, d = load("scenes", "val"), drawings["val"]
    assert scenes.labels is None and scenes.class_names == shapes.CLASS_NAMES and len(scenes.objects) == len(scenes)
    for i, one in enumerate(scenes.objects):
        assert one.labels.tolist() == [label for label in d.labels[i] if label >= 0]
        assert torch.equal(one.masks.any(dim=0), scenes.masks[i]) and one.masks.sum(dim=0).max() == 1
        for mask, (x1, y1, x2, y2) in zip(one.masks, one.boxes.int().tolist()):
            assert mask[y1:y2, x1:x2].sum() == mask.sum(), "the box holds all of it"
            assert mask[y1].any() and mask[y2 - 1].any() and mask[:, x1].any() and mask[:, x2 - 1].any(), "and no more"


def test_scenes_go_where_any_set_goes():
    assert parts_of("scenes") == ("train", "val", "test")
    assert {split: len(images) for split, images in load_splits("scenes", limit=3).items()} == dict.fromkeys(
        SPLIT_SIZES, 3
    )
    assert len(pretraining_images("scenes", limit=5)) == 5
