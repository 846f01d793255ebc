"""NT-Xent in parts, and each part done in the wrong ways that learners find: what `my_nt_xent` is compared with."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


# The right way, in parts that can each be done in a wrong way.
def joined(z1: Tensor, z2: Tensor) -> Tensor:
    return torch.cat([z1, z2])


def unit(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1)


def cosine(z: Tensor) -> Tensor:
    return z @ z.T


def divide(similarity: Tensor, temperature: float) -> Tensor:
    return similarity / temperature


def without_itself(logits: Tensor) -> Tensor:
    return logits.masked_fill(itself(len(logits)), -torch.inf)


def n_places_on(n: int) -> Tensor:
    return torch.arange(2 * n).roll(n)


def minus_log_p(logits: Tensor, partner: Tensor) -> Tensor:
    return F.cross_entropy(logits, partner, reduction="none")


def mean_of_views(losses: Tensor) -> Tensor:
    return losses.mean()


def make(
    views: Callable = joined,
    lengths: Callable = unit,
    similarity: Callable = cosine,
    scale: Callable = divide,
    candidates: Callable = without_itself,
    partner: Callable = n_places_on,
    view_loss: Callable = minus_log_p,
    average: Callable = mean_of_views,
) -> Callable[[Tensor, Tensor, float], Tensor]:
    def attempt(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
        logits = candidates(scale(similarity(lengths(views(z1, z2))), temperature))
        return average(view_loss(logits, partner(len(z1))))

    return attempt


def itself(views: int) -> Tensor:
    return torch.eye(views, dtype=torch.bool)


def hide_itself(value: float) -> Callable[[Tensor], Tensor]:
    """The diagonal masked with a number that is perhaps not small enough."""
    return lambda logits: logits.masked_fill(itself(len(logits)), value)


# The parts done in wrong ways.
def everything(logits: Tensor) -> Tensor:
    return logits


def own_side_hidden(logits: Tensor) -> Tensor:
    n = len(logits) // 2
    side = torch.arange(2 * n) < n
    return logits.masked_fill(side[:, None] == side, -torch.inf)


def without_own_column(logits: Tensor) -> Tensor:
    """(2n, 2n) -> (2n, 2n - 1): each row without the view itself, so that later columns move one to the left."""
    return logits[~itself(len(logits))].view(len(logits), -1)


def row_by_row(logits: Tensor, partner: Tensor) -> Tensor:
    return torch.stack([-row.log_softmax(dim=0)[j] for row, j in zip(logits, partner)])


def earlier_rows_and_partner(logits: Tensor) -> Tensor:
    n = len(logits) // 2
    later = torch.ones_like(logits, dtype=torch.bool).triu()
    return logits.masked_fill(later & ~itself(2 * n).roll(n, dims=1), -torch.inf)


def itself_at_minus_one(z: Tensor) -> Tensor:
    return (z @ z.T).fill_diagonal_(-1)


def alternating(z1: Tensor, z2: Tensor) -> Tensor:
    return torch.stack([z1, z2], dim=1).flatten(0, 1)


def split(logits: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
    """The partner's logits, (2n,), and all logits with the partner's at -inf, (2n, 2n)."""
    rows = torch.arange(len(logits))
    negatives = logits.clone()
    negatives[rows, partner] = -torch.inf
    return logits[rows, partner], negatives


def without_the_partner(logits: Tensor, partner: Tensor) -> Tensor:
    positive, negatives = split(logits, partner)
    return negatives.logsumexp(dim=1) - positive


def hardest_alone(logits: Tensor, partner: Tensor) -> Tensor:
    positive, negatives = split(logits, partner)
    return F.softplus(negatives.amax(dim=1) - positive)


def mean_of_negatives(logits: Tensor, partner: Tensor) -> Tensor:
    positive, negatives = split(logits, partner)
    count = negatives.isfinite().sum(dim=1)
    return F.softplus(negatives.logsumexp(dim=1) - count.log() - positive)


def mean_of_candidates(logits: Tensor, partner: Tensor) -> Tensor:
    return minus_log_p(logits, partner) - logits.isfinite().sum(dim=1).log()


def one_softmax_for_all(logits: Tensor, partner: Tensor) -> Tensor:
    return logits.flatten().logsumexp(dim=0) - split(logits, partner)[0]


def softmax_twice(logits: Tensor, partner: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(dim=1), partner, reduction="none")


def exponentials(logits: Tensor, partner: Tensor) -> Tensor:
    return F.cross_entropy(logits.exp(), partner, reduction="none")


def yes_or_no(logits: Tensor, partner: Tensor) -> Tensor:
    hot = F.one_hot(partner, len(logits)).float()
    return F.binary_cross_entropy_with_logits(logits.clamp(min=-1e4), hot, reduction="none").sum(dim=1)


def transformed(transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: transform(z @ z.T)


def distances(z: Tensor) -> Tensor:
    return (z[:, None] - z[None]).norm(dim=2)


def each_side(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda z: torch.cat([change(side) for side in z.chunk(2)])


def always(temperature: float) -> Callable[[Tensor, float], Tensor]:
    return lambda similarity, _: similarity / temperature
