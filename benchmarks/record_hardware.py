"""Records what a batch of 256 costs in memory and time, by five ways of making its gradient: lesson 04.

    python benchmarks/record_hardware.py

Whole; accumulated; by GradCache; with activation checkpointing, which keeps the inputs of the encoder's parts alone and
computes the rest once more; and MoCo's queue at batch 32.

Memory is the rise of a fresh process's peak over what it held before; the C library returns freed blocks at once, so
that the peak is that of what was needed. Time is processor time of one thread for the gradient of 256 images, the
median of turns. Runs with checkpointing are trained here, and runs of the whole batch beside them; the accuracy of
the other ways is in record `small_memory`, of the same settings.
"""

import copy
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import torch
from record_pitfalls import BATCH, CHUNK, QUEUE, memory_config
from runs import judge, record_all, shapes
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cl_course.data import load
from cl_course.evaluate import embed
from cl_course.large_batches import accumulate, grad_cache
from cl_course.losses import nt_xent
from cl_course.methods import MoCo, SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.train import pretrain

WAYS = ("whole", "accumulated", "GradCache", "checkpointed", "queue")  # names as in record `small_memory`
TURNS, PEAKS, SEEDS = 9, 3, range(3)


def checkpointed(encoder: nn.Module) -> nn.Module:
    """The encoder, of whose stem and stages only the inputs are kept; the backward pass computes each part again."""
    for part in (encoder.stem, *encoder.stages):
        part.forward = partial(checkpoint, part.forward, use_reentrant=False)
    return encoder


def method_of(way: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    encoder = small_resnet()
    head = projector(encoder.dim)
    if way == "queue":
        return MoCo(encoder, head, QUEUE, momentum=0.95 ** (CHUNK / 128), temperature=0.2, symmetric=True)
    return SimCLR(checkpointed(encoder) if way == "checkpointed" else encoder, head, 0.3)


def gradient(way: str, method: nn.Module, view1: Tensor, view2: Tensor) -> None:
    """The gradient of all images, or, with a queue, of one small batch after the other."""
    method.zero_grad(set_to_none=True)
    if way in ("whole", "checkpointed"):
        method.loss(view1, view2).backward()
    elif way == "queue":
        for part1, part2 in zip(view1.split(CHUNK), view2.split(CHUNK)):
            method.zero_grad(set_to_none=True)
            method.loss(part1, part2).backward()
            method.after_step()
    else:
        job = grad_cache if way == "GradCache" else accumulate
        job(method.embeddings, lambda z1, z2: nt_xent(z1, z2, method.temperature), view1, view2, CHUNK)


def views(n: int = BATCH) -> Tensor:
    return torch.rand(2, n, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def peak_megabytes(way: str) -> float:
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}  # larger blocks are returned when they are freed
    found = subprocess.run([sys.executable, __file__, way], capture_output=True, text=True, check=True, env=environment)
    return round(float(found.stdout), 1)


def child(way: str) -> None:
    torch.set_num_threads(1)
    method, inputs = method_of(way), views()
    gradient(way, method, *inputs[:, :4])  # libraries take their own room first
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gradient(way, method, *inputs)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def seconds() -> dict[str, float]:
    """Median over turns in which all ways take their turn."""
    methods, inputs = {way: method_of(way) for way in WAYS}, views()
    taken = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way, method in methods.items():
            start = time.process_time()
            gradient(way, method, *inputs)
            taken[way].append(time.process_time() - start)
    return {way: round(statistics.median(times), 3) for way, times in taken.items()}


def what_checkpointing_changes() -> dict[str, float]:
    """Against the whole batch, after one gradient in training mode: how far gradient and running statistics differ."""
    whole = method_of("whole")
    again = copy.deepcopy(whole)
    checkpointed(again.encoder)
    for way, method in (("whole", whole), ("checkpointed", again)):
        gradient(way, method, *views())
    of = {name: torch.cat([p.grad.flatten() for p in m.parameters()]) for name, m in (("a", whole), ("b", again))}
    norm, norm_again = (m.encoder.stages[0].norm1.running_mean for m in (whole, again))
    return {
        "gradient_difference": float((of["a"] - of["b"]).norm() / of["a"].norm()),
        "running_mean_moved": float(norm_again.norm() / norm.norm()),  # both began at 0
    }


def trained(way: str, seed: int) -> dict:
    method = method_of(way, seed)
    pretrain(method, load("shapes", "train"), replace(memory_config("whole"), seed=seed))
    return {"way": way, "seed": seed} | judge(*shapes(), lambda images: embed(method.encoder, images))


def record() -> None:
    start = time.process_time()
    runs = [{"way": way, "megabytes": [peak_megabytes(way) for _ in range(PEAKS)]} for way in WAYS]  # children first
    torch.set_num_threads(1)
    for run, (_, median) in zip(runs, seconds().items()):
        run["seconds"] = median
    changed = what_checkpointing_changes()
    minutes = (time.process_time() - start) / 60
    pairs = [{"way": way, "seed": seed} for seed in SEEDS for way in ("whole", "checkpointed")]
    accuracies, minutes_trained = record_all("hardware", trained, pairs)
    records.write(
        "hardware",
        room="lessons/moco",
        script="benchmarks/record_hardware.py",
        about="The gradient of 256 images of shapes' size through the small encoder, five ways: MB above what the "
        "process held before, processor seconds of one thread, and accuracy of the whole batch and of checkpointing.",
        config={"images": BATCH, "chunk": CHUNK, "queue": QUEUE, "checkpointing": changed},
        runs=runs + accuracies,
        minutes=minutes + minutes_trained,
    )


if __name__ == "__main__":
    child(sys.argv[1]) if len(sys.argv) > 1 else record()
