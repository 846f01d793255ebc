"""What a lesson runs with: its parameters checked, its randomness seeded, its device picked.

A lesson's `parameters` cell sets `profile`, `dataset`, `seed` and `device`; papermill and the command line write
theirs below it. `settings(globals())` turns the four into one `Settings`, prints it, and refuses an unknown name or
value, of which papermill itself would only warn.
"""

import random
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from cl_course.running.machine import pick_device
from cl_course.values import MAX_SEED, nearest, one_of, path_of, whole

PROFILES = ("quick", "full")
DATASETS = ("shapes", "cifar10", "stl10")
AT_HAND = ("digits", "cards", "photos")  # zips that lesson 09 makes, for itself
PARAMETERS = ("profile", "dataset", "seed", "device")
_MARK = "_cl_course_settings"


@dataclass(frozen=True)
class Settings:
    """What a lesson runs with, nothing left at "auto".

    Attributes:
        profile: "quick" (small encoder, about a minute per run) or "full" (the published recipe).
        dataset: "shapes", "cifar10", "stl10", or the path of a folder or .zip of images.
        seed: 0 or more; already given to Python's, numpy's and torch's global generators.
        device: "cpu", "cuda", "cuda:1", ... or "mps".
    """

    profile: str
    dataset: str
    seed: int
    device: str

    @property
    def full(self) -> bool:
        return self.profile == "full"

    def checkpoint(self, name: str) -> Path | None:
        """The file that a full run keeps after every epoch, to go on from after a stop; None for a quick run."""
        return Path("runs") / f"{name}-{Path(self.dataset).stem}-seed{self.seed}.pt" if self.full else None

    def __str__(self) -> str:
        return f"{self.profile} profile: {self.dataset} on {self.device}, seed {self.seed}"


def settings(namespace: MutableMapping[str, Any], extra: Iterable[str] = (),
             datasets: tuple[str, ...] = DATASETS) -> Settings:
    """A lesson's parameters, checked and resolved; seeds everything and prints one line.

    Call it right after the parameters cell. On the first call in a kernel every plain variable that is not a parameter
    counts as a misspelt one; later calls check only the values, since the lesson then has variables of its own.

    Args:
        namespace: the notebook's `globals()`.
        extra: names of parameters that only this lesson has.
        datasets: the names that it takes as a dataset; "auto" is the first, where that is one of this lesson alone.
    """
    known = (*PARAMETERS, *extra)
    if _MARK not in namespace:
        simple = str | int | float | bool | list | None
        plain = [name for name, value in namespace.items() if isinstance(value, simple) and name != "In"]
        check_names([name for name in plain if not name.startswith("_")], known)
    resolved = resolve(**{name: namespace[name] for name in PARAMETERS if name in namespace}, datasets=datasets)
    namespace[_MARK] = resolved
    seed_everything(resolved.seed)
    print(resolved)
    return resolved


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise a ValueError for the first name that is not among `known`, with the nearest one."""
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}: this lesson has {', '.join(known)}{nearest(name, known)}")


def resolve(profile: str = "auto", dataset: str = "auto", seed: int = 0, device: str = "auto",
            datasets: tuple[str, ...] = DATASETS) -> Settings:
    """The four parameters checked, "auto" replaced: full on a GPU, else quick; a ValueError says what is allowed."""
    one_of("profile", profile, ("auto", *PROFILES))
    if not isinstance(dataset, str) or dataset not in ("auto", *datasets) and not _exists(dataset):
        raise ValueError(f"dataset must be 'auto', {', '.join(map(repr, datasets))}, or an existing folder or .zip of "
                         f"images, got {dataset!r}{nearest(dataset, datasets)}")
    seed = whole("seed", seed, 0, MAX_SEED)
    device = str(pick_device(device))
    if profile == "auto":
        profile = "full" if device.startswith("cuda") else "quick"
    if dataset == "auto":
        dataset = datasets[0] if datasets[0] not in DATASETS else "cifar10" if profile == "full" else "shapes"
    return Settings(profile, dataset, seed, device)


def _exists(dataset: str) -> bool:
    return bool(dataset) and path_of(dataset).exists()


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators, on every device."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
