"""Decoded images kept on disk, so that 50,000 JPEGs or a packed archive are decoded once.

One safetensors file for each part of a source: no pickle, and its header says how long the file
must be, so a truncated one is noticed.
"""

import json
import os
import re
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock  # comes with torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from cl_course.images.download import cache_folder, unwritable, writable

VERSION = 2  # raise it when what is stored, or how it is decoded, changes


@dataclass(frozen=True)
class Decoded:
    """What a source reads from one of its parts.

    Attributes:
        images: uint8 (n, 3, h, w).
        labels: int64 (n,), or None.
        tickets: float64 (n,) in [0, 1), fixed for each image: their order decides who goes into
            which split where the source does not.
        class_names: the source's, in every part the same.
        skipped: what could not be read, "name: reason".
    """

    images: np.ndarray
    labels: np.ndarray | None
    tickets: np.ndarray
    class_names: tuple[str, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stored:
    """`Decoded`, as tensors mapped from the cache: rows are read from disk when they are taken."""

    images: Tensor
    labels: Tensor | None
    tickets: Tensor
    class_names: tuple[str, ...]
    skipped: tuple[str, ...]


class Source(Protocol):
    """Where images come from: `formats.Cifar10`, `formats.Stl10`, `pictures.Pictures`; its repr tells it from others."""

    path: Path
    parts: tuple[str, ...]  # what it is stored as, e.g. ("train", "test")

    def read(self, part: str) -> Decoded: ...


def stored(source: Source, part: str) -> Stored:
    """One part of a source, from the cache; decoded and put there first where it is missing, old or damaged."""
    name = re.sub(r"[^\w.-]", "_", source.path.stem, flags=re.ASCII)[:40]  # for those who look into the folder; any name is a file's name there
    path = writable(cache_folder() / "decoded") / f"{name}-{_digest(repr(source))[:10]}-{part}.safetensors"
    key = f"{VERSION} {_fingerprint(source.path)}"
    with FileLock(f"{path}.lock"):  # the processes of one run decode once
        kept = _read(path, key)
        if kept is None:
            _write(path, key, source.read(part))
            kept = _read(path, key)
    return kept


def _read(path: Path, key: str) -> Stored | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("key") != key:
                return None
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError:  # truncated, or no safetensors file at all
        return None
    class_names, skipped = (tuple(json.loads(about[name])) for name in ("class_names", "skipped"))
    return Stored(tensors["images"], tensors.get("labels"), tensors["tickets"], class_names, skipped)


def _write(path: Path, key: str, decoded: Decoded) -> None:
    tensors = {"images": decoded.images, "tickets": decoded.tickets}
    if decoded.labels is not None:
        tensors["labels"] = decoded.labels
    about = {"key": key, "class_names": json.dumps(decoded.class_names), "skipped": json.dumps(decoded.skipped)}
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, unfinished, metadata=about)
        os.replace(unfinished, path)
    except (OSError, SafetensorError) as problem:
        raise unwritable(path, decoded.images.nbytes, problem) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _fingerprint(path: Path) -> str:
    """Changes whenever a file of the source is added, removed, renamed or written."""
    files = [path] if path.is_file() else sorted(file for file in files_in(path) if file.is_file())
    return _digest(repr([(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]))


def files_in(folder: Path) -> list[Path]:
    """Every file in a folder and its folders, links to folders included. A folder that cannot be read is an OSError, and not left out."""

    def refused(problem: OSError) -> None:
        raise problem

    files, entered = [], set()
    for inside, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        entered.add(os.path.realpath(inside))
        folders[:] = [name for name in folders if os.path.realpath(Path(inside, name)) not in entered]  # a link to a folder above would never end
        files += [Path(inside, name) for name in names]
    return files


def _digest(text: str) -> str:
    return md5(os.fsencode(text), usedforsecurity=False).hexdigest()
