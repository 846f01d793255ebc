"""A run that another process has made already, such as the same lesson checked a second time, is not made again."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cl_course.files import plain, read_state, write_state

T = TypeVar("T")


def load_or_train(key: Mapping[str, Any], train: Callable[[], T], module: nn.Module | None = None) -> T:
    """`train()`, or what it gave before; with CL_COURSE_REUSE unset it is always `train()`.

    A lesson shows real training, so nothing is reused unless CL_COURSE_REUSE names a folder: there a run that another
    process has made is kept and read. A damaged file is made again. The folder knows keys, not code: start empty.

    Args:
        key: all that decides the result, as plain data: {"method": "simclr", "epochs": 20, ...}.
        train: trains `module` in place; returns plain data (see `files.plain`).
        module: whose weights are kept and, on reuse, loaded.
    """
    folder = os.environ.get("CL_COURSE_REUSE")
    if not folder:
        return plain(train(), "what train returns")
    text = json.dumps({**key, "torch": torch.__version__}, sort_keys=True, default=str)
    path = Path(folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.pt"
    try:
        kept = read_state(path)
        if module is None:
            return kept["result"]
        if _shapes(kept["weights"]) == _shapes(module.state_dict()):  # other weights must not spoil the start in part
            module.load_state_dict(kept["weights"])
            return kept["result"]
    except (OSError, ValueError):
        pass  # not there, or damaged
    result = plain(train(), "what train returns")
    write_state(path, {"weights": module.state_dict() if module is not None else {}, "result": result})
    return result


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}
