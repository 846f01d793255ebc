"""The objectives, as pure functions of embeddings; state (a queue, a target network) lives in the methods.

All look at directions alone: embeddings may have any length, since cosine similarity s(a, b) = a . b / (|a| |b|) is
what they compare. All compute in float32 from half precision.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cl_course.tensor_types import Embeddings, Scalar, checked
from cl_course.values import real, whole


def check_temperature(temperature: float) -> float:
    """The temperature as a float; a ValueError unless it is a finite number above 0."""
    learned = isinstance(temperature, Tensor)
    advice = "pass a number: a learnable temperature is not supported" if learned else "0.05 to 1 is usual"
    return real("temperature", temperature, above=0, advice=advice)


def chance_loss(n: int) -> float:
    """NT-Xent of a network that cannot tell views apart: ln(2n - 1), a guess among all candidates of n images."""
    return math.log(2 * whole("n", n, 1, advice="a batch has at least one image") - 1)


@checked
def nt_xent(z1: Embeddings, z2: Embeddings, temperature: float = 0.5) -> Scalar:
    """NT-Xent: every view must find its partner among the 2n - 1 other views.

    SimCLR, eq. 1 (Chen et al. 2020, arXiv:2002.05709). With s the cosine similarity and p(i) the partner of view i, the
    mean over all 2n views i of

        -log( exp(s(i, p(i)) / T) / sum over k != i of exp(s(i, k) / T) )

    Args:
        z1, z2: embeddings of two views, (n, d), of any length; row i of both is image i.
        temperature: T > 0; the smaller, the more the hardest negatives count.

    Returns:
        Nats, at least 0; ln(2n - 1) when all embeddings are alike.

    Raises:
        TypeError: the views differ in shape; ValueError: `temperature` is not a finite number above 0.
    """
    temperature = check_temperature(temperature)
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)  # (2n, d)
    logits = z @ (z / temperature).T  # (2n, 2n); dividing z is cheaper than dividing them
    logits.fill_diagonal_(-torch.inf)  # no view is its own candidate
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, partner)


@checked
def info_nce(q: Embeddings, k: Embeddings, negatives: Float[Tensor, "m d"], temperature: float = 0.2) -> Scalar:
    """InfoNCE: every query must find its own key among m negatives that all queries share.

    MoCo, eq. 1 (He et al. 2020, arXiv:1911.05722), with the queue as `negatives`; the loss is that of CPC (van den Oord
    et al. 2018, arXiv:1807.03748, eq. 4). The mean over queries i of

        -log( exp(s(q_i, k_i) / T) / ( exp(s(q_i, k_i) / T) + sum over j of exp(s(q_i, negatives_j) / T) ) )

    Args:
        q, k: queries and their keys, (n, d), of any length; row i of both is image i.
        negatives: (m, d), of any length; m = 0 is allowed, and the loss is then 0.
        temperature: T > 0.

    Returns:
        Nats, at least 0; ln(m + 1) when all embeddings are alike.

    Raises:
        TypeError: shapes that do not fit each other; ValueError: `temperature` is not a finite number above 0.
    """
    temperature = check_temperature(temperature)
    q, k, negatives = (F.normalize(x, dim=1) for x in (q, k, negatives))
    own = (q * k).sum(dim=1, keepdim=True)  # (n, 1)
    logits = torch.cat([own, q @ negatives.T], dim=1) / temperature  # (n, 1 + m)
    first = torch.zeros(len(q), dtype=torch.long, device=q.device)
    return F.cross_entropy(logits, first)


@checked
def alignment(z1: Embeddings, z2: Embeddings) -> Scalar:
    """Mean squared distance between partners on the unit sphere: 0 when they meet, 4 when opposite.

    Wang & Isola 2020, arXiv:2005.10242, eq. 3, with exponent 2. Smaller is better aligned.
    """
    return (F.normalize(z1, dim=1) - F.normalize(z2, dim=1)).square().sum(dim=1).mean()


@checked
def uniformity(z: Embeddings) -> Scalar:
    """Log of the mean of exp(-2 |a - b|^2) over all pairs on the unit sphere: 0 when collapsed.

    Wang & Isola 2020, arXiv:2005.10242, eq. 4, with t = 2. Smaller is more uniform; evenly spread points come near -4
    in many dimensions, and near -1.57 on a circle. A ValueError for fewer than two, which form no pair.
    """
    if len(z) < 2:
        raise ValueError(f"uniformity compares pairs and got {len(z)} embedding(s); give it at least 2")
    squared_distances = torch.pdist(F.normalize(z, dim=1)).square()  # one for each pair
    return torch.logsumexp(-2 * squared_distances, dim=0) - math.log(len(squared_distances))


@checked
def byol_loss(p: Embeddings, z: Embeddings) -> Scalar:
    """How far predictions lie from their targets: the mean over images of |p - z|^2 on the unit sphere, 2 - 2 s(p, z).

    BYOL, eq. 2 (Grill et al. 2020, arXiv:2006.07733); SimSiam, eq. 1 (Chen & He 2021, arXiv:2011.10566) is the same up
    to a factor and a constant. Gradients reach both: pass targets without one.

    Args:
        p, z: predictions of one view and targets of the other, (n, d), of any length; row i of both is image i.

    Returns:
        0 when every prediction points at its target, 2 when they are orthogonal, 4 when opposite.
    """
    return 2 - 2 * F.cosine_similarity(p, z, dim=1).mean()


@checked
def clip_loss(z_image: Embeddings, z_text: Embeddings, temperature: float | Tensor = 0.07) -> Scalar:
    """CLIP's symmetric InfoNCE: every image must find its caption among n, and every caption its image.

    Radford et al. 2021, arXiv:2103.00020, fig. 3. With s the cosine similarity, half the sum of two means over i,

        -log( exp(s(image_i, text_i) / T) / sum over j of exp(s(image_i, text_j) / T) )

    and the same with images and texts exchanged. Unlike NT-Xent, no image is compared with images, no text with texts.

    Args:
        z_image, z_text: embeddings of images and of their captions, (n, d), of any length; row i of both is pair i.
        temperature: T > 0; a tensor of shape () may be learned, and its value is not checked.

    Returns:
        Nats, at least 0; ln(n) when all embeddings are alike.

    Raises:
        TypeError: shapes that do not fit each other; ValueError: `temperature` is not a finite number above 0.
    """
    logits = _across(z_image, z_text) / _number_or_learned("temperature", temperature, above=0)  # (n, n)
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


@checked
def siglip_loss(
    z_image: Embeddings, z_text: Embeddings, temperature: float | Tensor = 0.1, bias: float | Tensor = -10.0
) -> Scalar:
    """SigLIP: each of the n x n pairs of an image and a text is judged by itself, belongs together or not.

    Zhai et al. 2023, arXiv:2303.15343, algorithm 1 (the formula of sec. 3.2 has the bias with the other sign). With
    y = 1 for an image and its own caption and -1 for any other pair, the sum over all pairs i, j, divided by n, of

        -log sigmoid( y_ij (s(image_i, text_j) / T + bias) )

    Args:
        z_image, z_text: embeddings of images and of their captions, (n, d), of any length; row i of both is pair i.
        temperature: T > 0; a tensor of shape () may be learned, and its value is not checked.
        bias: what makes a pair improbable before anything is learned; a number, or a learned tensor of shape ().

    Returns:
        Nats an image, above 0.

    Raises:
        TypeError: shapes that do not fit each other; ValueError: `temperature` is not a finite number above 0, or
            `bias` is not a finite one.
    """
    logits = _across(z_image, z_text) / _number_or_learned("temperature", temperature, above=0)  # (n, n)
    logits = logits + _number_or_learned("bias", bias)
    belongs = 2 * torch.eye(len(logits), device=logits.device) - 1  # 1 on the diagonal, -1 elsewhere
    return -F.logsigmoid(belongs * logits).sum() / len(logits)


def _across(z_image: Tensor, z_text: Tensor) -> Tensor:
    """Cosine similarities of every image with every text, (n, n)."""
    return F.normalize(z_image, dim=1) @ F.normalize(z_text, dim=1).T


def _number_or_learned(name: str, value: float | Tensor, above: float | None = None) -> float | Tensor:
    """A learned scalar as it is, since to look at its value would make a GPU wait; else a checked float."""
    if isinstance(value, Tensor):
        if value.ndim or not value.is_floating_point():
            found = f"got {value.dtype} of shape {tuple(value.shape)}"
            raise TypeError(f"{name} must be a number or a float tensor of shape (), {found}")
        return value
    return real(name, value, above=above)
