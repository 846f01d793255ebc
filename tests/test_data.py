"""Batches, the drawn shapes through `load`, fair subsets, and the JPEG copy of CIFAR-10."""

import io
import logging
import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from cl_course import data
from cl_course.data import (
    _say_once,
    _splits,
    find,
    load,
    place_in_class,
    shuffled_batches,
    shuffled_steps,
)
from cl_course.images import shapes as synthetic


@pytest.mark.parametrize("n, batch_size, batches", [(10, 3, 3), (9, 3, 3), (3, 3, 1), (5, 1, 5)])
def test_batches_hold_every_index_at_most_once_and_the_short_one_is_dropped(n, batch_size, batches):
    epoch = list(shuffled_batches(n, batch_size, torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in epoch] == [batch_size] * batches
    seen = torch.cat(epoch)
    assert len(seen.unique()) == len(seen) and set(seen.tolist()) <= set(range(n))


def test_batches_are_those_of_the_generator_and_change_every_epoch():
    def epochs(seed):
        generator = torch.Generator().manual_seed(seed)
        return [torch.cat(list(shuffled_batches(100, 10, generator))).tolist() for _ in range(3)]

    assert epochs(0) == epochs(0) != epochs(1)
    assert len({tuple(epoch) for epoch in epochs(0)}) == 3 and list(range(100)) not in epochs(0)
    left_out = {
        (set(range(10)) - set(torch.cat(shuffled_batches(10, 9, torch.Generator().manual_seed(seed))).tolist())).pop()
        for seed in range(100)
    }
    assert len(left_out) == 10  # no image is left out for good


@pytest.mark.parametrize("batch_size", [0, 11, 2.5, True])
def test_a_batch_that_cannot_be_filled_is_an_error_at_once(batch_size):
    sentence = f"batch_size must be a whole number from 1 to 10, got {batch_size}; it is at most the number of images"
    with pytest.raises(ValueError, match=sentence):
        shuffled_batches(10, batch_size, torch.Generator())


def test_shapes_are_what_is_drawn():
    drawing, shapes = synthetic.draw("val", seed=3), load("shapes", "val", seed=3)
    assert len(shapes) == 2000 and shapes.class_names == synthetic.CLASS_NAMES
    assert (
        np.array_equal(shapes.images, drawing.images)
        and np.array_equal(shapes.labels, drawing.labels)
        and np.array_equal(shapes.masks, drawing.masks)
    )
    assert shapes.labels.dtype == torch.int64 and shapes.masks.dtype == torch.bool
    assert shapes.factors.keys() == drawing.factors.keys()
    assert all(
        values.dtype == torch.float32 and np.allclose(values, drawing.factors[name])
        for name, values in shapes.factors.items()
    )
    assert torch.equal(load("shapes", "val", seed=3, limit=70).images, shapes.images[:70])


def test_shapes_have_three_splits():
    with pytest.raises(ValueError, match="shapes has no split 'unlabeled'; it has train, val, test"):
        load("shapes", "unlabeled")


@pytest.mark.parametrize(
    "name, value",
    [
        ("limit", 0),
        ("limit", -5),
        ("limit", 2.5),
        ("size", 0),
        ("size", 20.5),
        ("seed", -1),
        ("seed", 2**32),
        ("seed", 0.5),
        ("limit", True),
        ("size", "32"),
        ("seed", torch.tensor(1)),
    ],
)
def test_a_number_out_of_range_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be a whole number .*, got "):
        load("shapes", "train", **{name: value})


def test_numpys_whole_numbers_are_whole_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    ours = load("shapes", "val", limit=7, seed=3)
    theirs = load("shapes", "val", limit=np.int64(7), seed=np.uint8(3))
    assert torch.equal(ours.images, theirs.images)
    source = packed(tmp_path / "a.zip", {"cat": 10, "dog": 10})
    ours = load(source, "test", limit=8, seed=1, size=6)
    theirs = load(source, "test", limit=np.int16(8), seed=np.int64(1), size=np.uint8(6))
    assert torch.equal(ours.images, theirs.images)
    assert len(list((tmp_path / "cache" / "decoded").glob("*.safetensors"))) == 1  # one and the same source
    assert [len(batch) for batch in shuffled_batches(np.int64(10), np.int32(4), torch.Generator())] == [4, 4]
    assert len(list(shuffled_steps(10, np.int64(4), np.int64(3), torch.Generator()))) == 3


def test_a_split_that_does_not_exist_is_noticed_before_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(data, "fetch", lambda *archive: pytest.fail("nothing is to be downloaded"))
    for source, splits in (("cifar10", "train, val, test"), ("stl10", "train, val, test, unlabeled")):
        with pytest.raises(ValueError, match=f"{source} has no split 'tset'; it has {splits}$"):
            load(source, "tset")


def test_no_name_is_no_folder():
    with pytest.raises(FileNotFoundError, match="no data set and no file ''"):
        load("", "train")


def test_so_many_steps_are_so_many():
    generator = torch.Generator().manual_seed(0)
    for steps, n in ((7, 6), (1, 6), (0, 6), (-3, 6), (4, 1)):
        assert len(list(shuffled_steps(n, 2, steps, generator))) == max(0, steps)


def test_validation_images_are_those_with_the_highest_tickets():
    assert _splits(("train", "test")) == {
        "train": ("train", 0.0, 0.9),
        "val": ("train", 0.9, 1.0),
        "test": ("test", 0.0, 1.0),
    }
    assert _splits(("all",)) == {"train": ("all", 0.0, 0.8), "val": ("all", 0.8, 0.9), "test": ("all", 0.9, 1.0)}


def test_places_are_even_within_each_class():
    labels, tickets = torch.tensor([0, 1, 0, 0, 1, 0]), torch.tensor([0.9, 0.5, 0.1, 0.3, 0.2, 0.4])
    assert place_in_class(labels, tickets).tolist() == [0.875, 0.75, 0.125, 0.375, 0.25, 0.625]


def packed(path, counts: dict[str, int]):
    """A zip of plain images: the value i everywhere, counted through all classes."""
    total = 0
    with zipfile.ZipFile(path, "w") as archive:
        for name, n in counts.items():
            for _ in range(n):
                file = io.BytesIO()
                Image.new("RGB", (4, 4), (total % 256, total // 256, 0)).save(file, "PNG")
                archive.writestr(f"test/{name}/{total:05}.png", file.getvalue())
                total += 1
    return path


def test_a_limit_takes_the_same_share_of_every_class(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    source = packed(tmp_path / "a.zip", {"cat": 100, "dog": 200, "owl": 100})

    def taken(limit, seed=0):
        images = load(source, "test", limit=limit, seed=seed)
        assert len(images) == min(limit, 400)
        return images.labels, set((images.images[:, 0, 0, 0].int() + 256 * images.images[:, 1, 0, 0].int()).tolist())

    for limit in (4, 40, 200, 400, 10_000):
        assert taken(limit)[0].bincount().tolist() == [min(limit, 400) // 4, min(limit, 400) // 2, min(limit, 400) // 4]
    assert max(taken(41)[0].bincount() - torch.tensor([10, 20, 10])) <= 1
    assert taken(40)[1] < taken(41)[1] < taken(200)[1]  # a greater limit adds to a smaller one's
    assert taken(40)[1] == taken(40)[1] != taken(40, seed=1)[1]
    assert taken(3)[0].unique().numel() == 3


CIFAR10 = os.environ.get("CL_COURSE_DATA") and find("cifar10")


@pytest.mark.skipif(not CIFAR10, reason="CL_COURSE_DATA names no folder with CIFAR-10")
@pytest.mark.filterwarnings("error")  # nothing is left out
def test_the_real_cifar10(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path))
    _say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        test = load("cifar10", "test")
        part = load("cifar10", "test", limit=100)
    assert test.images.shape == (10_000, 3, 32, 32) and test.images.dtype == torch.uint8
    assert test.labels.bincount().tolist() == [1000] * 10 and part.labels.bincount().tolist() == [10] * 10
    assert test.class_names == (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    assert find("cifar10") == CIFAR10
    if CIFAR10.suffix == ".zip":
        assert [record.message for record in caplog.records] == [
            "cifar10: reading cifar10-jpeg.zip, a JPEG copy: its pixels are near the original's but not the same"
        ]
        with zipfile.ZipFile(CIFAR10) as archive:
            for label, name, number in ((0, "airplane", 0), (3, "cat", 123), (9, "truck", 999)):
                with archive.open(f"cifar10/test/{name}/{number:04}.jpg") as file:
                    expected = np.asarray(Image.open(file).convert("RGB")).transpose(2, 0, 1)
                assert (
                    np.array_equal(test.images[1000 * label + number], expected)
                    and test.labels[1000 * label + number] == label
                )


def test_a_tilde_that_is_no_users_and_a_link_to_itself(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no data set and no file .~nobody-of-this-name"):
        load("~nobody-of-this-name", "train")
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(FileNotFoundError, match="there is no data set and no file .*loop"):
        load(tmp_path / "loop", "train")
