"""Lesson 05: the learner's `my_byol_loss(p1, p2, target1, target2)`."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course import losses
from cl_course.lessons.shared.old_exercise import Mistake, compare, failed, same

EXERCISE = "my_byol_loss"
PRAISE = "equal to the course's loss on every batch tried, and no gradient reaches the targets."

INTO_TARGETS = (
    "the value is right, but a gradient flows into the targets: they would come to meet the predictions, and the easiest meeting place is one point for all. "
    "Stop it with target.detach(), before anything else is done with them."
)
NOT_INTO_PREDICTIONS = "the value is right, but no gradient reaches the predictions, so nothing would learn: detach the targets, not the predictions, and leave out .item() and float()."


def byol_loss(attempt: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Check the symmetric loss of BYOL on batches of 3 to 6 images; name the mistake if there is one."""
    inputs = [_batch(n) for n in (3, 4, 6)]
    if not _agree(attempt, inputs):
        return compare(EXERCISE, attempt, _reference, inputs, MISTAKES, PRAISE)
    to_predictions, to_targets = _gradients(attempt, *inputs[0])
    if to_predictions is None or not same(to_predictions, _gradients(_reference, *inputs[0])[0]):
        return failed(EXERCISE, NOT_INTO_PREDICTIONS)
    if to_targets is not None and bool(to_targets.any()):
        return failed(EXERCISE, INTO_TARGETS)
    return compare(EXERCISE, attempt, _reference, inputs, (), PRAISE)


def _batch(n: int) -> tuple[Tensor, ...]:
    """p1, p2, target1, target2 of n images, with lengths that differ."""
    generator = Generator().manual_seed(n)
    z = torch.randn(n, 5, generator=generator)
    return tuple(z + torch.randn(n, 5, generator=generator) for _ in range(4))


def _reference(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    return losses.byol_loss(p1, target2.detach()) + losses.byol_loss(p2, target1.detach())


def _agree(attempt: Callable, inputs: list[tuple]) -> bool:
    try:
        return all(same(attempt(*(x.clone() for x in batch)), _reference(*batch)) for batch in inputs)
    except Exception:  # `compare` runs the attempt again and says what it raised
        return False


def _gradients(loss: Callable, *batch: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """d loss / d predictions and d loss / d targets, (2, n, 5) each; None where no way leads back."""
    leaves = [x.clone().requires_grad_() for x in batch]
    try:
        loss(*(x * 1 for x in leaves)).backward()  # x * 1: an attempt may detach_ what it is given, a leaf it may not
    except Exception:  # the loss is a number, or hangs on nothing
        return None, None
    predictions, targets = ([x.grad for x in pair] for pair in (leaves[:2], leaves[2:]))
    return tuple(
        None
        if all(g is None for g in pair)
        else torch.stack([torch.zeros_like(batch[0]) if g is None else g for g in pair])
        for pair in (predictions, targets)
    )


# The exercise done in wrong ways, from distances so that each shows its mistake.
def _squared(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|^2 on the unit sphere for each image, (n,)."""
    return (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1)


def _cosines(p1: Tensor, p2: Tensor, target1: Tensor, target2: Tensor) -> Tensor:
    return (F.cosine_similarity(p1, target2) + F.cosine_similarity(p2, target1)).mean()


def _columns(a: Tensor, b: Tensor) -> Tensor:
    return (F.normalize(a, dim=0) - F.normalize(b, dim=0)).square().sum(dim=1).mean()


_OWN_VIEW = (
    "the predictions are paired with the wrong views: p1 is compared with target1, which saw the very same view. Then there is nothing to see through, "
    "and nothing to learn. Cross over: p1 with target2, p2 with target1."
)
_ONE_DIRECTION = (
    "one direction only: one prediction is compared, the other is not. Add the same term with the views exchanged."
)
_BOTH_PREDICTED = "the predictor is on both sides: the predictions are compared with each other. Both would move to meet; compare p1 with target2 and p2 with target1."
_NO_PREDICTION = (
    "the predictions are not used: the targets are compared with each other, and nothing that learns is in the loss."
)
_NOT_NORMALISED = "the vectors are not normalised: their lengths must not count, or shrinking them all would lower the loss. Make each row's length 1 with F.normalize(x, dim=1)."
_SIMSIAM = "this is minus the cosine similarity, as in SimSiam: its gradient points the same way, but BYOL's eq. 2 is the squared distance 2 - 2 s(p, z), 0 at best."

MISTAKES = (
    Mistake(_OWN_VIEW, lambda p1, p2, t1, t2: (_squared(p1, t1) + _squared(p2, t2)).mean()),
    Mistake(_OWN_VIEW, lambda p1, p2, t1, t2: (_squared(p1, t1) + _squared(p2, t2)).mean() / 2),
    Mistake(_ONE_DIRECTION, lambda p1, p2, t1, t2: _squared(p1, t2).mean()),
    Mistake(_ONE_DIRECTION, lambda p1, p2, t1, t2: _squared(p2, t1).mean()),
    Mistake(
        "one direction counted twice: the second term must have the views exchanged, p2 with target1.",
        lambda p1, p2, t1, t2: 2 * _squared(p1, t2).mean(),
    ),
    Mistake(_BOTH_PREDICTED, lambda p1, p2, t1, t2: 2 * _squared(p1, p2).mean()),
    Mistake(_BOTH_PREDICTED, lambda p1, p2, t1, t2: _squared(p1, p2).mean()),
    Mistake(_NO_PREDICTION, lambda p1, p2, t1, t2: 2 * _squared(t1, t2).mean()),
    Mistake(_NO_PREDICTION, lambda p1, p2, t1, t2: _squared(t1, t2).mean()),
    Mistake("twice too small: the two directions are added, not averaged.", lambda *batch: _reference(*batch) / 2),
    Mistake(_NOT_NORMALISED, lambda p1, p2, t1, t2: ((p1 - t2).square() + (p2 - t1).square()).sum(dim=1).mean()),
    Mistake(_NOT_NORMALISED, lambda p1, p2, t1, t2: F.mse_loss(p1, t2) + F.mse_loss(p2, t1)),
    Mistake(
        "normalised along the wrong dimension: each row is one vector, so dim=1.",
        lambda p1, p2, t1, t2: _columns(p1, t2) + _columns(p2, t1),
    ),
    Mistake(
        "the mean is also taken over the dimensions, as F.mse_loss does, so the answer is d times too small: sum over the dimensions, then the mean over the images.",
        lambda *batch: _reference(*batch) / batch[0].shape[1],
    ),
    Mistake(
        "a sum over the images where the mean belongs: the loss would grow with the batch.",
        lambda *batch: _reference(*batch) * len(batch[0]),
    ),
    Mistake(
        "one value for each image came back: take their mean.",
        lambda p1, p2, t1, t2: _squared(p1, t2) + _squared(p2, t1),
    ),
    Mistake(_SIMSIAM, lambda *batch: -_cosines(*batch)),
    Mistake(_SIMSIAM, lambda *batch: -_cosines(*batch) / 2),
    Mistake(
        "the sign is turned round: agreement must lower the loss, so it is 2 - 2 s(p, z) in each direction.",
        lambda *batch: 4 + 2 * _cosines(*batch),
    ),
    Mistake(
        "this is the cosine similarity itself: descending it would drive prediction and target apart. The loss is 2 - 2 s(p, z) in each direction.",
        _cosines,
    ),
)
