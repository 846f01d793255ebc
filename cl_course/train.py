"""One training loop for every method: it needs `loss(view1, view2)` and `after_step()`.

Where a method has them, it also uses `check_data(n, batch_size)` and, in chunks, `embeddings` and `contrast`.
"""

import copy
import ctypes
import hashlib
import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet, shuffled_batches, to_float
from cl_course.files import plain, write_atomically
from cl_course.large_batches import accumulate, grad_cache
from cl_course.optimizers import OPTIMIZERS, make_optimizer, set_rate

PRECISIONS = ("float32", "bfloat16")
CHUNKED = {"grad_cache": grad_cache, "accumulate": accumulate}
OnEpoch = Callable[[dict, nn.Module], dict | None]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the default suits the embedded set on two cores.

    Attributes:
        epochs: passes over the images.
        batch_size: images in a step; each gives two views. The last, shorter batch is left out.
        optimizer: "adamw", "sgd" (Nesterov, momentum 0.9) or "lars".
        learning_rate: the peak rate, reached after `warmup` of all steps, then a cosine to 0.
        warmup: share of all steps, in [0, 1).
        weight_decay: the optimizer's, at least 0.
        augment: what makes two views out of an image.
        seed: of the order of the images and of the augmentations.
        precision: of the networks, "float32" or "bfloat16" (autocast: half the bits, faster on a GPU); weights and loss
            stay in float32.
        compile: let torch.compile make the encoders faster: a minute or more at the start, for long runs on a GPU.
        chunk_size: images that go through the network at a time, where the memory does not hold the batch; None for all. For SimCLR: the
            other methods do not compare the images of a batch, and can as well take a smaller one.
        chunked: "grad_cache", the whole batch as negatives, or "accumulate", a chunk's own ones alone (see `large_batches`).
    """

    epochs: int = 20
    batch_size: int = 128
    optimizer: str = "adamw"
    learning_rate: float = 6e-3
    warmup: float = 0.2
    weight_decay: float = 1e-2
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    chunk_size: int | None = None
    chunked: str = "grad_cache"

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)}")
        if self.batch_size == 1:
            raise ValueError("batch_size must be at least 2, got 1: an image alone in its batch has no negatives, and BatchNorm nothing to compare it with")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown optimizer {self.optimizer!r}; there are {', '.join(OPTIMIZERS)}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive and finite, got {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be at least 0 and finite, got {self.weight_decay}; 1e-4 to 1e-2 is usual")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a share of all steps in [0, 1), got {self.warmup}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"unknown precision {self.precision!r}; there are {', '.join(PRECISIONS)}")
        if self.compile not in (True, False):
            raise ValueError(f"compile must be True or False, got {self.compile!r}")
        if self.chunk_size is not None and not (isinstance(self.chunk_size, int) and 2 <= self.chunk_size <= self.batch_size):
            raise ValueError(f"chunk_size must be None or a whole number from 2 to batch_size, {self.batch_size}, got {self.chunk_size}")
        if self.chunked not in CHUNKED:
            raise ValueError(f"unknown chunked {self.chunked!r}; there are {', '.join(CHUNKED)}")
        if self.chunk_size is not None and self.batch_size % self.chunk_size == 1:
            raise ValueError(f"chunks of {self.chunk_size} leave one image of a batch of {self.batch_size} alone; take a chunk_size that divides the batch")


@dataclass
class History:
    """What happened: one row an epoch with "epoch", "loss", "seconds" and whatever `on_epoch` returned.

    `seconds` counts training alone, without what `on_epoch` took.
    """

    rows: list[dict] = field(default_factory=list)

    def column(self, name: str) -> list:
        return [row[name] for row in self.rows]

    @property
    def seconds(self) -> float:
        return sum(self.column("seconds"))


class NonFiniteLoss(FloatingPointError):
    """The loss became infinite or not a number."""


def pretrain(method: nn.Module, images: ImageSet, config: TrainConfig, *, on_epoch: OnEpoch | None = None, resume: str | Path | None = None) -> History:
    """Train a method without labels, in place, on the device its weights are on.

    The process keeps freed memory from then on (see `keep_freed_memory`).

    Args:
        method: SimCLR, MoCo or BYOL.
        images: what to learn from; its labels are not looked at.
        on_epoch: called with the epoch's row and the method; what it returns, plain data, is added to the row.
        resume: a checkpoint file for this run, written after every epoch. If it is there already
            the run goes on from it, and on a CPU ends with the numbers of an unbroken one.

    Raises:
        ValueError: a batch larger than the data; chunks for a method other than SimCLR; a checkpoint of another configuration or architecture;
            data or a batch that the method cannot work with (MoCo's queue).
        TypeError: `on_epoch` returned something else than plain data.
        NonFiniteLoss: says at which step, with which settings, and where the last good checkpoint is.
    """
    keep_freed_memory()
    device = next(method.parameters()).device
    if check_data := getattr(method, "check_data", None):  # MoCo's queue can be too long for the data, or too short for a batch
        check_data(len(images), config.batch_size)
    optimizer = make_optimizer(method, config.optimizer, config.weight_decay)
    generator = Generator().manual_seed(config.seed)  # on the CPU, so that every device draws the same
    history = History()
    settings = _settings(config, method, images) if resume is not None else {}  # it reads all pixels
    if resume is not None and Path(resume).exists():
        _read_checkpoint(Path(resume), settings, method, optimizer, generator, history)
    steps_per_epoch = len(images) // config.batch_size
    total_steps = config.epochs * steps_per_epoch
    pixels = images.images.to(device)
    method.train()

    first = len(history.rows)
    with tqdm(total=total_steps, initial=first * steps_per_epoch, unit="step", disable=None) as progress:  # None: only in a terminal
        for epoch in range(first, config.epochs):
            start, losses = time.perf_counter(), []
            with _compiled(method, config.compile):
                for batch in shuffled_batches(len(images), config.batch_size, generator):
                    rate = learning_rate_at(epoch * steps_per_epoch + len(losses), total_steps, config)
                    losses.append(train_step(method, pixels[batch.to(device)], optimizer, rate, config, generator))
                    progress.update()
            row = {"epoch": epoch + 1, "loss": _mean_loss(losses, epoch, method, config, resume), "seconds": time.perf_counter() - start}
            progress.set_description(f"epoch {row['epoch']} of {config.epochs}, loss {row['loss']:.3f}")
            if on_epoch is not None:
                row.update(plain(on_epoch(dict(row), method) or {}, "on_epoch"))  # a checkpoint could not be read otherwise
                method.train()
            history.rows.append(row)
            if resume is not None:
                _write_checkpoint(Path(resume), settings, method, optimizer, generator, history)
    return history


def train_step(method: nn.Module, batch: Tensor, optimizer: torch.optim.Optimizer, rate: float, config: TrainConfig, generator: Generator) -> Tensor:
    """One step on a batch of uint8 images (n, 3, h, w): views, loss, gradient, update. Returns the loss, detached."""
    view1, view2 = two_views(to_float(batch), config.augment, generator)
    optimizer.zero_grad(set_to_none=True)
    # In chunks the first pass needs no gradient: the weights that it casts must not be kept for the second, which does.
    whole = config.chunk_size is None
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=config.precision == "bfloat16", cache_enabled=whole):
        loss = method.loss(view1, view2) if whole else _backward_in_chunks(method, view1, view2, config)
    if whole:  # in chunks the gradient is there already
        loss.backward()
    set_rate(optimizer, rate)
    optimizer.step()
    method.after_step()
    return loss.detach()  # a tensor: for its value a GPU would have to be waited for


def _backward_in_chunks(method: nn.Module, view1: Tensor, view2: Tensor, config: TrainConfig) -> Tensor:
    if not hasattr(method, "contrast"):
        name = type(method).__name__
        raise ValueError(f"chunk_size is for SimCLR, and this is {name}, whose images are not each other's negatives; give {name} a smaller batch_size instead")
    return CHUNKED[config.chunked](method.embeddings, method.contrast, view1, view2, config.chunk_size)


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """Linear warm-up to the peak, then a cosine to 0 (SGDR, Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts)."""
    warmup_steps = config.warmup * total_steps
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def estimate(method: nn.Module, images: ImageSet, config: TrainConfig, steps: int = 4) -> float:
    """Seconds that `pretrain` would take here, from a few timed steps of a copy; the method stays as it is. The process keeps freed memory from then on."""
    keep_freed_memory()
    trial = copy.deepcopy(method).train()
    device = next(trial.parameters()).device
    optimizer, generator = make_optimizer(trial, config.optimizer, config.weight_decay), Generator().manual_seed(config.seed)
    batch = images.images[: min(config.batch_size, len(images))].to(device)
    seconds = []
    with _compiled(trial, config.compile):
        for _ in range(1 + steps):  # the first, cold one does not count
            start = time.perf_counter()
            float(train_step(trial, batch, optimizer, config.learning_rate, config, generator))
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]) * config.epochs * (len(images) // config.batch_size)


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


@contextmanager
def _compiled(method: nn.Module, wanted: bool) -> Iterator[None]:
    """Have the encoders compiled for a while; whoever evaluates, with other batches and in other modes, has them as they were."""
    encoders = [part for name, part in method.named_children() if wanted and name.endswith("encoder")]
    for encoder in encoders:
        encoder.forward = torch.compile(encoder.forward)
    try:
        yield
    finally:
        for encoder in encoders:
            del encoder.forward


def _mean_loss(losses: list[Tensor], epoch: int, method: nn.Module, config: TrainConfig, resume: str | Path | None) -> float:
    values = torch.stack(losses)
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        kept = f"the last good checkpoint is {resume}" if resume is not None and Path(resume).exists() else "there is no checkpoint yet (resume=FILE keeps one after every epoch)"
        temperature = getattr(method, "temperature", None)  # BYOL has none
        given, cure = (f"temperature {temperature} and ", " or raise the temperature") if temperature is not None else ("", "")
        raise NonFiniteLoss(
            f"the loss became {float(values[bad[0]]):.3g} at step {int(bad[0]) + 1} of epoch {epoch + 1}, with {given}"
            f"peak learning rate {config.learning_rate:g}; lower the rate{cure}; {kept}"
        )
    return float(values.mean())


def _settings(config: TrainConfig, method: nn.Module, images: ImageSet) -> dict:
    """What a resumed run must share with the one that wrote the checkpoint: configuration, method, and the very images."""
    of_method = {name: value for name, value in vars(method).items() if isinstance(value, int | float | str | dict) and not name.startswith("_")}
    of_method.pop("training", None)
    pixels = hashlib.sha256(images.images.contiguous().numpy(force=True)).hexdigest()[:16]
    return asdict(config) | of_method | {"method": type(method).__name__, "images": len(images), "pixels": pixels}


def _write_checkpoint(path: Path, settings: dict, method: nn.Module, optimizer: torch.optim.Optimizer, generator: Generator, history: History) -> None:
    """All that a run needs to go on. A failed write is a warning: it must not end a run that is going well."""
    state = {
        "settings": settings,
        "method": method.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "history": history.rows,
    }
    try:
        write_atomically(path, lambda temporary: torch.save(state, temporary))
    except OSError as error:
        warnings.warn(str(error), stacklevel=3)


def _read_checkpoint(path: Path, now: dict, method: nn.Module, optimizer: torch.optim.Optimizer, generator: Generator, history: History) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        was = state["settings"]
    except Exception as error:  # torch raises several kinds for a broken file
        raise ValueError(f"{path} is truncated or no checkpoint of a run ({type(error).__name__}); delete it to start again") from error
    differing = [name for name in dict.fromkeys([*now, *was]) if was.get(name) != now.get(name)]
    if differing:
        was, now = ({name: settings.get(name) for name in differing} for settings in (was, now))
        raise ValueError(f"{path} belongs to a run with {was}, this one has {now}; use the same configuration or another file")
    try:
        method.load_state_dict(state["method"])
    except RuntimeError as error:
        raise ValueError(f"{path} holds another architecture: {str(error).splitlines()[1].strip()}") from error
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    history.rows.extend(state["history"])
