"""Lesson 10: the learner's `my_siglip_loss(z_image, z_text, temperature, bias)`: each pair judged by itself."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake
from cl_course.lessons.shared.ladder import close, number
from cl_course.lessons.two_languages import pair_loss as shared

NAME = "my_siglip_loss"
BATCHES = (shared.pairs(3, 0.5, -1.0), shared.exchanged(4, 0.2, -2.5), shared.pairs(6, 2.0, 0.5))
NOT_FINITE = "Look for a logarithm of 0 or of a negative number: F.logsigmoid(x) is log(sigmoid(x)) without that risk."


# The right way, in parts that can each be done in a wrong way.
def shift(logits: Tensor, bias: float) -> Tensor:
    return logits + bias


def signs(n: int) -> Tensor:
    return 2 * torch.eye(n) - 1


def minus_log_sigmoid(logits: Tensor, sign: Tensor) -> Tensor:
    return -F.logsigmoid(sign * logits)


def by_pairs(losses: Tensor) -> Tensor:
    return losses.sum() / len(losses)


def make(
    lengths: Callable = shared.unit_rows,
    product: Callable = shared.across,
    scale: Callable = shared.divide,
    offset: Callable = shift,
    sign: Callable = signs,
    pair_loss: Callable = minus_log_sigmoid,
    average: Callable = by_pairs,
) -> Callable[[Tensor, Tensor, float, float], Tensor]:
    def attempt(z_image: Tensor, z_text: Tensor, temperature: float, bias: float) -> Tensor:
        logits = offset(scale(product(*lengths(z_image, z_text)), temperature), bias)
        return average(pair_loss(logits, sign(len(logits))))

    return attempt


right = make()


def _softmax(logits: Tensor, sign: Tensor) -> Tensor:
    own = torch.arange(len(logits))
    return (F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.T, own, reduction="none"))[
        :, None
    ] / 2


_LENGTHS = "lengths must not count: bring every row of both to length 1. "
_SIGNS = "y is 1 for an image and its own caption, the diagonal, and -1 for every other pair. "

MISTAKES = (
    Mistake(
        "the mean over all n x n pairs: the sum is divided by n, the number of images, as in the paper.",
        {"average": lambda losses: losses.mean()},
    ),
    Mistake("the sum over all pairs is not divided: divide it by n.", {"average": torch.sum}),
    Mistake("the sum is divided by 2n: divide it by n.", {"average": lambda losses: losses.sum() / len(losses) / 2}),
    Mistake(
        "only the right pairs count, the diagonal: all n x n pairs are judged.",
        {"average": lambda losses: losses.diagonal().mean()},
    ),
    Mistake(
        "only the wrong pairs count: the diagonal, the right ones, belongs to the sum.",
        {"average": lambda losses: (losses.sum() - losses.trace()) / len(losses)},
    ),
    Mistake("one value for each pair came back: add them up, and divide by n.", {"average": lambda losses: losses}),
    Mistake("one value for each image came back: average them.", {"average": lambda losses: losses.sum(dim=1)}),
    Mistake("the sign of the loss is wrong: it is minus the logarithm.", {"average": lambda losses: -by_pairs(losses)}),
    Mistake(
        _SIGNS + "Yours has 0 for every other pair, so that these count log 2 whatever they are.", {"sign": torch.eye}
    ),
    Mistake(_SIGNS + "Yours has them exchanged.", {"sign": lambda n: 1 - 2 * torch.eye(n)}),
    Mistake(_SIGNS + "Yours is 1 everywhere: nothing is told apart.", {"sign": lambda n: torch.ones(n, n)}),
    Mistake(_SIGNS + "Yours is -1 everywhere.", {"sign": lambda n: -torch.ones(n, n)}),
    Mistake(_SIGNS + "Yours has the 1s one place beside the diagonal.", {"sign": lambda n: signs(n).roll(1, dims=1)}),
    Mistake("the bias is forgotten: add it to the logits.", {"offset": lambda logits, bias: logits}),
    Mistake(
        "the bias is subtracted: add it. It is negative, and makes a pair improbable.",
        {"offset": lambda logits, bias: logits - bias},
    ),
    Mistake("the logits are multiplied by the bias: add it.", {"offset": lambda logits, bias: logits * bias}),
    Mistake(
        "the bias is added where y has been multiplied already: y belongs before the whole of s / T + bias.",
        {"offset": lambda logits, bias: logits + bias * signs(len(logits))},
    ),
    Mistake(
        "the bias is added before the division by T: divide the similarity alone.",
        {"scale": lambda s, t: s, "offset": lambda logits, bias: logits + bias},
    ),
    Mistake("you multiply by the temperature: divide by it.", {"scale": lambda s, t: s * t}),
    Mistake("the temperature counts as T squared: divide the similarities once.", {"scale": lambda s, t: s / t**2}),
    Mistake("the logits are multiplied by exp(T): divide by T.", {"scale": lambda s, t: s * math.exp(t)}),
    Mistake(_LENGTHS + "Yours are products of vectors of any length.", {"lengths": lambda a, b: (a, b)}),
    Mistake(
        _LENGTHS + "Yours are normalised along the wrong dimension: each row is an embedding, dim=1.",
        {"lengths": lambda a, b: (F.normalize(a, dim=0), F.normalize(b, dim=0))},
    ),
    Mistake(_LENGTHS + "z_text is left as it was.", {"lengths": lambda a, b: (F.normalize(a, dim=1), b)}),
    Mistake(_LENGTHS + "z_image is left as it was.", {"lengths": lambda a, b: (a, F.normalize(b, dim=1))}),
    Mistake("(n, d) @ (n, d): transpose the second, z_image @ z_text.T.", {"product": lambda a, b: a @ b}),
    Mistake("z_text is never used: images are compared with images.", {"product": lambda a, b: a @ a.T}),
    Mistake("z_image is never used: texts are compared with texts.", {"product": lambda a, b: b @ b.T}),
    Mistake("the sign of the similarity is wrong.", {"product": lambda a, b: -(a @ b.T)}),
    Mistake(
        "this is the softmax of CLIP, in which a row's candidates compete. Here each pair has a sigmoid of its own.",
        {"pair_loss": _softmax},
    ),
    Mistake(
        "the logarithm is missing: the loss of a pair is -log sigmoid.",
        {"pair_loss": lambda logits, sign: -(sign * logits).sigmoid()},
    ),
    Mistake(
        "the logarithm is missing: you add up 1 - sigmoid.",
        {"pair_loss": lambda logits, sign: 1 - (sign * logits).sigmoid()},
    ),
    Mistake(
        "the sigmoid is taken twice: F.logsigmoid takes logits.",
        {"pair_loss": lambda logits, sign: -F.logsigmoid((sign * logits).sigmoid())},
    ),
    Mistake(
        "y stands outside the logarithm, where it turns the loss of the wrong pairs around: y belongs inside.",
        {"pair_loss": lambda logits, sign: -sign * F.logsigmoid(logits)},
    ),
    Mistake(
        "this is the loss of a hinge, max(0, 1 - x): here it is -log sigmoid(x).",
        {"pair_loss": lambda logits, sign: (1 - sign * logits).relu()},
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    return shared.finite(attempt, BATCHES, NOT_FINITE)


# Wrong, and no known mistake.
def how_bias_counts(attempt: Callable) -> str | None:
    z, biases = shared.pairs(4, 0.5), (-3.0, 0.0, 2.0)
    mine = [number(answer_of(attempt, *z, bias)) for bias in biases]
    expected = [float(right(*z, bias)) for bias in biases]
    if None in mine or all(map(close, mine, expected)):
        return None
    at = "at the biases -3, 0 and 2"
    if close(mine[0], mine[1]) and close(mine[1], mine[2]):
        return f"the bias has no effect on your loss: it is {mine[0]:.4f} {at} alike."
    if close(mine[1], expected[1]):
        return f"your loss is right at bias 0 and wrong elsewhere: {mine[0]:.4f} at -3, expected {expected[0]:.4f}."
    return None


def no_logit(attempt: Callable) -> str | None:
    """At right angles and without a bias every pair costs ln 2, and there are n of them for each image."""
    mine = number(answer_of(attempt, torch.eye(6)[:3], torch.eye(6)[3:], 0.5, 0.0))
    if mine is None or close(mine, 3 * math.log(2)):
        return None
    return (
        f"with 3 images and 3 texts, all at right angles, and bias 0, every logit is 0 and each of the 9 pairs costs "
        f"ln 2: divided by 3 that is {3 * math.log(2):.4f}; yours is {mine:.4f}."
    )


siglip_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="n x n questions, belongs together or not, each with a sigmoid of its own.",
    demands=(
        shared.right_when_cold(right, -10.0),
        shared.carries_its_gradient(right, BATCHES[0], ["temperature", "bias"]),
    ),
    ladder=(
        shared.is_one_number(BATCHES[0]),
        shared.how_far_off(right, -1.0),
        how_bias_counts,
        shared.how_temperature_counts(right, -1.0),
        shared.lengths_count(0.5, -1.0),
        no_logit,
        shared.sides_count(0.5, -1.0),
        shared.small_examples(right, 0.5, -1.0),
    ),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
