"""Records temperature x augmentation x batch size, and three projection heads: lesson 03.

python benchmarks/record_ablation.py
"""

from dataclasses import asdict, replace
from itertools import product

import torch
from runs import judge, record_all, shapes, simclr
from torch import nn

from cl_course.augment import AugmentConfig
from cl_course.data import load
from cl_course.evaluate import embed
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.train import TrainConfig, pretrain

CONFIG = TrainConfig(epochs=12)  # heads: a little over half the lesson's live run
GRID = TrainConfig(epochs=8)  # short, so that 54 runs fit into an hour
SEEDS = range(3)
TEMPERATURES = (0.05, 0.3, 1.0)
AUGMENTS = {
    "crop + flip": AugmentConfig(jitter=0, grey=0),
    "+ jitter": AugmentConfig(grey=0),
    "+ jitter + grey": AugmentConfig(),
}
BATCH_SIZES = (32, 128)
HEADS = ("none", "linear", "mlp")


def grid_run(temperature: float, augment: str, batch_size: int, seed: int) -> dict:
    # The rate's part of the square-root rule for Adam (Malladi et al. 2022, arXiv:2205.10287); the betas stay.
    rate = GRID.learning_rate * (batch_size / GRID.batch_size) ** 0.5
    config = replace(GRID, augment=AUGMENTS[augment], batch_size=batch_size, learning_rate=rate)
    method = simclr(seed, config, temperature)
    measured = judge(*shapes(), lambda images: embed(method.encoder, images))
    return {"temperature": temperature, "augment": augment, "batch_size": batch_size, "seed": seed} | measured


def make_head(kind: str, dim: int) -> nn.Module:
    return {"none": nn.Identity, "linear": lambda: nn.Linear(dim, 128), "mlp": lambda: projector(dim)}[kind]()


def head_run(head: str, seed: int) -> dict:
    torch.manual_seed(seed)
    encoder = small_resnet()
    method = SimCLR(encoder, make_head(head, encoder.dim), 0.3)
    pretrain(method, load("shapes", "train"), replace(CONFIG, seed=seed))
    images = shapes()
    layers = {"h": encoder, "z": nn.Sequential(encoder, method.projector)}
    if head == "mlp":  # after the hidden layer's ReLU
        layers["hidden"] = nn.Sequential(encoder, method.projector[:3])
    return {"head": head, "seed": seed} | {
        layer: judge(*images, lambda x, m=m: embed(m, x), probes=True) for layer, m in layers.items()
    }


if __name__ == "__main__":
    heads = [{"head": head, "seed": seed} for seed in SEEDS for head in HEADS]
    runs, minutes = record_all("head", head_run, heads)
    records.write(
        "projection_head",
        room="lessons/simclr",
        script="benchmarks/record_ablation.py",
        about=(
            "SimCLR on shapes with no, a linear and an MLP projection head: "
            "accuracy on test and factor probes, read from h and from z."
        ),
        config=asdict(CONFIG),
        runs=runs,
        minutes=minutes,
    )
    grid = [
        {"temperature": t, "augment": a, "batch_size": b, "seed": seed}
        for seed, t, a, b in product(SEEDS, TEMPERATURES, AUGMENTS, BATCH_SIZES)
    ]
    runs, minutes = record_all("grid", grid_run, grid)
    records.write(
        "ablation",
        room="lessons/simclr",
        script="benchmarks/record_ablation.py",
        about="SimCLR on shapes: temperature x augmentation x batch size, accuracy on test.",
        config=asdict(GRID) | {"augments": {name: asdict(augment) for name, augment in AUGMENTS.items()}},
        runs=runs,
        minutes=minutes,
    )
