"""The weighted vote of lesson 06 in parts, and the parts done in the wrong ways that are known."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.lessons.shared.exercise import Mistake


# The right way, in parts that can each be done in a wrong way.
def rows(h: Tensor) -> Tensor:
    return F.normalize(h, dim=1)


def product(h: Tensor) -> Tensor:
    return h @ h.T


def hide(similarity: Tensor, value: float = -torch.inf) -> Tensor:
    return similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), value)


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return similarity.topk(k, dim=1)


def exponential(s: Tensor, temperature: float) -> Tensor:
    return (s / temperature).exp()


def added(y: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    return torch.zeros(len(y), int(y.max()) + 1).scatter_add_(1, y[indices], weight)


def make(
    unit: Callable = rows,
    compare: Callable = product,
    itself: Callable = hide,
    voters: Callable = nearest,
    weigh: Callable = exponential,
    count: Callable = added,
    answer: Callable = lambda votes: votes,
) -> Callable[[Tensor, Tensor, int, float], Tensor]:
    def attempt(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
        values, indices = voters(itself(compare(unit(h))), k)
        return answer(count(y, indices, weigh(values, temperature)))

    return attempt


right = make()


# The parts done in wrong ways.
def _least_similar(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    return hide(similarity, torch.inf).topk(k, dim=1, largest=False)


def _without_the_first(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    values, indices = nearest(similarity, k)
    return values[:, 1:], indices[:, 1:]


def _farthest_counts(y: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    """Of several neighbours of one class the last, farthest one counts."""
    votes = torch.zeros(len(y), int(y.max()) + 1)
    for place in range(indices.shape[1]):
        votes[torch.arange(len(y)), y[indices[:, place]]] = weight[:, place]
    return votes


def _largest_counts(y: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    return torch.zeros(len(y), int(y.max()) + 1).scatter_reduce_(1, y[indices], weight, "amax")


def _mean_of_class(y: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    return added(y, indices, weight) / added(y, indices, torch.ones_like(weight)).clamp(min=1)


def _own_class(y: Tensor, indices: Tensor, weight: Tensor) -> Tensor:
    return torch.zeros(len(y), int(y.max()) + 1).scatter_add_(1, y[:, None].expand_as(indices), weight)


_ITSELF = (
    "the image votes for itself: it is its own nearest neighbour, with similarity 1, and its vote goes to its own "
    "label. Take it out, with -inf on the diagonal, before the k nearest are taken."
)
_LEFT_OUT = (
    "the nearest of the others is left out: with -inf on the diagonal the image itself is gone already, so the first "
    "of the nearest is a real neighbour."
)
_EXP = "neighbour's vote counts exp(similarity / temperature)"

MISTAKES = (
    Mistake(_ITSELF, {"itself": lambda s: s}),
    Mistake(_ITSELF, {"itself": lambda s: s, "voters": lambda s, k: nearest(s, k + 1)}),
    Mistake("one neighbour too few votes, k - 1: it should be k *others*.", {"voters": lambda s, k: nearest(s, k - 1)}),
    Mistake(
        f"{_LEFT_OUT} Keep all k.",
        {"voters": _without_the_first},
    ),
    Mistake(
        f"{_LEFT_OUT} Take k, and keep them all.",
        {"voters": lambda s, k: _without_the_first(s, k + 1)},
    ),
    Mistake(
        "one neighbour too many votes, k + 1: it should be k others.",
        {"voters": lambda s, k: nearest(s, k + 1)},
    ),
    Mistake(
        "the diagonal is set to 0, and a cosine can be less: where few images are similar, the image itself votes. Put "
        "-inf there.",
        {"itself": lambda s: hide(s, 0.0)},
    ),
    Mistake(
        "the features are not normalised: long vectors would be near to everything. Make each row's length 1 with "
        "F.normalize(h, dim=1).",
        {"unit": lambda h: h},
    ),
    Mistake(
        "normalised along the wrong dimension: each row is one image, so dim=1.",
        {"unit": lambda h: F.normalize(h, dim=0)},
    ),
    Mistake(
        "all features are divided by one number, the length of the whole table: each row needs its own length, "
        "F.normalize(h, dim=1).",
        {"unit": lambda h: h / h.norm()},
    ),
    Mistake(
        "each row is divided by its sum of absolute values: its length is the root of the sum of squares, "
        "F.normalize(h, dim=1).",
        {"unit": lambda h: F.normalize(h, p=1, dim=1)},
    ),
    Mistake(
        "you go by the absolute value of the cosine: then a feature that points the opposite way counts as near.",
        {"compare": lambda h: product(h).abs()},
    ),
    Mistake(
        "you go by the distance between vectors of different lengths: the vote is by the cosine similarity, in which "
        "lengths do not count.",
        {"unit": lambda h: h, "compare": lambda h: -torch.cdist(h, h)},
    ),
    Mistake(
        "you weigh by the distance of the normalised features: the neighbours are the right ones, but a vote counts "
        "exp(cosine / temperature).",
        {"compare": lambda h: -(2 - 2 * product(h)).clamp(min=0).sqrt()},
    ),
    Mistake(
        f"the votes are not weighted: all k neighbours count alike. A {_EXP}.",
        {"weigh": lambda s, t: torch.ones_like(s)},
    ),
    Mistake("the temperature is forgotten: divide the similarities by it before exp.", {"weigh": lambda s, t: s.exp()}),
    Mistake(
        "you multiply by the temperature: divide, so that a small one lets the very nearest decide.",
        {"weigh": lambda s, t: (s * t).exp()},
    ),
    Mistake(
        "your votes weigh as exp(2 s / T), which a squared distance, 2 - 2 s, divided by T gives as well. Use "
        "exp(s / T).",
        {"weigh": lambda s, t: (2 * s / t).exp()},
    ),
    Mistake(
        "your votes weigh as exp(s / 2T): divide the similarity by T alone.", {"weigh": lambda s, t: (s / t / 2).exp()}
    ),
    Mistake(
        "your votes weigh as exp(s / T²): divide the similarity by T once.", {"weigh": lambda s, t: (s / t**2).exp()}
    ),
    Mistake(
        f"the exponential is forgotten: a {_EXP}, and not the similarity itself.",
        {"weigh": lambda s, t: s},
    ),
    Mistake(
        "your votes weigh as 2^(s / T): torch.exp has the base e.",
        {"weigh": lambda s, t: 2 ** (s / t)},
    ),
    Mistake(
        "the sign is turned round: a nearer neighbour must count more, and exp(-similarity / T) gives it less.",
        {"weigh": lambda s, t: (-s / t).exp()},
    ),
    Mistake(
        "the *least* similar images vote: similarity is large where images are alike, so take the largest, as topk "
        "does.",
        {"voters": _least_similar},
    ),
    Mistake("everybody else votes: take the k nearest alone.", {"voters": lambda s, k: nearest(s, s.shape[1] - 1)}),
    Mistake("only the nearest one votes: take all k.", {"voters": lambda s, k: nearest(s, 1)}),
    Mistake(
        "where several neighbours have one class, only the farthest one's vote is kept, as if each vote overwrote the "
        "one before: votes[rows, classes] += ... can do so in torch. Add them up with scatter_add_, or one place at a "
        "time.",
        {"count": _farthest_counts},
    ),
    Mistake(
        "the k nearest are the right ones, but each class gets its largest vote: add up the votes of all neighbours "
        "that have the class.",
        {"count": _largest_counts},
    ),
    Mistake(
        "each class gets the *mean* vote of its neighbours: then one neighbour is worth as much as four. Add the votes "
        "up.",
        {"count": _mean_of_class},
    ),
    Mistake(
        "the rows of the neighbours are taken for classes: look up the class of each neighbour, y[indices].",
        {"count": lambda y, indices, weight: torch.zeros(len(y), int(y.max()) + 1).scatter_add_(1, indices, weight)},
    ),
    Mistake(
        "topk gives two things, and here both are divided at once: topk(...).values are the similarities, .indices the "
        "rows.",
        {"weigh": lambda s, t: s.topk(1) / t},
    ),
    Mistake(
        "all votes go to the image's own class: look up the class of each *neighbour*, y[indices].",
        {"count": _own_class},
    ),
    Mistake(
        "the winning classes came back: return the votes themselves, a row for each image and a column for each class.",
        {"answer": lambda votes: votes.argmax(dim=1)},
    ),
    Mistake(
        "the table is turned round: a row for each image and a column for each class, so the shape is (n, c).",
        {"answer": lambda votes: votes.T},
    ),
)
