"""What the checks of the five losses share: their inputs, demands and probes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import same
from cl_course.lessons.shared.ladder import close, constant_relation, number

Loss = Callable[..., Tensor]
Probe = Callable[[Callable], str | None]


def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def views(n: int, d: int = 4, noise: float = 0.7) -> tuple[Tensor, Tensor]:
    """z1 and z2 of n images, (n, d), whose rows differ in length and whose columns differ in mean and scale."""
    generator = Generator().manual_seed(10 * n + d)
    z1 = torch.randn(n, d, generator=generator)
    z2 = z1 + noise * torch.randn(n, d, generator=generator)
    scale = torch.linspace(0.4, 1.6, d)
    return 0.3 + scale * z1, scale * z2 - 0.2


def off_diagonal(square: Tensor) -> Tensor:
    return square - square.diagonal().diag()


def carries_its_gradient(right: Loss, given: tuple) -> Probe:
    """The gradient with respect to both views, where the value is right already."""

    def gradients(loss: Loss) -> list[Tensor] | None:
        z1, z2 = (z.clone().requires_grad_() for z in given[:2])
        try:
            answer = loss(z1 * 1, z2 * 1, *given[2:])
            total = sum(answer) if isinstance(answer, tuple | list) else answer.sum()
            return list(torch.autograd.grad(total, (z1, z2)))
        except (RuntimeError, AttributeError, TypeError):  # the loss is a number, or nothing leads back from it
            return None

    def demand(attempt: Callable) -> str | None:
        mine = gradients(attempt)
        if mine is not None and same(mine, gradients(right)):
            return None
        seen = "no gradient reaches z1 and z2" if mine is None else "another gradient reaches z1 and z2"
        return (
            f"the value is right, but training needs its gradient, and {seen}. Keep every step in torch, without "
            ".item(), float(), .detach() or a new torch.tensor(...)."
        )

    return demand


# Wrong, and no known mistake: one property after the other.
def has_shape(given: tuple, shape: tuple[int, ...], what: str) -> Probe:
    def probe(attempt: Callable) -> str | None:
        mine = tuple(answer_of(attempt, *given).shape)
        return None if mine == shape else f"your answer has the shape {mine}, expected {shape}: {what}."

    return probe


def how_far_off(right: Loss, batches: Callable[[], list[tuple]]) -> Probe:
    def probe(attempt: Callable) -> str | None:
        mine = [number(answer_of(attempt, *batch)) for batch in batches()]
        return None if None in mine else constant_relation(mine, [float(right(*b)) for b in batches()], "loss")

    return probe


def changes(given: tuple, other: tuple, how: str, why: str) -> Probe:
    """Whether an answer changes that should not: the same inputs, changed in one respect."""

    def probe(attempt: Callable) -> str | None:
        before, after = (number(answer_of(attempt, *batch).sum()) for batch in (given, other))
        if before is None or after is None or close(before, after, 1e-3):
            return None
        return f"{how} your answer goes from {before:.4f} to {after:.4f}. {why}"

    return probe
