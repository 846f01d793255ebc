"""Lesson 04's `my_moco_loss`: the right way in parts, and the known ways to do a part wrong."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.shared.exercise import Mistake


# The right way, in parts that can each be done in a wrong way.
def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def own_key(q: Tensor, k: Tensor) -> Tensor:
    return (q * k).sum(dim=1, keepdim=True)


def queue_alone(q: Tensor, k: Tensor, queue: Tensor) -> Tensor:
    return q @ queue.T


def divide(similarity: Tensor, temperature: float) -> Tensor:
    return similarity / temperature


def own_first(own: Tensor, others: Tensor) -> Tensor:
    return torch.cat([own, others], dim=1)


def first(n: int) -> Tensor:
    return torch.zeros(n, dtype=torch.long)


def minus_log_p(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target % logits.shape[1], reduction="none")  # -1 is the last column


def mean_of_queries(losses: Tensor) -> Tensor:
    return losses.mean()


def make(
    asks: Callable = lambda q, k: (q, k),
    query_length: Callable = unit,
    key_length: Callable = unit,
    own: Callable = own_key,
    negatives: Callable = queue_alone,
    scale: Callable = divide,
    join: Callable = own_first,
    target: Callable = first,
    query_loss: Callable = minus_log_p,
    average: Callable = mean_of_queries,
) -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    def attempt(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
        q, k = asks(q, k)
        q, k = query_length(q), key_length(k)
        logits = scale(join(own(q, k), negatives(q, k, queue)), temperature)
        return average(query_loss(logits, target(len(q))))

    return attempt


# The parts done in wrong ways.
def _other_keys(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.T).masked_fill(torch.eye(len(q), dtype=torch.bool), -torch.inf)


def _without_own(logits: Tensor, target: Tensor) -> Tensor:
    return logits[:, 1:].logsumexp(dim=1) - logits[:, 0]


def _hardest_alone(logits: Tensor, target: Tensor) -> Tensor:
    return F.softplus(logits[:, 1:].amax(dim=1) - logits[:, 0])


def _yes_or_no(logits: Tensor, target: Tensor, reduction: str = "sum") -> Tensor:
    hot = F.one_hot(target, logits.shape[1]).float()
    losses = F.binary_cross_entropy_with_logits(logits, hot, reduction="none")
    return losses.sum(dim=1) if reduction == "sum" else losses.mean(dim=1)


def _softmax_twice(logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(dim=1), target, reduction="none")


_BATCH_TOO = (
    "the other keys of the batch are among the candidates too. In MoCo a query's candidates are its own key and the "
    "queue, 1 + K of them."
)
_TARGETS = (
    "the target of query i is not the column of its own key. With the own key in the first column every target is 0: "
    "torch.zeros(n, dtype=torch.long)."
)
_LENGTHS = "cosine similarity needs rows of length 1, F.normalize(..., dim=1): "

MISTAKES = (
    Mistake(
        "the sum in the denominator leaves the own key out: it runs over the own key and the whole queue.",
        {"query_loss": _without_own},
    ),
    Mistake(_BATCH_TOO, {"negatives": lambda q, k, queue: torch.cat([_other_keys(q, k), q @ queue.T], dim=1)}),
    Mistake(
        "the own key is in the sum twice: you join q @ k.T, which has it on its diagonal, to the own similarities. "
        + _BATCH_TOO,
        {"negatives": lambda q, k, queue: torch.cat([q @ k.T, q @ queue.T], dim=1)},
    ),
    Mistake(
        "the queue is not used: your negatives are the other keys of the batch. Compare the queries with `queue`.",
        {"negatives": lambda q, k, queue: _other_keys(q, k)},
    ),
    Mistake(
        "q @ k.T has the similarity of each query with each key of the batch, (n, n), and its first column belongs to "
        "key 0. The own similarities are (q * k).sum(dim=1, keepdim=True), (n, 1).",
        {"own": lambda q, k: q @ k.T},
    ),
    Mistake(_TARGETS + " Yours are 0, 1, 2, ..., as for the table q @ k.T.", {"target": torch.arange}),
    Mistake(_TARGETS + " Yours is the column of the queue's first key.", {"target": lambda n: first(n) + 1}),
    Mistake(_TARGETS + " Yours is the column of the queue's last key.", {"target": lambda n: first(n) - 1}),
    Mistake("the temperature has no effect. Divide the similarities by it.", {"scale": lambda s, t: s}),
    Mistake(
        "you multiply by the temperature: divide, so that a small one makes the softmax sharper.",
        {"scale": lambda s, t: s * t},
    ),
    Mistake("the temperature counts twice: divide the similarities by it once.", {"scale": lambda s, t: s / t**2}),
    Mistake(
        "the similarities are divided by the root of the temperature, not by the temperature.",
        {"scale": lambda s, t: s / t**0.5},
    ),
    Mistake(
        "only the similarity with the own key is divided by the temperature: all candidates need it.",
        {"scale": lambda s, t: torch.cat([s[:, :1] / t, s[:, 1:]], dim=1)},
    ),
    Mistake(
        "only the similarities with the queue are divided by the temperature: the own key needs it too.",
        {"scale": lambda s, t: torch.cat([s[:, :1], s[:, 1:] / t], dim=1)},
    ),
    Mistake(
        _LENGTHS + "neither q nor k is normalised here.",
        {"query_length": lambda q: q, "key_length": lambda k: k},
    ),
    Mistake(_LENGTHS + "the queries are not normalised here.", {"query_length": lambda q: q}),
    Mistake(_LENGTHS + "the keys are not normalised here.", {"key_length": lambda k: k}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, so dim=1.",
        {"query_length": lambda q: F.normalize(q, dim=0), "key_length": lambda k: F.normalize(k, dim=0)},
    ),
    Mistake(
        "the keys ask and the queries answer: compare the queries with the queue, q @ queue.T.",
        {"asks": lambda q, k: (k, q)},
    ),
    Mistake(
        "the own similarity is a mean over the d dimensions: a dot product is their sum.",
        {"own": lambda q, k: (q * k).mean(dim=1, keepdim=True)},
    ),
    Mistake(
        "the sign of the similarity is turned round: near keys must get large logits.", {"scale": lambda s, t: -s / t}
    ),
    Mistake(
        "only the hardest key of the queue counts: the sum runs over all K of them.", {"query_loss": _hardest_alone}
    ),
    Mistake(
        "each candidate is judged by itself, yes or no (a sigmoid). Here all candidates of a query compete in one "
        "softmax.",
        {"query_loss": _yes_or_no},
    ),
    Mistake(
        "each candidate is judged by itself, yes or no (a sigmoid). Here all candidates of a query compete in one "
        "softmax.",
        {"query_loss": lambda logits, target: _yes_or_no(logits, target, "mean")},
    ),
    Mistake(
        "the softmax is taken twice: F.cross_entropy takes logits and makes the softmax itself.",
        {"query_loss": _softmax_twice},
    ),
    Mistake(
        "the logarithm is missing: you average 1 - p. The loss of a query is -log p.",
        {"query_loss": lambda logits, target: 1 - (-minus_log_p(logits, target)).exp()},
    ),
    Mistake(
        "the logarithm and the minus sign belong to p: you average -p. The loss of a query is -log p.",
        {"query_loss": lambda logits, target: -(-minus_log_p(logits, target)).exp()},
    ),
    Mistake(
        "your logarithm is outside the mean: it is -log of the mean probability. Each query has its own -log p, and "
        "the mean of those is the loss.",
        {"average": lambda losses: -(-losses).exp().mean().log()},
    ),
    Mistake("a sum where the mean belongs: divide by the number of queries, n.", {"average": torch.sum}),
    Mistake("divided by n twice: the mean has done it already.", {"average": lambda x: x.mean() / len(x)}),
    Mistake("one value for each query came back: average them into one number.", {"average": lambda x: x}),
    Mistake("the largest of the queries' losses came back: take their mean.", {"average": torch.max}),
    Mistake(
        "the sign is turned round: the loss is minus the logarithm of the own key's probability.",
        {"average": lambda losses: -losses.mean()},
    ),
)
