"""What is decoded once is kept whole, and made again when its source, or a single bit of it, has changed."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from picture_files import encoded, flowers, folder_of, picture
from safetensors.numpy import save_file

from cl_course import files
from cl_course.data import load
from cl_course.images import cache, pictures


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def decoded(monkeypatch):
    """Every part that is decoded from now on, in turn."""
    seen, read = [], pictures.Pictures.read
    monkeypatch.setattr(pictures.Pictures, "read", lambda self, part: seen.append(part) or read(self, part))
    return seen


def kept(tmp_path, ending=".safetensors"):
    (path,) = (tmp_path / "cache" / "decoded").glob(f"*{ending}")
    return path


def test_a_change_in_the_folder_is_noticed(tmp_path, decoded):
    source = folder_of(tmp_path, flowers(20))
    assert len(load(source, "train")) == 32
    folder_of(tmp_path, flowers(30))
    assert len(load(source, "train")) == 48
    (source / "daisy").mkdir()  # a class without pictures
    assert load(source, "train").class_names == ("daisy", "rose", "tulip")
    assert len(decoded) == 3


def test_junk_changes_nothing(tmp_path, decoded):
    source = folder_of(tmp_path, flowers(10))
    load(source, "train")
    folder_of(tmp_path, {".DS_Store": b"new", "rose/Thumbs.db": b"new", "tulip/.ipynb_checkpoints/a.png": b"new"})
    load(source, "train")
    assert decoded == ["all"]


def test_two_askers_decode_once(tmp_path, monkeypatch):
    source, seen, read = folder_of(tmp_path, flowers(10)), [], pictures.Pictures.read
    monkeypatch.setattr(
        pictures.Pictures, "read", lambda self, part: seen.append(part) or time.sleep(0.2) or read(self, part)
    )
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: load(source, "train"), range(2)))
    assert seen == ["all"]


@pytest.mark.parametrize("ending", [".safetensors", ".sha256"])
def test_no_flipped_bit_is_used(tmp_path, decoded, ending):
    """100 single bits, spread over the whole file: its header with what is known of the images, and the pixels."""
    source = folder_of(tmp_path, {name: encoded(picture(i, (6, 6))) for i, name in enumerate(flowers(10))})
    whole, rng = load(source, "val"), random.Random(0)
    path = kept(tmp_path, ending)
    for flip in range(100):
        good = path.read_bytes()
        bit = rng.randrange(8 * len(good) * flip // 100, 8 * len(good) * (flip + 1) // 100)
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        again = load(source, "val")
        assert torch.equal(again.images, whole.images) and torch.equal(again.labels, whole.labels)
        assert len(decoded) == flip + 2, f"bit {bit} of {path.name} was not noticed"
    load(source, "val")
    assert len(decoded) == 101


def test_a_cache_without_its_digest_is_made_again(tmp_path, decoded):
    source = folder_of(tmp_path, flowers(10))
    load(source, "train")
    kept(tmp_path, ".sha256").unlink()
    load(source, "train"), load(source, "train")
    assert decoded == ["all", "all"]


def test_a_cache_of_an_earlier_version_with_other_fields_is_made_again(tmp_path, decoded):
    source = folder_of(tmp_path, flowers(10))
    now = load(source, "train")
    about = {"key": "1 of an earlier version", "class_names": "[]"}
    save_file({"pixels": now.images.numpy()}, kept(tmp_path), metadata=about)
    kept(tmp_path, ".sha256").write_text(files.digest_of(kept(tmp_path)))
    assert torch.equal(load(source, "train").images, now.images)
    assert decoded == ["all", "all"]


def test_a_cache_file_appears_at_once_or_not_at_all(tmp_path, monkeypatch):
    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(folder_of(tmp_path, flowers(10)), "train")
    assert [path.suffix for path in (tmp_path / "cache" / "decoded").iterdir()] == [".lock"]


def test_a_full_disk_while_caching_is_one_sentence(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save_file", full)
    with pytest.raises(
        ValueError, match=r"safetensors cannot be written \(.*No space left.*\); 24,000 bytes are needed: free some"
    ):
        load(folder_of(tmp_path, flowers(10)), "train")
    assert [path.suffix for path in (tmp_path / "cache" / "decoded").iterdir()] == [".lock"]


def test_a_link_to_itself_is_skipped_like_one_that_leads_nowhere(tmp_path):
    source = folder_of(tmp_path, flowers(4))
    os.symlink("loop.png", source / "rose" / "loop.png")
    with pytest.warns(UserWarning, match="loop.png: removed while it was read, or a link that leads nowhere"):
        assert len(load(source, "train"))
