"""Several processes, each with its share of every batch and its own GPU, that train as one process on the whole batch.

torchrun, or `launch`, starts them and `join` connects them. Otherwise there is one process: then `gather`, `share` and
`average` give back what they get.

Image i of a batch belongs to process i modulo their number, so that the concatenation of two views is cut, and put
together again, row for row as the views are. Each process has a loss of its own, whose gradient reaches what the
others gave to `gather`, and DistributedDataParallel takes the mean of the weights' gradients. So they minimise the mean
of their losses. Where each is the loss of all gathered embeddings, that is this loss; where each is the mean over a
share, it is the mean over the whole batch.
"""

import functools
import hashlib
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cl_course.values import whole

Rows = TypeVar("Rows", Tensor, tuple)
PATIENCE = timedelta(minutes=10)  # for a process that neither answers nor ends; one that ends is noticed at once
AGAIN = "start again with --resume (resume=FILE in Python)"
SMALLER = ("take checkpointing=True (--checkpointing) or another device, or start a new run with a smaller batch_size "
           "(--batch-size) or, for SimCLR, chunk_size (--chunk-size)")
SAID = "CL_COURSE_SAID"  # names a file that the process makes which says why a run failed, for `launch`
GPU_FAILED = ("CUDA error", "CUDA driver error", "cuDNN error", "Triton Error", "HIP error")
_comparisons = itertools.count()


class Lost(OSError):
    """A GPU or another process of the run failed, or the memory is too small for a step."""


def processes() -> int:
    """How many train together: 1 unless `join` connected several."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0; process 0 writes the files and speaks for all."""
    return dist.get_rank() if processes() > 1 else 0


def check_shares(batch_size: int, number: int) -> None:
    """Raise a ValueError unless so many processes can have shares of one size of a batch."""
    if batch_size % number:
        fits = dict.fromkeys([batch_size // number * number or number, (batch_size // number + 1) * number])
        raise ValueError(f"{number} processes cannot share batch_size {batch_size} equally; take "
                         f"{' or '.join(map(str, fits))}, or another number of processes")


def launch(number: int, arguments: Sequence[str], batch_size: int) -> int:
    """Run `cl-course` with these arguments in several processes on this machine by torchrun; returns the exit code.

    What is to be said of a failure, the first process that fails says. torchrun's report of all of them is left out.

    Raises:
        Lost: all were killed before one of them could say it.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    check_shares(batch_size, whole("processes", number, 1, advice="one for each GPU"))  # before they start
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        os.environ[SAID] = str(said)
        try:
            torchrun(["--standalone", f"--nproc-per-node={number}", "-m", "cl_course", *arguments])  # at a free port
        except ChildFailedError as error:
            if said.exists() or any(failure.exitcode > 0 for failure in error.failures.values()):
                return 1
            number = -error.get_first_failure()[1].exitcode
            of_memory = ", as it is when memory runs out; free some memory, and " if number == 9 else "; "  # SIGKILL
            raise Lost(f"a process of this run was killed (signal {number}){of_memory}{AGAIN}") from None
        except SignalException as stop:
            return 128 + stop.sigval
        finally:
            del os.environ[SAID]
    return 0


def join(device: torch.device, wanted: int | None = None) -> torch.device:
    """Connect with the processes that torchrun started beside this one; returns the device of this process.

    On "cuda" that is the GPU of the process's own number on its machine.

    Args:
        wanted: how many processes there should be; None takes those that there are.

    Raises:
        ValueError: there are others than wanted, one GPU was named for all, there are fewer GPUs than processes, or
            versions of torch or kinds of device differ.
    """
    world = int(os.environ["WORLD_SIZE"]) if _launched() else 1
    if wanted not in (None, world):
        raise ValueError(f"torchrun started {world} processes, and --processes says {wanted}; leave out one of the two")
    if world == 1:
        return device
    if device.type not in ("cuda", "cpu"):
        raise ValueError(f"several processes train on CUDA GPUs or on the CPU, got device {device}; pass 'cpu'")
    if device.type == "cuda":
        here, there = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if device.index is not None:
            raise ValueError(f"{here} processes take one GPU each, and device {device} is one for all; pass 'cuda'")
        if here > there:
            raise ValueError(
                f"{here} processes need a GPU each and torch sees {there}; start {there} of them with "
                f"--nproc-per-node={there}, or pass the device 'cpu'"
            )
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    backend, number = "nccl" if device.type == "cuda" else "gloo", int(os.environ["RANK"])
    agree({"torch": torch.__version__, "device": device.type}, number, world)  # others could not even connect
    dist.init_process_group(backend, store=_store(), rank=number, world_size=world, timeout=PATIENCE)
    return device


def _launched() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched()


@functools.cache
def _store() -> Any:
    """torchrun's dist.Store: keys and values that all processes see, and that outlive each of them."""
    return next(dist.rendezvous("env://", timeout=PATIENCE))[0]


def leave() -> None:
    """Take leave of the others at the end of a run."""
    if processes() > 1:
        dist.destroy_process_group()


def agree(facts: dict[str, Any], own: int | None = None, world: int | None = None) -> None:
    """Raise a ValueError, in every process, unless all of them have the same facts, {name: value}.

    Before they are connected, `own` is this process's number and `world` how many there are.
    """
    own, world = rank() if own is None else own, processes() if world is None else world
    if world == 1:
        return
    comparison = next(_comparisons)
    _store().set(f"{comparison} {own}", json.dumps(facts, default=str))
    first, *others = (json.loads(_store().get(f"{comparison} {number}")) for number in range(world))
    for number, other in enumerate(others, start=1):
        for name in dict.fromkeys([*first, *other]):
            if other.get(name) != first.get(name):
                values = f"{first.get(name)} in process 0 and {other.get(name)} in process {number}"
                raise ValueError(f"the processes of a run differ in {name}: {values}; start all of them with the same")


def network_of(method: nn.Module) -> dict[str, str]:
    """What the networks of all processes must have in common, as a fact for `agree`: names, shapes, what is trained."""
    named = (*method.named_parameters(), *method.named_buffers())
    digest = hashlib.sha256(repr([(name, tuple(x.shape), x.requires_grad) for name, x in named]).encode()).hexdigest()
    return {"network": f"{sum(x.numel() for x in method.parameters()):,} weights ({digest[:8]})"}


def first_to_fail() -> bool:
    """Whether no other process has failed before this one: only the first can know the cause, and has to say it."""
    first = os.environ.get("RANK", "0") == "0"
    if _launched():
        with suppress(RuntimeError, ValueError):  # torchrun has gone, and its store with it
            first = _store().add("failed", 1) == 1
    if first and SAID in os.environ:
        with suppress(OSError):
            Path(os.environ[SAID]).touch()
    return first


def lost(error: RuntimeError, smaller: str = SMALLER, again: str = AGAIN) -> str | None:
    """In words, if `error` says that memory is short, a GPU failed or another process ended; None for any other.

    Args:
        smaller, again: what to do about little memory, and about a GPU that failed; as of pre-training.
    """
    text = str(error).partition("\n")[0]
    if _memory_is_short(error):
        return f"a step needs more memory than there is; {smaller}"
    if any(kind in text for kind in GPU_FAILED):
        return f"the GPU failed during the run ({text}); see with nvidia-smi whether it is well, and {again}"
    of_others = isinstance(error, dist.DistError) or "gloo" in text.lower() or "onnection" in text
    if processes() > 1 and of_others:
        return f"another process of this run has ended or does not answer; {AGAIN}"
    if _launched() and of_others:
        return (f"this process cannot connect with the others of its run ({text}); see that the machines reach each "
                "other, name the network in GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME, and start all of them again")
    return None


@contextmanager
def in_words(behind: Callable[[], str] = str, **advice: str) -> Iterator[None]:
    """What a device or another process did is one sentence, a `Lost`, that ends in `behind()`; `advice`: see `lost`."""
    try:
        yield
    except RuntimeError as error:
        if what := lost(error, **advice):
            raise Lost(f"{what}{behind()}") from error
        raise


def on_device(pixels: Tensor, device: torch.device) -> Tensor:
    """The images of a run on its device, or a ValueError where that has no room for them."""
    try:
        return pixels.to(device)
    except RuntimeError as error:
        if not _memory_is_short(error):
            raise
        taken = f"the images take {pixels.nbytes / 1e6:,.0f} MB, and {device} has no room for them"
        raise ValueError(f"{taken}; load fewer with limit=... (on the command line --limit), or smaller ones") from None


def _memory_is_short(error: RuntimeError) -> bool:
    """CUDA has an exception of its own for it; MPS and the processor's memory have sentences."""
    return "out of memory" in str(error).lower() or "can't allocate memory" in str(error)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(processes())]
        dist.all_gather(parts, x)
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)  # the sum over all losses in which the rows of this process stand
        return share(gradient)


def gather(x: Tensor) -> Tensor:
    """The rows (n, ...) of all processes, (processes * n, ...), in the order of the whole batch, with gradient."""
    return x if processes() == 1 else _Gather.apply(x.contiguous())


def share(rows: Rows) -> Rows:
    """What of a whole batch, or of a tuple of groups, belongs to this process: rows r, r + k, ... for rank r of k."""
    return rows[rank() :: processes()]


def average(x: Tensor) -> Tensor:
    """The mean over all processes of a tensor of the same shape in each."""
    return x if processes() == 1 else gather(x[None]).mean(dim=0)


class _Loss(nn.Module):
    """What DistributedDataParallel takes: weights, and a `forward` that is the method's loss."""

    def __init__(self, method: nn.Module):
        super().__init__()
        self.weights, self.forward = nn.ParameterList(method.parameters()), method.loss


@contextmanager
def as_one(method: nn.Module) -> Iterator[None]:
    """Let `method.loss` have the gradients of one process on the whole batch, for a while.

    Weights and buffers become those of process 0, once: from then on each process computes the same ones. BatchNorm
    normalises over all processes from now on, unless the method cuts the batch into groups for it: then each process
    averages the running statistics over its own groups, and those of process 0 are kept, as in the code of MoCo's
    authors.
    """
    if processes() == 1:
        yield
        return
    if method.norm_groups == 1:
        nn.SyncBatchNorm.convert_sync_batchnorm(method)
        if next(method.parameters()).device.type == "cpu":
            for part in [part for part in method.modules() if isinstance(part, nn.SyncBatchNorm)]:
                part.__class__ = CpuSyncBatchNorm
    for buffer in method.buffers():
        dist.broadcast(buffer, src=0)
    vars(method)["loss"] = DistributedDataParallel(_Loss(method))  # past nn.Module, since it is no part of the method
    try:
        yield
    finally:
        del vars(method)["loss"]


class CpuSyncBatchNorm(nn.SyncBatchNorm):
    """torch's SyncBatchNorm works on GPUs only; this is the same on a CPU, for shares of equal size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, wide = [0, *range(2, x.ndim)], x.to(torch.promote_types(x.dtype, torch.float32))
        here = torch.stack(torch.var_mean(wide, axes, correction=0))  # (2, channels)
        variances, means = gather(here[None]).unbind(dim=1)  # (processes, channels) each
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)  # within the shares, and between them
        if self.track_running_stats:
            with torch.no_grad():
                n = processes() * x.numel() // x.shape[1]
                self.num_batches_tracked += 1
                rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance * n / (n - 1), rate)
        channels = (1, -1, *[1] * (x.ndim - 2))
        scale = (variance + self.eps).rsqrt()
        out = (wide - mean.view(channels)) * scale.view(channels)
        if self.affine:
            out = out * self.weight.view(channels) + self.bias.view(channels)
        return out.to(x.dtype)
