"""Files that are never half-written and never silently changed, and what may be put into them."""

import hashlib
import io
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock, Timeout
from torch import Tensor

T = TypeVar("T")


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Raises:
        OSError: nothing was written (a full disk, a folder that does not exist); `path` is as it was.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, target)
    except Exception as error:
        raise OSError(f"could not write {path} ({error}); what was there before is untouched: free some space or "
                      "choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)  # also when the process is interrupted


def digest_of(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_state(path: Path, state: Any) -> None:
    """Keep plain data (see `plain`) in a file that starts with a line holding the sha256 of the rest; atomic."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    write_atomically(path, lambda temporary: temporary.write_bytes(b"".join([_seal(content), content])))


def read_state(path: Path) -> Any:
    """What `write_state` kept, its tensors on the CPU; a ValueError if the file is damaged, or of another kind."""
    with Path(path).open("rb") as file:
        seal, content = file.readline(), file.read()
    if seal != _seal(content):
        raise ValueError("its content does not match its sha256")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _seal(content: bytes | memoryview) -> bytes:
    return f"sha256 {hashlib.sha256(content).hexdigest()}\n".encode()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only process that writes `path`: a ValueError if another is. The lock ends with the process."""
    path = Path(path).resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0, is_singleton=True)  # a process may nest it
        lock.acquire()
    except Timeout:
        raise ValueError(f"another run is writing {path} now; wait for its end, or name another file") from None
    except OSError as error:
        raise OSError(f"nothing can be written to {path.parent} ({error}); choose another folder") from error
    try:
        yield
    finally:
        if lock.lock_counter == 1:
            Path(lock.lock_file).unlink(missing_ok=True)  # before the release, so that it is never someone else's
        lock.release()


def plain(value: T, name: str, advice: str = "give what it holds") -> T:
    """`value`, if `read_state` can read it; else (numpy's numbers too) a TypeError: `name` must be plain data."""
    parts: list[Any] = [value]
    while parts:
        part = parts.pop()
        if type(part) in (dict, OrderedDict, Counter):  # torch reads classes only where it knows them
            parts += [*part, *part.values()]
        elif type(part) in (list, tuple):
            parts += part
        elif not isinstance(part, Tensor) and type(part) not in (str, int, float, bool, type(None)):
            raise TypeError(f"{name} must be plain data (tensors, numbers, strings, lists, dicts), got a "
                            f"{type(part).__name__}; {advice}")
    return value
