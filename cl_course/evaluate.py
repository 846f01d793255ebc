"""What is a frozen encoder worth? Features, nearest neighbours, retrieval, linear and factor probes.

No module before this one looks at labels. Every choice is made on validation; test accuracy is computed once, for the
chosen setting.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits
from torch import Generator, Tensor, nn

from cl_course.data import ImageSet, to_float
from cl_course.losses import check_temperature
from cl_course.tensor_types import check_finite, checked
from cl_course.values import instance, real, whole

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # the probe's inverse L2 penalties, from which validation chooses


@dataclass(frozen=True)
class Result:
    """One score, with what a fair comparison needs."""

    score: float  # the `measure` on `split`, in [0, 1]
    method: str  # how it was judged, such as "linear probe"
    split: str  # what the score was computed on; nothing was chosen on it
    seed: int  # of the random numbers in judging
    labels: int  # how many labelled images were trained on; those of validation, which choose the settings, come on top
    trained: str  # what was trained on them
    seconds: float  # how long that took, with all settings that were tried
    validation: float | None = None  # the score on validation of the setting that was chosen there
    measure: str = "accuracy"  # the share of right answers, or another measure, such as "IoU"

    @property
    def accuracy(self) -> float:
        if self.measure != "accuracy":
            raise ValueError(f"this result measures {self.measure}, not accuracy; read its score")
        return self.score

    @property
    def _named(self) -> str:
        return f"{self.score:.3f}" if self.measure == "accuracy" else f"{self.measure} {self.score:.3f}"

    def __str__(self) -> str:
        how = f"{self.labels:,} labels, trained: {self.trained}, seed {self.seed}, {self.seconds:.1f} s"
        return f"{self.method}: {self._named} on {self.split} ({how})"

    def row(self) -> str:
        """The same as one row of a Markdown table."""
        cells = (self.method, self._named, self.split, f"{self.labels:,}", self.trained, self.seed)
        return f"| {' | '.join(map(str, cells))} | {self.seconds:.1f} s |"


def few_labels(images: ImageSet, share: float, seed: int = 0) -> ImageSet:
    """A share of the labelled images, the same of every class, as if the others had no labels.

    A class keeps at least one image. With the same seed, a larger share holds all images of a smaller one.

    Args:
        share: in (0, 1]; 0.01, 0.1 and 1 are usual. 1 keeps all images.
        seed: decides which are kept.
    """
    if images.labels is None:
        raise ValueError("few_labels needs labelled images; load a set with classes")
    share = real("share", share, above=0, most=1, advice="0.01 is one label in a hundred")
    generator = Generator().manual_seed(whole("seed", seed, 0))
    tickets = torch.rand(len(images), generator=generator, dtype=torch.float64)
    kept = []
    for label in images.labels.unique():
        of_class = torch.nonzero(images.labels == label).flatten()
        kept.append(of_class[tickets[of_class].argsort()][: max(1, round(share * len(of_class)))])
    return images.subset(torch.cat(kept).sort().values)


@torch.no_grad()
def embed(encoder: nn.Module, images: ImageSet, batch_size: int = 500) -> Tensor:
    """Features h of unaugmented images, (n, dim), on the CPU; the encoder's train / eval mode is put back."""
    instance("encoder", encoder, nn.Module, "such as small_resnet()")
    instance("images", images, ImageSet, "wrap a uint8 tensor: ImageSet(tensor)")
    device, batch_size = next(encoder.parameters(), torch.empty(0)).device, whole("batch_size", batch_size, 1)
    with in_eval_mode(encoder):
        return torch.cat([encoder(to_float(part.to(device))).float().cpu() for part in images.images.split(batch_size)])


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Have a network in eval mode for a while; then each of its parts is in its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@checked
def knn_accuracy(
    train_h: Float[Tensor, "n d"], train_y: Int64[Tensor, " n"], test_h: Float[Tensor, "m d"],
    test_y: Int64[Tensor, " m"], k: int = 20, temperature: float = 0.1,
) -> float:
    """Accuracy of the weighted k-nearest-neighbour vote in cosine similarity.

    Each of the k nearest training images votes for its class with weight exp(similarity / temperature) (Wu et al. 2018,
    arXiv:1805.01978, sec. 3.4). Nothing is trained.

    Args:
        train_h, test_h: features (n, d) and (m, d), of any length; train_y, test_y: their classes.
        k: neighbours that vote; at most the number of training images.
        temperature: T > 0; the smaller, the more the very nearest decide.

    Returns:
        The share of test images whose class wins the vote, in [0, 1]. A class without training images never wins.
    """
    nearest, similarity = retrieve(test_h, train_h, k)  # (m, k)
    votes = knn_votes(train_y[nearest], similarity, int(train_y.max()) + 1, temperature)
    return int((votes.argmax(dim=1) == test_y).sum()) / len(test_y)


@checked
def knn_votes(
    nearest_y: Int64[Tensor, "m k"], similarity: Float[Tensor, "m k"], classes: int, temperature: float = 0.1
) -> Float[Tensor, "m c"]:
    """The share of each class in a weighted vote, (m, classes): row by row they sum to 1.

    Args:
        nearest_y, similarity: the classes of the neighbours that vote and their cosine similarities, the nearest first.
        classes: how many there are.
        temperature: as of `knn_accuracy`.
    """
    weight = ((similarity - similarity[:, :1]) / check_temperature(temperature)).exp()  # at most 1: none overflows
    votes = weight.new_zeros(len(nearest_y), classes).scatter_add_(1, nearest_y, weight)
    return votes / votes.sum(dim=1, keepdim=True)


@checked
def nearest_others(
    h: Float[Tensor, "n d"], k: int
) -> tuple[Int64[Tensor, "n k"], Float[Tensor, "n k"]]:
    """For each row the k most similar other rows, the nearest first, and their cosine similarities.

    Arguments and errors as of `retrieve`, with k below the number of rows.
    """
    k = whole("k", k, 1, len(h) - 1, advice="an image is not its own neighbour; take a smaller k or more images")
    nearest, similarity = retrieve(h, h, k + 1)
    itself = nearest == torch.arange(len(h), device=h.device)[:, None]
    itself[~itself.any(dim=1), -1] = True  # one of more than k copies need not find itself
    return nearest[~itself].view(-1, k), similarity[~itself].view(-1, k)


@checked
def retrieve(
    query_h: Float[Tensor, "m d"], gallery_h: Float[Tensor, "n d"], k: int
) -> tuple[Int64[Tensor, "m k"], Float[Tensor, "m k"]]:
    """For each query the k gallery images with the most similar features, the nearest first.

    A query that is in the gallery finds itself first: search another split, or take k + 1 and drop the first.

    Args:
        query_h, gallery_h: finite features (m, d) and (n, d), of any length.
        k: from 1 to the number of gallery images.

    Returns:
        Rows of the gallery, (m, k), and their cosine similarities, (m, k), falling.
    """
    if not len(query_h):
        raise ValueError("no query was given; take a split with at least one image")
    k = whole("k", k, 1, len(gallery_h), advice="it is at most the number of images that are searched")
    check_finite("features", query_h, gallery_h)
    gallery_h = F.normalize(gallery_h, dim=1)
    found = [(F.normalize(h, dim=1) @ gallery_h.T).topk(k, dim=1) for h in query_h.split(1000)]
    return torch.cat([part.indices for part in found]), torch.cat([part.values for part in found])


@checked
def precision_at_k(
    query_h: Float[Tensor, "m d"], query_y: Int64[Tensor, " m"], gallery_h: Float[Tensor, "n d"],
    gallery_y: Int64[Tensor, " n"], k: int,
) -> float:
    """Of the k nearest gallery images, the share that has the query's class; the mean over queries, in [0, 1].

    Arguments and errors as of `retrieve`; query_y, gallery_y: the classes. Chance is the class's share of the gallery.
    """
    nearest, _ = retrieve(query_h, gallery_h, k)
    return int((gallery_y[nearest] == query_y[:, None]).sum()) / nearest.numel()


@checked
def mean_average_precision(
    query_h: Float[Tensor, "m d"], query_y: Int64[Tensor, " m"], gallery_h: Float[Tensor, "n d"],
    gallery_y: Int64[Tensor, " n"],
) -> float:
    """How near the top the gallery images of the query's class come when the whole gallery is ranked, in (0, 1].

    A query's average precision is the mean, over the ranks r that hold an image of its class, of the precision among
    the first r (Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, sec. 8.4). 1: all of them come
    first. In a random order it is about the class's share of the gallery.

    Arguments as of `precision_at_k`. A ValueError where a query's class has no image in the gallery.
    """
    missing = sorted(set(query_y.tolist()) - set(gallery_y.tolist()))
    if missing:
        raise ValueError(f"no gallery image has class {missing[0]}, which a query has; take a gallery with images of "
                         "every class, or leave such queries out")
    rank = torch.arange(1, len(gallery_h) + 1, device=gallery_h.device)
    total = 0.0
    for h, y in zip(query_h.split(1000), query_y.split(1000)):
        ranked, _ = retrieve(h, gallery_h, len(gallery_h))
        right = (gallery_y[ranked] == y[:, None]).float()  # (m, n)
        precision = right.cumsum(dim=1) / rank
        total += ((precision * right).sum(dim=1) / right.sum(dim=1)).sum().item()
    return total / len(query_y)


@checked
def linear_probe(
    train_h: Float[Tensor, "n d"], train_y: Int64[Tensor, " n"], val_h: Float[Tensor, "v d"],
    val_y: Int64[Tensor, " v"], test_h: Float[Tensor, "m d"], test_y: Int64[Tensor, " m"], *, seed: int = 0,
) -> Result:
    """Accuracy on test of logistic regression on standardised, frozen features; validation chooses its strength.

    Args:
        train_h, val_h, test_h: features (n, d).
        train_y, val_y, test_y: classes (n,). A class without training images is never predicted.
        seed: of the encoder or of the labels, for the report: the fit itself uses no random numbers.
    """
    if len(train_y.unique()) < 2:
        raise ValueError(f"a linear probe needs labelled images of at least two classes, got {len(train_y)} of one; "
                         "take more images")
    if not (len(val_y) and len(test_y)):
        raise ValueError(f"a linear probe needs images of validation and of test, got {len(val_y)} and {len(test_y)}; "
                         "take splits with at least one")
    start, seed = time.perf_counter(), whole("seed", seed, 0)
    train_x, val_x, test_x = _standardised(train_h, val_h, test_h)
    probes = [_fit(LogisticRegression(C=strength, max_iter=200), train_x, train_y) for strength in STRENGTHS]
    on_validation = [probe.score(val_x, val_y.numpy(force=True)) for probe in probes]
    best = int(np.argmax(on_validation))
    return Result(
        score=float(probes[best].score(test_x, test_y.numpy(force=True))), method="linear probe", split="test",
        seed=seed, labels=len(train_y),
        trained=f"logistic regression, C = {STRENGTHS[best]:g} chosen on validation",
        seconds=time.perf_counter() - start, validation=float(on_validation[best]),
    )


def _standardised(train_h: Tensor, *others: Tensor) -> list[np.ndarray]:
    """Each set of features, shifted and scaled so that every dimension has mean 0 and deviation 1 in training."""
    check_finite("features", train_h, *others)
    mean, std = train_h.mean(dim=0), train_h.std(dim=0)
    std = torch.where(std > 1e-6, std, 1.0)  # a dimension constant in training may vary in test: do not blow it up
    return [((h - mean) / std).numpy(force=True) for h in (train_h, *others)]


@checked
def factor_probe(
    train_h: Float[Tensor, "n d"], train_factors: dict[str, Tensor], test_h: Float[Tensor, "m d"],
    test_factors: dict[str, Tensor],
) -> dict[str, float]:
    """What a linear map can read from frozen features: name of a factor -> R^2 of a ridge regression on test.

    1 means that the features tell the factor exactly, 0 that they tell no more than its mean; a slightly negative value
    means the same. It is the mean over a factor's coordinates; of a hue, an angle, these are its cosine and sine.

    Args:
        train_h, test_h: features (n, d).
        train_factors, test_factors: name -> (n,) or (n, k).
    """
    train_x, test_x = _standardised(train_h, test_h)
    scores = {}
    for name, values in train_factors.items():
        train_target, test_target = (_coordinates(name, v) for v in (values, test_factors[name]))
        scores[name] = float(Ridge(alpha=1.0).fit(train_x, train_target).score(test_x, test_target))
    return scores


def _coordinates(name: str, values: Tensor) -> np.ndarray:
    if name.endswith("hue"):
        turn = 2 * torch.pi * values
        values = torch.stack([turn.cos(), turn.sin()], dim=1)
    return values.reshape(len(values), -1).numpy(force=True)


def _fit(probe: LogisticRegression, x: np.ndarray, y: Tensor) -> LogisticRegression:
    # Fits this small are quicker on one core: two threads wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the weakest penalties need not converge to be compared
        return probe.fit(x, y.numpy(force=True))
