"""Probes that several exercises share: what is said of a wrong answer that is no known mistake.

Each looks at one property and reports what it saw, with numbers that can be followed by hand. It names no cause.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cl_course.lessons.shared.exercise import in_order

# Factors and offsets that have a name; the numbers of a relation are said in these words where they fit.
_FACTORS = {
    math.log(2): "ln 2",
    1 / math.log(2): "1 / ln 2, as if the logarithm had base 2",
    1 / math.log(10): "1 / ln 10, as if the logarithm had base 10",
    -1.0: "-1",
}
# What a loss may have taken for the temperature T.
_READINGS = {
    "1 / T": lambda t: 1 / t,
    "T squared": lambda t: t * t,
    "the root of T": lambda t: t**0.5,
    "T": lambda t: t,
    "2 T": lambda t: 2 * t,
    "T / 2": lambda t: t / 2,
}


def number(answer: object) -> float | None:
    """A finite answer as a float; None where it is no single finite number."""
    try:
        value = torch.as_tensor(answer).detach()
    except (TypeError, ValueError, RuntimeError):
        return None
    return float(value) if value.numel() == 1 and bool(value.isfinite()) else None


def close(a: float, b: float, tolerance: float = 2e-4) -> bool:
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


def constant_relation(mine: Sequence[float], right: Sequence[float], quantity: str = "answer") -> str | None:
    """Whether all answers are one and the same multiple of the right ones, or lie off by one and the same amount."""
    if all(close(a, b) for a, b in zip(mine, right)):
        return None
    ratios = [a / b for a, b in zip(mine, right) if abs(b) > 1e-6]
    offsets = [a - b for a, b in zip(mine, right)]
    if len(right) < 2:
        return None
    if len(ratios) == len(right) and all(abs(ratio) < 1e-6 for ratio in ratios):
        return f"your {quantity} is 0 on every input tried, where {right[0]:.4f} is expected on the first."
    is_multiple = len(ratios) == len(right) and _range(ratios) <= 4e-4 * max(map(abs, ratios))
    is_offset = abs(offsets[0]) > 1e-3 and all(close(o, offsets[0]) for o in offsets)
    if is_multiple and not (is_offset and _range(offsets) < _range(ratios)):  # where both fit, the more exact one
        named = next((name for factor, name in _FACTORS.items() if close(ratios[0], factor)), f"{ratios[0]:.4g}")
        return f"on every input tried your {quantity} is the right one times {named}."
    if is_offset:
        return f"on every input tried your {quantity} is the right one plus {offsets[0]:.4f}."
    return None


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


def temperature_relation(
    mine: Sequence[float], right: Callable[[float], float], temperatures: Sequence[float]
) -> str | None:
    """How a loss follows its temperature: not at all, as the right loss at another one, or with T as a factor in front.

    Args:
        mine: the attempt's loss at each of `temperatures`.
        right: temperature -> the right loss.
    """
    at = f"at T = {', '.join(f'{t:g}' for t in temperatures[:-1])} and {temperatures[-1]:g}"
    if all(close(m, mine[0]) for m in mine):
        return f"the temperature has no effect on your loss: it is {mine[0]:.4f} {at} alike."
    for name, reading in _READINGS.items():
        if name != "T" and all(close(m, right(reading(t))) for m, t in zip(mine, temperatures)):
            return f"your loss at T is the right loss at {name}: so it is {at}."
        if all(close(m, right(1.0) * reading(t)) for m, t in zip(mine, temperatures)):
            return f"your loss is the right loss at T = 1, multiplied by {name}: so it is {at}."
    factors = [m / right(t) for m, t in zip(mine, temperatures)]
    for name, reading in _READINGS.items():
        if all(close(f / reading(t), factors[0] / reading(temperatures[0])) for f, t in zip(factors, temperatures)):
            return (
                f"your loss is the right one with a factor in front that goes as {name}: T belongs inside the "
                "exponential alone."
            )
    return None


def written(value: object) -> str:
    """A small tensor or number as one would type it: [[1, 0], [0.5, 1]]."""
    if isinstance(value, Tensor):
        return written(value.tolist())
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(part) for part in value)}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def by_hand(attempt: Callable, right: Callable, arguments: dict, why: str = "") -> str | None:
    """One small example that can be followed by hand: the arguments, the attempt's answer and the right one.

    Args:
        arguments: name -> value, in the order in which both functions take them.
        why: how the right answer comes about, put behind the sentence.
    """
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments.values()]
    mine, expected = attempt(*copies), right(*arguments.values())
    given = ", ".join(f"{name} = {written(value)}" for name, value in arguments.items())
    if _agree(mine, expected):
        return None
    return f"for {given} your answer is {_shortly(mine)}, expected {_shortly(expected)}{f': {why}' if why else ''}."


def _agree(mine: object, expected: object) -> bool:
    try:
        if isinstance(mine, list | tuple) and mine and all(isinstance(part, Tensor) for part in mine):
            mine = torch.stack(list(mine))
        mine, expected = torch.as_tensor(in_order(mine)).detach(), torch.as_tensor(expected).detach()
    except (TypeError, ValueError, RuntimeError):
        return False
    if mine.numel() == expected.numel() == 1:  # as answer_of takes it
        mine = mine.reshape(expected.shape)
    return mine.shape == expected.shape and torch.allclose(mine.double(), expected.double(), rtol=1e-4, atol=1e-4)


def _shortly(value: object) -> str:
    if isinstance(value, Tensor):
        value = value.detach()
        return written(value) if value.numel() <= 12 else f"a tensor of shape {tuple(value.shape)}"
    return written(value) if isinstance(value, int | float | list | tuple) else f"a {type(value).__name__}"
