"""Lesson 07, patient F: the learner's `my_optimizer(weights)`, judged by what it does on a small problem.

A student learns to predict a fixed network's directions, by BYOL's loss, for some hundred steps. Said is only what was
observed: how far steps go against the weights, and what becomes of the loss.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.exercise import Exercise, Fault, NotAttempted, kind_of
from cl_course.losses import byol_loss

NAME = "my_optimizer"
STEPS, BATCH, WIDTH = 300, 64, 32
LARGEST = 0.15  # change in one step, as a share of the weights' length
FALL = 0.5  # the loss at the end, as a share of that at the start


@dataclass(frozen=True)
class Course:
    """What an optimiser did on the problem."""

    changes: Tensor  # in each step, as a share of the weights' length
    losses: Tensor
    still: tuple[int, int]  # weight tensors that never moved, of how many
    held: int | None  # how many of them the optimiser has; None where it does not say
    first: float  # the mean change of a weight in the first step
    kind: str
    rate: float | None
    weight: float  # the mean size of a weight at the start

    @property
    def start(self) -> float:
        return float(self.losses[:5].mean())

    @property
    def end(self) -> float:
        return float(self.losses[-20:].mean())


def made(attempt: Callable, weights: list[Tensor]) -> torch.optim.Optimizer:
    """The attempt's optimiser.

    Raises:
        NotAttempted: it made none.
        Fault: what came back is no optimiser.
    """
    optimizer = attempt(list(weights))
    if optimizer is None or optimizer is ...:
        raise NotAttempted
    if isinstance(optimizer, type):
        raise Fault(f"the class {optimizer.__name__} came back: call it, {optimizer.__name__}(weights, lr=...).")
    if not callable(getattr(optimizer, "step", None)) or not callable(getattr(optimizer, "zero_grad", None)):
        raise Fault(
            f"{kind_of(optimizer)} came back, and an optimiser is asked for, such as torch.optim.SGD(weights, lr=...)."
        )
    return optimizer


def course_of(attempt: Callable) -> Course:
    """Train the student with the optimiser that the attempt makes."""
    student, teacher = _networks()
    weights = _fresh(student)
    return _train(made(attempt, weights), weights, student, teacher)


def _fresh(student: nn.Module) -> list[Tensor]:
    return [weight.detach().clone().requires_grad_() for weight in student.parameters()]


@lru_cache(maxsize=1)
def _networks() -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return tuple(
            nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH)) for _ in range(2)
        )


def _train(optimizer: torch.optim.Optimizer, weights: list[Tensor], student: nn.Module, teacher: nn.Module) -> Course:
    generator = Generator().manual_seed(1)
    names = [name for name, _ in student.named_parameters()]
    start = [weight.detach().clone() for weight in weights]
    changes, losses, first = [], [], 0.0
    of_step = inspect.signature(optimizer.step).parameters.values()
    wants_closure = any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in of_step)  # as LBFGS does
    for step in range(STEPS):
        x = torch.randn(BATCH, WIDTH, generator=generator)
        with torch.no_grad():
            target = teacher(x)

        def closure(x: Tensor = x, target: Tensor = target) -> Tensor:
            optimizer.zero_grad()
            loss = byol_loss(torch.func.functional_call(student, dict(zip(names, weights)), x), target)
            loss.backward()
            return loss

        before = _joined(weights)
        loss = closure()
        optimizer.step(*[closure] * wants_closure)
        change = _joined(weights) - before
        changes.append(change.norm() / before.norm())
        losses.append(loss.detach())
        if step == 0:
            first = float(change.abs().mean())
        if not loss.isfinite() or not changes[-1].isfinite():
            break
    groups = getattr(optimizer, "param_groups", None)
    rate = groups[0].get("lr") if groups else None
    ids = {id(weight) for group in groups or () for weight in group["params"]}
    return Course(
        changes=torch.stack(changes),
        losses=torch.stack(losses),
        still=(sum(torch.equal(a, b.detach()) for a, b in zip(start, weights)), len(weights)),
        held=sum(id(weight) in ids for weight in weights) if groups else None,
        first=first,
        kind=type(optimizer).__name__,
        rate=float(rate) if rate is not None else None,
        weight=float(_joined(start).abs().mean()),
    )


def _joined(weights: list[Tensor]) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in weights])


def observe(attempt: Callable) -> str:
    return type(made(attempt, _fresh(_networks()[0]))).__name__


# What a right answer must do.
def does_well(attempt: Callable) -> str | None:
    seen = course_of(attempt)
    return moves_every_weight(seen) or steps_are_small(seen) or loss_falls(seen)


def moves_every_weight(seen: Course) -> str | None:
    still, of = seen.still
    if seen.held is not None and seen.held < of:
        return (
            f"your optimiser has {seen.held} of the {of} weight tensors, and the others never move. Its first argument "
            "is the whole list: weights."
        )
    if not still:
        return None
    return f"{'all' if still == of else still} of the {of} weight tensors never moved in {len(seen.losses)} steps."


def steps_are_small(seen: Course) -> str | None:
    if not bool(seen.losses.isfinite().all() and seen.changes.isfinite().all()):
        return f"the loss or the weights became infinite or nan in step {len(seen.losses)}. Take a lower rate."
    largest, at = float(seen.changes.max()), int(seen.changes.argmax()) + 1
    if largest <= LARGEST:
        return None
    rate = ""
    if seen.rate and math.isclose(seen.first, seen.rate, rel_tol=0.1):
        rate = (
            f" In its first step your {seen.kind} moved a weight by {seen.first:.3g} on average, which is the rate "
            f"itself; the weights' mean size is {seen.weight:.2f}."
        )
    return (
        f"step {at} of {STEPS} changes the weights by {largest:.0%} of their own length; {LARGEST:.0%} is the most "
        f"that is allowed here.{rate} The loss of the test problem: {seen.start:.2f} at the start, {seen.end:.2f} at "
        "the end."
    )


def loss_falls(seen: Course) -> str | None:
    if seen.end <= FALL * seen.start:
        return None
    typical = float(seen.changes.median())
    return (
        f"in {STEPS} steps the loss of the test problem goes from {seen.start:.2f} to {seen.end:.2f}; it must fall to "
        f"half. A typical step changes the weights by {typical:.2g} of their length."
    )


optimizer = Exercise(
    name=NAME,
    observe=observe,
    make=None,
    mistakes=(),
    praise=f"no step changes the weights by more than {LARGEST:.0%} of their length, and the test problem is learned.",
    demands=(does_well,),
)
