"""What a setting may be: one check for each kind of value, in one sentence."""

import difflib
from typing import Any


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be {_listed(allowed)}, got {value!r}{nearest(value, allowed)}")


def _listed(values: tuple[str, ...]) -> str:
    *first, last = map(repr, values)
    return f"{', '.join(first)} or {last}"


def nearest(value: Any, allowed: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(value), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
