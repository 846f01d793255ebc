"""Folders with links, without permissions, and folders that change while they are read."""

import os

import pytest
import torch
from picture_files import encoded, flowers, folder_of, picture
from PIL import Image

from cl_course.data import load, load_splits
from cl_course.images import pictures


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))


def test_a_linked_folder_is_looked_into_and_a_loop_ends(tmp_path):
    source = folder_of(tmp_path, flowers(10))
    (source / "tulip").rename(tmp_path / "elsewhere")
    (source / "tulip").symlink_to(tmp_path / "elsewhere")
    (source / "rose" / "all").symlink_to(source)
    assert load(source, "train").labels.bincount().tolist() == [8, 8]
    (tmp_path / "elsewhere" / "more.png").write_bytes(encoded(picture(1)))
    assert load(source, "train").labels.bincount().tolist() == [8, 9]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    source, scandir = folder_of(tmp_path, flowers(10)), os.scandir

    def refusing(path):
        if str(path).endswith("tulip"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read all
    with pytest.raises(PermissionError, match="tulip"):
        load(source, "train")


@pytest.fixture
def listed_late(monkeypatch):
    """Calls a function between the listing of a folder and its reading."""

    def between(change):
        read = pictures.Pictures.read
        monkeypatch.setattr(pictures.Pictures, "read", lambda self, part: change() or read(self, part))

    return between


def test_a_picture_that_goes_while_it_is_read_is_named(tmp_path, listed_late, recwarn):
    source = folder_of(tmp_path, flowers(10))
    listed_late(lambda: (source / "rose" / "003.png").unlink(missing_ok=True))
    with pytest.warns(UserWarning, match="1 images cannot be read and are left out: rose/003.png: removed"):
        assert len(load(source, "train")) == 15
    listed_late(lambda: None)
    load(source, "train")
    assert not recwarn  # gone for good, and nothing old comes from the cache


def test_a_picture_that_comes_while_it_is_read_is_there_next_time(tmp_path, listed_late):
    source = folder_of(tmp_path, flowers(10))
    listed_late(lambda: folder_of(tmp_path, {"rose/more.png": encoded(picture(7))}) and None)
    assert len(load(source, "train")) == 16
    listed_late(lambda: None)
    assert len(load(source, "train")) == 17


def test_a_link_that_leads_nowhere_is_named_until_it_does(tmp_path, recwarn):
    source = folder_of(tmp_path, flowers(10))
    (source / "rose" / "link.png").symlink_to(tmp_path / "later.png")
    with pytest.warns(UserWarning, match="rose/link.png: removed while it was read, or a link that leads nowhere"):
        load(source, "train")
    (tmp_path / "later.png").write_bytes(encoded(picture(5)))
    assert len(load(source, "train")) == 17 and not recwarn


def test_a_folder_that_is_linked_twice_is_read_once_whichever_comes_first(tmp_path):
    source = folder_of(tmp_path, flowers(10, classes=("b", "c")))
    (source / "a").symlink_to(source / "b")
    with pytest.warns(UserWarning, match="nothing was taken from a; "):
        assert load(source, "train").class_names == ("b", "c")


def test_pictures_without_read_permission_are_an_error_with_a_remedy(tmp_path, monkeypatch):
    source, opened = folder_of(tmp_path, flowers(10)), pictures.Path.open

    def refusing(self, *mode):
        if self.name == "003.png":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *mode)

    monkeypatch.setattr(pictures.Path, "open", refusing)  # root may read all
    with pytest.raises(PermissionError, match=r"^/.*rose/003.png cannot be read \(Permission denied\); give yourself"):
        load(source, "train", size=20)
    monkeypatch.setattr(pictures.Path, "open", opened)
    assert len(load(source, "train", size=20)) == 16  # the failure was not kept


@pytest.mark.parametrize("shape, mode", [((28, 28), "L"), ((224, 224), "RGB"), ((160, 48), "RGB"), ((48, 160), "L")])
def test_pictures_of_one_size_keep_it_whatever_it_is(tmp_path, shape, mode):
    """Width and height as Pillow gives them."""
    source = folder_of(tmp_path, {f"{k}/{i}.png": encoded(picture(i, shape, mode)) for k in "ab" for i in range(10)})
    images = load(source, "train").images
    assert images.shape == (16, 3, shape[1], shape[0])
    assert mode == "RGB" or (images[:, :1] == images).all()


def test_every_image_knows_its_file(tmp_path):
    folders = {0: "rose", 255: "ros\udce9"}  # green -> its folder; the second is no UTF-8
    files = {f"{folder}/{i:02}.png": encoded(Image.new("RGB", (8, 8), (i, green, 0)))
             for green, folder in folders.items() for i in range(10)}  # fmt: skip
    source = folder_of(tmp_path, files | {"rose/broken.png": b"no image"})
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(UserWarning, match="broken.png"):
            images = load(source, "train")
        for name, pixels in zip(images.names, images.images, strict=True):
            red, green, _ = pixels[:, 0, 0].tolist()
            assert name == f"{folders[green]}/{red:02}.png"
    some = images.subset(torch.tensor([3, 0]))
    assert some.names == (images.names[3], images.names[0])
    assert images.subset(torch.arange(len(images)) == 2).names == (images.names[2],)
    assert load("shapes", "test", limit=2).subset(torch.tensor([0])).names == ()


@pytest.mark.parametrize("layout", ["none", "train and test", "one class", "unlabeled too"])
def test_all_splits_at_once_are_those_that_load_gives(tmp_path, layout):
    files = flowers(12, classes=("rose",) if layout == "one class" else ("rose", "tulip"))
    if layout in ("train and test", "unlabeled too"):
        files = flowers(12, before="train/") | flowers(3, before="test/")
    if layout == "unlabeled too":
        files |= {f"unlabeled/{i}.png": encoded(picture(i)) for i in range(4)}
    source = folder_of(tmp_path, files)
    splits = load_splits(source)
    assert [*splits] == ["train", "val", "test", *["unlabeled"] * (layout == "unlabeled too")]
    for split, images in splits.items():
        alone = load(source, split)
        assert images.names == alone.names and torch.equal(images.images, alone.images)
        assert (images.labels is None) == (alone.labels is None)
    assert sorted(name for images in splits.values() for name in images.names) == sorted(files)
    assert all(len(images) <= 2 for images in load_splits(source, limit=2).values())


def test_all_splits_leave_out_those_without_images(tmp_path):
    splits = load_splits(folder_of(tmp_path, flowers(3, classes=("rose",))))
    assert {split: len(images) for split, images in splits.items()} == {"train": 2, "val": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_and_a_link_to_a_folder_are_left_out(tmp_path):
    folder = folder_of(tmp_path, flowers())
    os.mkfifo(folder / "rose/pipe.png")
    os.symlink("..", folder / "rose/loop.png")
    for name in ("pipe.png", "loop.png"):
        with pytest.raises(ValueError, match="a pipe, a device or a link to a folder"):
            pictures._open_file(folder / "rose" / name)
    with pytest.warns(UserWarning, match="2 images cannot be read"):
        load(folder, "train")
