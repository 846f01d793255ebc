"""One training loop for every method: it knows a method by the members of `methods.Method` alone."""

import copy
import ctypes
import math
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet, shuffled_batches, to_float
from cl_course.distributed import (
    agree,
    as_one,
    average,
    check_shares,
    in_words,
    network_of,
    on_device,
    processes,
    rank,
    share,
)
from cl_course.files import alone, plain
from cl_course.large_batches import accumulate, checkpointed, grad_cache
from cl_course.methods.method import Method, check_labels, encoder_of
from cl_course.models import ResNet
from cl_course.optimizers import OPTIMIZERS, make_optimizer, set_rate
from cl_course.resume import Run, settings_of
from cl_course.values import MAX_SEED, instance, one_of, path_of, real, whole

PRECISIONS = ("float32", "bfloat16")
CHUNKED = {"grad_cache": grad_cache, "accumulate": accumulate}
NO_CHECKPOINT = "there is no checkpoint yet (resume=FILE keeps one after every epoch)"
OnEpoch = Callable[[dict, Method], dict | None]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the default suits the embedded set on two cores. Numbers of numpy become Python's own.

    Attributes:
        epochs: passes over the images.
        batch_size: images in a step, of all processes together; each gives two views. A last, shorter one is left out.
        optimizer: "adamw", or "sgd" with Nesterov's momentum of 0.9.
        learning_rate: the peak rate, reached after `warmup` of all steps, then a cosine to 0.
        warmup: share of all steps, in [0, 1).
        weight_decay: the optimizer's, at least 0.
        augment: what makes two views out of an image.
        seed: of the order of the images and of the augmentations.
        precision: "float32", or "bfloat16" for autocast, faster on a GPU; weights and loss stay in float32.
        compile: torch.compile the encoders: a minute or more at the start, for long runs on a GPU.
        checkpointing: keep fewer activations and compute them again: the same numbers, less memory, more time.
        chunk_size: images that go through the network at a time, where the memory does not hold the batch; None for
            all. For methods with a `contrast`, such as SimCLR, whose loss takes the embeddings of the whole batch.
        chunked: "grad_cache" (negatives from the whole batch) or "accumulate" (from the chunk); see `large_batches`.
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
    checkpointing: bool = False
    chunk_size: int | None = None
    chunked: str = "grad_cache"

    def __post_init__(self):
        def check(name: str, kind: Callable, *bounds, **more) -> None:
            object.__setattr__(self, name, kind(name, getattr(self, name), *bounds, **more))

        check("epochs", whole, 1)
        check("batch_size", whole, 2, advice="an image alone in its batch has no negatives")
        check("optimizer", one_of, tuple(OPTIMIZERS))
        check("learning_rate", real, above=0)
        check("warmup", real, least=0, below=1, advice="it is a share of all steps")
        check("weight_decay", real, least=0, advice="1e-4 to 1e-2 is usual")
        check("seed", whole, 0, MAX_SEED)
        check("precision", one_of, PRECISIONS)
        check("chunked", one_of, tuple(CHUNKED))
        check("augment", instance, AugmentConfig)
        check("compile", instance, bool)
        check("checkpointing", instance, bool)
        if self.compile and self.checkpointing:
            raise ValueError("compile and checkpointing do not work together; leave out compile where memory is short, "
                             "else checkpointing")
        if self.chunk_size is not None:
            check("chunk_size", whole, 2, self.batch_size, advice="None takes the whole batch")
            if self.batch_size % self.chunk_size == 1:
                rest = f"chunk_size {self.chunk_size} leaves one image of a batch of {self.batch_size} alone"
                raise ValueError(f"{rest}; take a chunk_size that divides the batch")


@dataclass
class History:
    """One row an epoch: "epoch", "loss", "seconds" (of training, without `on_epoch`) and what `on_epoch` returned."""

    rows: list[dict] = field(default_factory=list)

    def column(self, name: str) -> list:
        return [row[name] for row in self.rows]

    @property
    def seconds(self) -> float:
        return sum(self.column("seconds"))


class NonFiniteLoss(FloatingPointError):
    """The loss, or a weight, became infinite or not a number."""


def pretrain(method: Method, images: ImageSet, config: TrainConfig, *, on_epoch: OnEpoch | None = None,
             resume: str | Path | None = None) -> History:
    """Train a method without labels, in place, on the device its weights are on; calls `keep_freed_memory`.

    Processes that `distributed.join` has connected all call it with the same arguments; process 0 writes the file.

    Args:
        method: SimCLR, MoCo, BYOL, or one of your own.
        images: what to learn from; its labels are looked at only by a method that `uses_labels`, such as SupCon.
        on_epoch: called with the epoch's row and the method; a dict that it returns, plain data, is added to the row.
        resume: a checkpoint file for this run, written after every epoch. If it exists, the run goes on from it, and
            on a CPU ends with the numbers of an unbroken one.

    Raises:
        ValueError: before the first step, for all that `check_run` and the method's `check_data` refuse, and for a
            checkpoint that is damaged, of another configuration or architecture, or in use by another run; where
            processes differ in any of these; and where the device has no room for the images.
        TypeError: an argument of another class, or an attribute of the method or a result of `on_epoch` that a
            checkpoint could not give back.
        NonFiniteLoss: says at which step, with which settings, and where the last good checkpoint is.
        Lost: a GPU or another process failed, or a step needs too much memory; names the last good checkpoint, too.
    """
    check_run(method, images, config)
    method.check_data(len(images), config.batch_size)
    keep_freed_memory()
    file = None if resume is None else path_of(resume)
    with nullcontext() if file is None or rank() > 0 else alone(file), in_words(lambda: f"; {_kept(file)}"):
        return _train(method, images, config, on_epoch, file)


def check_run(method: Method, images: ImageSet, config: TrainConfig) -> None:
    """Refuse before training what a training step would refuse: a TypeError or ValueError says what to do."""
    instance("method", method, Method, "derive its class from cl_course.methods.Method")
    instance("images", images, ImageSet, "load them with cl_course.data.load, or wrap a uint8 tensor: ImageSet(tensor)")
    instance("config", config, TrainConfig)
    n, batch, name, k = len(images), config.batch_size, type(method).__name__, processes()
    if n < batch:
        smaller = f"pass batch_size={n} or less (on the command line --batch-size {n}), or " if n > 1 else ""
        raise ValueError(f"{n} image{'s are' if n > 1 else ' is'} fewer than batch_size {batch}: {smaller}add images")
    check_shares(batch, k)
    if config.chunk_size is not None and k > 1:
        raise ValueError(f"chunk_size is for one process, and these are {k}, each of which holds 1/{k} of the batch; "
                         "leave it out, or start more processes")
    if config.chunk_size is not None and method.contrast is None:
        raise ValueError(f"chunk_size is for SimCLR and others whose loss takes embeddings alone, and this is {name}; "
                         "leave chunk_size out and take a smaller batch_size")
    if config.checkpointing and not isinstance(encoder_of(method), ResNet):
        raise ValueError("checkpointing is for encoders with the parts of cl_course.models.ResNet, and this is a "
                         f"{type(encoder_of(method)).__name__}; leave it out and take a smaller batch_size")
    check_labels(method, images.labels)
    weights = list(method.parameters())
    if not any(weight.requires_grad for weight in weights):
        raise ValueError(f"{name} has no weight to train: all are frozen; call requires_grad_(True) on some")
    if narrow := {str(weight.dtype) for weight in weights} - {"torch.float32"}:
        raise ValueError(f"weights must be float32, got {', '.join(narrow)}: call method.float(); "
                         "to compute in half precision pass precision='bfloat16'")
    if len(places := {str(tensor.device) for tensor in (*weights, *method.buffers())}) > 1:
        raise ValueError(f"{name} lies on {' and '.join(sorted(places))}; move all of it with method.to(device)")


def _train(method: Method, images: ImageSet, config: TrainConfig, on_epoch: OnEpoch | None, file: Path | None
           ) -> History:
    device = next(method.parameters()).device
    generator = Generator().manual_seed(config.seed)  # on the CPU, so that every device draws the same
    optimizer, history = make_optimizer(method, config.optimizer, config.weight_decay), History()
    run = Run(method, optimizer, generator, history.rows)
    settings = settings_of(config, method, images) if file is not None or processes() > 1 else {}  # reads all pixels
    if file is not None and file.exists():
        run.read(file, settings)
    first = len(history.rows)
    agree(settings | network_of(method) | {"epochs in the checkpoint": first})
    steps_per_epoch = len(images) // config.batch_size
    total_steps = config.epochs * steps_per_epoch
    pixels = on_device(images.images, device)
    labels = images.labels.to(device) if method.uses_labels else None
    method.train()
    with _progress(total=total_steps, initial=first * steps_per_epoch, unit="step") as progress, as_one(method):
        for epoch in range(first, config.epochs):
            start, losses = time.perf_counter(), []
            with checkpointed(encoder_of(method), config.checkpointing), _compiled(method, config.compile):
                for batch in shuffled_batches(len(images), config.batch_size, generator):
                    rate = learning_rate_at(epoch * steps_per_epoch + len(losses), total_steps, config)
                    own = share(batch).to(device)
                    told = None if labels is None else labels[own]
                    losses.append(train_step(method, pixels[own], optimizer, rate, config, generator, told))
                    progress.update()
            loss = _mean_loss(losses, epoch, method, config, file)
            row = {"epoch": epoch + 1, "loss": loss, "seconds": time.perf_counter() - start}
            progress.set_description(f"epoch {row['epoch']} of {config.epochs}, loss {loss:.3f}")
            if on_epoch is not None:  # plain data, or a checkpoint could not be read
                row |= _added(on_epoch(dict(row), method), row)
                method.train()
            history.rows.append(row)
            if file is not None and rank() == 0:
                run.write(file, settings)
    return history


def _progress(**bar) -> tqdm:
    """A bar in a terminal, and in a notebook that someone watches; a notebook that runs headless keeps none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    request = shell.kernel.get_parent("shell") if hasattr(shell, "kernel") else {}
    if request.get("content", {}).get("allow_stdin"):  # only a front end with a person before it takes questions
        from tqdm.notebook import tqdm as in_notebook

        return in_notebook(**bar, leave=False)
    return tqdm(**bar, disable=None)  # none without a terminal


def train_step(method: Method, batch: Tensor, optimizer: torch.optim.Optimizer, rate: float, config: TrainConfig,
               generator: Generator, labels: Tensor | None = None) -> Tensor:
    """One step on a batch of uint8 images (n, 3, h, w): views, loss, gradient, update. Returns the loss, detached.

    Of several processes each gives its own share of the batch, in turn. `labels` (n,) are for a method that uses them.
    """
    view1, view2 = two_views(to_float(batch), config.augment, generator, (rank(), processes()))
    optimizer.zero_grad(set_to_none=True)
    # In chunks the first pass needs no gradient: the weights it casts must not be kept for the second, which does.
    chunk, narrow = config.chunk_size, config.precision == "bfloat16"
    with torch.autocast(batch.device.type, torch.bfloat16, enabled=narrow, cache_enabled=chunk is None):
        if chunk is None:
            loss = method.loss(view1, view2, *([labels] if method.uses_labels else []))
        else:  # with its gradient
            loss = CHUNKED[config.chunked](method.embeddings, method.contrast, view1, view2, chunk)
    if chunk is None:
        loss.backward()
    set_rate(optimizer, rate)
    optimizer.step()
    method.after_step()
    return loss.detach()  # a tensor: its value would make the step wait for the GPU


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to 0: SGDR without restarts (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warmup_steps = config.warmup * total_steps
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2


def estimate(method: Method, images: ImageSet, config: TrainConfig, steps: int = 4) -> float:
    """Seconds that `pretrain` would take here, from a few timed steps of a copy; raises what `pretrain` would raise."""
    typical = statistics.median(wall for wall, _ in step_times(method, images, config, steps))
    return typical * config.epochs * (len(images) // config.batch_size)


@in_words()
def step_times(method: Method, images: ImageSet, config: TrainConfig, steps: int) -> list[tuple[float, float]]:
    """Seconds of each of `steps` training steps of a copy of the method: (by the clock, of processor time)."""
    check_run(method, images, config)
    with warnings.catch_warnings(action="ignore"):  # `pretrain` gives them
        method.check_data(len(images), config.batch_size)
    agree(settings_of(config, method, images) | network_of(method) if processes() > 1 else {})
    keep_freed_memory()
    trial = copy.deepcopy(method).train()
    device = next(trial.parameters()).device
    optimizer, generator = make_optimizer(trial, config.optimizer, config.weight_decay), Generator().manual_seed(0)
    batch = share(images.images[: config.batch_size]).to(device)
    labels = share(images.labels[: config.batch_size]).to(device) if method.uses_labels else None
    seconds = []
    with checkpointed(encoder_of(trial), config.checkpointing), _compiled(trial, config.compile), as_one(trial):
        for _ in range(1 + whole("steps", steps, 1)):  # the first, cold one does not count
            start, busy = time.perf_counter(), time.process_time()
            float(train_step(trial, batch, optimizer, config.learning_rate, config, generator, labels))
            seconds.append((time.perf_counter() - start, time.process_time() - busy))
    return seconds[1:]


def keep_freed_memory() -> None:
    """From now on, let this process keep the memory that a training step frees, for the next step.

    By default glibc, Linux's C library, gives large blocks back to the system, which costs a small network a good part
    of every step. Kept are blocks of up to 32 MB, and up to 1 GB. With another C library nothing changes.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 2**30)
        libc.mallopt(mmap_threshold, 2**25)  # the largest that it allows


@contextmanager
def _compiled(method: nn.Module, wanted: bool) -> Iterator[None]:
    """Have the encoders compiled for a while; evaluation, with other batches and modes, runs them as they were."""
    encoders = [part for name, part in method.named_children() if wanted and name.endswith("encoder")]
    for encoder in encoders:
        encoder.forward = torch.compile(encoder.forward)
    try:
        yield
    finally:
        for encoder in encoders:
            del encoder.forward


def _added(returned: object, row: dict) -> dict:
    """What `on_epoch` adds to a row."""
    name, advice = "what on_epoch returns", 'return {"knn": accuracy}, say, or None'
    added = plain(instance(name, {} if returned is None else returned, dict, advice), name)
    if taken := sorted(added.keys() & row):
        raise ValueError(f"on_epoch returned {taken[0]!r}, which the row has already; give it another name")
    return added


def _mean_loss(losses: list[Tensor], epoch: int, method: Method, config: TrainConfig, file: Path | None) -> float:
    finite = torch.stack([weight.isfinite().all() for weight in method.parameters()]).all().to(losses[0])  # 1 or 0
    values = average(torch.stack([*losses, finite]))  # below 1 at the end: weights of some process are not finite
    bad = [*(~values[:-1].isfinite()).nonzero()]
    if bad or values[-1] < 1:
        warm = method.temperature is not None
        given, cure = (f"temperature {method.temperature} and ", " or raise the temperature") if warm else ("", "")
        where = f"at step {int(bad[0]) + 1}" if bad else "in the last steps"
        became = f"the loss became {float(values[bad[0]]):.3g}" if bad else "weights became infinite or NaN"
        raise NonFiniteLoss(f"{became} {where} of epoch {epoch + 1}, with {given}peak learning rate "
                            f"{config.learning_rate:g}; lower the rate{cure}; {_kept(file)}")
    return float(values[:-1].mean())


def _kept(file: Path | None) -> str:
    return f"the last good checkpoint is {file}" if file is not None and file.exists() else NO_CHECKPOINT
