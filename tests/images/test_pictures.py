"""Folders and zips of images: their layout, their one shape, and what is refused."""

import os
import warnings

import numpy as np
import pytest
import torch
from picture_files import encoded, flowers, folder_of, picture, zip_of
from PIL import Image, ImageOps

from cl_course import data
from cl_course.data import load
from cl_course.images import pictures


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))


def rows(images) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize("pack", [folder_of, zip_of])
@pytest.mark.parametrize("before", ["", "mine/", "mine/2026/"])
def test_a_folder_is_cut_80_10_10_in_every_class(tmp_path, pack, before):
    files = flowers(before=before)
    source = pack(tmp_path, files)
    splits = {split: load(source, split) for split in ("train", "val", "test")}
    assert {split: images.labels.bincount().tolist() for split, images in splits.items()} == {
        "train": [16, 16],
        "val": [2, 2],
        "test": [2, 2],
    }
    assert all(images.class_names == ("rose", "tulip") for images in splits.values())
    assert len(set().union(*(rows(images.images) for images in splits.values()))) == 40  # nothing twice, nothing lost
    for images in splits.values():  # every image has its own label, and its own pixels
        for image, label in zip(images.images, images.labels):
            i = [np.asarray(picture(1000 * int(label) + i)).transpose(2, 0, 1).tobytes() for i in range(20)].index(
                image.numpy().tobytes()
            )
            assert 0 <= i < 20
    assert torch.equal(load(str(source), "val", seed=5).images, splits["val"].images)


def test_a_new_picture_moves_few_others(tmp_path):
    files = flowers(100)
    before = rows(load(folder_of(tmp_path, files), "test").images)
    after = rows(load(folder_of(tmp_path, {"rose/aaa.png": encoded(picture(5))}), "test").images)
    assert len(before & after) >= len(before) - 1


def test_split_folders_are_used_and_val_comes_from_train(tmp_path):
    files = (
        flowers(20, "train/")
        | flowers(5, "Test/")
        | {f"unlabeled/{i}.png": encoded(picture(7000 + i)) for i in range(9)}
    )
    source = folder_of(tmp_path, files)
    sizes = {split: len(load(source, split)) for split in ("train", "val", "test", "unlabeled")}
    assert sizes == {"train": 36, "val": 4, "test": 10, "unlabeled": 9}
    assert load(source, "unlabeled").labels is None and load(source, "test").class_names == ("rose", "tulip")
    folder_of(tmp_path, flowers(3, "validation/"))
    assert len(load(source, "train")) == 40 and len(load(source, "val")) == 6
    with pytest.raises(ValueError, match="no split 'dev'; it has train, val, test, unlabeled$"):
        load(source, "dev")


def test_labels_mean_the_same_in_every_split(tmp_path):
    source = folder_of(tmp_path, flowers(10, "train/") | {"test/tulip/0.png": encoded(picture(1))})
    assert load(source, "test").labels.tolist() == [1]


@pytest.mark.parametrize("before", ["", "all/"])
def test_pictures_without_classes_have_no_labels(tmp_path, before):
    images = load(folder_of(tmp_path, {f"{before}{i}.png": encoded(picture(i)) for i in range(20)}), "train")
    assert len(images) == 16 and images.labels is None and images.class_names == ()


def test_layouts_that_say_two_things_are_refused(tmp_path):
    with pytest.raises(ValueError, match="beside them, 1 images in none, such as loose.png"):
        load(folder_of(tmp_path, flowers(2) | {"loose.png": encoded(picture(1))}), "train")
    with pytest.raises(ValueError, match=r"split folders \(train\) beside others \(extra\)"):
        load(zip_of(tmp_path, flowers(2, "train/") | flowers(2, "extra/")), "train")

    with pytest.raises(ValueError, match=r"the classes of val \(images\) are none of train's \(rose, tulip\)"):
        load(zip_of(tmp_path, flowers(2, "train/") | flowers(2, "val/", ["images"])), "val")
    with pytest.raises(ValueError, match="val and valid has class folders and, beside them, 1 images in none"):
        load(
            zip_of(tmp_path, flowers(2, "train/") | flowers(2, "val/") | {"valid/loose.png": encoded(picture(1))}),
            "val",
        )


def test_one_folder_in_every_split_is_no_class(tmp_path):
    images = load(zip_of(tmp_path, flowers(10, "train/", ["images"]) | flowers(3, "test/", ["images"])), "test")
    assert len(images) == 3 and images.labels is None and images.class_names == ()


def test_other_words_for_val_are_one_split(tmp_path):
    source = folder_of(
        tmp_path,
        flowers(10, "train/") | flowers(3, "valid/") | {f"val/rose/x{i}.png": encoded(picture(i)) for i in range(2)},
    )
    assert load(source, "val").labels.bincount().tolist() == [5, 3]


def test_capitals_do_not_matter(tmp_path):
    source = folder_of(tmp_path, {f"Train/{name}".upper(): content for name, content in flowers(10).items()})
    assert len(load(source, "train")) == 18 and len(load(source, "val")) == 2


@pytest.mark.parametrize(
    "written", [lambda name: name.replace("/", "\\"), lambda name: f"./{name}"], ids=["backslashes", "dot"]
)
def test_a_zip_may_write_its_paths_in_other_ways(tmp_path, written):
    files = flowers(10) | {"__MACOSX/rose/000.png": b"", "rose/.000.png": b""}
    images = load(zip_of(tmp_path, {written(name): content for name, content in files.items()}), "train")
    assert images.labels.bincount().tolist() == [8, 8] and images.class_names == ("rose", "tulip")


def test_a_fault_of_the_machine_is_no_broken_image(tmp_path, monkeypatch):
    source, decode = folder_of(tmp_path, flowers(10)), pictures.decode
    for fault in (OSError(24, "Too many open files"), MemoryError()):

        def failing(*given, fault=fault):
            raise fault

        monkeypatch.setattr(pictures, "decode", failing)
        with pytest.raises(type(fault)):
            load(source, "train")
    monkeypatch.setattr(pictures, "decode", decode)
    assert len(load(source, "train")) == 16


def test_any_name_will_do(tmp_path):
    source = folder_of(tmp_path, flowers(10) | {os.fsdecode(b"rose/caf\xe9.png"): encoded(picture(5))})
    odd = source.rename(tmp_path / (os.fsdecode(b"caf\xe9") + 200 * "x"))
    assert len(load(odd, "train")) == 17


def test_images_of_one_size_stay_as_they_are(tmp_path):
    source = folder_of(tmp_path, {f"{i}.png": encoded(picture(i, (40, 30))) for i in range(10)})
    assert load(source, "train").images.shape == (8, 3, 30, 40)
    assert load(source, "train", size=16).images.shape == (8, 3, 16, 16)


@pytest.mark.parametrize("sizes", [[(40, 30), (30, 40)], [(300, 300)]], ids=["mixed", "large"])
def test_other_images_become_96_by_96(tmp_path, sizes):
    source = zip_of(tmp_path, {f"{i}.png": encoded(picture(i, sizes[i % len(sizes)])) for i in range(10)})
    assert load(source, "train").images.shape == (8, 3, 96, 96)


def test_all_splits_have_one_shape(tmp_path):
    files = {f"train/{i}.png": encoded(picture(i)) for i in range(10)} | {
        f"test/{i}.png": encoded(picture(i, (20 + i, 20))) for i in range(10)
    }
    source = folder_of(tmp_path, files)
    assert load(source, "train").images.shape[1:] == load(source, "test").images.shape[1:] == (3, 96, 96)


def test_a_cut_is_at_the_centre(tmp_path):
    stripes = np.zeros((40, 120, 3), np.uint8)
    stripes[:, :40, 0] = stripes[:, 40:80, 1] = stripes[:, 80:, 2] = 255  # red, green, blue
    source = folder_of(tmp_path, {f"{i}.png": encoded(Image.fromarray(stripes)) for i in range(10)})
    assert load(source, "train", size=20).images[0, :, 10, 4:16].float().mean(1).tolist() == [0, 255, 0]


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    image = picture(0).convert(mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    source = folder_of(tmp_path, {f"{i}.{form.lower()}": encoded(image, form) for i in range(10)})
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(load(source, "train").images[0].numpy(), expected)


def test_what_is_transparent_is_white(tmp_path):
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    source = folder_of(tmp_path, {f"{i}.png": encoded(image) for i in range(10)})
    assert (load(source, "train").images == 255).all()


def test_every_kind_of_transparency_is_white(tmp_path):
    grey, keyed = Image.new("LA", (20, 20), (0, 0)), Image.new("RGB", (20, 20), (255, 0, 0))
    files = {f"{i}.png": encoded(grey) for i in range(10)} | {
        f"k{i}.png": encoded(keyed, transparency=(255, 0, 0)) for i in range(10)
    }
    assert (load(folder_of(tmp_path, files), "train").images == 255).all()


def test_scaling_down_averages(tmp_path):
    big = picture(0, (24, 24)).resize((384, 384), Image.Resampling.BICUBIC)
    exact = np.asarray(ImageOps.fit(big, (96, 96), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    source = folder_of(tmp_path, {f"{i}.jpg": encoded(big, "JPEG", quality=95) for i in range(10)})
    assert np.abs(load(source, "train").images[0].numpy().astype(float) - exact).mean() < 2
    board = Image.fromarray(np.indices((200, 200)).sum(0).astype(np.uint8) % 2 * 255)
    assert (
        load(zip_of(tmp_path, {f"{i}.png": encoded(board) for i in range(10)}), "train", size=25).images.float() - 127.5
    ).abs().max() < 10


@pytest.mark.parametrize("size, kept", [((256, 256), (256, 256)), ((257, 257), (96, 96)), ((300, 200), (96, 96))])
def test_the_largest_size_that_stays(tmp_path, size, kept):
    assert (
        load(
            folder_of(tmp_path, {f"{i}.png": encoded(Image.new("RGB", size)) for i in range(10)}), "train"
        ).images.shape[2:]
        == kept[::-1]
    )


def test_a_turned_photo_is_turned_back(tmp_path):
    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:20] = 255  # light above
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned clockwise
    lying = Image.fromarray(upright).rotate(90, expand=True)
    source = folder_of(tmp_path, {f"{i}.jpg": encoded(lying, "JPEG", exif=exif, quality=95) for i in range(10)})
    image = load(source, "train", size=20).images[0].float()
    assert image[:, :8].mean() > 250 and image[:, 12:].mean() < 5
    assert load(source, "train").images.shape == (8, 3, 40, 20)  # its own size, once upright


@pytest.mark.parametrize("pack", [folder_of, zip_of])
def test_broken_images_are_named_skipped_and_counted(tmp_path, pack):
    files = flowers(20)
    files["rose/000.png"] = files["rose/000.png"][:200]
    files["rose/001.png"] = b""
    files["tulip/002.png"] = b"<html>not found</html>"
    files["tulip/003.png"] = encoded(Image.fromarray(np.zeros((20, 20), np.uint16)))
    files["tulip/004.jpg"] = encoded(picture(3), "JPEG")[:-200]
    source = pack(tmp_path, files)
    for _ in range(2):  # decoded, and from the cache
        with pytest.warns(
            UserWarning,
            match=r"5 images cannot be read and are left out: "
            r"rose/000.png: .*truncated, rose/001.png: not an image, tulip/002.png: not an image and 2 more$",
        ):
            images = load(source, "train")
    assert images.labels.bincount().tolist() == [14, 14]
    decoded = pictures.Pictures(source).read("all")
    assert len(decoded.images) == len(decoded.labels) == len(decoded.tickets) == 36
    expected = {np.asarray(picture(i)).transpose(2, 0, 1).tobytes() for i in range(2, 20)}
    assert (
        rows(images.images[images.labels == 0]) < expected
    )  # those that follow a broken one keep their own pixels and labels


def test_nothing_but_broken_images_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="none of the 2 images of .* can be read; the first is a/0.png"):
        load(folder_of(tmp_path, {"a/0.png": b"", "b/1.png": b"x"}), "train")


def test_an_empty_folder_is_an_error(tmp_path):
    for files in ({}, {"notes.txt": b""}):
        (tmp_path / "pics").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="pics holds no images; put files ending in .png"):
            load(folder_of(tmp_path, files), "train")
        with pytest.raises(ValueError, match="holds no images"):
            load(zip_of(tmp_path, files), "train")


def test_too_few_images_for_a_split_is_an_error(tmp_path):
    source = folder_of(tmp_path, {f"{i}.png": encoded(picture(i)) for i in range(2)})
    with pytest.raises(ValueError, match=r"too few images \(2\) for a 'test' split"):
        load(source, "test")


def test_a_class_too_small_to_be_split_is_named(tmp_path):
    source = folder_of(tmp_path, flowers(10) | {"lily/0.png": encoded(picture(1))})
    with pytest.warns(UserWarning, match="'test' has no image of lily, because .*; add images"):
        assert load(source, "test").labels.bincount(minlength=3).tolist() == [0, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(zip_of(tmp_path, flowers(10)), "test")


def test_what_is_no_zip_is_an_error(tmp_path):
    (tmp_path / "pics.zip").write_bytes(b"PK not really")
    with pytest.raises(ValueError, match="pics.zip is not a readable zip"):
        load(tmp_path / "pics.zip", "train")


@pytest.mark.parametrize(
    "entry", ["../outside.png", "rose/../../outside.png", "/etc/outside.png", "..\\outside.png", "C:\\outside.png"]
)
def test_an_entry_that_leaves_the_folder_is_refused_by_name(tmp_path, entry):
    with pytest.raises(ValueError, match="holds the entry .*outside.png', which would land outside"):
        load(zip_of(tmp_path, flowers(3) | {entry: encoded(picture(1))}), "train")
    assert not list(tmp_path.parent.glob("outside*"))


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    source = zip_of(tmp_path, flowers(2) | {"rose/big.png": bytes(2_000_000)})
    assert source.stat().st_size < 20_000
    monkeypatch.setattr(pictures, "MAX_ENTRY", 1_000_000)
    with pytest.raises(ValueError, match="rose/big.png in .* unpacks to 2,000,000 bytes"):
        load(source, "train")
    monkeypatch.setattr(pictures, "MAX_ENTRY", 3_000_000)
    monkeypatch.setattr(pictures, "MAX_UNPACKED", 2_001_000)
    with pytest.raises(ValueError, match=r"pics.zip unpacks to 2,00\d,\d{3} bytes, more than the 2,001,000"):
        load(source, "train")


@pytest.mark.parametrize("pixels", [50 * 50, 30 * 50], ids=["a warning of Pillow's", "an error of Pillow's"])
def test_an_image_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, pixels):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels)
    source = folder_of(tmp_path, flowers(3) | {"rose/bomb.png": encoded(Image.new("RGB", (60, 60)))})
    with pytest.raises(ValueError, match="rose/bomb.png in .* unpacks to more than"):
        load(source, "train")


def test_what_does_not_exist_lists_what_does(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="'cifar100'; take 'shapes', 'scenes', 'cifar10', 'stl10', or the path of a folder"
    ):
        load("cifar100", "train")
    with pytest.raises(ValueError, match="'shapes' is not a data set that lies in a file"):
        data.find("shapes")
    with pytest.raises(ValueError, match="size must be a whole number of at least 1, got 0; it counts pixels"):
        load(folder_of(tmp_path, flowers(3)), "train", size=0)


def test_pictures_that_do_not_fit_into_memory_are_refused_with_a_size_that_does(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "machine_memory", lambda: pictures.COPIES * 8 * 3 * 25 * 25)
    source = folder_of(tmp_path, flowers(4))
    with pytest.raises(ValueError, match=r"8 images of 96 x 96 pixels need .* with size=24 or less") as refused:
        load(source, "train", size=96)
    assert "--size 24" in str(refused.value)
    load(source, "train", size=24)  # as advised
    monkeypatch.setattr(pictures, "machine_memory", lambda: None)  # a system that does not say
    load(source, "train", size=96)


def test_an_encrypted_zip_says_what_to_do(tmp_path):
    path = zip_of(tmp_path, flowers())
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := content.find(mark, place + 1)) >= 0:
            content[place + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is encrypted; unpack it with its password and give the folder"):
        load(path, "train")


def test_a_zip_of_an_unknown_version_is_one_sentence(tmp_path):
    path = zip_of(tmp_path, {"a/1.png": b""})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    with pytest.raises(ValueError, match="pics.zip is not a readable zip file"):
        load(path, "train")
