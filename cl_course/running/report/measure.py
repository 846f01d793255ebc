"""What the report says, measured: scores, neighbours, a map, health, copies across splits, doubtful labels."""

from collections import Counter
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment
from cl_course.data import ImageSet, to_float
from cl_course.diagnose import effective_rank, map_places, spread
from cl_course.duplicates import near_duplicates
from cl_course.evaluate import knn_votes, nearest_others, retrieve
from cl_course.running.encoders import Encoder
from cl_course.running.export import names_of
from cl_course.running.report import scores

SHIPPED = "simclr_shapes"  # what a minute of training on the drawn cards gives
PIXEL_SIDE = 16  # at which raw pixels are compared: a probe on all of them would take minutes
EXAMPLES, SHOWN = 10, 8  # pictures whose neighbours are shown, and how many
DOUBTFUL, COPIES = 24, 12  # of labels and of copies that are shown
MAPPED = 1000  # pictures on the map
HEALTH = 500  # pictures of which two views are made


@dataclass(frozen=True, eq=False)
class Pictures:
    """Every picture of a source: its pixels, name, split and, where known, class."""

    images: ImageSet  # labels are None unless every picture has one
    names: list[str]
    splits: list[str]


@dataclass(frozen=True)
class Views:
    """What augmentation leaves of a picture's features, and how the features lie; all without labels."""

    spread: float  # in [0, about 1], 0: collapsed
    rank: float  # dimensions really used
    dim: int
    same: float  # mean cosine similarity of two views of one picture
    other: float  # and of two pictures
    found: float  # the share of views whose nearest view, among all pictures', is of the same picture
    n: int  # pictures that were measured


@dataclass(frozen=True)
class Doubt:
    """A picture whose neighbours vote for another class than its label."""

    picture: int
    votes_for: int  # that class
    share: float  # of the votes which it gets
    nearest: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the page shows. What needs labels is None, with the reason in `unlabelled`, where there are none."""

    encoder: Encoder
    source: str
    pictures: Pictures
    seed: int
    unlabelled: str
    scores: scores.Scores | None
    examples: list[tuple[int, list[tuple[int, float]]]]  # a picture, its neighbours and their similarities
    mapped: Tensor  # positions of the pictures on the map
    points: Tensor  # their places, (m, 2), in [0, 1]
    views: Views
    doubts: list[Doubt] | None  # the surest votes first; all of them
    copies: Tensor  # (p, 2), the later picture first


def gathered(splits: dict[str, ImageSet]) -> Pictures:
    """The pictures of all splits as one set; the unlabelled ones of a labelled source are left out."""
    if any(images.labels is not None for images in splits.values()):
        splits = {split: images for split, images in splits.items() if images.labels is not None}
    names = [name for split, images in splits.items() for name in names_of(images, split)]
    of_split = [split for split, images in splits.items() for _ in range(len(images))]
    parts = list(splits.values())
    labels = None if parts[0].labels is None else torch.cat([part.labels for part in parts])
    pixels = parts[0].images if len(parts) == 1 else torch.cat([part.images for part in parts])
    return Pictures(ImageSet(pixels, labels, parts[0].class_names), names, of_split)


def measure(encoder: Encoder, shipped: Encoder, source: str, pictures: Pictures, own_test: bool, seed: int) -> Measured:
    """Measure an encoder on a source.

    Args:
        encoder, shipped: the one to judge, and the one that comes with the course.
        source: how the source is called.
        pictures: at least two.
        own_test: whether the source came with a test split.
        seed: of the random splits, the views, the map and the choice of examples.
    """
    images, n = pictures.images, len(pictures.names)
    if n < 2:
        raise ValueError(f"{source} has one picture only; a report needs at least two")
    h = encoder.features(images)
    nearest, similarity = nearest_others(h, min(max(scores.NEIGHBOURS, SHOWN), n - 1))
    generator = Generator().manual_seed(seed)
    shuffled = torch.randperm(n, generator=generator)
    shown = _evenly(images.labels, shuffled, EXAMPLES)
    examples = [(i, list(zip(nearest[i, :SHOWN].tolist(), similarity[i, :SHOWN].tolist()))) for i in shown.tolist()]
    mapped = shuffled[:MAPPED].sort().values
    judged, reason = _scores(encoder, shipped, pictures, h, own_test, seed)
    doubts = None if images.labels is None else _doubts(images, nearest, similarity)
    return Measured(
        encoder, source, pictures, seed, reason, judged, examples, mapped, map_places(h[mapped], seed),
        _views(encoder, images.subset(shuffled[:HEALTH]), generator), doubts, near_duplicates(images.images),
    )  # fmt: skip


def _scores(
    encoder: Encoder, shipped: Encoder, pictures: Pictures, h: Tensor, own_test: bool, seed: int
) -> tuple[scores.Scores | None, str]:
    """The scores, or the reason why there are none."""
    images = pictures.images
    if images.labels is None:
        return None, (
            "The pictures have no labels, or are all of one class, so accuracy, doubtful labels and the "
            "colours of the map are left out. Sort them into one folder for each class to get these."
        )
    is_test = torch.tensor([split == "test" for split in pictures.splits])
    features = {
        "this encoder": lambda index: h[index],
        "random encoder, same architecture": lambda index: encoder.features(images.subset(index), untrained=True),
        f"shipped with the course: {SHIPPED}": lambda index: shipped.features(images.subset(index)),
        f"raw pixels, {PIXEL_SIDE} x {PIXEL_SIDE}": lambda index: _pixels(images.images[index]),
    }
    try:
        splits = scores.random_splits(images.labels, is_test if own_test else None, seed)
        return scores.judge(features, images.labels, splits, own_test), ""
    except ValueError as problem:
        return None, f"Accuracy is left out: {problem}."


def _pixels(images: Tensor) -> Tensor:
    return torch.cat([F.adaptive_avg_pool2d(to_float(part), PIXEL_SIDE).flatten(1) for part in images.split(500)])


def _evenly(labels: Tensor | None, shuffled: Tensor, n: int) -> Tensor:
    """The first n of the shuffled pictures; with labels one of each class, then a second, in the order of classes."""
    if labels is None:
        return shuffled[:n]
    turns: Counter[int] = Counter()
    keyed = []
    for place, picture in enumerate(shuffled.tolist()):
        label = int(labels[picture])
        keyed.append((turns[label], place, label, picture))
        turns[label] += 1
    chosen = sorted(keyed)[:n]
    return torch.tensor([picture for _, _, _, picture in sorted(chosen, key=lambda row: row[2])])


def _views(encoder: Encoder, images: ImageSet, generator: Generator) -> Views:
    """Two views of each picture by the course's augmentation."""
    h1, h2 = (_of_views(encoder, images, generator) for _ in range(2))
    h, n = encoder.features(images), len(images)
    similarity = F.normalize(h1, dim=1) @ F.normalize(h2, dim=1).T
    other = (similarity.sum() - similarity.trace()) / max(1, n * (n - 1))
    found = retrieve(h1, h2, 1)[0][:, 0] == torch.arange(n)
    return Views(
        spread(h),
        effective_rank(h),
        h.shape[1],
        float(similarity.diagonal().mean()),
        float(other),
        float(found.float().mean()),
        n,
    )


def _of_views(encoder: Encoder, images: ImageSet, generator: Generator) -> Tensor:
    views = [augment(to_float(part), AugmentConfig(), generator) for part in images.images.split(50)]
    return encoder.features(ImageSet(torch.cat([(255 * view).round().to(torch.uint8) for view in views])))


def _doubts(images: ImageSet, nearest: Tensor, similarity: Tensor) -> list[Doubt]:
    """Every picture votes on none of its own label: its nearest other pictures decide."""
    labels = images.labels
    votes = knn_votes(labels[nearest], similarity, int(labels.max()) + 1)
    share, winner = votes.max(dim=1)
    wrong = torch.nonzero(winner != labels).flatten()
    wrong = wrong[share[wrong].argsort(descending=True, stable=True)]
    return [Doubt(i, int(winner[i]), float(share[i]), tuple(nearest[i, :4].tolist())) for i in wrong.tolist()]
