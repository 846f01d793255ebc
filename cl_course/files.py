"""Files that are never half-written, and what may be put into them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Raises:
        OSError: nothing was written (a full disk, a folder that does not exist); `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except Exception as error:
        what = f"could not write {path} ({error}); what was there before is untouched: free some space or choose another folder"
        raise OSError(what) from error
    finally:
        temporary.unlink(missing_ok=True)  # also when the process is interrupted


def digest_of(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(result: T, giver: str) -> T:
    """`result`, if it is made of tensors, numbers, strings, lists, tuples and dicts alone, as torch.load(weights_only=True) reads them.

    Raises:
        TypeError: it is not; `giver`, the function that returned it, is named.
    """
    parts = [result]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple):
            parts += part
        elif not isinstance(part, Tensor) and type(part) not in (str, int, float, bool, type(None)):  # exactly: numpy's floats are not
            raise TypeError(f"{giver} must return plain data (tensors, numbers, strings, lists, dicts), got a {type(part).__name__}; return what it holds")
    return result
