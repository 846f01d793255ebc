"""A run that another process has made already, such as the same lesson checked a second time, need not be made again."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cl_course.files import plain, write_atomically

T = TypeVar("T")


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
    state = {"weights": module.state_dict() if module is not None else {}, "result": result}
    write_atomically(path, lambda temporary: torch.save(state, temporary))
    return result


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
