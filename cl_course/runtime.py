"""What a lesson runs on: its parameters checked, its randomness seeded, its device picked; what the machine has; runs made before.

A lesson's `parameters` cell sets `profile`, `dataset`, `seed` and `device`; papermill and the
command line write theirs below it. `settings(globals())` then turns the four into one frozen
`Settings` and prints it, and refuses a name or value it does not know: papermill itself would
only warn, and the run would go on with the defaults.
"""

import ctypes
import difflib
import hashlib
import json
import os
import pickle
import platform
import random
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy
import torch
from torch import Tensor, nn

PROFILES = ("quick", "full")
DATASETS = ("shapes", "cifar10", "stl10")
PARAMETERS = ("profile", "dataset", "seed", "device")
_MARK = "_cl_course_settings"
T = TypeVar("T")


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
        """The file that a full run keeps after every epoch, and goes on from after a cut; None for a quick one, which is soon made again."""
        return Path("runs") / f"{name}-{Path(self.dataset).stem}-seed{self.seed}.pt" if self.full else None

    def __str__(self) -> str:
        return f"{self.profile} profile: {self.dataset} on {self.device}, seed {self.seed}"


def settings(namespace: MutableMapping[str, Any], extra: Iterable[str] = ()) -> Settings:
    """A lesson's parameters, checked and resolved; seeds everything and prints one line.

    Call it right after the parameters cell. On the first call in a kernel every plain variable
    (str, int, float, bool, None or list) that is no parameter is taken for a misspelt one;
    later calls check only the values, since by then the lesson has variables of its own.

    Args:
        namespace: the notebook's `globals()`.
        extra: names of parameters that only this lesson has.

    Raises:
        ValueError: a parameter is unknown, or has a value that is not allowed.
    """
    known = (*PARAMETERS, *extra)
    if _MARK not in namespace:
        simple = str | int | float | bool | list | None
        check_names([n for n, v in namespace.items() if isinstance(v, simple) and not n.startswith("_") and n != "In"], known)
    resolved = resolve(**{name: namespace[name] for name in PARAMETERS if name in namespace})
    namespace[_MARK] = resolved
    seed_everything(resolved.seed)
    print(resolved)
    return resolved


def check_names(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise a ValueError for the first name that is not among `known`, with the nearest one."""
    known = tuple(known)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}: this lesson has {', '.join(known)}{_nearest(name, known)}")


def resolve(profile: str = "auto", dataset: str = "auto", seed: int = 0, device: str = "auto") -> Settings:
    """The four parameters checked, "auto" replaced: full on a GPU, else quick on the CPU.

    Raises:
        ValueError: a value is not allowed here; the sentence says which are.
    """
    _one_of("profile", profile, ("auto", *PROFILES))
    if not isinstance(dataset, str) or not dataset or dataset not in ("auto", *DATASETS) and not Path(dataset).expanduser().exists():
        allowed = ", ".join(map(repr, ("auto", *DATASETS)))
        raise ValueError(f"dataset must be {allowed}, or an existing folder or .zip of images, got {dataset!r}{_nearest(dataset, DATASETS)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {seed!r}")
    device = str(pick_device(device))
    if profile == "auto":
        profile = "full" if device.startswith("cuda") else "quick"
    if dataset == "auto":
        dataset = "cifar10" if profile == "full" else "shapes"
    return Settings(profile, dataset, seed, device)


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" is the first GPU, or the CPU where there is none.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", str(name)):
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' (or 'cuda:1', ...) or 'mps', got {name!r}{_nearest(name, ('auto', 'cpu', 'cuda', 'mps'))}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and int(name[5:] or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA GPUs on this machine; use 'auto' or 'cpu'")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not there: torch sees no Apple GPU on this machine; use 'auto' or 'cpu'")
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators, on every device."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def keep_freed_memory() -> None:
    """From now on, let this process keep the memory that a training step frees, for the next step.

    By default glibc, Linux's C library, hands large blocks back to the system and then fetches them again page by
    page, which takes a small network a good part of every step. Kept are blocks of up to 32 MB, until more than 1 GB
    lies free at the heap's end. Nothing happens where the library is another one.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 2**30)
        libc.mallopt(mmap_threshold, 2**25)  # the largest that it allows


def describe_machine() -> dict[str, Any]:
    """What the course can count on here: cores, memory in GB (None if unknown), device, versions."""
    device = pick_device("auto")
    try:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        memory = None
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": memory,
        "device": str(device),
        "gpu": gpu and gpu.name,
        "gpu_memory": gpu and round(gpu.total_memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def load_or_train(key: Mapping[str, Any], train: Callable[[], T], module: nn.Module | None = None) -> T:
    """`train()`, or what it gave before; with CL_COURSE_REUSE unset it is always `train()`.

    A lesson is to show real training, so nothing is reused unless CL_COURSE_REUSE names a folder:
    then a run that another process has already made (the same lesson checked a second time) is
    read from there. The folder knows keys, not code: start with an empty one.

    Args:
        key: all that decides the result, as plain data: {"method": "simclr", "epochs": 20, ...}.
        train: trains `module` in place; returns plain data: tensors, numbers, strings, and lists,
            tuples and dicts of them.
        module: whose weights are kept and, on reuse, loaded.

    Raises:
        TypeError: `train` returned something that is not plain data.
    """
    folder = os.environ.get("CL_COURSE_REUSE")
    if not folder:
        return plain(train(), "train")
    name = hashlib.sha256(json.dumps({**key, "torch": torch.__version__}, sort_keys=True, default=str).encode()).hexdigest()[:16]
    path = Path(folder) / f"{name}.pt"
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        if module is None:
            return kept["result"]
        if _shapes(kept["weights"]) == _shapes(module.state_dict()):  # first, for a part of other weights would spoil the start
            module.load_state_dict(kept["weights"])
            return kept["result"]
    except (OSError, EOFError, RuntimeError, KeyError, pickle.UnpicklingError):
        pass  # not there, or cut short
    result = plain(train(), "train")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    torch.save({"weights": module.state_dict() if module is not None else {}, "result": result}, temporary)
    os.replace(temporary, path)
    return result


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def plain(result: T, giver: str) -> T:
    """`result`, if it is made of tensors, numbers, strings, lists, tuples and dicts alone, as torch.load(weights_only=True) reads them.

    Raises:
        TypeError: it is not; `giver`, the function that returned it, is named.
    """
    parts = [result]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list | tuple):
            parts += part
        elif not isinstance(part, Tensor) and type(part) not in (str, int, float, bool, type(None)):  # exactly: numpy's floats are not
            raise TypeError(f"{giver} must return plain data (tensors, numbers, strings, lists, dicts), got a {type(part).__name__}; return what it holds")
    return result


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be {_listed(allowed)}, got {value!r}{_nearest(value, allowed)}")


def _listed(values: tuple[str, ...]) -> str:
    *first, last = map(repr, values)
    return f"{', '.join(first)} or {last}"


def _nearest(value: Any, allowed: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(str(value), allowed, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
