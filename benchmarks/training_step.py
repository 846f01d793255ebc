"""One training step beside the bare encoder's forward and backward pass on as many views.

    python benchmarks/training_step.py

The two take turns in one process on all cores. The ratio says how much of a step is the
encoder; what is left goes to two augmented views, the projector, NT-Xent and AdamW.
"""

import statistics
import sys
import time

import torch
from torch import Generator

from cl_course.data import load, to_float
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.train import TrainConfig, keep_freed_memory, train_step

WARM_UP, REPEATS, BAR = 3, 41, 0.85


def main() -> int:
    keep_freed_memory()  # as pretrain does
    config = TrainConfig()
    images = load("shapes", "train", limit=config.batch_size).images
    encoder = small_resnet()
    method = SimCLR(encoder, projector(encoder.dim))
    optimizer, generator = make_optimizer(method, config.optimizer, config.weight_decay), Generator().manual_seed(0)
    views = to_float(images).repeat(2, 1, 1, 1)

    def bare() -> None:
        encoder.zero_grad(set_to_none=True)
        encoder(views).sum().backward()

    def step() -> None:
        train_step(method, images, optimizer, 1e-3, config, generator)

    seconds = {bare: [], step: []}
    for repeat in range(WARM_UP + REPEATS):
        for run, times in seconds.items():
            start = time.perf_counter()
            run()
            if repeat >= WARM_UP:
                times.append(time.perf_counter() - start)
    bare_ms, step_ms = (1000 * statistics.median(times) for times in seconds.values())
    print(f"{len(views)} views, {torch.get_num_threads()} threads, median of {REPEATS}:")
    print(f"bare encoder {bare_ms:.1f} ms, training step {step_ms:.1f} ms")
    print(f"ratio {bare_ms / step_ms:.2f} (bar: at least {BAR})")
    return int(bare_ms / step_ms < BAR)


if __name__ == "__main__":
    sys.exit(main())
