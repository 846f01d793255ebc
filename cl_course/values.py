"""What a setting may be: one check for each kind of value, which says in one sentence what is allowed.

Numbers of numpy are numbers. They come back as Python's own, so that what was checked can be written to any file.
"""

import difflib
import math
from numbers import Integral, Real
from typing import Any


def whole(name: str, value: Any, least: int, most: int | None = None, advice: str = "") -> int:
    """`value` as an int.

    Args:
        least, most: the bounds, both allowed; no `most`, no upper bound.
        advice: what to do instead, put behind the sentence.

    Raises:
        ValueError: it is no whole number (True and 3.0 are none), or out of bounds.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {bounds}, got {shown(value)}{_behind(advice)}")
    return int(value)


def real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    advice: str = "",
) -> float:
    """`value` as a float: a finite number within the bounds that are given; `above` and `below` are not reached themselves.

    Raises:
        ValueError: it is not a number (a tensor is none), not finite, or out of bounds.
    """
    is_real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    tests = {
        "above": (above, lambda x, bound: x > bound),
        "at least": (least, lambda x, bound: x >= bound),
        "below": (below, lambda x, bound: x < bound),
        "at most": (most, lambda x, bound: x <= bound),
    }
    bounds = {word: (bound, holds) for word, (bound, holds) in tests.items() if bound is not None}
    if not is_real or not all(holds(value, bound) for bound, holds in bounds.values()):
        allowed = " and ".join(f"{word} {bound:g}" for word, (bound, _) in bounds.items())
        raise ValueError(f"{name} must be a finite number {allowed}".rstrip() + f", got {shown(value)}{_behind(advice)}")
    return float(value)


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """`value`, if it is among `allowed`; the ValueError names the nearest of them."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be {_listed(allowed)}, got {shown(value)}{nearest(value, allowed)}")
    return value


def nearest(value: Any, allowed: tuple[str, ...]) -> str:
    """"; did you mean 'quick'?", or nothing where no allowed word is near."""
    near = difflib.get_close_matches(str(value), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: Any) -> str:
    """A value for an error: tensors and arrays by type and shape, all others as Python writes them, cut at 80 characters."""
    if hasattr(value, "shape") and not isinstance(value, Real):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    text = str(value) if isinstance(value, Real) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _behind(advice: str) -> str:
    return f"; {advice}" if advice else ""


def _listed(values: tuple[str, ...]) -> str:
    *first, last = map(repr, values)
    return f"{', '.join(first)} or {last}" if first else last
