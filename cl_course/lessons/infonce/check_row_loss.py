"""Lesson 02: the learner's `my_row_loss(similarities, partner, temperature)`: what one view costs."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.infonce.nt_xent_parts import always, divide
from cl_course.lessons.shared.answers import answer_of
from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake
from cl_course.lessons.shared.ladder import by_hand, close, constant_relation, number, temperature_relation, written

NAME = "my_row_loss"
# A row's similarities, the partner's place in it, and T.
ROWS = (
    (torch.tensor([0.1, 0.7, -0.4, 0.3]), 1, 0.5),
    (torch.tensor([-0.2, 0.5, 0.6, 0.0, 0.25, -0.7, 0.45]), 6, 0.2),
    (torch.tensor([0.9, 0.2, -0.5, 0.35, 0.8]), 3, 2.0),
)


# The right way, in parts that can each be done in a wrong way.
def minus_log_p(logits: Tensor, partner: int) -> Tensor:
    return logits.logsumexp(dim=0) - logits[partner]


def place(partner: int, length: int) -> int:
    return partner


def make(
    scale: Callable = divide, target: Callable = place, loss: Callable = minus_log_p, result: Callable = lambda x: x
) -> Callable[[Tensor, int, float], Tensor]:
    def attempt(similarities: Tensor, partner: int, temperature: float) -> Tensor:
        return result(loss(scale(similarities, temperature), target(partner, len(similarities))))

    return attempt


right = make()


def _p(logits: Tensor, partner: int) -> Tensor:
    return (-minus_log_p(logits, partner)).exp()


def _negatives(logits: Tensor, partner: int) -> Tensor:
    return logits[torch.arange(len(logits)) != partner]


def _yes_or_no(logits: Tensor, partner: int) -> Tensor:
    hot = F.one_hot(torch.tensor(partner), len(logits)).float()
    return F.binary_cross_entropy_with_logits(logits, hot, reduction="sum")


_NO_EFFECT = (
    "the temperature has no effect: the logits count as if T were {t:g}, whatever T is. Divide s by T first{why}."
)
_PLACE = "the loss looks at the wrong candidate: {where}. The partner's is the one at the index `partner`."

MISTAKES = (
    Mistake(
        _NO_EFFECT.format(t=1, why=", inside the exponential: a factor that stands in front cancels in the fraction"),
        {"scale": always(1.0)},
    ),
    Mistake(_NO_EFFECT.format(t=0.5, why=""), {"scale": always(0.5)}),
    Mistake("you multiply by the temperature: divide s by it.", {"scale": lambda s, t: s * t}),
    Mistake("the temperature counts as T squared: divide s by it once.", {"scale": lambda s, t: s / t**2}),
    Mistake("s is divided by the root of T, not by T.", {"scale": lambda s, t: s / t**0.5}),
    Mistake(
        "the sign of the similarity is wrong: near candidates must get large probabilities.",
        {"scale": lambda s, t: -s / t},
    ),
    Mistake(_PLACE.format(where="the first one, whichever the partner is"), {"target": lambda partner, length: 0}),
    Mistake(
        _PLACE.format(where="the last one, whichever the partner is"), {"target": lambda partner, length: length - 1}
    ),
    Mistake(_PLACE.format(where="the next one"), {"target": lambda partner, length: (partner + 1) % length}),
    Mistake(_PLACE.format(where="the one before"), {"target": lambda partner, length: partner - 1}),
    Mistake(
        "-log p of the most probable candidate: the loss asks for the partner's, whether it is ahead or not.",
        {"loss": lambda logits, partner: -logits.log_softmax(dim=0).max()},
    ),
    Mistake(
        "-log p of all candidates: only the partner's counts. Take the one at the index `partner`.",
        {"loss": lambda logits, partner: -logits.log_softmax(dim=0)},
    ),
    Mistake(
        "the mean of -log p over all candidates: only the partner's counts.",
        {"loss": lambda logits, partner: -logits.log_softmax(dim=0).mean()},
    ),
    Mistake("this is p, the partner's probability. The loss is -log p.", {"loss": _p}),
    Mistake("this is -p. The loss is -log p.", {"loss": lambda logits, partner: -_p(logits, partner)}),
    Mistake("this is 1 - p. The loss is -log p.", {"loss": lambda logits, partner: 1 - _p(logits, partner)}),
    Mistake("the sign is wrong: the loss is minus the logarithm, and never below 0.", {"result": torch.neg}),
    Mistake("the logarithm has base 2; the loss is in nats, torch.log.", {"result": lambda x: x / math.log(2)}),
    Mistake("the logarithm has base 10; the loss is in nats, torch.log.", {"result": lambda x: x / math.log(10)}),
    Mistake(
        "the partner is left out of the denominator: its sum runs over all candidates, the partner among them.",
        {"loss": lambda logits, partner: _negatives(logits, partner).logsumexp(dim=0) - logits[partner]},
    ),
    Mistake(
        "the denominator is the mean of the exponentials; it must be their sum.",
        {"loss": lambda logits, partner: minus_log_p(logits, partner) - math.log(len(logits))},
    ),
    Mistake(
        "the denominator holds only the partner and the hardest negative; its sum runs over all candidates.",
        {"loss": lambda logits, partner: F.softplus(_negatives(logits, partner).max() - logits[partner])},
    ),
    Mistake(
        "the denominator is the largest exponential alone; it must be the sum of all.",
        {"loss": lambda logits, partner: logits.max() - logits[partner]},
    ),
    Mistake(
        "the exponentials are missing: a logit is divided by the sum of logits. p is exp(s / T) over a sum of those.",
        {"loss": lambda logits, partner: -(logits[partner] / logits.sum()).log()},
    ),
    Mistake(
        "the softmax is taken twice: log_softmax and F.cross_entropy take logits and make the softmax themselves.",
        {"loss": lambda logits, partner: minus_log_p(logits.softmax(dim=0), partner)},
    ),
    Mistake(
        "exponentials go where logits belong: log_softmax, logsumexp and F.cross_entropy make the exponentials.",
        {"loss": lambda logits, partner: minus_log_p(logits.exp(), partner)},
    ),
    Mistake(
        "the denominator is missing: this is -s / T of the partner alone.",
        {"loss": lambda logits, partner: -logits[partner]},
    ),
    Mistake(
        "the partner's -s / T is missing: this is the logarithm of the sum alone.",
        {"loss": lambda logits, partner: logits.logsumexp(dim=0)},
    ),
    Mistake(
        "each candidate is judged by itself, yes or no (a sigmoid). Here all compete in one softmax.",
        {"loss": _yes_or_no},
    ),
    Mistake(
        "p log p came out: the loss is -log p, not weighted by p.",
        {"loss": lambda logits, partner: _p(logits, partner) * minus_log_p(logits, partner)},
    ),
    Mistake(
        "F.cross_entropy takes the target as a tensor: torch.tensor(partner). Or take -log_softmax(...)[partner].",
        {"loss": lambda logits, partner: F.cross_entropy(logits, partner)},
    ),
    Mistake(
        "a row has one dimension only, dim=0.", {"loss": lambda logits, partner: -logits.log_softmax(dim=1)[partner]}
    ),
)


def observe(attempt: Callable) -> list[Tensor]:
    answers = [answer_of(attempt, *row) for row in ROWS]
    for answer in answers:
        if not answer.isfinite().all():
            raise Fault(
                "on one of the rows tried your loss is not finite, as a logarithm of 0 or of a negative number is not. "
                "Print the number under the logarithm: it must be a probability, above 0 and at most 1."
            )
    return answers


def overflows_in_the_cold(attempt: Callable) -> str | None:
    s = torch.tensor([0.95, 0.1])
    if answer_of(attempt, s, 0, 0.01).isfinite():
        return None
    return "at T = 0.01 your loss is not finite: exp(0.95 / 0.01) is more than float32 holds. Exercise 6 is about that."


# Wrong, and no known mistake.
def is_one_number(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *ROWS[0])
    if mine.ndim == 0:
        return None
    return f"for a row of 4 candidates your answer has the shape {tuple(mine.shape)}; the loss of a view is one number."


def how_far_off(attempt: Callable) -> str | None:
    rows = [(s, partner, t) for s, _, _ in ROWS for partner in (0, 2) for t in (0.2, 0.5, 1.0)]
    mine = [number(answer_of(attempt, *row)) for row in rows]
    return None if None in mine else constant_relation(mine, [float(right(*row)) for row in rows], "loss")


def how_temperature_counts(attempt: Callable) -> str | None:
    s, partner, _ = ROWS[0]
    temperatures = (0.25, 0.5, 2.0)
    mine = [number(answer_of(attempt, s, partner, t)) for t in temperatures]
    return None if None in mine else temperature_relation(mine, lambda t: float(right(s, partner, t)), temperatures)


def equal_candidates(attempt: Callable) -> str | None:
    mine = number(answer_of(attempt, torch.full((4,), 0.3), 2, 0.5))
    if mine is None or close(mine, math.log(4)):
        return None
    return (
        f"four candidates that are equally near have p = 1/4 each, and the loss is ln 4 = {math.log(4):.4f}; yours "
        f"is {mine:.4f} for similarities = [0.3, 0.3, 0.3, 0.3], partner = 2, temperature = 0.5."
    )


def whose_similarity_counts(attempt: Callable) -> str | None:
    s, partner, t = torch.tensor([0.2, 0.2, 0.2, 0.2]), 1, 0.5
    before = number(answer_of(attempt, s, partner, t))
    whose = ((1, "the partner's", "fall"), (0, "the first negative's", "grow"), (3, "the last negative's", "grow"))
    for j, who, expected in whose:
        after = number(answer_of(attempt, s + 0.3 * F.one_hot(torch.tensor(j), 4), partner, t))
        if before is None or after is None:
            return None
        change = "stays" if close(before, after, 1e-5) else "grows" if after > before else "falls"
        if not change.startswith(expected):
            return (
                f"when {who} similarity rises from 0.2 to 0.5 your loss {change} ({before:.4f} to {after:.4f}); it "
                f"must {expected} (similarities = [0.2, 0.2, 0.2, 0.2], partner = 1, temperature = 0.5)."
            )
    return None


def small_example(attempt: Callable) -> str | None:
    for s, partner, t in (([0.5, 0.0], 0, 0.5), ([-0.5, 0.0], 1, 0.5), ([0.8, 0.2, -0.6], 1, 0.2)):
        s = torch.tensor(s)
        p = (s / t).softmax(dim=0)
        given = {"similarities": s, "partner": partner, "temperature": t}
        if said := by_hand(attempt, right, given, f"the softmax of s / T is {written(p)}"):
            return said
    return None


row_loss = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="-log of the partner's probability, at every temperature tried.",
    ladder=(
        is_one_number,
        how_far_off,
        how_temperature_counts,
        equal_candidates,
        whose_similarity_counts,
        small_example,
    ),
    notes=(overflows_in_the_cold,),
)
