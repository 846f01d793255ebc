"""Lesson 04: the learner's `my_ema_update(key_network, query_network, momentum)`.

It returns nothing, so it is judged by what it leaves: after three updates, between which the query network moves on,
weights and buffers of both networks must be those that the course's own leaves.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.moco.mistakes_ema_update import MISTAKES, make
from cl_course.lessons.shared.exercise import Exercise, Fault, NotAttempted, same
from cl_course.lessons.shared.ladder import close

MOMENTA = (0.7, 0.9, 0.4)  # one for each update: a number typed in is no answer
right = make()
REPLACED = (
    "the key network's parameters are other objects than before: whoever holds them (an optimizer, a hook) keeps the "
    "old ones. Change them in place with slow.copy_(...)."
)


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


@dataclass
class _Run:
    """What the updates left: weights and buffers of both networks after each."""

    states: list[list[Tensor]] = field(default_factory=list)
    looked_at: bool = False  # anything of the networks was asked for
    moved: bool = False
    replaced: bool = False
    carries_gradient: bool = False


def updates(update: Callable) -> Iterator[_Run]:
    """The run after each of three updates of a key network that starts as a copy; before each the query network has
    moved and seen a batch."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        query = _Network()
    key, generator, run = copy.deepcopy(query).requires_grad_(False), Generator().manual_seed(0), _Run()
    weights = list(key.parameters())
    for momentum in MOMENTA:
        with torch.no_grad():
            for weight in query.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
            query(torch.randn(8, 3, generator=generator) + 1)  # BatchNorm's running statistics move
        before = _values(key, query)
        key.looked_at = query.looked_at = False
        update(key, query, momentum)
        run.looked_at |= key.looked_at or query.looked_at
        after = _values(key, query)
        run.moved |= any(not torch.equal(a, b) for a, b in zip(before, after))
        now = list(key.parameters())
        run.replaced |= len(now) != len(weights) or any(a is not b for a, b in zip(now, weights))
        run.carries_gradient |= any(x.requires_grad for x in (*key.parameters(), *key.buffers()))
        run.states.append(after)
        yield run


def _values(*networks: nn.Module) -> list[Tensor]:
    return [x.detach().clone() for network in networks for x in (*network.parameters(), *network.buffers())]


def observe(attempt: Callable) -> list[Tensor]:
    for run in updates(attempt):
        if run.replaced:
            raise Fault(REPLACED)
    if not (run.moved or run.looked_at):
        raise NotAttempted
    return [x for state in run.states for x in state]


# What a right answer must also do.
def carries_no_gradient(attempt: Callable) -> str | None:
    if not any(run.carries_gradient for run in updates(attempt)):
        return None
    return (
        "the values are right, but the key network's weights now require a gradient: the graph of every update so far "
        "is kept with them, and it grows with each step. Put it all under torch.no_grad()."
    )


def has_values_of_its_own(attempt: Callable) -> str | None:
    """The key network stays as it is when the query network moves on."""
    key, query = _after(attempt, 0.75)
    before = _values(key)
    with torch.no_grad():
        for x in (*query.parameters(), *query.buffers()):
            x.fill_(7)
    names = [name for name, _ in (*key.named_parameters(), *key.named_buffers())]
    shared = [name for name, a, b in zip(names, before, _values(key)) if not torch.equal(a, b)]
    if not shared:
        return None
    return (
        f"the values are right, but both networks now hold the same memory for {_listed(shared)}: when the query "
        "network changes, the key network changes at once. Copy the numbers instead: slow.copy_(fast)."
    )


# Wrong, and no known mistake: one property after the other.
def _apart() -> tuple[nn.Module, nn.Module]:
    """Two networks that differ in everything: all of the key network is 1, all of the query network 3."""
    key, query = _Network().requires_grad_(False), _Network()
    with torch.no_grad():
        for network, value in ((key, 1), (query, 3)):
            for x in (*network.parameters(), *network.buffers()):
                x.fill_(value)
    return key, query


def _after(attempt: Callable, momentum: float) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        key, query = _apart()
    attempt(key, query, momentum)
    return key, query


BY_HAND = "with all of the key network at 1, all of the query network at 3 and momentum 0.75"


def did_the_query_network_move(attempt: Callable) -> str | None:
    _, query = _after(attempt, 0.75)
    moved = [name for name, x in query.state_dict().items() if not torch.all(x == 3)]
    if not moved:
        return None
    are = "is" if len(moved) == 1 else "are"
    return (
        f"the query network moves: {BY_HAND}, {_listed(moved)} of the query network {are} no longer 3. Only the key "
        "network drifts."
    )


def weights_by_hand(attempt: Callable) -> str | None:
    key, _ = _after(attempt, 0.75)
    wrong = {name: float(x.mean()) for name, x in key.named_parameters() if not _all(x, 1.5)}
    if not wrong:
        return None
    values = sorted({round(value, 4) for value in wrong.values()})
    every = len(wrong) == len(list(key.parameters()))
    which = "every parameter" if every else f"{_listed(list(wrong))} (layer.name)"
    come = f"{'becomes' if every or len(wrong) == 1 else 'become'} {' or '.join(f'{value:g}' for value in values)}"
    return f"{BY_HAND}, {which} of the key network {come}, expected 0.75 * 1 + 0.25 * 3 = 1.5."


def buffers_by_hand(attempt: Callable) -> str | None:
    key, _ = _after(attempt, 0.75)
    wrong = {name: float(x.float().mean()) for name, x in key.named_buffers() if not _all(x, 3)}
    if not wrong:
        return None
    named = ", ".join(f"{name.split('.')[-1]} becomes {value:.4g}" for name, value in wrong.items())
    return f"{BY_HAND}, BatchNorm's buffer {named}, expected 3: buffers are copied from the query network."


def how_momentum_counts(attempt: Callable) -> str | None:
    seen = {m: float(next(_after(attempt, m)[0].parameters()).mean()) for m in (0.0, 0.5, 0.9, 1.0)}
    if all(close(value, 3 - 2 * m) for m, value in seen.items()):
        return None
    told = ", ".join(f"{value:.4g} at momentum {m:g}" for m, value in seen.items())
    return (
        f"with a key weight of 1 and a query weight of 3, the key weight becomes {told}; expected 3 (a copy), 2, 1.2 "
        "and 1 (it stays)."
    )


def does_it_hold(attempt: Callable) -> str | None:
    for step, (mine, expected) in enumerate(zip(updates(attempt), updates(right)), 1):
        if not same(mine.states[-1], expected.states[-1]):
            before = f"the first {step - 1} of {len(MOMENTA)} updates are right" if step > 1 else "no update is right"
            return f"{before}: after update {step} (momentum {MOMENTA[step - 1]}) the networks are not those expected."
    return None


def _all(x: Tensor, value: float) -> bool:
    return bool(torch.allclose(x.double(), torch.full_like(x, value, dtype=torch.double), atol=1e-4))


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


ema_update = Exercise(
    name="my_ema_update",
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="three updates leave weights and buffers of both networks as the course's own, without a gradient.",
    demands=(carries_no_gradient, has_values_of_its_own),
    ladder=(
        did_the_query_network_move,
        weights_by_hand,
        buffers_by_hand,
        how_momentum_counts,
        does_it_hold,
    ),
)
