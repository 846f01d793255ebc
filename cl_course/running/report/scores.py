"""Nearest neighbours and a linear probe over several random splits, so that chance can be told from a difference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from cl_course.data import place_in_class
from cl_course.evaluate import knn_accuracy, linear_probe

SPLITS = 5  # random splits that are judged
MOST = 2000  # labelled pictures of a split: more would take minutes, and the spread shows that they are enough
NEIGHBOURS = 20


@dataclass(frozen=True)
class Split:
    """Positions of labelled pictures: those that vote and train, those that choose, those that are judged."""

    train: Tensor
    val: Tensor
    test: Tensor


@dataclass(frozen=True)
class Score:
    """One description of the pictures, judged on every split."""

    name: str
    knn: tuple[float, ...]
    probe: tuple[float, ...]


@dataclass(frozen=True)
class Scores:
    """What was judged, and how.

    Attributes:
        rows: the encoder first.
        largest: the share of the largest class among the test pictures: what a constant answer gets.
        k: neighbours that vote.
        numbers: how many pictures train, choose and are judged in a split.
        own_test: whether the source had test pictures of its own, which no split has drawn anew.
    """

    rows: tuple[Score, ...]
    largest: float
    k: int
    numbers: tuple[int, int, int]
    own_test: bool


def random_splits(labels: Tensor, is_test: Tensor | None, seed: int = 0) -> list[Split]:
    """Several splits of labelled pictures, each class cut in the same shares.

    Args:
        labels: (n,).
        is_test: bool (n,), the source's own test pictures, which stay what they are: 80 % of the others train and 20 %
            choose. None: 60 % train, 20 % choose and 20 % are judged.
        seed: of the first split; the next ones count on.
    """
    return [_random_split(labels, is_test, torch.Generator().manual_seed(seed + number)) for number in range(SPLITS)]


def _random_split(labels: Tensor, is_test: Tensor | None, generator: torch.Generator) -> Split:
    def ordered(index: Tensor) -> Tensor:
        """Where each of the pictures at `index` stands in its class, in random order."""
        return place_in_class(labels[index], torch.rand(len(index), generator=generator, dtype=torch.float64))

    def few(index: Tensor, most: int) -> Tensor:
        return index[ordered(index).argsort(stable=True)[:most]]

    everything = torch.arange(len(labels))
    if is_test is None:
        index = few(everything, MOST)
        place = ordered(index)
        return Split(index[place < 0.6], index[(place >= 0.6) & (place < 0.8)], index[place >= 0.8])
    others = few(everything[~is_test], MOST * 4 // 5)
    place = ordered(others)
    return Split(others[place < 0.8], others[place >= 0.8], few(everything[is_test], MOST // 5))


def judge(
    features: Mapping[str, Callable[[Tensor], Tensor]], labels: Tensor, splits: list[Split], own_test: bool
) -> Scores:
    """Every description on every split.

    Args:
        features: name -> a function from positions of pictures (m,) to their features (m, d).
        labels: (n,).
        splits: from `random_splits`.
        own_test: see `Scores`.

    Raises:
        ValueError: too few pictures for one of the parts, or training pictures of one class only.
    """
    first = splits[0]
    if not min(len(first.val), len(first.test)) or len(labels[first.train].unique()) < 2:
        raise ValueError(f"{len(labels)} labelled pictures are too few to be split; a class needs at least 5")
    used = torch.cat([part for split in splits for part in (split.train, split.val, split.test)]).unique()
    k = min(NEIGHBOURS, min(len(split.train) for split in splits))
    rows = []
    for name, of in features.items():
        h = of(used)
        knn, probe = zip(*(_judged(h, labels[used], _within(used, split), k) for split in splits))
        rows.append(Score(name, knn, probe))
    test_y = labels[first.test]
    largest = int(test_y.bincount().max()) / len(test_y)
    return Scores(tuple(rows), largest, k, (len(first.train), len(first.val), len(first.test)), own_test)


def _within(used: Tensor, split: Split) -> Split:
    """The split in positions of `used`, which is sorted."""
    return Split(*(torch.searchsorted(used, part) for part in (split.train, split.val, split.test)))


def _judged(h: Tensor, y: Tensor, split: Split, k: int) -> tuple[float, float]:
    train, val, test = split.train, split.val, split.test
    knn = knn_accuracy(h[train], y[train], h[test], y[test], k=k)
    return knn, linear_probe(h[train], y[train], h[val], y[val], h[test], y[test]).accuracy


def spread(values: tuple[float, ...]) -> tuple[float, float]:
    """Mean and standard deviation over splits."""
    return fmean(values), stdev(values)
