"""The check of `my_byol_loss`: its inputs, what a right answer must also do, and one property after the other."""

from collections.abc import Callable, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course import losses
from cl_course.lessons.shared.exercise import Fault, call, same
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number

ARGUMENTS = ("p1", "p2", "target1", "target2")


def right(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    return losses.byol_loss(p1, target2.detach()) + losses.byol_loss(p2, target1.detach())


# Inputs: every batch has another n and another d, and lengths that differ.
def batch(n: int, d: int) -> tuple[Tensor, ...]:
    """p1, p2, target1, target2 of n images."""
    generator = Generator().manual_seed(10 * n + d)
    z = torch.randn(n, d, generator=generator)
    return tuple(z + torch.randn(n, d, generator=generator) for _ in ARGUMENTS)


ORDINARY = (batch(3, 5), batch(5, 4), batch(6, 3))  # the larger of the two directions is not always the first
IN_PLACE = (
    "you changed {changed} in place, and the caller's tensor is altered. Make new tensors: p = F.normalize(p1, dim=1), "
    "not p1 /= ..."
)


def value(attempt: Callable, given: Sequence[Tensor]) -> object:
    """The attempt's answer, without its gradient; of shape () where it is one number."""
    copies = [x.clone() for x in given]
    answer = call(lambda: attempt(*copies))
    changed = [name for name, x, copy in zip(ARGUMENTS, given, copies) if not torch.equal(x, copy)]
    if changed:
        raise Fault(IN_PLACE.format(changed=" and ".join(changed)))
    if isinstance(answer, list | tuple):
        return [_plain(part) for part in answer]
    return _plain(answer)


def _plain(answer: object) -> object:
    try:
        answer = torch.as_tensor(answer).detach().double()
    except (TypeError, ValueError, RuntimeError):
        return answer
    return answer.reshape(()) if answer.numel() == 1 else answer


def observe(attempt: Callable) -> list:
    return [value(attempt, given) for given in ORDINARY]


# What a right answer must also do.
def gradients_flow_as_they_should(attempt: Callable) -> str | None:
    mine, expected = _gradients(attempt, ORDINARY[0]), _gradients(right, ORDINARY[0])
    if mine is None:
        return (
            "the value is right, but no gradient reaches p1 and p2, so nothing would learn: nothing leads back from "
            "your loss to them. Detach only the targets, and leave out .item(), float() and torch.no_grad() around "
            "the predictions."
        )
    pairs = list(zip(ARGUMENTS, mine, expected))
    missing = [name for name, m, e in pairs[:2] if not m.any()]
    other = [name for name, m, e in pairs[:2] if m.any() and not same(m, e)]
    reached = [name for name, m, _ in pairs[2:] if m.any()]
    seen = []
    if missing:
        seen.append(f"no gradient reaches {' and '.join(missing)}, so nothing would learn from that")
    if other:
        seen.append(f"the gradient that reaches {' and '.join(other)} is not that of the whole loss")
    if reached:
        seen.append(
            f"a gradient flows into {' and '.join(reached)}. The targets would move to meet the predictions, and the "
            "easiest meeting place is one point for all"
        )
    if not seen:
        return None
    todo = []
    if reached:
        todo.append("Take target.detach() before anything else is done with a target.")
    if missing or other:
        todo.append("Detach the targets, not the predictions.")
    return f"the value is right, but {'; and '.join(seen)}. {' '.join(todo)}"


def _gradients(loss: Callable, given: Sequence[Tensor]) -> list[Tensor] | None:
    """d loss / d each argument, 0 where none arrives; None where nothing leads back at all."""
    leaves = [x.clone().requires_grad_() for x in given]
    answer = loss(*(x * 1 for x in leaves))  # x * 1: an attempt may detach_ what it is given, and a leaf it may not
    if not (isinstance(answer, Tensor) and answer.requires_grad):
        return None
    found = torch.autograd.grad(answer.sum(), leaves, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found)]


def is_a_number(attempt: Callable) -> str | None:
    shape = tuple(attempt(*(x.clone() for x in ORDINARY[0])).shape)
    return f"your answer has the shape {shape}; a loss is usually a single number, of shape ()." if shape else None


# Wrong, and no known mistake: one property after the other.
def _number(attempt: Callable, given: Sequence[Tensor]) -> float | None:
    return number(attempt(*(x.clone() for x in given)))


def _rows(*rows: Sequence[float]) -> list[Tensor]:
    """One image: four vectors of shape (1, d)."""
    return [torch.tensor([row], dtype=torch.float32) for row in rows]


def one_number_comes_back(attempt: Callable) -> str | None:
    answer = value(attempt, ORDINARY[0])
    if isinstance(answer, Tensor) and answer.ndim:
        shape = tuple(answer.shape)
        return (
            f"for {len(ORDINARY[0][0])} images your answer has the shape {shape}, and a loss is one number: take the "
            "mean over the images in the terms of both directions."
        )
    return None


def who_counts(attempt: Callable) -> str | None:
    """Which of the four arguments the loss depends on."""
    given, other = batch(4, 5), batch(4, 6)
    before = _number(attempt, given)
    if before is None:
        return None
    idle = []
    for place, name in enumerate(ARGUMENTS):
        changed = [x if i != place else other[i][:, :5] for i, x in enumerate(given)]
        after = _number(attempt, changed)
        idle += [name] if after is not None and close(before, after) else []
    return f"your loss does not change when {' or '.join(idle)} changes; all four must count." if idle else None


def who_is_compared_with_whom(attempt: Callable) -> str | None:
    """Two images, all vectors at right angles to each other; then two arguments are made equal."""
    apart = list(torch.eye(8).split(2))
    before = _number(attempt, apart)
    compared = []
    for first, second in combinations(range(4), 2):
        met = [apart[first] if i == second else x for i, x in enumerate(apart)]
        after = _number(attempt, met)
        if before is None or after is None:
            return None
        if not close(before, after):
            compared.append(f"{ARGUMENTS[first]} with {ARGUMENTS[second]}")
    if compared == ["p1 with target2", "p2 with target1"]:
        return None
    listed = ", ".join(compared) or "none"
    return (
        "all vectors at right angles to each other, then two of the four arguments made equal: your loss changes for "
        f"these pairs: {listed}. It should change for p1 with target2 and p2 with target1 only."
    )


def images_are_kept_apart(attempt: Callable) -> str | None:
    """Two images; then the target of the second becomes the prediction of the first, which concerns no one."""
    a, b, c, d = torch.eye(4)
    given = [torch.stack([a, b]), torch.stack([a, b]), torch.stack([c, d]), torch.stack([c, d])]
    before = _number(attempt, given)
    after = _number(attempt, [*given[:3], torch.stack([c, a])])
    if before is None or after is None or close(before, after):
        return None
    return (
        "the images are not kept apart: with the target of image 2 made equal to the prediction of image 1 your loss "
        f"goes from {before:.4f} to {after:.4f}, and should not change. Row i belongs with row i alone."
    )


def lengths_count(attempt: Callable) -> str | None:
    given = batch(3, 5)
    before = _number(attempt, given)
    for place, name in enumerate(ARGUMENTS):
        longer = [torch.cat([2 * x[:1], x[1:]]) if i == place else x for i, x in enumerate(given)]
        after = _number(attempt, longer)
        if before is not None and after is not None and not close(before, after):
            return (
                f"lengths count in your loss: with the first row of {name} twice as long it is {after:.4f} instead of "
                f"{before:.4f}. Only directions may count: make each row's length 1, or use F.cosine_similarity."
            )
    return None


def how_images_and_dimensions_count(attempt: Callable) -> str | None:
    given = batch(3, 5)
    before = _number(attempt, given)
    twice = _number(attempt, [torch.cat([x, x]) for x in given])
    padded = _number(attempt, [F.pad(x, (0, 3)) for x in given])
    if before is None:
        return None
    if twice is not None and not close(before, twice):
        return (
            f"with each image twice in the batch your loss goes from {before:.4f} to {twice:.4f}; a mean over the "
            "images does not change."
        )
    if padded is not None and not close(before, padded):
        return (
            f"with three dimensions more that are 0 in all vectors your loss goes from {before:.4f} to {padded:.4f}, "
            "and should not change: sum over the dimensions."
        )
    return None


def how_similarity_counts(attempt: Callable) -> str | None:
    at = {"0 degrees": (1.0, 0.0), "60 degrees": (0.5, 0.75**0.5), "90 degrees": (0.0, 1.0), "180 degrees": (-1.0, 0.0)}
    right_ahead = (1.0, 0.0)
    pairs = [[x.repeat(2, 1) for x in _rows(v, v, right_ahead, right_ahead)] for v in at.values()]  # two such images
    mine = [_number(attempt, given) for given in pairs]
    if any(m is None for m in mine):
        return None
    if all(close(m, e) for m, e in zip(mine, (0, 2, 4, 8))):
        return None
    angles = "at {}, {}, {} and {}".format(*at)
    return (
        f"predictions that stand {angles} to their targets: your loss is "
        f"{', '.join(f'{m:.3f}' for m in mine)}; expected 0, 2, 4, 8. The term of each direction is 2 - 2 s."
    )


def how_far_off(attempt: Callable) -> str | None:
    mine = [_number(attempt, given) for given in ORDINARY]
    return None if None in mine else constant_relation(mine, [float(right(*given)) for given in ORDINARY], "loss")


def small_example(attempt: Callable) -> str | None:
    given = _rows((1, 0), (0, 1), (0, 1), (3, 4))
    return by_hand(
        attempt,
        right,
        dict(zip(ARGUMENTS, given)),
        "s(p1, target2) = 3 / 5 gives 2 - 1.2 = 0.8, and s(p2, target1) = 1 gives 0",
    )
