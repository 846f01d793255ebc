"""Lesson 07, patient D: the learner's `my_after_step(method)`, what MoCo does after the optimiser's step.

Judged by what it leaves of a tiny MoCo: the weights of its four networks, and its queue, after each of two steps.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cl_course.lessons.shared.exercise import Exercise, Mistake, NotAttempted, same
from cl_course.methods import MoCo
from cl_course.momentum import ema_update

NAME = "my_after_step"
MOMENTA = (0.7, 0.9)
STEPS, KEYS, LENGTH = 2, 2, 7
NETWORKS = {
    "key_encoder": "the key encoder",
    "key_projector": "the key projector",
    "encoder": "the query encoder",
    "projector": "the query projector",
}


# The right way, in parts that can each be done in a wrong way.
def make(
    encoder: Callable = ema_update,
    projector: Callable = ema_update,
    momentum: Callable = lambda m: m,
    keys: Callable = lambda method: method.new_keys,
    enqueues: int = 1,
) -> Callable[[MoCo], None]:
    def attempt(method: MoCo) -> None:
        share = momentum(method.momentum)
        encoder(method.key_encoder, method.encoder, share)
        projector(method.key_projector, method.projector, share)
        for _ in range(enqueues):
            method.enqueue(keys(method))

    return attempt


def nothing(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    pass


def swapped(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    with torch.no_grad():
        for a, b in zip(fast.parameters(), slow.parameters()):
            a.copy_(momentum * a + (1 - momentum) * b)


def twice(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    ema_update(slow, fast, momentum)
    ema_update(slow, fast, momentum)


def added(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    with torch.no_grad():
        for a, b in zip(slow.parameters(), fast.parameters()):
            a.add_((1 - momentum) * b)


def with_gradient(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    for a, b in zip(slow.parameters(), fast.parameters()):
        b.mul_(momentum)


_SWAPPED = (
    "the roles are swapped: the query network moves towards the slow copy, and what it has just learned is lost. "
    "ema_update(key network, query network, momentum)."
)
MISTAKES = (
    Mistake(
        "the key network still stands where chance put it, and the queries learn to agree with a random network. Let "
        "it drift: ema_update.",
        {"encoder": nothing, "projector": nothing},
    ),
    Mistake("the encoder drifts, but its projector does not: the keys are made by both.", {"projector": nothing}),
    Mistake("the projector drifts, but its encoder does not: the keys are made by both.", {"encoder": nothing}),
    Mistake(_SWAPPED, {"encoder": swapped, "projector": swapped}),
    Mistake(f"in the projector {_SWAPPED}", {"projector": swapped}),
    Mistake(f"in the encoder {_SWAPPED}", {"encoder": swapped}),
    Mistake(
        "no key goes into the queue, so that it stays as it was: method.enqueue(method.new_keys) is needed too.",
        {"enqueues": 0},
    ),
    Mistake("the keys go into the queue twice, so that it is half as long as it seems.", {"enqueues": 2}),
    Mistake(
        "the key network becomes a copy of the query network. It is to keep the share method.momentum of itself.",
        {"momentum": lambda m: 0.0},
    ),
    Mistake(
        "momentum and its rest are exchanged: the key network keeps the share method.momentum of itself.",
        {"momentum": lambda m: 1 - m},
    ),
    Mistake(
        "the key network keeps the share momentum squared of itself, as after two updates. One is enough.",
        {"momentum": lambda m: m * m},
    ),
    *(
        Mistake(
            f"a momentum of {typed} is typed in; the method has its own, method.momentum.",
            {"momentum": lambda m, typed=typed: typed},
        )
        for typed in (0.5, 0.9, 0.95, 0.99, 0.996, 0.999)
    ),
    Mistake(
        "the key network does not keep a share of itself: (1 - momentum) of the query network is added to all of it.",
        {"encoder": added, "projector": added},
    ),
    Mistake("the encoder drifts twice in a step. Once is enough.", {"encoder": twice}),
    Mistake("the projector drifts twice in a step. Once is enough.", {"projector": twice}),
    Mistake(
        "the keys are put into the queue in another order than they were made.", {"keys": lambda m: m.new_keys.flip(0)}
    ),
    Mistake("the old queue is put into the queue. The new keys are method.new_keys.", {"keys": lambda m: m.queue}),
    Mistake(
        "weights that learn are changed in place, and autograd refuses: ema_update does it under torch.no_grad().",
        {"encoder": with_gradient},
    ),
)


def tiny(momentum: float, seed: int) -> MoCo:
    """A MoCo whose query network has moved away from its copy, with keys that wait for the queue."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        method = MoCo(nn.Linear(3, 4), nn.Linear(4, 4), queue_size=LENGTH, momentum=momentum, dim=4)
        _next_step(method)
    return method


@torch.no_grad()
def _next_step(method: MoCo) -> None:
    for weight in (*method.encoder.parameters(), *method.projector.parameters()):
        weight.add_(torch.randn(weight.shape))
    method.new_keys = F.normalize(torch.randn(KEYS, 4), dim=1)


def states(attempt: Callable, momentum: float) -> list[dict[str, Tensor]]:
    """Weights and queue after each step; NotAttempted where nothing at all has moved."""
    method = tiny(momentum, seed=0)
    before, found = _state(method), []
    for step in range(STEPS):
        if step:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(step)
                _next_step(method)
        attempt(method)
        found.append(_state(method))
        if not step and all(torch.equal(found[0][name], before[name]) for name in before):
            raise NotAttempted
    return found


def _state(method: MoCo) -> dict[str, Tensor]:
    """By copy: the state dict itself follows the weights."""
    networks = {name: _weights(getattr(method, name)) for name in NETWORKS}
    return networks | {"queue": method.queue.clone(), "oldest": method.oldest.clone()}


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()]).clone()


def observe(attempt: Callable) -> list[list[Tensor]]:
    return [list(state.values()) for momentum in MOMENTA for state in states(attempt, momentum)]


# What a right answer must also do.
def leaves_gradients_as_they_are(attempt: Callable) -> str | None:
    method = tiny(MOMENTA[0], seed=0)
    attempt(method)
    for name, words in NETWORKS.items():
        wanted = not name.startswith("key")
        if any(weight.requires_grad != wanted for weight in getattr(method, name).parameters()):
            no, what = ("no longer ", "must") if wanted else ("", "must not")
            return (
                f"the weights are right, but after your step those of {words} {no}require a gradient, and they {what}. "
                "The drift is no part of the loss: ema_update does it under torch.no_grad()."
            )
    if method.queue.requires_grad:
        return "the weights are right, but after your step the queue requires a gradient. Keys are kept without one."
    return None


# Wrong, and no known mistake.
def weights_that_differ(attempt: Callable) -> str | None:
    """One weight of the first network that is not as it should be."""
    for momentum in MOMENTA:
        method = tiny(momentum, seed=0)
        before, expected, after = _state(method), states(make(), momentum)[0], states(attempt, momentum)[0]
        for name, words in NETWORKS.items():
            if same(after[name], expected[name]):
                continue
            i = int((after[name] - expected[name]).abs().argmax())
            was, now, right = (float(state[name][i]) for state in (before, after, expected))
            if name.startswith("key"):
                of_query = float(before[name.removeprefix("key_")][i])
                return (
                    f"momentum is {momentum}. One weight of {words} was {was:.3f}, that of the query network "
                    f"{of_query:.3f}. After your step it is {now:.3f}; it must be {right:.3f}, "
                    f"{momentum} · {was:.3f} + {1 - momentum:.1f} · {of_query:.3f}."
                )
            return f"{words} is changed: one of its weights goes from {was:.3f} to {now:.3f}. Only the copy drifts."
    return None


def queue_rows(attempt: Callable) -> str | None:
    expected, after = states(make(), MOMENTA[0]), states(attempt, MOMENTA[0])
    for step, (right, mine) in enumerate(zip(expected, after), start=1):
        wrong = [i for i in range(LENGTH) if not same(mine["queue"][i], right["queue"][i])]
        if wrong:
            return (
                f"the networks are right, but in a queue of {LENGTH} rows, after {step} step(s) with {KEYS} new keys "
                f"each, these rows are not as they should be: {', '.join(map(str, wrong))}."
            )
        if not same(mine["oldest"], right["oldest"]):
            return (
                f"the networks and the queue's rows are right after step {step}, but method.oldest, the place of the "
                f"next key, is {int(mine['oldest'])} and must be {int(right['oldest'])}. method.enqueue moves it on."
            )
    return None


def later_steps(attempt: Callable) -> str | None:
    for momentum in MOMENTA:
        expected, after = states(make(), momentum), states(attempt, momentum)
        good = [all(same(mine[name], right[name]) for name in right) for mine, right in zip(after, expected)]
        if good[0] and not good[1]:
            return f"with momentum {momentum} all is right after the first step, and not after the second."
    return None


def is_ignored(attempt: Callable) -> str | None:
    answer = attempt(tiny(MOMENTA[0], seed=0))
    return None if answer is None else "what you return is not used: the method is changed in place."


after_step = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="both parts of the key network follow the query network, and the queue has the new keys.",
    demands=(leaves_gradients_as_they_are,),
    ladder=(weights_that_differ, queue_rows, later_steps),
    notes=(is_ignored,),
)
