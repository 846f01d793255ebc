"""Lesson 10: the learner's `my_clip_loss(z_image, z_text, temperature)`: the symmetric loss between two encoders."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import close, number
from cl_course.lessons.two_languages import pair_loss as shared
from cl_course.losses import nt_xent

NAME = "my_clip_loss"
BATCHES = (shared.pairs(3, 0.5), shared.exchanged(4, 0.2), shared.pairs(6, 2.0))
NOT_FINITE = (
    "Cross-entropy is infinite where a target has probability 0. Here the right pairs lie on the diagonal: it is not "
    "masked, as it is in NT-Xent, where the diagonal is a view beside itself."
)


# The right way, in parts that can each be done in a wrong way.
def own(n: int) -> Tensor:
    return torch.arange(n)


def minus_log_p(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target, reduction="none")


def both(logits: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([loss(logits), loss(logits.T)])  # (2, n)


def mean(losses: Tensor) -> Tensor:
    return losses.mean()


def make(
    lengths: Callable = shared.unit_rows,
    product: Callable = shared.across,
    scale: Callable = shared.divide,
    target: Callable = own,
    pair_loss: Callable = minus_log_p,
    directions: Callable = both,
    average: Callable = mean,
) -> Callable[[Tensor, Tensor, float], Tensor]:
    def attempt(z_image: Tensor, z_text: Tensor, temperature: float) -> Tensor:
        logits = scale(product(*lengths(z_image, z_text)), temperature)
        return average(directions(logits, lambda table: pair_loss(table, target(len(table)))))

    return attempt


right = make()


def _hardest(logits: Tensor, target: Tensor) -> Tensor:
    rows = torch.arange(len(logits))
    others = logits.clone()
    others[rows, target] = -torch.inf
    return F.softplus(others.amax(dim=1) - logits[rows, target])


def _without_own(logits: Tensor, target: Tensor) -> Tensor:
    rows = torch.arange(len(logits))
    others = logits.clone()
    others[rows, target] = -torch.inf
    return others.logsumexp(dim=1) - logits[rows, target]


def _one_softmax(logits: Tensor, target: Tensor) -> Tensor:
    return logits.flatten().logsumexp(dim=0) - logits[torch.arange(len(logits)), target]


def _yes_or_no(logits: Tensor, target: Tensor) -> Tensor:
    hot = F.one_hot(target, len(logits)).float()
    return F.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(dim=1)


def _joined(logits: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    return loss(torch.cat([logits, logits.T], dim=1))


_LENGTHS = "lengths must not count: bring every row of both to length 1. "
_OWN_SIDE = (
    "this is NT-Xent of all 2n embeddings: images are also compared with images, and texts with texts. CLIP compares "
    "across the two sides alone, a table of (n, n) whose diagonal holds the right pairs."
)

MISTAKES = (
    Mistake(
        "one direction only: every image looks for its caption, but no caption for its image. Add the same loss of "
        "logits.T, and halve the sum. (The rows taken twice come out as the rows taken once.)",
        {"directions": lambda logits, loss: loss(logits)},
    ),
    Mistake(
        "one direction only: every caption looks for its image, but no image for its caption. Add the same loss of the "
        "logits as they are, and halve the sum.",
        {"directions": lambda logits, loss: loss(logits.T)},
    ),
    Mistake("the two directions are added: the loss is half their sum.", {"average": lambda losses: 2 * losses.mean()}),
    Mistake(
        "both directions go through one softmax over 2n candidates: an image chooses among n captions, a caption among "
        "n images, and these are two softmaxes.",
        {"directions": _joined},
    ),
    Mistake(
        "the difference of the two directions came back: average them.",
        {"average": lambda losses: (losses[0] - losses[1]).mean()},
    ),
    Mistake("the temperature has no effect: divide the similarities by it.", {"scale": lambda s, t: s}),
    Mistake(
        "the temperature has no effect: the logits count as if T were 0.07, where CLIP starts. Divide by the argument.",
        {"scale": lambda s, t: s / 0.07},
    ),
    Mistake("you multiply by the temperature: divide by it.", {"scale": lambda s, t: s * t}),
    Mistake(
        "the logits are multiplied by exp(T). The paper's code does that with t = -ln T, which it learns; here the "
        "temperature itself is given: divide by it.",
        {"scale": lambda s, t: s * math.exp(t)},
    ),
    Mistake(
        "the temperature counts as T squared. Dividing both embeddings by T does that: divide the similarities, once.",
        {"scale": lambda s, t: s / t**2},
    ),
    Mistake(
        "the targets are those of the pair beside: row i of both is pair i, so the right column of row i is i.",
        {"target": lambda n: torch.arange(n).roll(-1)},
    ),
    Mistake(
        "every target is 0, as in MoCo, where the own key stands first. Here the right column of row i is i.",
        {"target": lambda n: torch.zeros(n, dtype=torch.long)},
    ),
    Mistake(
        "targets for 2n views: here a row has n candidates, and the right one of row i is i.",
        {"target": lambda n: torch.arange(2 * n).roll(n)},
    ),
    Mistake(
        "the targets are floats; F.cross_entropy takes indices: whole numbers, as torch.arange(n) gives.",
        {"target": lambda n: torch.arange(float(n))},
    ),
    Mistake(_LENGTHS + "Yours are products of vectors of any length.", {"lengths": lambda a, b: (a, b)}),
    Mistake(
        _LENGTHS + "Yours are normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda a, b: (F.normalize(a, dim=0), F.normalize(b, dim=0))},
    ),
    Mistake(_LENGTHS + "z_text is left as it was.", {"lengths": lambda a, b: (F.normalize(a, dim=1), b)}),
    Mistake(_LENGTHS + "z_image is left as it was.", {"lengths": lambda a, b: (a, F.normalize(b, dim=1))}),
    Mistake(
        _LENGTHS + "Each side is divided by one common length.", {"lengths": lambda a, b: (a / a.norm(), b / b.norm())}
    ),
    Mistake(
        "two shapes do not fit together: lengths are a column, z.norm(dim=1, keepdim=True), and all images against all "
        "texts are a matrix product, z_image @ z_text.T.",
        {"lengths": lambda a, b: (a / a.norm(dim=1), b / b.norm(dim=1))},
    ),
    Mistake("(n, d) @ (n, d): transpose the second, z_image @ z_text.T.", {"product": lambda a, b: a @ b}),
    Mistake(
        "z_image.T @ z_text compares the d columns; z_image @ z_text.T compares the pairs, the rows.",
        {"product": lambda a, b: a.T @ b},
    ),
    Mistake("z_text is never used: images are compared with images.", {"product": lambda a, b: a @ a.T}),
    Mistake("z_image is never used: texts are compared with texts.", {"product": lambda a, b: b @ b.T}),
    Mistake("the logits are distances: near pairs must get large ones.", {"product": torch.cdist}),
    Mistake("the sign of the similarity is wrong.", {"product": lambda a, b: -(a @ b.T)}),
    Mistake(
        "the softmax is taken twice: F.cross_entropy takes logits and makes the softmax itself.",
        {"pair_loss": lambda logits, target: minus_log_p(logits.softmax(dim=1), target)},
    ),
    Mistake(
        "exponentials go into F.cross_entropy, which takes logits and makes the exponentials itself.",
        {"pair_loss": lambda logits, target: minus_log_p(logits.exp(), target)},
    ),
    Mistake(
        "each pair is judged by itself, yes or no, nearly as in SigLIP, a later exercise. Here the candidates of a "
        "row compete in one softmax.",
        {"pair_loss": _yes_or_no},
    ),
    Mistake("one softmax for the whole table: each row needs its own.", {"pair_loss": _one_softmax}),
    Mistake(
        "the right pair is left out of its own denominator: the sum runs over all n candidates.",
        {"pair_loss": _without_own},
    ),
    Mistake("only the hardest negative counts: the sum runs over all n candidates.", {"pair_loss": _hardest}),
    Mistake(
        "the logarithm is missing: you average 1 - p. The loss of a row is -log p.",
        {"pair_loss": lambda logits, target: 1 - (-minus_log_p(logits, target)).exp()},
    ),
    Mistake(
        "the logarithm is missing: you average -p. The loss of a row is -log p.",
        {"pair_loss": lambda logits, target: -(-minus_log_p(logits, target)).exp()},
    ),
    Mistake("a sum where the mean belongs: divide by 2n, the rows of both directions.", {"average": torch.sum}),
    Mistake("the sum over n pairs came back: take the mean.", {"average": lambda losses: losses.sum() / 2}),
    Mistake("the loss is halved once too often.", {"average": lambda losses: losses.mean() / 2}),
    Mistake(
        "divided by n twice: the mean has done it already.", {"average": lambda losses: losses.mean() / losses.shape[1]}
    ),
    Mistake("the sign is wrong: the loss is minus the logarithm.", {"average": lambda losses: -losses.mean()}),
    Mistake(
        "one loss for each direction came back: average them into one number.",
        {"average": lambda losses: losses.mean(dim=1)},
    ),
    Mistake(
        "one loss for each pair came back: average them into one number.",
        {"average": lambda losses: losses.mean(dim=0)},
    ),
    Mistake(
        "one loss for each row of both tables came back: average them into one number.",
        {"average": lambda losses: losses},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return shared.finite(attempt, BATCHES, NOT_FINITE)


# Wrong, and no known mistake.
def is_nt_xent(attempt: Callable) -> str | None:
    agree = all(close(number(answer_of(attempt, *batch)), float(nt_xent(*batch))) for batch in BATCHES)
    return _OWN_SIDE if agree else None


def all_alike(attempt: Callable) -> str | None:
    mine = number(answer_of(attempt, torch.ones(4, 3), torch.ones(4, 3), 0.5))
    if mine is None or close(mine, math.log(4)):
        return None
    count = next((k for k in (2, 3, 5, 7, 8, 16) if close(mine, math.log(k))), None)
    return (
        f"when all embeddings of 4 pairs are alike, a row has 4 equal candidates and the loss is ln 4 = "
        f"{math.log(4):.4f}; yours is {mine:.4f}{f' = ln {count}, as for {count} candidates' if count else ''}."
    )


clip_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="images find their captions and captions their images, at every batch size and temperature tried.",
    demands=(shared.right_when_cold(right), shared.carries_its_gradient(right, BATCHES[0], ["temperature"])),
    ladder=(
        shared.is_one_number(BATCHES[0]),
        is_nt_xent,
        shared.how_far_off(right),
        shared.how_temperature_counts(right),
        all_alike,
        shared.lengths_count(0.5),
        shared.sides_count(0.5),
        shared.small_examples(right, 0.5),
    ),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
