"""What the drawn set must be: hard for pixels, learnable in a minute, impossible by colour alone.

    python benchmarks/embedded_data.py [--seeds 3]

Trains live on all cores and prints a table; nothing else should run meanwhile.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from functools import partial

import torch
from runs import judge, shapes, simclr

from cl_course.augment import AugmentConfig
from cl_course.data import load, to_float
from cl_course.evaluate import embed
from cl_course.models import small_resnet
from cl_course.train import TrainConfig

WITHOUT_COLOUR = AugmentConfig(jitter=0, grey=0)


def trained(seed: int, augment: AugmentConfig) -> tuple[dict, float]:
    config = replace(TrainConfig(), augment=augment)
    start = time.perf_counter()
    method = simclr(seed, config)
    seconds = time.perf_counter() - start
    return judge(*shapes(), partial(embed, method.encoder)), seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)

    start = time.perf_counter()
    for split in ("train", "val", "test"):
        load("shapes", split)
    drawn = time.perf_counter() - start
    pixels = judge(*shapes(), lambda images: to_float(images.images).flatten(1))
    rows = [("drawing all 12,000 images, s", [drawn], 3.0, False), ("raw pixels, kNN", [pixels["knn"]], 0.45, False)]
    random_linear = []
    for seed in seeds:
        torch.manual_seed(seed)
        encoder = small_resnet()
        random_linear.append(judge(*shapes(), partial(embed, encoder))["linear"])
    rows.append(("random encoder, linear", random_linear, 0.45, False))
    full = [trained(seed, AugmentConfig()) for seed in seeds]
    rows.append(("SimCLR, s of training", [s for _, s in full], 60.0, False))
    rows.append(("SimCLR, kNN", [m["knn"] for m, _ in full], 0.90, True))
    rows.append(("SimCLR, linear", [m["linear"] for m, _ in full], 0.95, True))
    by_shape = [trained(seed, WITHOUT_COLOUR)[0]["knn"] for seed in seeds]
    rows.append(("SimCLR without colour augmentation, kNN", by_shape, 0.65, False))

    met = True
    print(f"{'':<42} {'mean':>7}  {'all seeds':<28} bar")
    for name, values, bar, at_least in rows:
        ok = min(values) >= bar if at_least else max(values) <= bar
        met &= ok
        listed = ", ".join(f"{v:.3f}" for v in values)
        limit = f"{'>=' if at_least else '<='} {bar}{'' if ok else '  NOT MET'}"
        print(f"{name:<42} {statistics.mean(values):7.3f}  {listed:<28} {limit}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
