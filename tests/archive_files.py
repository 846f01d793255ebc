"""Fixtures: small archives in the exact formats of CIFAR-10 and STL-10, as their authors' tools wrote them."""

import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cl_course.images.archives import CIFAR10_MD5, STL10_MD5

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class PickleOfPython2(pickle._Pickler):
    """Writes what Python 2 with its numpy wrote: byte strings, and numpy's names of that time."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_string(self, text):
        raw = text if isinstance(text, bytes) else text.encode("latin1")
        self.write((b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, obj, name=None):
        old = {
            np.ndarray: "numpy\nndarray",
            np.dtype: "numpy\ndtype",
            np.empty(0).__reduce__()[0]: "numpy.core.multiarray\n_reconstruct",
        }
        if obj not in old:
            return super().save_global(obj, name)
        self.write(b"c" + old[obj].encode() + b"\n")
        self.memoize(obj)


def pickled(content) -> bytes:
    file = io.BytesIO()
    PickleOfPython2(file).dump(content)
    return file.getvalue()


def cifar10_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {"batches.meta": pickled({"num_cases_per_batch": 40, "label_names": list(CLASSES), "num_vis": 3072})}
    for name in [f"data_batch_{i}" for i in (1, 2, 3, 4, 5)] + ["test_batch"]:
        labels = rng.permutation(np.arange(40) % 10).tolist()
        names = [f"{CLASSES[label]}_{i}.png" for i, label in enumerate(labels)]
        files[name] = pickled(
            {
                "data": rng.integers(0, 256, (40, 3072), np.uint8),
                "labels": labels,
                "batch_label": name,
                "filenames": names,
            }
        )
    return files


def stl10_files() -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    files = {"class_names.txt": "\n".join(CLASSES).encode() + b"\n", "fold_indices.txt": b"0 1\n"}
    for part, n in (("train", 60), ("test", 20), ("unlabeled", 510)):  # more than one chunk of 500
        files[f"{part}_X.bin"] = rng.integers(0, 256, (n, 3, 96, 96), np.uint8).tobytes()
        if part != "unlabeled":
            files[f"{part}_y.bin"] = (rng.permutation(np.arange(n) % 10) + 1).astype(np.uint8).tobytes()
    return files


def tarred(folder: str, files: dict[str, bytes], path: Path) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The two archives, and beside them the folders they unpack to."""
    root = tmp_path_factory.mktemp("archives")
    made = {}
    for filename, folder, files in (
        ("cifar-10-python.tar.gz", "cifar-10-batches-py", cifar10_files()),
        ("stl10_binary.tar.gz", "stl10_binary", stl10_files()),
    ):
        made[folder] = files
        tarred(folder, files, root / filename)
        (root / folder).mkdir()
        for name, content in files.items():
            (root / folder / name).write_bytes(content)
    return root, made


@pytest.fixture
def root(archives, monkeypatch, tmp_path):
    """The archives, with their checksums in place of the real ones."""
    folder, files = archives
    for table, name in ((CIFAR10_MD5, "cifar-10-batches-py"), (STL10_MD5, "stl10_binary")):
        for member in table:
            monkeypatch.setitem(table, member, hashlib.md5(files[name][member]).hexdigest())
    monkeypatch.setenv("CL_COURSE_DATA", str(folder))
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    return folder
