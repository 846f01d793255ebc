"""Records what one training step costs here: time and peak memory by batch, image side, precision and more. Lesson 08.

    python benchmarks/record_full_scale.py             on all cores, about five minutes where two are at rest
    python benchmarks/record_full_scale.py --threads 1 --steps 1   on one core, each step timed once

Each setting has a process of its own: SimCLR's whole step (two augmented views, network, NT-Xent, SGD) on random
images. Memory is the rise of that process's peak in the first step, weights and the optimiser's momenta included; the
C library returns freed blocks at once, so that the peak is that of what was needed. Of a compiled step there is none on
a CPU, where the compiler's own room would count. On a GPU memory is the peak of what torch has allocated there.

Time is the median of the steps that follow: by the clock, but on a CPU never more than the processor time of all
threads together, which a busy machine does not change. Several threads that wait for each other on a busy machine are
slow all the same, so start it on a quiet one; the record keeps the load that it found.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, nn

from cl_course.data import ImageSet
from cl_course.large_batches import checkpointed
from cl_course.methods import build
from cl_course.methods.method import Method
from cl_course.models import resnet18, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.running import records
from cl_course.running.machine import describe_machine, pick_device
from cl_course.running.recipes import SMALL_SIDE, recipe
from cl_course.train import TrainConfig, keep_freed_memory, train_step

GRID = {  # of the CPU; a GPU takes all batches at all sides
    "small": {32: (32, 64, 128, 256, 512), 64: (32, 128), 96: (32, 128)},
    "resnet18": {32: (16, 32, 64), 64: (8, 16), 96: (16, 32)},
}
ALL_BATCHES = (32, 64, 128, 256, 512)
BASE = {"small": 128, "resnet18": 16}  # the batch at which the other options are measured, at 32 pixels


@dataclass(frozen=True)
class Setting:
    """One way to make a step."""

    encoder: str
    batch: int
    side: int
    precision: str = "float32"
    channels_last: bool = True
    compiled: bool = False
    checkpointing: bool = False


def settings(device: torch.device) -> list[Setting]:
    """Batch by side, then one other option at a time."""
    found = []
    for encoder, by_side in GRID.items():
        for side, batches in by_side.items():
            found += [Setting(encoder, n, side) for n in (ALL_BATCHES if device.type == "cuda" else batches)]
        base = encoder, BASE[encoder], 32
        found += [
            Setting(*base, precision="bfloat16"),
            Setting(*base, channels_last=False),
            Setting(*base, compiled=True),
            Setting(*base, checkpointing=True),
        ]
    return found


def method_of(setting: Setting) -> Method:
    stem = "cifar" if setting.side <= SMALL_SIDE else "stl"
    encoder = small_resnet() if setting.encoder == "small" else resnet18(stem)
    if not setting.channels_last:
        encoder.to(memory_format=torch.contiguous_format)
        encoder.feature_map = lambda images: encoder.stages(encoder.stem(images.contiguous()))
    return build("simclr", encoder, recipe("simclr", "full", "cifar10").head, temperature=0.5)


def steps_of(setting: Setting, method: Method, images: ImageSet, device: torch.device):
    """A function that makes one step and waits for it."""
    augment = recipe("simclr", "full", "cifar10").config.augment
    config = TrainConfig(batch_size=setting.batch, precision=setting.precision, augment=augment)
    batch, generator = images.images.to(device), Generator().manual_seed(0)
    optimizer = make_optimizer(method, "sgd", 5e-4)

    def step() -> None:
        with checkpointed(method.encoder, setting.checkpointing):
            float(train_step(method, batch, optimizer, 1e-3, config, generator))

    return step


def random_images(n: int, side: int) -> ImageSet:
    shape, generator = (n, 3, side, side), Generator().manual_seed(0)
    return ImageSet(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))


def child(setting: Setting, threads: int, steps: int) -> dict:
    """What a process of its own measures."""
    device = pick_device("auto")
    torch.set_num_threads(threads)
    images = random_images(setting.batch, setting.side)
    tiny = build("simclr", small_resnet(4))
    steps_of(Setting("small", 4, 32), tiny.to(device), random_images(4, 32), device)()  # libraries take their room
    before = _peak(device)
    method = method_of(setting).to(device).train()
    if setting.compiled:
        method.encoder.forward = torch.compile(method.encoder.forward)
    step = steps_of(setting, method, images, device)
    step()
    megabytes = round((_peak(device) - before) / 1e6, 1)
    if setting.compiled and device.type != "cuda":
        megabytes = None  # the compiler's own room would count
    keep_freed_memory()  # as training does
    step()
    seconds = []
    for _ in range(steps):
        start, busy = time.perf_counter(), time.process_time()
        step()
        clock, busy = time.perf_counter() - start, time.process_time() - busy
        seconds.append(round(clock if device.type == "cuda" else min(clock, busy), 4))
    return {"megabytes": megabytes, "seconds": statistics.median(seconds), "each": seconds}


def _peak(device: torch.device) -> int:
    """Bytes; of what is held now on a GPU, whose peak then starts anew."""
    if device.type != "cuda":
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def measured(setting: Setting, threads: int, steps: int) -> dict:
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}  # larger blocks are returned when they are freed
    environment["OMP_NUM_THREADS"] = str(threads)
    how = ["--threads", str(threads), "--steps", str(steps), "--child", json.dumps(asdict(setting))]
    command = [sys.executable, __file__, *how]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    run = asdict(setting) | json.loads(found.stdout.splitlines()[-1])
    print({name: value for name, value in run.items() if name != "each"}, flush=True)
    return run


def processor() -> str:
    """Its name, as the system has it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def weights(encoder: nn.Module) -> int:
    return sum(p.numel() for p in encoder.parameters())


def record(threads: int, steps: int) -> None:
    load, start, machine = os.getloadavg()[0], time.perf_counter(), describe_machine()
    runs = [measured(setting, threads, steps) for setting in settings(pick_device("auto"))]
    records.write(
        "full_scale",
        room="lessons/full_scale",
        script="benchmarks/record_full_scale.py",
        about="One training step of SimCLR: seconds (median) and MB above what the process held before, by encoder, "
        "batch, image side, precision, memory layout, compilation and activation checkpointing.",
        config={
            "machine": {name: machine[name] for name in ("cores", "memory", "device", "gpu", "gpu_memory")},
            "processor": processor(),
            "load_at_start": round(load, 1),
            "threads": threads,
            "steps": steps,
            "base": BASE,
            "weights": {"small": weights(small_resnet()), "resnet18": weights(resnet18())},
        },
        runs=runs,
        minutes=(time.perf_counter() - start) / 60,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=describe_machine()["cores"], help="default: all cores")
    parser.add_argument("--steps", type=int, default=5, help="that are timed (default: %(default)s)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(child(Setting(**json.loads(chosen.child)), chosen.threads, chosen.steps)))
    else:
        record(chosen.threads, chosen.steps)
