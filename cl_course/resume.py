"""What a stopped run needs to go on as if it had not been stopped, in one file."""

import copy
import hashlib
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, nn

from cl_course.data import ImageSet
from cl_course.files import plain, read_state, write_state

SAME_NUMBERS = ("checkpointing",)  # what a run may change when it goes on, on a GPU with less memory


def settings_of(config: Any, method: nn.Module, images: ImageSet) -> dict:
    """What a resumed run must share with the one that wrote the checkpoint: configuration, method, and the images.

    The processes of one run must share it too. It reads all pixels.
    """
    kinds, kind, of_method = int | float | str | dict | np.generic, type(method).__name__, {}
    for name, value in vars(method).items():
        if isinstance(value, kinds) and not name.startswith("_") and name != "training":
            value = value.item() if isinstance(value, np.generic) else value
            advice = f"give what it holds, or leave it out of checkpoints by the name _{name}"
            of_method[name] = plain(value, f"the attribute {name} of {kind}", advice)
    pixels = hashlib.sha256(images.images.contiguous().numpy(force=True)).hexdigest()[:16]
    settings = asdict(config) | of_method | {"method": kind, "images": len(images), "pixels": pixels}
    if method.uses_labels:
        settings["labels"] = hashlib.sha256(images.labels.numpy(force=True).tobytes()).hexdigest()[:16]
    return settings


@dataclass
class Run:
    """All that a run needs to go on after it was stopped."""

    method: nn.Module
    optimizer: torch.optim.Optimizer
    generator: Generator
    rows: list[dict]  # of the history, one an epoch

    def write(self, path: Path, settings: dict) -> None:
        """A failed write is a warning: it must not end a run that is going well."""
        state = {
            "settings": settings,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "history": self.rows,
        }
        try:
            write_state(path, state)
        except OSError as error:
            warnings.warn(str(error), stacklevel=4)

    def read(self, path: Path, now: dict) -> None:
        try:
            state = read_state(path)
            was = state["settings"]
        except OSError as error:  # not of what is in the file, which may be whole
            raise OSError(f"{path} cannot be read ({error.strerror}); give yourself the right to read it, or name "
                          "another file") from error
        except MemoryError:  # the file may be whole
            raise
        except Exception as error:  # torch raises several kinds
            raise ValueError(f"{path} is damaged, or no checkpoint of a run by this version ({error}); name another "
                             "file to start again") from error
        names = [name for name in dict.fromkeys([*now, *was]) if name not in SAME_NUMBERS]
        differing = [name for name in names if was.get(name) != now.get(name)]
        if differing:
            was, now = ({name: settings.get(name) for name in differing} for settings in (was, now))
            raise ValueError(
                f"{path} belongs to a run with {was}, this one has {now}; use the same configuration or another file"
            )
        before = copy.deepcopy(self.method.state_dict())
        try:
            self.method.load_state_dict(state["method"])
        except RuntimeError as error:
            self.method.load_state_dict(before)  # torch has loaded all that fits
            raise ValueError(
                f"{path} holds another architecture: {str(error).splitlines()[1].strip()}; "
                "use the same encoder and heads, or another file"
            ) from error
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            self.method.load_state_dict(before)
            raise ValueError(f"{path} is of a run that trained other weights ({error}); let the same weights take "
                             "gradients, or use another file") from error
        self.generator.set_state(state["generator"])
        self.rows.extend(state["history"])
