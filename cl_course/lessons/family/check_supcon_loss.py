"""Lesson 11: the learner's `my_supcon_loss(z1, z2, labels, temperature)`: the mean over positives outside the log."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.family import probes
from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, number, temperature_relation

NAME = "my_supcon_loss"


# The right way, in parts that can each be done in a wrong way.
def divide(similarity: Tensor, temperature: float) -> Tensor:
    return similarity / temperature


def itself(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.bool)


def others(logits: Tensor, positive: Tensor) -> Tensor:
    return logits.masked_fill(itself(len(logits)), -torch.inf).logsumexp(dim=1, keepdim=True)


def same_class(labels: Tensor) -> Tensor:
    classes = labels.repeat(2)
    return (classes[:, None] == classes) & ~itself(len(classes))


def outside(log_share: Tensor, positive: Tensor) -> Tensor:
    return -torch.where(positive, log_share, 0).sum(dim=1) / positive.sum(dim=1)


def make(
    lengths: Callable = probes.unit,
    scale: Callable = divide,
    candidates: Callable = others,
    positives: Callable = same_class,
    mean: Callable = outside,
    average: Callable = torch.mean,
) -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    def attempt(z1: Tensor, z2: Tensor, labels: Tensor, temperature: float) -> Tensor:
        z, positive = lengths(torch.cat([z1, z2])), positives(labels)
        logits = scale(z @ z.T, temperature)
        return average(mean(logits - candidates(logits, positive), positive))

    return attempt


right = make()


# The parts done in wrong ways.
def _partner(labels: Tensor) -> Tensor:
    return torch.eye(2 * len(labels), dtype=torch.bool).roll(len(labels), dims=1)


def _other_view(labels: Tensor) -> Tensor:
    n, positive = len(labels), same_class(labels)
    positive[:n, :n] = positive[n:, n:] = False
    return positive


def _own_view(labels: Tensor) -> Tensor:
    n, positive = len(labels), same_class(labels) | itself(2 * len(labels))
    positive[:n, n:] = positive[n:, :n] = False
    return positive


def _inside(log_share: Tensor, positive: Tensor) -> Tensor:
    return -(outside(-log_share.exp(), positive)).log()


def _negatives(logits: Tensor, positive: Tensor) -> Tensor:
    return logits.masked_fill(positive | itself(len(logits)), -torch.inf).logsumexp(dim=1, keepdim=True)


def _negatives_and_one(logits: Tensor, positive: Tensor) -> Tensor:
    negatives = logits.masked_fill(positive | itself(len(logits)), -torch.inf)
    return torch.logaddexp(negatives.logsumexp(dim=1, keepdim=True), logits)


_POSITIVES = "the positives of a view are all other views of its class, of both sides. "

MISTAKES = (
    Mistake(
        "the mean over the positives stands inside the logarithm (the paper's L_in, eq. 3): take the logarithm of each "
        "positive's share first, then the mean. Inside, one easy positive hides all hard ones.",
        {"mean": _inside},
    ),
    Mistake(
        "the sum over the positives is not divided by their number: a large class would count more than a small one.",
        {"mean": lambda s, p: -torch.where(p, s, 0).sum(dim=1)},
    ),
    Mistake(
        "the sum over the positives is divided by the number of all candidates, 2n - 1: divide by that of the "
        "positives.",
        {"mean": lambda s, p: -torch.where(p, s, 0).sum(dim=1) / (len(s) - 1)},
    ),
    Mistake(
        "the mean is taken over all positive pairs of the batch at once, so that views of a large class count more: "
        "take the mean of each view's positives first, then the mean over views.",
        {"mean": lambda s, p: -torch.where(p, s, 0).sum() / p.sum(), "average": lambda loss: loss},
    ),
    Mistake(
        "only the best positive counts: take the mean over all of them.",
        {"mean": lambda s, p: -s.masked_fill(~p, -torch.inf).amax(dim=1)},
    ),
    Mistake(
        "the partner is the only positive: this is NT-Xent, and labels change nothing. " + _POSITIVES,
        {"positives": _partner},
    ),
    Mistake(_POSITIVES + "Yours are those of the other view alone.", {"positives": _other_view}),
    Mistake(_POSITIVES + "Yours are those of the own view, with the view itself.", {"positives": _own_view}),
    Mistake(
        _POSITIVES + "Yours have the view itself among them.",
        {"positives": lambda labels: same_class(labels) | itself(2 * len(labels))},
    ),
    Mistake(
        "the view itself is among the candidates and among the positives: mask the diagonal of both.",
        {
            "positives": lambda labels: same_class(labels) | itself(2 * len(labels)),
            "candidates": lambda logits, p: logits.logsumexp(dim=1, keepdim=True),
        },
    ),
    Mistake(
        "the view itself is among its candidates: mask the diagonal before the logsumexp.",
        {"candidates": lambda logits, p: logits.logsumexp(dim=1, keepdim=True)},
    ),
    Mistake(
        "the denominator has the negatives alone: it is the sum over all other views, positives too.",
        {"candidates": _negatives},
    ),
    Mistake(
        "the denominator has the negatives and the one positive at hand: it is the sum over all other views.",
        {"candidates": _negatives_and_one},
    ),
    Mistake(
        "nothing is subtracted from the logits: the logarithm of a share is logit - logsumexp of the row.",
        {"candidates": lambda logits, p: 0},
    ),
    Mistake("you multiply by the temperature: divide by it.", {"scale": lambda s, t: s * t}),
    Mistake("the temperature counts as T squared: divide the similarities once.", {"scale": lambda s, t: s / t**2}),
    Mistake("the temperature is not used: divide the similarities by it.", {"scale": lambda s, t: s}),
    Mistake("lengths must not count: bring every row to length 1.", {"lengths": lambda z: z}),
    Mistake(
        "normalised along the wrong dimension: each row is an embedding, so dim=1.",
        {"lengths": lambda z: F.normalize(z, dim=0)},
    ),
    Mistake("the sign is wrong: the loss is minus the logarithm.", {"average": lambda losses: -losses.mean()}),
    Mistake("the losses of the views are added: take their mean.", {"average": torch.sum}),
    Mistake(
        "the sum over all 2n views is divided by n: take their mean.", {"average": lambda losses: 2 * losses.mean()}
    ),
    Mistake("one value for each view came back: take their mean.", {"average": lambda losses: losses}),
    Mistake(
        "the views of z1 alone are asked: all 2n views look for their class.",
        {"average": lambda losses: losses[: len(losses) // 2].mean()},
    ),
)

# Inputs: classes of several sizes, of which one may have one image.
LABELS = {5: [0, 0, 0, 1, 2], 6: [3, 1, 1, 3, 1, 0], 7: [2, 2, 0, 2, 5, 5, 2]}


def batch(n: int, temperature: float, labels: list[int] | None = None) -> tuple:
    return *probes.views(n), torch.tensor(labels or LABELS[n]), temperature


BATCHES = (batch(5, 0.5), batch(6, 0.3), batch(7, 1.2))


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *given) for given in BATCHES]
    for answer, given in zip(answers, BATCHES):
        if answer.isnan().any():
            raise Fault(
                f"for {len(given[0])} images your loss is nan. Where -inf is multiplied by 0, nan comes out: put the 0 "
                "in with torch.where(positive, log_share, 0), instead of multiplying by the mask."
            )
        if answer.isinf().any():
            raise Fault(
                f"for {len(given[0])} images your loss is infinite: a positive has the share 0, as a view itself has "
                "where its own logit is -inf. The positives are all *other* views of the class."
            )
    return answers


def right_when_cold(attempt: Callable) -> str | None:
    z1, z2, labels, _ = BATCHES[0]
    mine, expected = number(answer_of(attempt, z1, z2, labels, 0.005)), float(right(z1, z2, labels, 0.005))
    if mine is not None and abs(mine - expected) < 1e-3 * expected:
        return None
    seen = "not finite" if mine is None else f"{mine:.4f}"
    return (
        f"right at ordinary temperatures, but at T = 0.005 your answer is {seen}, expected {expected:.4f}. Let "
        "log_softmax or logsumexp take the exponentials: exp(1 / T) is larger than a float32 can hold."
    )


def how_temperature_counts(attempt: Callable) -> str | None:
    z1, z2, labels, _ = BATCHES[1]
    temperatures = (0.25, 0.5, 2.0)
    mine = [number(answer_of(attempt, z1, z2, labels, t)) for t in temperatures]
    expected = lambda t: float(right(z1, z2, labels, t))
    return None if None in mine else temperature_relation(mine, expected, temperatures)


def small_example(attempt: Callable) -> str | None:
    """Two classes at two opposite points, one image at a right angle to its class, and views that differ."""
    near, apart = torch.tensor([[1.0, 0], [1, 0], [-1, 0]]), torch.tensor([[1.0, 0], [0, 1], [-1, 0]])
    tilted = torch.tensor([[0.6, 0.8], [1, 0], [0.8, -0.6]])
    for z1, z2, why in (
        (near, near, "all positives have one similarity, 1"),
        (apart, apart, "the similarities are 1, 0 and -1"),
        (tilted, apart, "the partners' similarities are 0.6, 0 and -0.8"),
    ):
        given = {"z1": z1, "z2": z2, "labels": torch.tensor([0, 0, 1]), "temperature": 1.0}
        if said := by_hand(attempt, right, given, why):
            return said
    return None


def _renamed() -> tuple:
    z1, z2, labels, temperature = BATCHES[1]
    return z1, z2, 10 - labels, temperature


supcon_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="every view looks for all of its class, and each positive has a logarithm of its own.",
    demands=(right_when_cold, probes.carries_its_gradient(right, BATCHES[0])),
    ladder=(
        probes.has_shape(BATCHES[0], (), "a loss is one number"),
        probes.how_far_off(right, lambda: [batch(n, t) for n in (5, 6, 7) for t in (0.3, 1.0)]),
        how_temperature_counts,
        probes.changes(
            BATCHES[1], _renamed(), "with the classes renamed, 3, 1, 0 to 7, 9, 10,", "Only which are equal counts."
        ),
        probes.changes(
            BATCHES[1],
            (4 * BATCHES[1][0], *BATCHES[1][1:]),
            "with all rows of z1 four times as long",
            "The cosine similarity looks at directions alone.",
        ),
        small_example,
    ),
    notes=(lambda attempt: is_no_tensor(attempt, *BATCHES[0]),),
)
