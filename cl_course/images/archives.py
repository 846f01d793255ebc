"""The archives of CIFAR-10 and STL-10, read in the formats their authors gave them.

Both are read packed, or from the folder they unpack to. Nothing is unpacked to disk, so no entry of an archive can land
anywhere, and each file of images or labels is checked against its md5 before use.
"""

import io
import os
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from cl_course.images.cache import Decoded, Source, refuse
from cl_course.images.pictures import check_room

AGAIN = "delete it, and it will be downloaded again"
# The checksums that torchvision.datasets.CIFAR10 and STL10 hold (a test compares them).
CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
STL10_MD5 = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
}


@dataclass(frozen=True)
class Cifar10(Source):
    """cifar-10-python.tar.gz, or its folder cifar-10-batches-py: pickles of rows of 3 x 32 x 32 bytes."""

    parts: ClassVar = ("train", "test")

    def read(self, part: str) -> Decoded:
        batches = [name for name in CIFAR10_MD5 if name.startswith("data_batch" if part == "train" else "test_batch")]
        found = {}
        with _members(self.path, "cifar-10-batches-py", [*batches, "batches.meta"]) as files:
            for name, file in files:
                content = file.read()
                _check(self.path, name, md5(content, usedforsecurity=False).hexdigest())
                # Written by Python 2, whose strings, array contents too, come back intact as latin1.
                found[name] = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        images = np.concatenate([found[name]["data"] for name in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([found[name]["labels"] for name in batches]).astype(np.int64)
        return Decoded(images, labels, _tickets(len(images)), tuple(found["batches.meta"]["label_names"]))


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dicts, lists, strings, numbers and numpy arrays, and refuses every other name in a pickle."""

    allowed: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],  # wherever this numpy keeps it
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise ValueError(f"the pickle names {module}.{name}, which no CIFAR-10 batch needs; {AGAIN}")
        return self.allowed[module, name]


@dataclass(frozen=True)
class Stl10(Source):
    """stl10_binary.tar.gz, or its folder stl10_binary: bytes (n, 3, 96 columns, 96 rows), labels 1 to 10."""

    parts: ClassVar = ("train", "test", "unlabeled")

    def read(self, part: str) -> Decoded:
        wanted, labels = ["class_names.txt", f"{part}_X.bin", *[f"{part}_y.bin"] * (part != "unlabeled")], None
        with _members(self.path, "stl10_binary", wanted) as files:
            for name, file in files:
                if name == "class_names.txt":
                    class_names = tuple(file.read().decode(errors="replace").split())
                    if len(class_names) != 10:  # the one file without a checksum
                        raise ValueError(f"{name} in {self.path} has {len(class_names)} names, not 10; {AGAIN}")
                elif name.endswith("_y.bin"):
                    content = file.read()
                    _check(self.path, name, md5(content, usedforsecurity=False).hexdigest())
                    labels = np.frombuffer(content, np.uint8).astype(np.int64) - 1
                else:
                    images = self._images(name, file)
        return Decoded(images, labels, _tickets(len(images)), class_names)

    def _images(self, name: str, file: BinaryIO) -> np.ndarray:
        """Images are stored column by column, and read a few at a time: the unlabelled ones are 2.8 GB."""
        n = file.seek(0, os.SEEK_END) // (3 * 96 * 96)
        file.seek(0)
        check_room(n, 96, 96, "take a split with fewer images (on the command line --split train), or another machine")
        images, digest = np.empty((n, 3, 96, 96), np.uint8), md5(usedforsecurity=False)
        for start in range(0, n, 500):
            stop = min(start + 500, n)
            content = file.read((stop - start) * 3 * 96 * 96)
            digest.update(content)
            images[start:stop] = np.frombuffer(content, np.uint8).reshape(-1, 3, 96, 96).swapaxes(2, 3)
        _check(self.path, name, digest.hexdigest())
        return images


@contextmanager
def _members(path: Path, folder: str, wanted: list[str]) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    """The wanted files of an archive, in its order; each stays open until the next is asked for."""

    def from_folder():
        for name in wanted:
            with open(path / name, "rb") as file:
                yield name, file

    def from_archive():
        missing = set(wanted)
        with tarfile.open(path) as archive:
            for entry in archive:
                name = entry.name.removeprefix(f"{folder}/")
                if entry.isfile() and name in missing:
                    missing.discard(name)
                    yield name, archive.extractfile(entry)
                if not missing:
                    return  # the rest need not be unpacked
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; {AGAIN}")

    try:
        yield from_folder() if path.is_dir() else from_archive()
    except PermissionError as problem:  # the file may be whole
        refuse(problem)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as problem:
        raise ValueError(f"{path} cannot be read ({problem}); {AGAIN}") from None


def _check(path: Path, name: str, found: str) -> None:
    expected = (CIFAR10_MD5 | STL10_MD5)[name]
    if found != expected:
        raise ValueError(f"{name} in {path} has the md5 {found}, not {expected}; {AGAIN}")


def _tickets(n: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(0)).random(n)
