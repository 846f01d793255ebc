"""Records what the pitfalls of lesson 07 cost: temperatures, judges that disagree, and a large batch in small memory.

    python benchmarks/record_pitfalls.py judges     temperatures, a supervised encoder, six judges: record `judges`
    python benchmarks/record_pitfalls.py memory     a batch of 256 whole and in chunks: record `small_memory`

Every run sees each image equally often. What a judge has to choose it chooses on validation.
"""

import argparse
from dataclasses import asdict, replace

import torch
from runs import judge, record_all, shapes

from cl_course.augment import AugmentConfig
from cl_course.data import load
from cl_course.evaluate import embed, few_labels, linear_probe, mean_average_precision
from cl_course.finetune import FineTuneConfig, train_classifier
from cl_course.methods import MoCo, SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.train import TrainConfig, pretrain

SEEDS = range(3)
CONFIG = TrainConfig(epochs=8)  # as record_ablation.py, which has the temperatures 0.05, 0.3 and 1
TEMPERATURES = (0.01, 0.3, 3.0)
SUPERVISED = FineTuneConfig(steps=CONFIG.epochs * 62, batch_size=CONFIG.batch_size, augment=AugmentConfig())
SUPERVISED_RATE = 6e-3

CHUNKED = replace(CONFIG, epochs=6)
BATCH, CHUNK, QUEUE = 256, 32, 1024
# How a step is made; "queue" is MoCo's way out, at the memory of a batch of 32.
WAYS = {
    "whole": {"batch_size": BATCH},
    "GradCache": {"batch_size": BATCH, "chunk_size": CHUNK, "chunked": "grad_cache"},
    "accumulated": {"batch_size": BATCH, "chunk_size": CHUNK, "chunked": "accumulate"},
    "accumulated by 8": {"batch_size": BATCH, "chunk_size": 8, "chunked": "accumulate"},
    "small batch": {"batch_size": CHUNK},
    "queue": {"batch_size": CHUNK},
}


def judged_run(encoder: str, seed: int) -> dict:
    """`encoder`: "supervised", "random", or SimCLR's temperature as text."""
    train, val, test = shapes()
    loss = None
    if encoder in ("random", "supervised"):
        torch.manual_seed(seed)
        described_by = small_resnet()
        if encoder == "supervised":
            described_by = train_classifier(
                described_by, train, SUPERVISED_RATE, layers="scratch", seed=seed, config=SUPERVISED
            )[0]
    else:
        method, history = trained(CONFIG, seed, temperature=float(encoder))
        described_by, loss = method.encoder, round(history.column("loss")[-1], 4)
    measured = judge(train, val, test, lambda images: embed(described_by, images), probes=True)
    few, gallery = few_labels(train, 0.01, seed), train.subset(torch.arange(len(train) // 2))
    few_h, gallery_h, val_h, test_h = (embed(described_by, images) for images in (few, gallery, val, test))
    measured["1 % of the labels"] = round(
        linear_probe(few_h, few.labels, val_h, val.labels, test_h, test.labels, seed=seed).accuracy, 4
    )
    measured["retrieval"] = round(mean_average_precision(test_h, test.labels, gallery_h, gallery.labels), 4)
    return {"encoder": encoder, "seed": seed, "loss": loss} | measured


def trained(config: TrainConfig, seed: int, temperature: float = 0.3) -> tuple:
    torch.manual_seed(seed)
    encoder = small_resnet()
    method = SimCLR(encoder, projector(encoder.dim), temperature)
    return method, pretrain(method, load("shapes", "train"), replace(config, seed=seed))


def memory_config(way: str) -> TrainConfig:
    """The rate by the square-root rule, as in record_ablation.py: it goes by the images between two updates."""
    batch = WAYS[way]["batch_size"]
    return replace(CHUNKED, learning_rate=CHUNKED.learning_rate * (batch / CHUNKED.batch_size) ** 0.5, **WAYS[way])


def memory_run(way: str, seed: int) -> dict:
    config = memory_config(way)
    if way == "queue":
        torch.manual_seed(seed)
        encoder = small_resnet()
        # The key encoder is to be as old, counted in images, as in the course's recipe: momentum 0.95 at batch 128.
        method = MoCo(
            encoder, projector(encoder.dim), QUEUE, momentum=0.95 ** (CHUNK / 128), temperature=0.2, symmetric=True
        )
        history = pretrain(method, load("shapes", "train"), replace(config, seed=seed))
    else:
        method, history = trained(config, seed)
    measured = judge(*shapes(), lambda images: embed(method.encoder, images))
    return {"way": way, "seed": seed, "loss": round(history.column("loss")[-1], 4)} | measured


def record_judges() -> None:
    encoders = ("random", "supervised", *map(str, TEMPERATURES))
    runs, minutes = record_all(
        "judges", judged_run, [{"encoder": encoder, "seed": seed} for seed in SEEDS for encoder in encoders]
    )
    records.write(
        "judges",
        room="lessons/pitfalls_and_clinic",
        script="benchmarks/record_pitfalls.py",
        about=(
            "SimCLR on shapes at three temperatures, a supervised and a random encoder, "
            "each judged in several ways on test."
        ),
        config=asdict(CONFIG) | {"supervised": asdict(SUPERVISED) | {"rate": SUPERVISED_RATE}},
        runs=runs,
        minutes=minutes,
    )


def record_memory() -> None:
    runs, minutes = record_all("memory", memory_run, [{"way": way, "seed": seed} for seed in SEEDS for way in WAYS])
    records.write(
        "small_memory",
        room="lessons/pitfalls_and_clinic",
        script="benchmarks/record_pitfalls.py",
        about=(
            "SimCLR on shapes at batch 256 whole, by GradCache, accumulated, at batch 32, "
            "and MoCo at batch 32: accuracy on test."
        ),
        config={way: asdict(memory_config(way)) for way in WAYS} | {"queue_size": QUEUE},
        runs=runs,
        minutes=minutes,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", choices=("judges", "memory"))
    {"judges": record_judges, "memory": record_memory}[parser.parse_args().record]()
