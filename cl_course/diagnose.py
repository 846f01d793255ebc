"""Is this run healthy? Numbers that need no labels, and one sentence made of them."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cl_course.tensor_types import Embeddings, check_finite, checked
from cl_course.values import whole


@checked
def spread(z: Embeddings) -> float:
    """How far embeddings of length 1 lie apart, against the best there is: in [0, about 1].

    The standard deviation of each coordinate over the batch, averaged, times sqrt(d): 1 where the embeddings fill the
    sphere evenly, 0 where all are the same point (collapse). SimSiam, sec. 4.1 (Chen & He 2021, arXiv:2011.10566)
    watches the same against 1 / sqrt(d).
    """
    z = F.normalize(z, dim=1)
    return float(z.std(dim=0, correction=0).mean() * math.sqrt(z.shape[1]))


@checked
def effective_rank(h: Embeddings) -> float:
    """How many dimensions the features really use, in [1, min(n, d)].

    The formula of RankMe (Garrido et al. 2023, arXiv:2210.02885, eq. 1, for embeddings z): the exponential of the
    entropy of the singular values, normalised to sum to 1. 1 where all rows are parallel. A ValueError unless finite.
    """
    check_finite("features", h)
    share = torch.linalg.svdvals(h.double())
    share = share / share.sum().clamp(min=1e-12)
    return float(torch.special.entr(share).sum().exp())


@dataclass(frozen=True)
class Health:
    """One look at a run, on n pairs of views."""

    loss: float
    chance: float  # the loss of guessing at the run's batch size
    positive: Tensor  # cosine similarities of positive pairs, (n,)
    negative: Tensor  # and of negative pairs, two images, (n (n - 1),)
    spread: float  # of z
    effective_rank: float  # of h
    dim: int  # the dimensions that h has
    knn: float | None = None  # accuracy of the nearest-neighbour vote, where there were labels to measure it

    @property
    def sentence(self) -> str:
        """The diagnosis, worst first."""
        gap = float(self.positive.mean() - self.negative.mean())
        used = f"the features use about {self.effective_rank:.0f} of {self.dim} dimensions"
        if not (math.isfinite(self.loss) and math.isfinite(gap) and math.isfinite(self.spread)):
            broken = "the embeddings are" if math.isfinite(self.loss) else "the loss is"
            return f"Broken: {broken} not finite; lower the learning rate or raise the temperature."
        if self.spread < 0.1:
            alike = f"all embeddings point the same way (spread {self.spread:.2f} of 1)"
            return f"Collapsed: {alike}, so no view can be told from another."
        if self.loss > self.chance - 0.05:
            chance = f"the loss ({self.loss:.2f}) is at chance ({self.chance:.2f})"
            return f"Guessing: {chance}; no view finds its positive yet."
        if self.effective_rank < 0.05 * self.dim:
            return f"Narrow: {used}; most of the network is idle."
        if gap <= 0:
            return "Starting: positive pairs are no more alike than negative pairs yet."
        if gap < 0.1:
            return f"Starting: positive pairs are only {gap:.2f} more alike than negative pairs."
        return f"Healthy: positive pairs are {gap:.2f} more alike than negative pairs, and {used}."


@checked
def health(
    z1: Embeddings, z2: Embeddings, h: Float[Tensor, "m dim"], loss: float, chance: float, knn: float | None = None
) -> Health:
    """Measure a run on n pairs of views.

    Args:
        z1, z2: embeddings (n, d); row i of both is image i.
        h: features (m, dim), of any images.
        loss, chance: the run's loss, and what guessing would give at its batch size.
    """
    n = whole("the number of pairs", len(z1), 2, advice="one image alone has no negative pair")
    similarity = F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T  # (n, n)
    strangers = ~torch.eye(n, dtype=torch.bool, device=z1.device)
    return Health(
        loss=loss, chance=chance, positive=similarity.diagonal(), negative=similarity[strangers],
        spread=spread(torch.cat([z1, z2])), effective_rank=effective_rank(h), dim=h.shape[1], knn=knn,
    )


def map_places(h: Float[Tensor, "n d"], seed: int = 0) -> Float[Tensor, "n 2"]:
    """Places in [0, 1]^2, near for similar features: UMAP in cosine distance, or principal components of a handful."""
    h = F.normalize(h.float(), dim=1)
    if len(h) < 16 or float(h.std(dim=0).max()) < 1e-6:  # too few for a graph of neighbours, or all alike
        centred = h - h.mean(dim=0)
        points = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T
        points = F.pad(points, (0, 2 - points.shape[1]))
    else:
        from umap import UMAP  # slow to import, so only here

        umap = UMAP(n_neighbors=min(15, len(h) - 1), metric="cosine", random_state=seed, n_jobs=1)
        points = torch.from_numpy(umap.fit_transform(h.numpy())).float()
    low, high = points.amin(dim=0), points.amax(dim=0)
    return (points - low) / (high - low).clamp(min=1e-9)
