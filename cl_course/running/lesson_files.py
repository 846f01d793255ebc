"""The lessons' sources, and what a lesson is called: by its id, the part of its file's name before the first `_`.

06_what_did_it_learn.py has the id 06, 06b_where_is_it.py has 06b.
"""

import re
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "notebooks" / "src"
NAME = re.compile(r"\d\d[a-z]?_\w+")


def lesson_id(name: str) -> str:
    """06b of 06b_where_is_it, of 06b, and of 6b."""
    first = name.partition("_")[0]
    return f"0{first}" if re.fullmatch(r"\d[a-z]?", first) else first


def lessons(folder: Path = SOURCES) -> list[Path]:
    """The lessons' sources in a folder, in order."""
    return sorted(path for path in folder.glob("*.py") if NAME.fullmatch(path.stem))


def named(names: Sequence[str], folder: Path = SOURCES) -> list[Path]:
    """The sources that are meant, in the order of the names; all where none is named.

    Args:
        names: each an id (6, 06, 06b), a name (06b_where_is_it), or that of a file.

    Raises:
        ValueError: there is no such lesson; it lists those there are.
    """
    every = lessons(folder)
    chosen = []
    for name in names:
        stem = Path(name).stem
        wanted = stem if "_" in stem else lesson_id(stem)
        found = [path for path in every if wanted in (path.stem, lesson_id(path.stem))]
        if not found:
            raise ValueError(f"there is no lesson {name!r}; there are {', '.join(p.stem for p in every) or 'none yet'}")
        chosen += found
    return chosen if names else every
