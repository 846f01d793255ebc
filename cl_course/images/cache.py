"""Decoded images kept on disk, so that 50,000 JPEGs or a packed archive are decoded once.

Each part of a source is one safetensors file (no pickle). Beside it lies the sha256 of its bytes: a file that differs
by a single bit is decoded again.
"""

import errno
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path

import numpy as np
from filelock import FileLock
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from cl_course.files import digest_of, write_atomically
from cl_course.images.download import cache_folder, unwritable, writable

VERSION = 5  # raise it when what is stored, or how it is decoded, changes
# What systems and tools write beside the user's files, in small letters.
JUNK = {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "lost+found"}
JUNK |= {"system volume information", "__pycache__"}


@dataclass(frozen=True)
class Decoded:
    """What a source reads from one of its parts, as arrays; from the cache, as tensors whose rows are read when taken.

    Each image has a fixed ticket. Where the source has no such split, the order of the tickets decides who is in it.
    """

    images: np.ndarray | Tensor  # uint8 (n, 3, h, w)
    labels: np.ndarray | Tensor | None  # int64 (n,)
    tickets: np.ndarray | Tensor  # float64 (n,) in [0, 1)
    class_names: tuple[str, ...]  # the source's, the same in every part
    skipped: tuple[str, ...] = ()  # what could not be read, "name: reason"
    names: tuple[str, ...] = ()  # each image's path in the source; none where images have no files of their own


@dataclass(frozen=True)
class Source:
    """A file or folder of images. A subclass has `parts`, such as ("train", "test"), and read(part) -> Decoded."""

    path: Path

    @cached_property
    def listing(self) -> list[str]:
        """All that lies in the folder, but no junk; paths of folders end in "/". Empty for a file.

        Links are followed, and each folder is entered once: a further link to it is listed like a file.
        """
        found, entered, waiting = [], set(), [self.path] if self.path.is_dir() else []
        for start in waiting:
            for inside, folders, files in os.walk(start, onerror=refuse):
                where = "/".join((*Path(inside).relative_to(self.path).parts, ""))
                if (real := os.path.realpath(inside)) in entered:
                    found.append(where.removesuffix("/"))
                    folders.clear()
                    continue
                entered.add(real)
                folders[:] = sorted(name for name in folders if not hidden(name))
                found += [where, *(where + name for name in files if not hidden(name))]
                waiting += [Path(inside, name) for name in folders if os.path.islink(Path(inside, name))]  # come last
        return sorted(found[1:])  # without the folder itself

    def fingerprint(self) -> str:
        """Changes whenever a file of the source is added, removed, renamed or written."""
        states = []
        for name in [name for name in self.listing if name[-1] != "/"] if self.path.is_dir() else [""]:
            try:
                about = (self.path / name).stat()
                states.append((name, about.st_size, about.st_mtime_ns))
            except OSError as problem:  # removed since it was listed, or a link that leads nowhere or to itself
                if problem.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
        return _digest(repr([self.listing, states]))


def stored(source: Source, part: str) -> Decoded:
    """One part of a source, from the cache; decoded first where it is missing, old or damaged there."""
    name = re.sub(r"[^\w.-]", "_", source.path.stem, flags=re.ASCII)[:40]  # for people who look into the folder
    path = writable(cache_folder() / "decoded") / f"{name}-{_digest(repr(source))[:10]}-{part}.safetensors"
    key = f"{VERSION} {source.fingerprint()}"
    with FileLock(f"{path}.lock"):  # several processes of one run decode once
        kept = _read(path, key)
        if kept is None:
            _write(path, key, source.read(part))
            kept = _read(path, key)
    return kept


def _read(path: Path, key: str) -> Decoded | None:
    seal = path.with_suffix(".sha256")
    if not (path.exists() and seal.exists()) or seal.read_bytes() != digest_of(path).encode():
        return None
    with safe_open(path, framework="pt") as file:
        about, fields = file.metadata(), file.keys()
        if about.get("key") != key:  # first: an earlier version of the course stored other fields
            return None
        tensors = {field: file.get_tensor(field) for field in fields}
    class_names, skipped = (tuple(json.loads(about[name])) for name in ("class_names", "skipped"))
    names = tuple(json.loads(tensors["names"].numpy().tobytes()))
    return Decoded(tensors["images"], tensors.get("labels"), tensors["tickets"], class_names, skipped, names)


def _write(path: Path, key: str, decoded: Decoded) -> None:
    names = np.frombuffer(json.dumps(decoded.names).encode(), np.uint8)  # too many for the metadata of a file
    tensors = {"images": decoded.images, "tickets": decoded.tickets, "names": names}
    if decoded.labels is not None:
        tensors["labels"] = decoded.labels
    about = {"key": key, "class_names": json.dumps(decoded.class_names), "skipped": json.dumps(decoded.skipped)}
    try:
        write_atomically(path, lambda unfinished: save_file(tensors, unfinished, metadata=about))
        digest = digest_of(path)
        write_atomically(path.with_suffix(".sha256"), lambda unfinished: unfinished.write_text(digest))
    except OSError as problem:
        raise unwritable(path, decoded.images.nbytes, problem.__cause__ or problem) from None


def hidden(name: str) -> bool:
    """Whether a path, or a folder it lies in, is hidden or junk."""
    return any(part.startswith(".") or part.lower() in JUNK for part in name.split("/"))


def refuse(problem: OSError) -> None:
    """Say in one sentence that a folder or file cannot be read."""
    what = f"{problem.filename} cannot be read ({problem.strerror})"
    raise type(problem)(f"{what}; give yourself the right to read it, or move it out of the folder")


def _digest(text: str) -> str:
    return md5(os.fsencode(text), usedforsecurity=False).hexdigest()
