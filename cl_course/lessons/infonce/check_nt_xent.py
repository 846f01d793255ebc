"""Lesson 02: the learner's `my_nt_xent(z1, z2, temperature)`."""

from collections.abc import Callable

import torch
from torch import Tensor

from cl_course.lessons.infonce.nt_xent_ladder import LADDER, ORDINARY, right, value, views
from cl_course.lessons.infonce.nt_xent_mistakes import MISTAKES
from cl_course.lessons.infonce.nt_xent_parts import hide_itself, make
from cl_course.lessons.shared.exercise import Exercise, Fault, same

NAME = "my_nt_xent"
COLD = 0.01


def observe(attempt: Callable) -> list[Tensor]:
    answers = [value(attempt, *batch) for batch in ORDINARY]
    for answer, (z1, _, temperature) in zip(answers, ORDINARY):
        strange = answer[~answer.isfinite()]
        if len(strange):  # whatever the cause, the answer is the same: no known mistake may claim it
            why = (
                "Cross-entropy is infinite where a target has probability 0. See which column each row's target names, "
                "and which cells are masked: the partner is at (i + n) modulo 2n, and only the view itself is masked."
                if strange[0].isinf()
                else "inf - inf, 0 * inf and 0 / 0 give nan: a row in which every cell is masked, or 0 times a logit "
                "of -inf. Mask the diagonal alone, and give F.cross_entropy indices."
            )
            where = f"for {len(z1)} images at T = {temperature} your loss is {float(strange[0])}"
            raise Fault(f"{where}, and it must be finite. {why}")
    return answers


# What a right answer must also do.
def is_finite_when_cold(attempt: Callable) -> str | None:
    cold = views(4, COLD, noise=0.1)  # partners so near that exp(s / T) is more than float32 holds
    mine, expected = value(attempt, *cold), right(*cold)
    if same(mine, expected):
        return None
    if not mine.isfinite().all():
        return (
            f"right at ordinary temperatures, but at T = {COLD} your answer is not finite: there exp(1 / T) is larger "
            "than a float32 can hold. Let F.cross_entropy or torch.logsumexp take the exponentials: they subtract the "
            "largest logit first."
        )
    return _not_exact(mine, expected)


def is_right_in_the_corners(attempt: Callable) -> str | None:
    """All candidates far from the view, where a weak mask wins; a partner farther than the rest: p is 0 in float32."""
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    far, opposite = (corners[:2], corners[2:], COLD), (torch.ones(3, 3), -torch.ones(3, 3), COLD)
    if not same(mine := value(attempt, *far), expected := right(*far)):
        weak = next((m for m in (-5, -10, -20, -30) if same(mine, make(candidates=hide_itself(m))(*far))), None)
        if weak is None:
            return _not_exact(mine, expected)
        return (
            f"right, until at T = {COLD} all candidates are far from the view: your diagonal is masked with {weak}, "
            f"and logits reach -100 there. Your loss is {float(mine):.4f}, expected {float(expected):.4f}. Mask with "
            "-torch.inf."
        )
    if same(mine := value(attempt, *opposite), expected := right(*opposite)):
        return None
    if mine.isfinite().all():
        return _not_exact(mine, expected)
    return (
        f"right, until at T = {COLD} a partner is farther than a negative: its probability is too small for float32, "
        "becomes 0, and log(0) is not finite. Give the logits to F.cross_entropy, F.log_softmax or torch.logsumexp; "
        "never log(softmax)."
    )


def _not_exact(mine: Tensor, expected: Tensor) -> str:
    return (
        f"right at ordinary temperatures, but at T = {COLD} there are embeddings for which your answer is "
        f"{float(mine):.4f}, expected {float(expected):.4f}. A number added for safety, a clamp or a mask that is not "
        "-inf can do that. Mask with -torch.inf, and let F.cross_entropy take the exponentials."
    )


def carries_its_gradient(attempt: Callable) -> str | None:
    z1, z2, temperature = ORDINARY[0]

    def gradient(loss: Callable) -> Tensor | None:
        z = torch.cat([z1, z2]).requires_grad_()
        try:
            return torch.autograd.grad(loss(*z.clone().chunk(2), temperature).reshape(()), z)[0]
        except (RuntimeError, AttributeError, TypeError):  # the loss is a number, or nothing leads back from it
            return None

    mine = gradient(attempt)
    if mine is not None and same(mine, gradient(right)):
        return None
    seen = "no gradient reaches them" if mine is None else "what reaches them is not the gradient of the whole loss"
    return (
        f"the value is right, but training needs its gradient with respect to z1 and z2, and {seen}. Keep every step "
        "in torch, without .item(), float(), .detach() or a new torch.tensor(...)."
    )


def has_a_shape(attempt: Callable) -> str | None:
    answer = attempt(*ORDINARY[0])
    if isinstance(answer, Tensor) and answer.ndim:
        return f"your answer has the shape {tuple(answer.shape)}; a loss is usually of shape (), a single number."
    return None


def is_double(attempt: Callable) -> str | None:
    answer = attempt(*ORDINARY[0])
    if isinstance(answer, Tensor) and answer.dtype == torch.double:
        return "your answer is float64 and the embeddings are float32. It is right, and a GPU takes longer for it."
    return None


nt_xent = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to the course's nt_xent at every batch size and temperature tried, and finite at T = 0.01.",
    demands=(is_finite_when_cold, is_right_in_the_corners, carries_its_gradient),
    ladder=LADDER,
    notes=(has_a_shape, is_double),
)
