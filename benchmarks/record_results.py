"""Records the running results table: raw pixels, a random encoder, SimCLR, and the same encoder with all labels.

    python benchmarks/record_results.py

Also keeps the SimCLR encoder of seed 0 as the course's shipped checkpoint `simclr_shapes`.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import torch
import torch.nn.functional as F
from runs import judge, record_all, shapes, simclr
from torch import Generator, nn

from cl_course import checkpoints, records
from cl_course.augment import augment
from cl_course.data import shuffled_batches, to_float
from cl_course.evaluate import embed
from cl_course.models import small_resnet
from cl_course.train import TrainConfig, learning_rate_at

CONFIG = TrainConfig()
ROWS = ("pixels", "random encoder", "SimCLR", "supervised")


def supervised(seed: int, train) -> nn.Module:
    """The same encoder, augmentations, optimiser and number of views, told every label."""
    torch.manual_seed(seed)
    encoder = small_resnet()
    classifier = nn.Linear(encoder.dim, len(train.class_names))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *classifier.parameters()], weight_decay=CONFIG.weight_decay)
    generator = Generator().manual_seed(seed)
    steps = len(train) // CONFIG.batch_size
    for epoch in range(CONFIG.epochs):
        for step, batch in enumerate(shuffled_batches(len(train), CONFIG.batch_size, generator)):
            views = augment(to_float(train.images[batch]).repeat(2, 1, 1, 1), CONFIG.augment, generator)
            loss = F.cross_entropy(classifier(encoder(views)), train.labels[batch].repeat(2))
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(epoch * steps + step, CONFIG.epochs * steps, CONFIG)
            optimizer.step()
    return encoder


def features_of(row: str, seed: int, train) -> tuple[Callable, nn.Module | None]:
    """How a row describes images, ImageSet -> (n, d), and the encoder behind it."""
    if row == "pixels":
        return lambda images: to_float(images.images).flatten(1), None
    torch.manual_seed(seed)
    if row == "random encoder":
        encoder = small_resnet()
    else:
        encoder = supervised(seed, train) if row == "supervised" else simclr(seed, CONFIG)[0].encoder
    return partial(embed, encoder), encoder


def run(row: str, seed: int) -> dict:
    train, val, test = shapes()
    start = time.process_time()
    features, encoder = features_of(row, seed, train)
    minutes = round((time.process_time() - start) / 60, 2)
    measured = judge(train, val, test, features)
    if row == "SimCLR" and seed == 0:
        ship(encoder, measured, minutes)
    return {"row": row, "seed": seed} | measured | {"cpu_minutes": minutes, "labels": len(train) if row == "supervised" else 0}


def ship(encoder: nn.Module, measured: dict, minutes: float) -> None:
    card = {
        "method": "SimCLR",
        "data": "shapes, seed 0, 8,000 training images without their labels",
        "encoder": {"name": "small", "width": 16},
        "config": asdict(CONFIG) | {"temperature": 0.3, "seed": 0},
        "cpu_minutes": minutes,
        "accuracy on test": measured,
        "script": "benchmarks/record_results.py",
    }
    halved = copy.deepcopy(encoder).half()  # half the megabytes, the same accuracies
    checkpoints.save(checkpoints.SHIPPED / "simclr_shapes.safetensors", halved, card)


if __name__ == "__main__":
    settings = [{"row": row, "seed": seed} for row in ROWS for seed in range(1 if row == "pixels" else 3)]
    runs, minutes = record_all("results", run, settings)
    records.write(
        "results",
        script="benchmarks/record_results.py",
        about="kNN and linear accuracy on the test images of shapes, under the same encoder, images, epochs and seeds.",
        config=asdict(CONFIG) | {"temperature": 0.3},
        runs=runs,
        minutes=minutes,
    )
