"""The objectives, as pure functions of embeddings; state (a queue, a target network) lives in the methods."""

import torch
import torch.nn.functional as F

from cl_course.tensor_types import Embeddings, Scalar, checked


def check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}; 0.05 to 1 is usual")


@checked
def nt_xent(z1: Embeddings, z2: Embeddings, temperature: float = 0.5) -> Scalar:
    """NT-Xent: every view must find its partner among the 2n - 1 other views.

    SimCLR, eq. 1 (Chen et al. 2020, arXiv:2002.05709). With s the cosine similarity
    and p(i) the partner of view i, the mean over all 2n views i of

        -log( exp(s(i, p(i)) / T) / sum over k != i of exp(s(i, k) / T) )

    Args:
        z1, z2: embeddings of two views, (n, d), of any length; row i of both is image i.
        temperature: T > 0; the smaller, the more the hardest negatives count.

    Raises:
        TypeError: the two views differ in shape.
        ValueError: `temperature` is not positive.
    """
    check_temperature(temperature)
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)  # (2n, d)
    logits = z @ (z / temperature).T  # (2n, 2n)
    logits = logits.fill_diagonal_(-torch.inf)  # no view is its own candidate
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, partner)
