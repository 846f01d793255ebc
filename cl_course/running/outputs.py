"""Whether what a command will write can be written: found out before hours of work, not after."""

import tempfile
from pathlib import Path


def check_folder(folder: Path) -> None:
    """Something can be written in `folder`, or in the one in which it will be made; else a ValueError."""
    there = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ValueError(
            f"nothing can be written to {folder} ({there}: {error.strerror}); name another place with --out"
        ) from error


def check_file(out: Path) -> None:
    """A file called `out` can be written; else a ValueError."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder, and a file of this name has to be written; choose another --out")
    check_folder(out.parent)
