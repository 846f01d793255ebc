"""Lesson 02: the learner's `my_gradient(similarities, partner, temperature)`: p / T by hand."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.infonce.check_row_loss import ROWS
from cl_course.lessons.infonce.nt_xent_parts import always, divide
from cl_course.lessons.shared.answers import answer_of, is_no_tensor
from cl_course.lessons.shared.exercise import Exercise, Mistake, same
from cl_course.lessons.shared.ladder import close, constant_relation, written

NAME = "my_gradient"


# The right way, in parts that can each be done in a wrong way.
def probabilities(logits: Tensor, partner: int) -> Tensor:
    return logits.softmax(dim=0)


def one_less(p: Tensor, partner: int) -> Tensor:
    return p - F.one_hot(torch.tensor(partner), len(p))


def over_temperature(difference: Tensor, temperature: float, partner: int) -> Tensor:
    return difference / temperature


def make(
    scale: Callable = divide,
    share: Callable = probabilities,
    at_partner: Callable = one_less,
    chain: Callable = over_temperature,
) -> Callable[[Tensor, int, float], Tensor]:
    def attempt(similarities: Tensor, partner: int, temperature: float) -> Tensor:
        p = share(scale(similarities, temperature), partner)
        return chain(at_partner(p, partner), temperature, partner)

    return attempt


right = make()


def _hot(p: Tensor, partner: int) -> Tensor:
    return F.one_hot(torch.tensor(partner), len(p)).to(p.dtype)


def _elsewhere(step: Callable[[int, int], int]) -> Callable[[Tensor, int], Tensor]:
    return lambda p, partner: one_less(p, step(partner, len(p)))


def _negatives_alone(logits: Tensor, partner: int) -> Tensor:
    p = logits.masked_fill(_hot(logits, partner).bool(), -torch.inf).softmax(dim=0)
    return p + _hot(p, partner) * logits.softmax(dim=0)


_NOT_OVER = (
    "the factor 1 / T is missing: the loss depends on s through s / T, and the chain rule brings 1 / T in front."
)
_NO_EFFECT = "p is computed from s, without T: it is the softmax of s / T."

MISTAKES = (
    Mistake(
        "the partner is treated like a negative: its derivative is (p - 1) / T, that of a negative p / T.",
        {"at_partner": lambda p, partner: p},
    ),
    Mistake(_NOT_OVER, {"chain": lambda difference, t, partner: difference}),
    Mistake(
        "you multiply by T; the chain rule divides by it.", {"chain": lambda difference, t, partner: difference * t}
    ),
    Mistake(
        "divided by T squared; the chain rule divides by T once.",
        {"chain": lambda difference, t, partner: difference / t**2},
    ),
    Mistake(
        "1 is subtracted after the division by T: p / T - 1. The partner's derivative is (p - 1) / T.",
        {"at_partner": lambda p, partner: p, "chain": lambda p, t, partner: p / t - _hot(p, partner)},
    ),
    Mistake(
        "the partner's entry is divided by T and the others' are not.",
        {
            "chain": lambda difference, t, partner: torch.where(
                _hot(difference, partner).bool(), difference / t, difference
            )
        },
    ),
    Mistake(
        "the partner's entry is not divided by T.",
        {
            "chain": lambda difference, t, partner: torch.where(
                _hot(difference, partner).bool(), difference, difference / t
            )
        },
    ),
    Mistake(
        "the sign is wrong: this is the direction in which descent moves, minus the derivative.",
        {"chain": lambda difference, t, partner: -difference / t},
    ),
    Mistake(
        "the partner's sign is wrong: its derivative is (p - 1) / T, below 0, because the loss falls as it rises.",
        {"at_partner": lambda p, partner: torch.where(_hot(p, partner).bool(), 1 - p, p)},
    ),
    Mistake(
        "the negatives' sign is wrong: the loss grows with their similarity, p / T.",
        {"at_partner": lambda p, partner: torch.where(_hot(p, partner).bool(), p - 1, -p)},
    ),
    Mistake("1 is subtracted from every entry: only the partner's is p - 1.", {"at_partner": lambda p, partner: p - 1}),
    Mistake(
        "1 is added at the partner: its derivative is (p - 1) / T.",
        {"at_partner": lambda p, partner: p + _hot(p, partner)},
    ),
    Mistake(
        "the partner's entry is 0: its derivative is (p - 1) / T.",
        {"at_partner": lambda p, partner: p * (1 - _hot(p, partner))},
    ),
    Mistake(
        "the partner's entry is -1 / T, without its p: it is (p - 1) / T.",
        {"at_partner": lambda p, partner: torch.where(_hot(p, partner).bool(), -1.0, p)},
    ),
    Mistake(
        "this is the derivative of p itself, p (1 - p) / T and -p p_j / T; the loss is -log p.",
        {"at_partner": lambda p, partner: p[partner] * (_hot(p, partner) - p)},
    ),
    Mistake(
        "each entry is p (1 - p): the exercise asks for the derivative of -log p of the partner.",
        {"at_partner": lambda p, partner: p * (1 - p)},
    ),
    Mistake(
        "the 1 is subtracted at the next index, not at the partner's.",
        {"at_partner": _elsewhere(lambda i, m: (i + 1) % m)},
    ),
    Mistake(
        "the 1 is subtracted at the index before, not at the partner's.",
        {"at_partner": _elsewhere(lambda i, m: (i - 1) % m)},
    ),
    Mistake(
        "the 1 is subtracted at the first candidate, whichever the partner is.",
        {"at_partner": _elsewhere(lambda i, m: 0)},
    ),
    Mistake(
        "the 1 is subtracted at the last candidate, whichever the partner is.",
        {"at_partner": _elsewhere(lambda i, m: m - 1)},
    ),
    Mistake(_NO_EFFECT, {"scale": always(1.0)}),
    Mistake("p is the softmax of s * T; it is the softmax of s / T.", {"scale": lambda s, t: s * t}),
    Mistake(
        "the probabilities are not divided by their sum: p = exp(s / T) / sum of exp(s / T).",
        {"share": lambda logits, partner: logits.exp()},
    ),
    Mistake("the logarithm of p stands where p belongs.", {"share": lambda logits, partner: logits.log_softmax(dim=0)}),
    Mistake(
        "each p is a sigmoid of its own; here all candidates share one softmax.",
        {"share": lambda logits, partner: logits.sigmoid()},
    ),
    Mistake("the logits stand where their softmax p belongs.", {"share": lambda logits, partner: logits}),
    Mistake(
        "the negatives share one softmax without the partner: the sum runs over all candidates.",
        {"share": _negatives_alone},
    ),
    Mistake(
        "the mean over the candidates is taken: divided by their number once too often.",
        {"chain": lambda difference, t, partner: difference / t / len(difference)},
    ),
    Mistake(
        "only the negatives' entries came back: the partner's belongs in its place too.",
        {"chain": lambda difference, t, partner: (difference / t)[~_hot(difference, partner).bool()]},
    ),
    Mistake(
        "only the partner's entry came back: the exercise asks for one for each candidate.",
        {"chain": lambda difference, t, partner: (difference / t)[partner]},
    ),
    Mistake(
        "one number came back, a sum over the candidates: the exercise asks for one entry for each.",
        {"chain": lambda difference, t, partner: (difference / t).sum()},
    ),
    Mistake(
        "F.one_hot takes a tensor: F.one_hot(torch.tensor(partner), len(p)). Or take p.clone() and change p[partner].",
        {"at_partner": lambda p, partner: p - F.one_hot(partner, len(p))},
    ),
    Mistake("a row has one dimension only, dim=0.", {"share": lambda logits, partner: logits.softmax(dim=1)}),
)


def observe(attempt: Callable) -> list[Tensor]:
    return [answer_of(attempt, *row) for row in ROWS]


# Wrong, and no known mistake.
def shape(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *ROWS[0])
    if mine.shape == (4,):
        return None
    return (
        f"for a row of 4 candidates your answer has the shape {tuple(mine.shape)}, expected (4,): one number for each."
    )


def one_factor(attempt: Callable) -> str | None:
    """All entries are one multiple of the right ones, for each row and T or for all alike."""
    s, partner, _ = ROWS[0]
    pairs = [(answer_of(attempt, s, partner, t), right(s.double(), partner, t)) for t in (0.25, 0.5, 2.0)]
    mine, expected = (torch.cat(parts).tolist() for parts in zip(*pairs))
    ratios = [(a / b).tolist() for a, b in pairs]
    if all(close(ratio, row[0]) for row in ratios for ratio in row) and not close(ratios[0][0], ratios[1][0]):
        factors = ", ".join(f"{row[0]:.4g}" for row in ratios)
        return f"your gradient is the right one times a factor that changes with T: {factors} at T = 0.25, 0.5, 2."
    return constant_relation(mine, expected, "gradient")


EQUAL = (torch.full((4,), 0.3), 2, 0.5)  # p = 1/4 each: the derivatives are 0.5 and, at the partner, -1.5


def signs(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *EQUAL)
    if mine[2] < 0 and (mine[[0, 1, 3]] > 0).all():
        return None
    return (
        "the loss falls when the partner's similarity rises, and grows when a negative's does: the partner's entry is "
        "below 0, all others above. For similarities = [0.3, 0.3, 0.3, 0.3], partner = 2, temperature = 0.5 yours are "
        f"{written(mine)}."
    )


def sums_to_zero(attempt: Callable) -> str | None:
    mine = answer_of(attempt, *EQUAL)
    if close(float(mine.sum()), 0):
        return None
    return (
        "the entries of a row add up to 0: what pushes the negatives away and what draws the partner in are equal. "
        f"For similarities = [0.3, 0.3, 0.3, 0.3], partner = 2, temperature = 0.5 yours are {written(mine)}, with the "
        f"sum {float(mine.sum()):.4f}."
    )


def small_example(attempt: Callable) -> str | None:
    for row in (EQUAL, (torch.tensor([0.5, 0.0]), 0, 0.5), (torch.tensor([0.5, 0.0]), 1, 2.0)):
        mine, expected, p = answer_of(attempt, *row), right(*row), probabilities(row[0] / row[2], row[1])
        if not same(mine, expected):
            return (
                f"for similarities = {written(row[0])}, partner = {row[1]}, temperature = {row[2]:g} your answer is "
                f"{written(mine)}, expected {written(expected)}: there p = {written(p)}."
            )
    return None


gradient = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="equal to autograd's gradient: p / T at each negative, (p - 1) / T at the partner.",
    ladder=(shape, one_factor, signs, sums_to_zero, small_example),
    notes=(lambda attempt: is_no_tensor(attempt, *ROWS[0]),),
)
