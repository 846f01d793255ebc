"""Lesson 06: the learner's `my_votes(h, y, k, temperature)`, a weighted vote among the k nearest of the *other* images.

Votes are compared as shares of all that an image receives, so that sums and softmax weights are both right.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.lessons.shared.old_exercise import Mistake, call, compare

EXERCISE = "my_votes"
PRAISE = "the course's votes for every image, number of neighbours and temperature tried."


def knn(attempt: Callable[[Tensor, Tensor, int, float], Tensor]) -> None:
    """Check the vote on sets of 9 to 14 images in 3 or 4 classes; name the mistake if there is one."""

    def guarded(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
        return _shares(call(attempt, h, y, k, temperature))

    mistakes = [
        Mistake(mistake.sentence, lambda *arguments, code=mistake.code: _shares(code(*arguments)))
        for mistake in MISTAKES
    ]
    return compare(EXERCISE, guarded, lambda *arguments: _shares(_reference(*arguments)), INPUTS, mistakes, PRAISE)


def _shares(votes: Tensor) -> Tensor:
    """Of what each image receives; anything that is no table of votes stays as it is."""
    if not isinstance(votes, Tensor) or votes.ndim != 2:
        return votes
    return votes.double() / votes.double().sum(dim=1, keepdim=True)


def _images(n: int, classes: int, k: int, temperature: float) -> tuple[Tensor, Tensor, int, float]:
    """Features (n, 5) of lengths from 0.5 to 2, in loose groups, so that distance, product and cosine rank them differently."""
    generator = Generator().manual_seed(n)
    y = torch.arange(n) % classes
    h = torch.randn(classes, 5, generator=generator)[y] + torch.randn(n, 5, generator=generator)
    return F.normalize(h, dim=1) * (0.5 + 1.5 * torch.rand(n, 1, generator=generator)), y, k, temperature


INPUTS = [_images(9, 3, 4, 0.1), _images(12, 4, 5, 0.3), _images(14, 3, 6, 2.0)]


def _cosine(h: Tensor) -> Tensor:
    h = F.normalize(h, dim=1)
    return h @ h.T


def _without_itself(similarity: Tensor) -> Tensor:
    return similarity.masked_fill(torch.eye(len(similarity), dtype=torch.bool), -torch.inf)


def _votes(similarity: Tensor, y: Tensor, k: int, weight: Callable[[Tensor], Tensor], largest: bool = True) -> Tensor:
    nearest = similarity.topk(k, dim=1, largest=largest)
    return torch.zeros(len(y), int(y.max()) + 1).scatter_add_(1, y[nearest.indices], weight(nearest.values))


def _reference(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    return _votes(_without_itself(_cosine(h)), y, k, lambda s: (s / temperature).exp())


# The exercise done in wrong ways.
def _least_similar(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    similarity = _cosine(h).fill_diagonal_(torch.inf)
    return _votes(similarity, y, k, lambda s: (s / temperature).exp(), largest=False)


def _by_distance(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    """Euclidean distance of vectors whose lengths still count, its negative in place of the similarity."""
    return _votes(_without_itself(-torch.cdist(h, h)), y, k, lambda s: (s / temperature).exp())


def _columns(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    h = F.normalize(h, dim=0)
    return _votes(_without_itself(h @ h.T), y, k, lambda s: (s / temperature).exp())


def _overwritten(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    """Of several neighbours of one class the last, farthest one counts."""
    nearest = _without_itself(_cosine(h)).topk(k, dim=1)
    votes = torch.zeros(len(y), int(y.max()) + 1)
    for place in range(k):
        votes[torch.arange(len(y)), y[nearest.indices[:, place]]] = (nearest.values[:, place] / temperature).exp()
    return votes


def _largest(h: Tensor, y: Tensor, k: int, temperature: float) -> Tensor:
    nearest = _without_itself(_cosine(h)).topk(k, dim=1)
    weight = (nearest.values / temperature).exp()
    return torch.zeros(len(y), int(y.max()) + 1).scatter_reduce_(1, y[nearest.indices], weight, "amax")


_ITSELF = (
    "the image votes for itself: it is its own nearest neighbour, with similarity 1, and brings its own label along. "
    "Take it out, with -inf on the diagonal, before the k nearest are taken."
)
_NOT_NORMALISED = "the features are not normalised: long vectors would be near to everything. Make each row's length 1 with F.normalize(h, dim=1)."

MISTAKES = (
    Mistake(_ITSELF, lambda h, y, k, t: _votes(_cosine(h), y, k, lambda s: (s / t).exp())),
    Mistake(_ITSELF, lambda h, y, k, t: _votes(_cosine(h), y, k + 1, lambda s: (s / t).exp())),
    Mistake(
        "one neighbour too few: of the k nearest you drop the image itself, and k - 1 are left. Take k + 1, or put -inf on the diagonal first.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k - 1, lambda s: (s / t).exp()),
    ),
    Mistake(_NOT_NORMALISED, lambda h, y, k, t: _votes(_without_itself(h @ h.T), y, k, lambda s: (s / t).exp())),
    Mistake("normalised along the wrong dimension: each row is one image, so dim=1.", _columns),
    Mistake(
        "the votes are not weighted: all k neighbours count alike. A neighbour's vote counts exp(similarity / temperature).",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k, torch.ones_like),
    ),
    Mistake(
        "the temperature is forgotten: divide the similarities by it before exp.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k, torch.exp),
    ),
    Mistake(
        "you multiply by the temperature: divide, so that a small one lets the very nearest decide.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k, lambda s: (s * t).exp()),
    ),
    Mistake(
        "the exponential is forgotten: a neighbour's vote counts exp(similarity / temperature), and not the similarity itself.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k, lambda s: s),
    ),
    Mistake(
        "the sign is turned round: a nearer neighbour must count more.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, k, lambda s: (-s / t).exp()),
    ),
    Mistake(
        "the *least* similar images vote: similarity is large where images are alike, so take the largest, as topk does.",
        _least_similar,
    ),
    Mistake(
        "everybody votes: take the k nearest alone.",
        lambda h, y, k, t: _votes(_without_itself(_cosine(h)), y, len(y), lambda s: (s / t).exp()),
    ),
    Mistake(
        "you go by the distance between vectors of different lengths: the vote is by the cosine similarity, in which lengths do not count.",
        _by_distance,
    ),
    Mistake(
        "where several neighbours have one class, one of their votes overwrites the others: votes[rows, classes] += ... does so in torch. Add them up with scatter_add_, or one place at a time.",
        _overwritten,
    ),
    Mistake(
        "the k nearest are the right ones, but each class gets its largest vote: add up the votes of all neighbours that have the class.",
        _largest,
    ),
    Mistake(
        "the winning classes came back: return the votes themselves, a row for each image and a column for each class.",
        lambda h, y, k, t: _reference(h, y, k, t).argmax(dim=1),
    ),
)
