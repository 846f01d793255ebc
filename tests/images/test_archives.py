"""Small archives in the exact formats of CIFAR-10 and STL-10, read by ours and by torchvision's reader."""

import hashlib
import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from archive_files import CLASSES, cifar10_files, pickled, tarred

from cl_course import data
from cl_course.images import cache
from cl_course.images.archives import CIFAR10_MD5, STL10_MD5, Cifar10, Stl10, _tickets


class TheirCifar10(torchvision.datasets.CIFAR10):
    def _check_integrity(self):
        return True

    @property
    def meta(self):
        return {"filename": "batches.meta", "key": "label_names", "md5": CIFAR10_MD5["batches.meta"]}


class TheirStl10(torchvision.datasets.STL10):
    def _check_integrity(self):
        return True


def assert_same(decoded, theirs, n):
    assert len(decoded.images) == len(theirs) == n
    for i, (image, label) in enumerate(theirs):
        assert np.array_equal(decoded.images[i].transpose(1, 2, 0), np.asarray(image)), i
        assert (-1 if decoded.labels is None else decoded.labels[i]) == label
    assert decoded.class_names == tuple(theirs.classes) == CLASSES


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py"])
@pytest.mark.parametrize("part, n", [("train", 200), ("test", 40)])
def test_cifar10_is_what_torchvision_reads(root, name, part, n):
    assert_same(Cifar10(root / name).read(part), TheirCifar10(root, train=part == "train"), n)


@pytest.mark.parametrize("name", ["stl10_binary.tar.gz", "stl10_binary"])
@pytest.mark.parametrize("part, n", [("train", 60), ("test", 20), ("unlabeled", 510)])
def test_stl10_is_what_torchvision_reads(root, name, part, n):
    assert_same(Stl10(root / name).read(part), TheirStl10(root, split=part), n)


def test_the_checksums_are_torchvisions():
    theirs = torchvision.datasets.CIFAR10
    assert dict([*theirs.train_list, *theirs.test_list]) | {theirs.meta["filename"]: theirs.meta["md5"]} == CIFAR10_MD5
    theirs = torchvision.datasets.STL10
    assert dict([*theirs.train_list, *theirs.test_list]) == STL10_MD5


def test_load_splits_validation_off(root):
    train, val, test = (data.load("cifar10", split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (180, 20, 40)
    assert train.labels.bincount().tolist() == [18] * 10 and val.labels.bincount().tolist() == [2] * 10
    whole = Cifar10(root / "cifar-10-python.tar.gz").read("train")
    assert sorted(image.tobytes() for image in whole.images) == sorted(
        image.numpy().tobytes() for image in torch.cat([train.images, val.images])
    )
    assert torch.equal(val.images, data.load("cifar10", "val", seed=7).images)  # the split does not depend on the seed

    some = data.load("cifar10", "train", limit=50)
    assert some.labels.bincount().tolist() == [5] * 10 and set(map(bytes, some.images.numpy())) < set(
        map(bytes, train.images.numpy())
    )

    sizes = {split: len(data.load("stl10", split)) for split in ("train", "val", "test", "unlabeled")}
    assert sizes == {"train": 50, "val": 10, "test": 20, "unlabeled": 510}
    assert data.load("stl10", "unlabeled").labels is None


def test_pretraining_images_are_all_that_may_be_learned_from_and_have_no_labels(root):
    cifar, stl = (data.pretraining_images(name) for name in ("cifar10", "stl10"))
    assert cifar.labels is None and torch.equal(cifar.images, data.load("cifar10", "train").images)
    assert stl.labels is None and torch.equal(
        stl.images, torch.cat([data.load("stl10", split).images for split in ("train", "unlabeled")])
    )
    assert len(data.pretraining_images("stl10", limit=20)) == 20  # training images first
    assert torch.equal(
        data.pretraining_images("stl10", limit=53).images,
        torch.cat([data.load("stl10", "train").images, data.load("stl10", "unlabeled", limit=3).images]),
    )
    shapes = data.pretraining_images("shapes", limit=9, seed=2)
    assert (
        shapes.labels is None
        and shapes.masks is None
        and torch.equal(shapes.images, data.load("shapes", "train", limit=9, seed=2).images)
    )


def test_an_unknown_split_lists_those_there_are(root):
    with pytest.raises(ValueError, match="cifar10 has no split 'unlabeled'; it has train, val, test$"):
        data.load("cifar10", "unlabeled")


def test_the_archive_comes_before_the_folder_and_the_named_folder_before_the_cache(root, tmp_path, monkeypatch):
    assert data.find("cifar10") == root / "cifar-10-python.tar.gz"
    monkeypatch.setenv("CL_COURSE_DATA", str(tmp_path))
    shutil.copytree(root / "cifar-10-batches-py", tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar10-jpeg.zip").touch()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cifar-10-python.tar.gz").touch()
    assert data.find("cifar10") == tmp_path / "cifar-10-batches-py"
    shutil.rmtree(tmp_path / "cifar-10-batches-py")
    assert data.find("cifar10") == tmp_path / "cifar10-jpeg.zip"
    (tmp_path / "cifar10-jpeg.zip").unlink()
    assert data.find("cifar10") == tmp_path / "cache" / "cifar-10-python.tar.gz"
    assert data.find("stl10") is None
    monkeypatch.setenv("CL_COURSE_DATA", str(tmp_path / "misspelt"))
    with pytest.raises(FileNotFoundError, match="misspelt, which is not a folder"):
        data.find("cifar10")


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "stl10_binary.tar.gz"])
def test_a_truncated_archive_is_named(root, tmp_path, name):
    cut = tmp_path / name
    cut.write_bytes((root / name).read_bytes()[:-3000])
    reader = Cifar10(cut) if "cifar" in name else Stl10(cut)
    with pytest.raises(ValueError, match=f"{name}.*delete"):
        reader.read(reader.parts[-1])


def test_changed_content_is_refused(root, archives, tmp_path):
    changed = bytearray(archives[1]["cifar-10-batches-py"]["test_batch"])
    changed[200] ^= 1
    path = tarred(
        "cifar-10-batches-py",
        archives[1]["cifar-10-batches-py"] | {"test_batch": bytes(changed)},
        tmp_path / "a.tar.gz",
    )
    with pytest.raises(ValueError, match="test_batch in .*a.tar.gz has the md5"):
        Cifar10(path).read("test")
    Cifar10(path).read("train")
    with pytest.raises(ValueError, match="train_X.bin in .* has the md5"):
        changed = archives[1]["stl10_binary"] | {"train_X.bin": bytes(60 * 3 * 96 * 96)}
        Stl10(tarred("stl10_binary", changed, tmp_path / "b.tar.gz")).read("train")


def test_an_archive_without_a_file_is_named(root, archives, tmp_path):
    files = {name: content for name, content in archives[1]["cifar-10-batches-py"].items() if name != "data_batch_3"}
    with pytest.raises(ValueError, match="lacks data_batch_3"):
        Cifar10(tarred("cifar-10-batches-py", files, tmp_path / "a.tar.gz")).read("train")
    shutil.copytree(root / "stl10_binary", tmp_path / "stl10_binary")
    (tmp_path / "stl10_binary" / "test_y.bin").unlink()
    with pytest.raises(ValueError, match="test_y.bin"):
        Stl10(tmp_path / "stl10_binary").read("test")


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("harmed",))


@pytest.mark.parametrize(
    "content",
    [{"data": Harmful()}, {"data": np.array([Harmful()], dtype=object)}, eval],
    ids=["object", "in an array", "a function"],
)
def test_a_pickle_that_names_anything_else_is_refused(content, monkeypatch, tmp_path, root):
    """Even with the right checksum."""
    monkeypatch.chdir(tmp_path)
    harmful = pickled(content)
    monkeypatch.setitem(CIFAR10_MD5, "test_batch", hashlib.md5(harmful).hexdigest())
    path = tarred("cifar-10-batches-py", cifar10_files() | {"test_batch": harmful}, tmp_path / "a.tar.gz")
    with pytest.raises(ValueError, match="no CIFAR-10 batch needs"):
        Cifar10(path).read("test")
    assert not (tmp_path / "harmed").exists()


def decodings(monkeypatch) -> list[str]:
    """Every part that is decoded from now on, in turn."""
    seen, read = [], Cifar10.read
    monkeypatch.setattr(Cifar10, "read", lambda self, part: seen.append(part) or read(self, part))
    return seen


def test_each_part_is_decoded_once_and_only_when_needed(root, monkeypatch):
    seen = decodings(monkeypatch)
    first = data.load("cifar10", "test")
    again = data.load("cifar10", "test")
    assert seen == ["test"]
    assert (
        torch.equal(first.images, again.images)
        and torch.equal(first.labels, again.labels)
        and first.class_names == again.class_names
    )
    data.load("cifar10", "val"), data.load("cifar10", "train", limit=10)
    assert seen == ["test", "train"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no tensors"),
    ],
)
def test_a_damaged_cache_is_made_again(root, tmp_path, monkeypatch, harm):
    seen = decodings(monkeypatch)
    whole = data.load("cifar10", "test")
    (kept,) = (tmp_path / "cache" / "decoded").glob("*.safetensors")
    harm(kept)
    assert torch.equal(data.load("cifar10", "test").images, whole.images)
    assert seen == ["test", "test"]


def test_a_cache_of_other_files_or_another_version_is_made_again(root, tmp_path, monkeypatch):
    seen = decodings(monkeypatch)
    own = tmp_path / "own"
    shutil.copytree(root / "cifar-10-batches-py", own / "cifar-10-batches-py")
    monkeypatch.setenv("CL_COURSE_DATA", str(own))
    data.load("cifar10", "test")
    (own / "cifar-10-batches-py" / "test_batch").touch()
    data.load("cifar10", "test")
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    data.load("cifar10", "test")
    assert seen == ["test"] * 3


def test_a_killed_decoding_leaves_nothing(root, tmp_path, monkeypatch):
    def killed(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        data.load("cifar10", "test")
    assert not [path for path in (tmp_path / "cache" / "decoded").iterdir() if path.suffix != ".lock"]


def test_tickets_are_the_same_at_every_decoding():
    assert _tickets(3).tolist() == pytest.approx([0.6369616873, 0.2697867138, 0.0409735239])


def test_a_folder_in_an_archive_is_no_file_of_it(root, tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar10_files().items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            if name == "test_batch":
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(ValueError, match="lacks test_batch"):
        Cifar10(path).read("test")


@pytest.mark.parametrize("names", [b"", b"airplane\nbird\n", b"\xff\xfe\x00"])
def test_class_names_of_stl10_that_are_cut_or_damaged_are_refused(root, archives, tmp_path, names):
    changed = archives[1]["stl10_binary"] | {"class_names.txt": names}
    with pytest.raises(ValueError, match="class_names.txt in .* names, not 10; delete it"):
        Stl10(tarred("stl10_binary", changed, tmp_path / "a.tar.gz")).read("train")


def test_an_archive_without_the_right_to_read_it_is_not_to_be_deleted(tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-python.tar.gz"

    def denied(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("tarfile.open", denied)
    with pytest.raises(PermissionError, match="cannot be read .Permission denied.; give yourself the right") as error:
        Cifar10(path).read("train")
    assert "delete" not in str(error.value)
