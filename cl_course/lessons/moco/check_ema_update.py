"""Lesson 04: the learner's `my_ema_update(key_network, query_network, momentum)`.

It returns nothing, so it is judged by what it leaves: after three updates, between which the query
network moves on, weights and buffers of both networks must be those that the course's own leaves.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.old_exercise import failed, one_or_two, passed, same, stopped

EXERCISE = "my_ema_update"
UPDATES, MOMENTUM = 3, 0.7

NOT_ATTEMPTED = (
    "not attempted yet; fill in the stub above and run this cell again (the rest of the lesson does not wait for it)."
)
UNCHANGED = (
    "you look at the networks, and the key network stays as it was: `slow = ...` only gives the name to a new tensor. "
    "Change the weight that is there: slow.copy_(...), or slow.mul_(momentum).add_(...)."
)
REPLACED = "the key network's weights are other tensors than before: whoever holds them keeps the old ones. Change them in place with slow.copy_(...)."
KEEPS_GRADIENT = (
    "the values are right, but the key network's weights now carry a gradient: on them hangs the graph of every update so far, which grows with each step. "
    "Put it all under torch.no_grad()."
)


def ema_update(attempt: Callable[[nn.Module, nn.Module, float], None]) -> None:
    """Check three updates of a network with BatchNorm; name the mistake, or two of them, if there are any."""
    try:
        run = _run(attempt)
    except NotImplementedError:
        return failed(EXERCISE, NOT_ATTEMPTED)
    except Exception as error:  # the learner's code may raise anything; the check must go on
        return failed(EXERCISE, stopped(error))
    sentence = _whats_wrong(run)
    return (
        failed(EXERCISE, sentence)
        if sentence
        else passed(
            EXERCISE,
            "three updates leave weights and buffers of both networks as the course's own, without a gradient.",
        )
    )


@dataclass
class _Run:
    """What three updates left: weights and buffers of both networks after each."""

    left: list[list[Tensor]] = field(default_factory=list)
    looked_at: bool = False  # anything of the networks was asked for
    unchanged: bool = True
    replaced: bool = False
    carries_gradient: bool = False


def _whats_wrong(run: _Run) -> str | None:
    if run.replaced:
        return REPLACED
    if run.unchanged:
        return UNCHANGED if run.looked_at else NOT_ATTEMPTED
    if not same(run.left, _run(_update()).left):
        for sentence, parts in one_or_two(MISTAKES):
            if same(run.left, _run(_update(**parts)).left):
                return sentence
        return "the networks after three updates are not those of the course's own; it is none of the mistakes known here, so compare yours with the formula, for the weights and for the buffers."
    return KEEPS_GRADIENT if run.carries_gradient else None


class _Network(nn.Sequential):
    """A small network with BatchNorm that notes whether its weights or buffers are asked for."""

    def __init__(self):
        super().__init__(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.looked_at = False

    def named_parameters(self, *arguments, **keywords):
        self.looked_at = True
        return super().named_parameters(*arguments, **keywords)

    def named_buffers(self, *arguments, **keywords):
        self.looked_at = True
        return super().named_buffers(*arguments, **keywords)

    def state_dict(self, *arguments, **keywords):
        self.looked_at = True
        return super().state_dict(*arguments, **keywords)


def _run(update: Callable) -> _Run:
    """Three updates of a key network that starts as a copy; before each the query network has moved and seen a batch."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        query = _Network()
    key, generator, run = copy.deepcopy(query).requires_grad_(False), Generator().manual_seed(0), _Run()
    weights = list(key.parameters())
    for _ in range(UPDATES):
        with torch.no_grad():
            for weight in query.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
            query(torch.randn(8, 3, generator=generator) + 1)  # BatchNorm's running statistics move
        before = _values(key, query)
        key.looked_at = query.looked_at = False
        update(key, query, MOMENTUM)
        run.looked_at |= key.looked_at or query.looked_at
        after = _values(key, query)
        run.unchanged &= all(torch.equal(a, b) for a, b in zip(before, after))
        now = list(key.parameters())
        run.replaced |= len(now) != len(weights) or any(a is not b for a, b in zip(now, weights))
        run.carries_gradient |= any(x.requires_grad for x in (*key.parameters(), *key.buffers()))
        run.left.append(after)
    return run


def _values(*networks: nn.Module) -> list[Tensor]:
    return [x.detach().clone() for network in networks for x in (*network.parameters(), *network.buffers())]


# The update, in parts that can each be done wrongly.
def _average(slow: Tensor, fast: Tensor, momentum: float) -> None:
    slow.copy_(momentum * slow + (1 - momentum) * fast)


def _copy(slow: Tensor, fast: Tensor, momentum: float) -> None:
    slow.copy_(fast)


def _update(weights=_average, buffers=_copy, swapped=False) -> Callable:
    @torch.no_grad()
    def update(key, query, momentum):
        slow, fast = (query, key) if swapped else (key, query)
        for a, b in zip(slow.parameters(), fast.parameters()):
            weights(a, b, momentum)
        for a, b in zip(slow.buffers(), fast.buffers()):
            buffers(a, b, momentum)

    return update


def _average_floats(slow: Tensor, fast: Tensor, momentum: float) -> None:
    """BatchNorm's third buffer is a count; copying a fraction into it cuts it down."""
    (_average if slow.is_floating_point() else _copy)(slow, fast, momentum)


def _leave(slow: Tensor, fast: Tensor, momentum: float) -> None:
    """As it was."""


_BUFFERS_AVERAGED = (
    "the buffers are averaged too. BatchNorm's running mean and variance are averages already, and its count is no weight: here they are to be copied. "
    "(Averaging them once more is a method of its own, EMAN.)"
)
_SHARES = "the two shares do not add up to 1: momentum of the key network's own weight, and 1 - momentum of the query network's."
MISTAKES: tuple[tuple[str, dict], ...] = (
    (
        "the roles are swapped: the query network is drawn towards the key network, and what it has just learned is undone. The key network is the one that drifts.",
        {"swapped": True},
    ),
    (
        "momentum and its rest are exchanged: the key network keeps the share `momentum` of itself, and takes 1 - momentum of the query network. With 0.99 yours would keep 1 %.",
        {"weights": lambda slow, fast, m: _average(slow, fast, 1 - m)},
    ),
    (
        "the buffers are forgotten: parameters() has the weights alone. BatchNorm's running mean and variance are buffers, and the key network keeps those it was born with. Copy them.",
        {"buffers": _leave},
    ),
    (_BUFFERS_AVERAGED, {"buffers": _average_floats}),
    (_BUFFERS_AVERAGED, {"buffers": _average}),
    (
        "the key network is a copy of the query network, not a slow one: its momentum is 0. Use `momentum`.",
        {"weights": _copy},
    ),
    (
        "the weights are forgotten: only the buffers change, and the key network would stay at its start for ever.",
        {"weights": _leave},
    ),
    (_SHARES, {"weights": lambda slow, fast, m: slow.copy_(slow + (1 - m) * fast)}),
    (_SHARES, {"weights": lambda slow, fast, m: slow.copy_(m * slow + fast)}),
)  # sentence, the parts of the update that are done wrongly
