"""What a setting may be: one check for each kind of value, which says in one sentence what is allowed.

Numbers of numpy are numbers. They come back as Python's own, so that what was checked can be written to any file.
"""

import difflib
import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

MAX_SEED = 2**32 - 1  # the largest that numpy takes


def whole(name: str, value: Any, least: int, most: int | None = None, advice: str = "") -> int:
    """`value` as an int from `least` to `most`, or a ValueError (True and 3.0 are not whole), which `advice` ends."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bounds}, got {shown(value)}{_behind(advice)}")
    return int(value)


def real(name: str, value: Any, *, above: float | None = None, least: float | None = None,
         below: float | None = None, most: float | None = None, advice: str = "") -> float:  # fmt: skip
    """`value` as a float within the bounds, or a ValueError: a tensor is not a number, infinity and NaN are out."""
    holds = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    holds = holds and (above is None or value > above) and (least is None or value >= least)
    if not (holds and (below is None or value < below) and (most is None or value <= most)):
        words = {"above": above, "at least": least, "below": below, "at most": most}
        allowed = " and ".join(f"{word} {bound:g}" for word, bound in words.items() if bound is not None)
        number = f"a finite number {allowed}".rstrip()
        raise ValueError(f"{name} must be {number}, got {shown(value)}{_behind(advice)}")
    return float(value)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """`value`, if it is among `allowed`; the ValueError names the nearest of them."""
    if not isinstance(value, str) or value not in allowed:
        *first, last = map(repr, allowed)
        listed = f"{', '.join(first)} or {last}" if first else last
        raise ValueError(f"{name} must be {listed}, got {shown(value)}{nearest(value, allowed)}")
    return value


def instance(name: str, value: Any, kind: type, advice: str = "") -> Any:
    """`value`, if it is a `kind`; else a TypeError in one sentence, which `advice` ends."""
    if not isinstance(value, kind):
        wanted = "True or False" if kind is bool else f"of class {kind.__name__}"
        given = shown(value) if isinstance(value, str | Real) else f"one of class {type(value).__name__}"
        raise TypeError(f"{name} must be {wanted}, got {given}{_behind(advice)}")
    return value


def path_of(text: str | Path) -> Path:
    """The path that a person wrote: a leading ~ is the home folder, but a name that only looks so stays."""
    return Path(os.path.expanduser(text))  # Path.expanduser fails for a user who does not exist


def nearest(value: Any, allowed: tuple[str, ...]) -> str:
    """ "; did you mean 'quick'?", or nothing where no allowed word is near."""
    near = difflib.get_close_matches(str(value), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: Any) -> str:
    """A value for an error: tensors and arrays by type and shape, others as Python writes them, cut at 80 letters."""
    if hasattr(value, "shape") and not isinstance(value, Real):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    text = str(value) if isinstance(value, Real) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _behind(advice: str) -> str:
    return f"; {advice}" if advice else ""
