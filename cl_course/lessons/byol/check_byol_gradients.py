"""Lesson 05: the learner's `my_gradients(p, target, stop_gradient)`: where the gradient of one term goes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import close, written

NAME = "my_gradients"


# The right way, in parts that can each be done in a wrong way.
def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=0)


def across(own: Tensor, other: Tensor) -> Tensor:
    """What remains of `other` when its part along `own` is taken away; both of length 1."""
    return other - (own @ other) * own


def own_length(own: Tensor, other: Tensor) -> Tensor:
    return own.norm()


def into_p_alone(to_p: Tensor, to_target: Tensor) -> tuple[Tensor, Tensor]:
    return to_p, torch.zeros_like(to_target)


def make(
    direction: Callable = unit,
    remainder: Callable = across,
    factor: float = -2.0,
    length: Callable = own_length,
    stopped: Callable = into_p_alone,
    flowing: Callable = lambda to_p, to_target: (to_p, to_target),
) -> Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor]]:
    def attempt(p: Tensor, target: Tensor, stop_gradient: bool) -> tuple[Tensor, Tensor]:
        u, v = direction(p), direction(target)
        to_p = factor * remainder(u, v) / length(p, target)
        to_target = factor * remainder(v, u) / length(target, p)
        return (stopped if stop_gradient else flowing)(to_p, to_target)

    return attempt


right = make()

_ACROSS = (
    "the part along {own} itself is not taken away: what the gradient of s(p, target) keeps of the other vector is at "
    "a right angle to {own}, other - s * {own} with both of length 1."
)
_NOTHING = "with stop_gradient=True nothing flows into the target: its gradient is zeros, torch.zeros_like(target)."

MISTAKES = (
    Mistake(
        f"stop_gradient makes no difference: the target gets its gradient in any case. {_NOTHING}",
        {"stopped": lambda to_p, to_target: (to_p, to_target)},
    ),
    Mistake(
        "the target never gets a gradient: without stop-gradient the loss is a function of the target as well, and its "
        "gradient is -2 (p - s target) / |target|, p and target of length 1 inside the brackets.",
        {"flowing": into_p_alone},
    ),
    Mistake(
        "stop_gradient is turned round: True means that nothing flows into the target.",
        {"stopped": lambda to_p, to_target: (to_p, to_target), "flowing": into_p_alone},
    ),
    Mistake(
        "the gradient is stopped on the wrong side: with stop_gradient=True the target gets none, and p keeps its own.",
        {"stopped": lambda to_p, to_target: (torch.zeros_like(to_p), to_target)},
    ),
    Mistake(
        "with stop_gradient=True p gets no gradient either, and nothing would learn: only the target's is zero.",
        {"stopped": lambda to_p, to_target: (torch.zeros_like(to_p), torch.zeros_like(to_target))},
    ),
    Mistake(
        "with stop_gradient=True one gradient came back: return two, the target's as torch.zeros_like(target).",
        {"stopped": lambda to_p, to_target: to_p},
    ),
    Mistake(
        "the two gradients are exchanged: the first is that of p, the second that of the target.",
        {
            "stopped": lambda to_p, to_target: (torch.zeros_like(to_p), to_p),
            "flowing": lambda to_p, to_target: (to_target, to_p),
        },
    ),
    Mistake(
        "the two gradients are exchanged where both flow: the first is that of p, the second that of the target.",
        {"flowing": lambda to_p, to_target: (to_target, to_p)},
    ),
    Mistake(
        "the target's gradient is minus that of p in yours. Each is at a right angle to its own vector: compute the "
        "target's with the roles exchanged.",
        {"flowing": lambda to_p, to_target: (to_p, -to_p)},
    ),
    Mistake(
        "both gradients are the same in yours: compute the target's with the roles of p and target exchanged.",
        {"flowing": lambda to_p, to_target: (to_p, to_p)},
    ),
    Mistake(
        "the sign is turned round: this is the way in which the loss falls. The gradient points where it rises.",
        {"factor": 2.0},
    ),
    Mistake(
        "there is a factor 2 too little: the loss is 2 - 2 s, so its gradient is -2 times that of s.", {"factor": -1.0}
    ),
    Mistake(
        "this is the gradient of s itself: the loss is 2 - 2 s, so its gradient is -2 times that.", {"factor": 1.0}
    ),
    Mistake("there is a factor 2 too much: the loss of one direction is 2 - 2 s.", {"factor": -4.0}),
    Mistake(_ACROSS.format(own="p"), {"remainder": lambda own, other: other}),
    Mistake(
        "the difference of the two directions is not the gradient: the lengths of p and target do not count, so the "
        "part along p is taken away from the target's direction, and s times p is that part.",
        {"remainder": lambda own, other: other - own},
    ),
    Mistake(
        "the similarity is with the wrong vector: take away s times the vector that the gradient is for. For p it is "
        "target - s * p, both of length 1.",
        {"remainder": lambda own, other: own - (own @ other) * other},
    ),
    Mistake(
        "the part along the vector itself is added: take it away, target - s * p for p's gradient.",
        {"remainder": lambda own, other: other + (own @ other) * own},
    ),
    Mistake(
        "what you keep is the part along the vector itself, and the gradient is the rest: target - s * p for p's "
        "gradient.",
        {"remainder": lambda own, other: (own @ other) * own},
    ),
    Mistake(
        "the division by the length is missing: the longer p is, the less a step turns it, so the gradient is divided "
        "by |p|, and the target's by |target|.",
        {"length": lambda own, other: 1.0},
    ),
    Mistake("you divide by the squared length: by |p| once.", {"length": lambda own, other: own.norm() ** 2}),
    Mistake("you multiply by the length: divide by it.", {"length": lambda own, other: 1 / own.norm()}),
    Mistake(
        "you divide by the length of the other vector: p's gradient by |p|, the target's by |target|.",
        {"length": lambda own, other: other.norm()},
    ),
    Mistake(
        "you divide by both lengths: p's gradient by |p| alone, the target's by |target| alone.",
        {"length": lambda own, other: own.norm() * other.norm()},
    ),
    Mistake(
        "you divide by the number of dimensions as well: there is no mean over them in this loss.",
        {"length": lambda own, other: own.norm() * len(own)},
    ),
    Mistake(
        "p and target are not normalised: the formula's vectors have length 1, F.normalize(p, dim=0).",
        {"direction": lambda x: x},
    ),
    Mistake(
        "you divide by the squared length where p and target are made length 1: F.normalize(p, dim=0) divides by the "
        "length.",
        {"direction": lambda x: x / x.square().sum()},
    ),
    Mistake(
        "you divide by the sum of absolute values where p and target are made length 1: the length is the root of the "
        "sum of squares, F.normalize(p, dim=0).",
        {"direction": lambda x: F.normalize(x, p=1, dim=0)},
    ),
)


# Inputs: pairs of vectors of several dimensions and lengths, with and without stop-gradient.
def vectors(d: int) -> tuple[Tensor, Tensor]:
    p, target = torch.randn(2, d, generator=Generator().manual_seed(d))
    return 1.5 * p, 0.6 * target


ORDINARY = tuple((*vectors(d), stop) for d in (3, 4, 6) for stop in (True, False))


def gradients(attempt: Callable, p: Tensor, target: Tensor, stop_gradient: bool) -> object:
    """The attempt's two gradients; where nothing flows into the target, None and 0 are as good as zeros."""
    given = p.clone(), target.clone()
    answer = call(lambda: attempt(*given, stop_gradient))
    if not (torch.equal(given[0], p) and torch.equal(given[1], target)):
        raise Fault("you changed p or target in place, and the caller's tensor is altered: make new tensors.")
    if isinstance(answer, Tensor) and answer.ndim == 2 and len(answer) == 2:
        answer = list(answer)
    if not isinstance(answer, tuple | list):
        return _plain(answer, p)
    return [_plain(part, x) for part, x in zip(answer, given)] if len(answer) == 2 else list(answer)


def _plain(gradient: object, like: Tensor) -> object:
    if gradient is None:
        return torch.zeros_like(like)
    try:
        gradient = torch.as_tensor(gradient).detach()
    except (TypeError, ValueError, RuntimeError):
        return gradient
    if gradient.numel() == 1 and not gradient.any():
        return torch.zeros_like(like)
    return gradient.reshape(-1) + 0 if gradient.numel() == len(like) else gradient  # + 0: no "-0" in a sentence


def observe(attempt: Callable) -> list:
    return [gradients(attempt, *given) for given in ORDINARY]


# Wrong, and no known mistake: one property after the other.
def two_come_back(attempt: Callable) -> str | None:
    for given in ORDINARY:
        answer = gradients(attempt, *given)
        said = f"with stop_gradient={given[2]}"
        if not isinstance(answer, list):
            return f"{said} one value came back: return two gradients, that of p and that of the target."
        if len(answer) != 2:
            return f"{said} {len(answer)} values came back: return two gradients, that of p and that of the target."
        for name, part in zip(("p", "target"), answer):
            if not isinstance(part, Tensor):
                return f"{said} the gradient of {name} is {kind_of(part)}, and not a tensor."
            if part.shape != given[0].shape:
                shapes = f"{tuple(part.shape)}, expected {tuple(given[0].shape)}, as many numbers as {name} has"
                return f"{said} the gradient of {name} has the shape {shapes}."
    return None


def what_stop_gradient_changes(attempt: Callable) -> str | None:
    p, target = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    (to_p, to_target), (p_flowing, _) = gradients(attempt, p, target, True), gradients(attempt, p, target, False)
    shown = f"for p = {written(p)}, target = {written(target)}"
    if to_target.any():
        return f"{shown} and stop_gradient=True the target's gradient is {written(to_target)}; it should be zeros."
    if not same(to_p, p_flowing):
        return (
            f"{shown} the gradient of p is {written(to_p)} with stop_gradient=True and {written(p_flowing)} without; "
            "stopping the target's gradient changes nothing for p."
        )
    return None


def at_rest_where_they_agree(attempt: Callable) -> str | None:
    p, target = torch.tensor([3.0, 4.0]), torch.tensor([0.6, 0.8])
    for name, part in zip(("p", "target"), gradients(attempt, p, target, False)):
        if not same(part, torch.zeros(2)):
            return (
                f"p = {written(p)} and target = {written(target)} point the same way, and the loss is 0, its least: "
                f"all gradients are 0 there. Your gradient of {name} is {written(part)}."
            )
    return None


def turned_and_not_stretched(attempt: Callable) -> str | None:
    p, target = torch.tensor([2.0, 0.0]), torch.tensor([0.6, 0.8])
    for name, own, part in zip(("p", "target"), (p, target), gradients(attempt, p, target, False)):
        along = float(own @ part.to(own)) / float(own.norm())
        if not close(along, 0):
            return (
                "lengths do not count in the loss, so a gradient has no part along its own vector. For p = "
                f"{written(p)}, target = {written(target)} your gradient of {name} is {written(part)}, and its part "
                f"along {name} is {along:.3f}."
            )
    return None


def how_length_counts(attempt: Callable) -> str | None:
    p, target = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    for place, name in enumerate(("p", "target")):
        longer = [2 * x if i == place else x for i, x in enumerate((p, target))]
        before, after = gradients(attempt, p, target, False), gradients(attempt, *longer, False)
        if not same(before[place], 2 * after[place].to(before[place])):
            return (
                f"with {name} twice as long its gradient should be half: for p = {written(p)}, target = "
                f"{written(target)} yours goes from {written(before[place])} to {written(after[place])}."
            )
        if not same(before[1 - place], after[1 - place]):
            other = ("target", "p")[place]
            return (
                f"with {name} twice as long the gradient of {other} should not change: for p = {written(p)}, target = "
                f"{written(target)} yours goes from {written(before[1 - place])} to {written(after[1 - place])}."
            )
    return None


def small_example(attempt: Callable) -> str | None:
    p, target = torch.tensor([2.0, 0.0]), torch.tensor([0.6, 0.8])
    mine, expected = gradients(attempt, p, target, False), right(p, target, False)
    for name, m, e in zip(("p", "target"), mine, expected):
        if not same(m, e):
            return (
                f"for p = {written(p)}, target = {written(target)} without stop-gradient your gradient of {name} is "
                f"{written(m)}, expected {written(e)}. There s = 0.6, |p| = 2 and |target| = 1."
            )
    return None


def by_autograd(attempt: Callable) -> str | None:
    """A remark on an answer that is right but carries a graph."""
    answer = attempt(*(x.clone() for x in vectors(3)), False)
    if any(isinstance(part, Tensor) and part.requires_grad for part in answer):
        return "your gradients carry a graph of their own: .detach() them, or work under torch.no_grad()."
    return None


byol_gradients = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="both gradients are those of 2 - 2 s, with and without stop-gradient.",
    ladder=(
        two_come_back,
        what_stop_gradient_changes,
        at_rest_where_they_agree,
        turned_and_not_stretched,
        how_length_counts,
        small_example,
    ),
    notes=(by_autograd,),
)
