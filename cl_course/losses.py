"""The objectives, as pure functions of embeddings; state (a queue, a target network) lives in the methods.

Where nothing else is said they look at directions alone: embeddings may have any length, since cosine similarity
s(a, b) = a . b / (|a| |b|) is what they compare. All compute in float32 from half precision.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cl_course.tensor_types import Embeddings, Labels, Scalar, checked
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
def supcon_loss(z1: Embeddings, z2: Embeddings, labels: Labels, temperature: float = 0.1) -> Scalar:
    """SupCon: every view must find all other views of its class among the 2n - 1 candidates.

    Khosla et al. 2020, arXiv:2004.11362, eq. 2, L_out: the mean over the positives stands outside the logarithm. With
    P(i) the other views of view i's class, its partner among them, the mean over all 2n views i of

        -1 / |P(i)| * sum over p in P(i) of log( exp(s(i, p) / T) / sum over k != i of exp(s(i, k) / T) )

    Args:
        z1, z2: embeddings of two views, (n, d), of any length; row i of both is image i.
        labels: the class of each image, (n,) whole numbers. All different, they make this NT-Xent. All the same, there
            are no negatives: the loss pulls all embeddings to one point.
        temperature: T > 0.

    Returns:
        Nats; at least the mean of ln |P(i)|, and ln(2n - 1) when all embeddings are alike.

    Raises:
        TypeError: shapes that do not fit each other; ValueError: `temperature` is not a finite number above 0.
    """
    temperature = check_temperature(temperature)
    z, classes = F.normalize(torch.cat([z1, z2]), dim=1), labels.repeat(2)
    logits = z @ (z / temperature).T  # (2n, 2n)
    logits.fill_diagonal_(-torch.inf)
    positive = (classes[:, None] == classes).fill_diagonal_(False)
    log_shares = torch.where(positive, logits.log_softmax(dim=1), 0)
    return -(log_shares.sum(dim=1) / positive.sum(dim=1)).mean()


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
def cross_correlation(z1: Embeddings, z2: Embeddings) -> Float[Tensor, "d d"]:
    """How dimension i of one view goes with dimension j of the other over the batch, in [-1, 1].

    Barlow Twins, eq. 2 (Zbontar et al. 2021, arXiv:2103.03230), with every dimension brought to mean 0 first, as there.
    A dimension that is the same for all images correlates with none: its row or column is 0. A ValueError for one
    image, which has no correlation.
    """
    _check_batch("cross_correlation", len(z1))
    # The length of a centred column is sqrt(n) standard deviations. A larger eps than usual keeps gradients bounded.
    z1, z2 = (F.normalize(z - z.mean(dim=0), dim=0, eps=1e-5) for z in (z1, z2))
    return z1.T @ z2


@checked
def barlow_twins_loss(z1: Embeddings, z2: Embeddings, redundancy_weight: float = 5e-3) -> Scalar:
    """Barlow Twins: the cross-correlation matrix C of two views should be the identity.

    Zbontar et al. 2021, arXiv:2103.03230, eq. 1:

        sum over i of (1 - C_ii)^2  +  redundancy_weight * sum over i != j of C_ij^2

    Args:
        z1, z2: embeddings of two views, (n, d), n at least 2, whose dimensions may have any mean and any scale.
        redundancy_weight: lambda, at least 0; 0 lets all dimensions say the same.

    Returns:
        At least 0; d where all embeddings are alike.

    Raises:
        TypeError: the views differ in shape; ValueError: one image, or a weight that is negative or not finite.
    """
    redundancy_weight = real("redundancy_weight", redundancy_weight, least=0, advice="5e-3 is the paper's")
    c = cross_correlation(z1, z2)
    return (1 - c.diagonal()).square().sum() + redundancy_weight * _off_diagonal(c).square().sum()


@checked
def vicreg_terms(z1: Embeddings, z2: Embeddings) -> tuple[Tensor, Tensor, Tensor]:
    """VICReg's invariance, variance and covariance, not weighted: three scalars, each at least 0.

    Bardes et al. 2022, arXiv:2105.04906, with n images, d dimensions and the sums of both views:

        invariance: the mean of (z1 - z2)^2 over images and dimensions, as in algorithm 1; eq. 5 has d times as much
        variance:   the mean over dimensions of max(0, 1 - sqrt(Var + 1e-4)), eq. 1
        covariance: the sum over i != j of Cov_ij^2, divided by d, eq. 3 and 4

    Lengths count. A ValueError for one image, which has no variance.
    """
    _check_batch("vicreg_terms", len(z1))
    variance = sum((1 - (z.var(dim=0) + 1e-4).sqrt()).relu().mean() for z in (z1, z2))
    centred = (z - z.mean(dim=0) for z in (z1, z2))
    covariances = (z.T @ z / (len(z) - 1) for z in centred)
    return F.mse_loss(z1, z2), variance, sum(_off_diagonal(c).square().sum() / len(c) for c in covariances)


@checked
def vicreg_loss(
    z1: Embeddings, z2: Embeddings, invariance_weight: float = 25.0, variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
) -> Scalar:  # fmt: skip
    """VICReg: views agree, every dimension has a standard deviation of at least 1, no two dimensions say the same.

    The weighted sum of `vicreg_terms`, eq. 6 of the paper (Bardes et al. 2022, arXiv:2105.04906).

    Args:
        z1, z2: embeddings of two views, (n, d), n at least 2, as they are: lengths count.
        invariance_weight, variance_weight, covariance_weight: lambda, mu and nu, at least 0. The authors' code and
            lightly halve the variance, so that their 25 is 12.5 here; solo-learn adds it up, as the paper and this do.

    Returns:
        At least 0; 2 * 0.99 * variance_weight where all embeddings are alike.

    Raises:
        TypeError: the views differ in shape; ValueError: one image, or a weight that is negative or not finite.
    """
    named = {"invariance": invariance_weight, "variance": variance_weight, "covariance": covariance_weight}
    weights = [real(f"{name}_weight", weight, least=0) for name, weight in named.items()]
    return sum(weight * term for weight, term in zip(weights, vicreg_terms(z1, z2)))


@checked
def dino_loss(
    student: Embeddings, teacher: Embeddings, center: Float[Tensor, " d"], student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Scalar:  # fmt: skip
    """DINO: the student's distribution over d prototypes should be the teacher's, centred and sharpened.

    Caron et al. 2021, arXiv:2104.14294, eq. 1 and 2, algorithm 1. With Ts and Tt the two temperatures, the mean over
    images of

        - sum over j of softmax((teacher - center) / Tt)_j * log softmax(student / Ts)_j

    Gradients reach both: pass the teacher's scores without one.

    Args:
        student, teacher: scores of one view by the student and of the other by the teacher, (n, d), d at least 2.
        center: what the teacher's scores are lowered by, (d,): their mean over past batches. 0 leaves them.
        student_temperature, teacher_temperature: above 0; the lower the teacher's, the sharper the targets.

    Returns:
        Nats, at least 0; ln d when both distributions are uniform.

    Raises:
        TypeError: shapes that do not fit each other; ValueError: a temperature that is not a finite number above 0, or
            one dimension, over which there is one distribution only.
    """
    student_temperature = real("student_temperature", student_temperature, above=0, advice="0.1 is usual")
    teacher_temperature = real("teacher_temperature", teacher_temperature, above=0, advice="0.04 to 0.07 is usual")
    if student.shape[1] < 2:
        raise ValueError("dino_loss compares distributions over the scores and got 1 score; give it at least 2")
    targets = ((teacher - center) / teacher_temperature).softmax(dim=1)
    return F.cross_entropy(student / student_temperature, targets)


def _check_batch(function: str, n: int) -> None:
    if n < 2:
        raise ValueError(f"{function} compares the images of a batch and got {n}; give it at least 2")


def _off_diagonal(square: Tensor) -> Tensor:
    """The matrix with its diagonal set to 0."""
    return square - square.diagonal().diag()


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
