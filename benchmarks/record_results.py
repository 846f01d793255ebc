"""Records the running results table: SimCLR, MoCo and BYOL matched, between pixels, a random encoder and all labels.

    python benchmarks/record_results.py            the embedded set: record `results`
    python benchmarks/record_results.py cifar10    10,000 images of CIFAR-10: record `results_cifar10`

Matched: the same encoder, images, epochs, augmentations and number of views, each view asked once (MoCo's symmetric
form); what else a method needs comes from its recipe. On the drawn set, the encoders of seed 0 are kept as the
checkpoints that come with the course.
"""

import argparse
import copy
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import torch
import torch.nn.functional as F
from runs import judge, keep_encoder, record_all
from torch import Generator, nn

from cl_course.augment import augment
from cl_course.data import load, shuffled_batches, to_float
from cl_course.evaluate import embed
from cl_course.methods import METHODS
from cl_course.running import checkpoints, records
from cl_course.running.recipes import Recipe, recipe
from cl_course.train import learning_rate_at, pretrain

EPOCHS = {"shapes": 20, "cifar10": 20}
IMAGES = {"shapes": None, "cifar10": 10_000}  # that the encoders learn from and whose labels vote
OF_ROW = {METHODS[name].__name__: name for name in ("simclr", "moco", "byol")}  # others: record_family.py
ROWS = ("pixels", "random encoder", *OF_ROW, "supervised")


def matched(method: str, dataset: str, seed: int) -> Recipe:
    """The quick recipe at the comparison's epochs."""
    chosen = recipe(method, "quick", dataset, seed)
    return replace(chosen, config=replace(chosen.config, epochs=EPOCHS[dataset]))


def supervised(dataset: str, seed: int, train) -> nn.Module:
    """The encoder, augmentations, optimiser and number of views of SimCLR's recipe, told every label."""
    chosen = matched("simclr", dataset, seed)
    config = chosen.config
    encoder = chosen.build(train).encoder
    torch.manual_seed(seed)
    classifier = nn.Linear(encoder.dim, len(train.class_names))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *classifier.parameters()], weight_decay=config.weight_decay)
    generator = Generator().manual_seed(seed)
    steps = len(train) // config.batch_size
    for epoch in range(config.epochs):
        for step, batch in enumerate(shuffled_batches(len(train), config.batch_size, generator)):
            views = augment(to_float(train.images[batch]).repeat(2, 1, 1, 1), config.augment, generator)
            loss = F.cross_entropy(classifier(encoder(views)), train.labels[batch].repeat(2))
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(epoch * steps + step, config.epochs * steps, config)
            optimizer.step()
    return encoder


def features_of(row: str, dataset: str, seed: int, train) -> tuple[Callable, nn.Module | None]:
    """How a row describes images, ImageSet -> (n, d), and the encoder behind it."""
    if row == "pixels":
        return lambda images: to_float(images.images).flatten(1), None
    if row == "supervised":
        encoder = supervised(dataset, seed, train)
    else:
        chosen = matched(OF_ROW.get(row, "simclr"), dataset, seed)
        method = chosen.build(train)
        encoder = method.encoder
        if row in OF_ROW:
            pretrain(method, train, chosen.config)
    return partial(embed, encoder), encoder


def run(row: str, dataset: str, seed: int) -> dict:
    train, val, test = load(dataset, "train", limit=IMAGES[dataset]), load(dataset, "val"), load(dataset, "test")
    start = time.process_time()
    features, encoder = features_of(row, dataset, seed, train)
    minutes = round((time.process_time() - start) / 60, 2)
    measured = judge(train, val, test, features)
    keeps = []
    if encoder is not None:
        keeps.append(keep_encoder(encoder, row, dataset, seed, {"encoder": matched("simclr", dataset, seed).encoder}))
        if dataset == "shapes" and seed == 0:
            ship(row, encoder, measured, minutes)
    return (
        {"row": row, "seed": seed}
        | measured
        | {"cpu_minutes": minutes, "labels": len(train) if row == "supervised" else 0, "keeps": keeps}
    )


def described(row: str, dataset: str, seed: int = 0) -> dict:
    """What a row was trained with."""
    if row in ("pixels", "random encoder"):
        return {}
    chosen = matched(OF_ROW.get(row, "simclr"), dataset, seed)
    return asdict(chosen.config) | ({"head": chosen.head} | chosen.settings if row in OF_ROW else {})


def ship(row: str, encoder: nn.Module, measured: dict, minutes: float) -> None:
    card = {
        "method": row,
        "data": "shapes, seed 0, 8,000 training images" + ("" if row == "supervised" else " without their labels"),
        "encoder": matched("simclr", "shapes", 0).encoder,
        "config": described(row, "shapes"),
        "seed": 0,
        "cpu_minutes": minutes,
        "machine": platform.machine(),
        "torch": torch.__version__.split("+")[0],
        "accuracy on test": measured,
        "script": "benchmarks/record_results.py",
    }
    halved = copy.deepcopy(encoder).half()  # half the megabytes, the same accuracies
    name = row.lower().removesuffix(" encoder")
    checkpoints.save(checkpoints.SHIPPED / f"{name}_shapes.safetensors", halved, card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", default="shapes", choices=EPOCHS)
    dataset = parser.parse_args().dataset
    settings = [
        {"row": row, "dataset": dataset, "seed": seed} for row in ROWS for seed in range(1 if row == "pixels" else 3)
    ]
    runs, minutes = record_all("results", run, settings)
    records.write(
        "results" if dataset == "shapes" else f"results_{dataset}",
        room="running",
        script="benchmarks/record_results.py",
        about=(
            f"kNN and linear accuracy on the test images of {dataset}, "
            f"under the same encoder, images, epochs, views and seeds."
        ),
        config={"epochs": EPOCHS[dataset], "images": IMAGES[dataset] or len(load(dataset, "train"))}
        | {row: described(row, dataset) for row in ROWS},
        runs=runs,
        minutes=minutes,
    )
