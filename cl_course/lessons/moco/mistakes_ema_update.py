"""Lesson 04's `my_ema_update`: the right way in parts, and the known ways to do a part wrong."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cl_course.lessons.shared.exercise import Mistake

Pair = Callable[[Tensor, Tensor, float], None]


# The update, in parts that can each be done in a wrong way.
def average(slow: Tensor, fast: Tensor, momentum: float) -> None:
    slow.copy_(momentum * slow + (1 - momentum) * fast)


def copied(slow: Tensor, fast: Tensor, momentum: float) -> None:
    slow.copy_(fast)


def make(
    weights: Pair = average,
    buffers: Pair = copied,
    biases: Pair | None = None,
    last_layer: Pair | None = None,
    norms: Pair | None = None,
    swapped: bool = False,
    times: int = 1,
) -> Callable[[nn.Module, nn.Module, float], None]:
    """The update; `biases`, `last_layer` and `norms`: what is done with such parameters, if it is another thing."""

    @torch.no_grad()
    def update(key: nn.Module, query: nn.Module, momentum: float) -> None:
        slow, fast = (query, key) if swapped else (key, query)
        for _ in range(times):
            for (name, a), b in zip(slow.named_parameters(), fast.parameters()):
                own = (
                    last_layer if last_layer and name.startswith("2.")
                    else norms if norms and name.startswith("1.")
                    else biases if biases and name.endswith("bias")
                    else weights
                )  # fmt: skip
                own(a, b, momentum)
            for a, b in zip(slow.buffers(), fast.buffers()):
                buffers(a, b, momentum)

    return update


# The parts done in wrong ways.
def _average_floats(slow: Tensor, fast: Tensor, momentum: float) -> None:
    """BatchNorm's third buffer is a count; copying a fraction into it cuts it down."""
    (average if slow.is_floating_point() else copied)(slow, fast, momentum)


def _count_left(slow: Tensor, fast: Tensor, momentum: float) -> None:
    (copied if slow.is_floating_point() else left)(slow, fast, momentum)


def _averaged_without_count(slow: Tensor, fast: Tensor, momentum: float) -> None:
    (average if slow.is_floating_point() else left)(slow, fast, momentum)


def left(slow: Tensor, fast: Tensor, momentum: float) -> None:
    """As it was."""


def _to(formula: Callable[[Tensor, Tensor, float], Tensor]) -> Pair:
    return lambda slow, fast, m: slow.copy_(formula(slow, fast, m))


_BUFFERS_AVERAGED = (
    "the buffers are averaged too. BatchNorm's running mean and variance are averages already, and its count is no "
    "weight: here they are to be copied. (Averaging them once more is a method of its own, EMAN.)"
)
_SHARES = (
    "the two shares do not add up to 1: momentum of the key network's own weight, and 1 - momentum of the query "
    "network's. "
)
_UNCHANGED = (
    "the key network stays as it was. If you wrote `slow = ...`: that only gives the name to a new tensor. Change the "
    "weight that is there: slow.copy_(...), or slow.mul_(momentum).add_(...)."
)
_SIGN = "the query network's weight is subtracted: both shares are added."
MISTAKES = (
    Mistake(_UNCHANGED, {"weights": left, "buffers": left}),
    Mistake(
        "the roles are swapped: the query network is drawn towards the key network, and what it has just learned is "
        "undone. The key network is the one that drifts.",
        {"swapped": True},
    ),
    Mistake(
        "momentum and its rest are exchanged: the key network keeps the share `momentum` of itself, and takes "
        "1 - momentum of the query network. With 0.99 yours would keep 1 %.",
        {"weights": lambda slow, fast, m: average(slow, fast, 1 - m)},
    ),
    Mistake(
        "the buffers are left as they were: parameters() has the weights alone. BatchNorm's running mean and variance "
        "are buffers. Copy them.",
        {"buffers": left},
    ),
    Mistake(_BUFFERS_AVERAGED, {"buffers": _average_floats}),
    Mistake(_BUFFERS_AVERAGED, {"buffers": average}),
    Mistake(_BUFFERS_AVERAGED, {"buffers": _averaged_without_count}),
    Mistake(
        "BatchNorm's count of batches is left as it was: it is a buffer too, and all buffers are to be copied.",
        {"buffers": _count_left},
    ),
    Mistake(
        "the key network becomes a copy of the query network, not a slow one, as with momentum 0. Use `momentum`.",
        {"weights": copied},
    ),
    Mistake(
        "only the buffers change, and the weights stay as they were. If you wrote `slow = ...`: that gives the name to "
        "a new tensor. Write into the one that is there: slow.copy_(...).",
        {"weights": left},
    ),
    Mistake(
        "the biases stay as they were: all parameters are averaged, not the weight matrices alone.", {"biases": left}
    ),
    Mistake("the biases are copied: they are averaged as all other parameters.", {"biases": copied}),
    Mistake("the last layer's parameters stay as they were: all parameters are averaged.", {"last_layer": left}),
    Mistake(
        "BatchNorm's weight and bias stay as they were: they learn by gradient, as all parameters, and are averaged.",
        {"norms": left},
    ),
    Mistake(
        "BatchNorm's weight and bias are copied: they learn by gradient, as all parameters, and are averaged. Only its "
        "buffers are copied.",
        {"norms": copied},
    ),
    Mistake(
        "the key network keeps the share momentum squared of itself, as if the update were made twice in one call.",
        {"times": 2},
    ),
    Mistake(_SHARES + "Yours keeps all of its own.", {"weights": _to(lambda slow, fast, m: slow + (1 - m) * fast)}),
    Mistake(_SHARES + "Yours takes all of the other.", {"weights": _to(lambda slow, fast, m: m * slow + fast)}),
    Mistake(_SHARES + "Yours are both momentum.", {"weights": _to(lambda slow, fast, m: m * (slow + fast))}),
    Mistake(_SHARES + "Yours are both 1 - momentum.", {"weights": _to(lambda slow, fast, m: (1 - m) * (slow + fast))}),
    Mistake(_SHARES + "Yours are both 1.", {"weights": _to(lambda slow, fast, m: slow + fast)}),
    Mistake(_SIGN, {"weights": _to(lambda slow, fast, m: m * slow - (1 - m) * fast)}),
    Mistake(
        "the key network moves away from the query network: its step is (1 - momentum) * (query - key).",
        {"weights": _to(lambda slow, fast, m: slow + (1 - m) * (slow - fast))},
    ),
    Mistake(
        "what is left of the key network is momentum times itself: 1 - momentum of the query network is to be added.",
        {"weights": _to(lambda slow, fast, m: m * slow)},
    ),
    Mistake(
        "both networks have the share one half: momentum is not used.",
        {"weights": _to(lambda slow, fast, m: (slow + fast) / 2)},
    ),
    Mistake(
        "the share of the key network is 0.99, whatever `momentum` is: use the argument.",
        {"weights": lambda slow, fast, m: average(slow, fast, 0.99)},
    ),
    Mistake(
        "the share of the key network is 0.999, whatever `momentum` is: use the argument.",
        {"weights": lambda slow, fast, m: average(slow, fast, 0.999)},
    ),
)
