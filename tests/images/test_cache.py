"""What is decoded once is kept whole, and made again when its source has changed."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from picture_files import flowers, folder_of

from cl_course.data import load
from cl_course.images import cache, pictures


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))


def test_a_change_in_the_folder_is_noticed(tmp_path):
    source = folder_of(tmp_path, flowers(20))
    assert len(load(source, "train")) == 32
    folder_of(tmp_path, flowers(30))
    assert len(load(source, "train")) == 48


def test_two_askers_decode_once(tmp_path, monkeypatch):
    source, seen, read = folder_of(tmp_path, flowers(10)), [], pictures.Pictures.read
    monkeypatch.setattr(
        pictures.Pictures, "read", lambda self, part: seen.append(part) or time.sleep(0.2) or read(self, part)
    )
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: load(source, "train"), range(2)))
    assert seen == ["all"]


def test_a_cache_file_appears_at_once_or_not_at_all(tmp_path, monkeypatch):
    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(folder_of(tmp_path, flowers(10)), "train")
    assert [path.suffix for path in (tmp_path / "cache" / "decoded").iterdir()] == [".lock"]


def test_a_full_disk_while_caching_is_one_sentence(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise cache.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(cache, "save_file", full)
    with pytest.raises(
        ValueError, match=r"safetensors cannot be written \(.*No space left.*\); 24,000 bytes are needed: free some"
    ):
        load(folder_of(tmp_path, flowers(10)), "train")
