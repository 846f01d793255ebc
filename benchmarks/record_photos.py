"""Records what two cores make of all 50,000 photos of CIFAR-10, without labels and without a GPU: lesson 08.

    CL_COURSE_DATA=FOLDER python benchmarks/record_photos.py                           all runs, then the record
    CL_COURSE_DATA=FOLDER python benchmarks/record_photos.py --only SimCLR --seed 0    one run, beside another one

SimCLR (three seeds), MoCo and BYOL with the same encoder, images, views and epochs; and lightly's recipe in lightly's
own loop, on the same encoder, for as many core minutes as SimCLR took. Each run has one thread. A stopped one goes on
from its last finished epoch, in build/photos. The encoders see training and validation images without labels. Settings
were chosen by kNN on validation in runs of a few epochs, the probe's strength is chosen on validation, and test is
asked once, at the end.
"""

import argparse
import copy
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch
from photo_peer import lightly_run
from runs import judge
from torch import nn

from cl_course.data import ImageSet, load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.files import write_atomically
from cl_course.methods import METHODS
from cl_course.running import checkpoints, records
from cl_course.running.recipes import PHOTOS, Recipe
from cl_course.train import TrainConfig, pretrain

KEPT = Path(__file__).parent.parent / "build" / "photos"
EVERY = 4  # epochs between two votes on validation
VOTERS = 10_000  # training images that vote on the way; at the end all of them do
ENCODER = {"name": "small", "width": 64, "stages": 3}  # 1.2 M weights: 2.5 MB in half precision
CONFIG = TrainConfig(
    epochs=45, batch_size=128, learning_rate=2e-3, precision="bfloat16", augment=replace(PHOTOS, crop=(0.2, 1.0))
)
HEAD = {"hidden_dim": 512}
RECIPES = {
    "simclr": Recipe("simclr", ENCODER, HEAD, {"temperature": 0.2}, CONFIG),
    "moco": Recipe(
        "moco", ENCODER, HEAD, {"queue_size": 4096, "momentum": 0.99, "temperature": 0.2, "symmetric": True}, CONFIG
    ),
    "byol": Recipe(
        "byol",
        ENCODER,
        HEAD | {"norm_output": True},
        {"momentum": 0.99, "predictor_rate": 10.0, "total_steps": "all"},
        CONFIG,
    ),
}
PEER = "lightly's SimCLR"
PIXELS, RANDOM = "pixels", "random encoder"
RUNS = (
    (PIXELS, 0),
    (RANDOM, 0),
    (RANDOM, 1),
    (RANDOM, 2),
    ("SimCLR", 0),
    ("MoCo", 0),
    ("BYOL", 0),
    (PEER, 0),
    ("SimCLR", 1),
    ("SimCLR", 2),
)
OF_ROW = {method.__name__: name for name, method in METHODS.items()}


@cache
def images(split: str, limit: int | None = None) -> ImageSet:
    return load("cifar10", split, limit=limit)


def everything() -> ImageSet:
    """All 50,000 images that are not test: the encoders look at no label."""
    return ImageSet(torch.cat([images("train").images, images("val").images]))


class Watch:
    """Adds to each epoch its core minutes, and to every fourth the kNN accuracy on validation."""

    def __init__(self, epochs: int):
        self.epochs, self.since = epochs, time.process_time()

    def __call__(self, row: dict, encoder: nn.Module) -> dict:
        about = {"core_minutes": round((time.process_time() - self.since) / 60, 3)}
        if row["epoch"] % EVERY == 0 or row["epoch"] == self.epochs:
            about["knn_val"] = round(vote(encoder, images("train", VOTERS), images("val")), 4)
        print(row | about, flush=True)
        self.since = time.process_time()
        return about


def vote(encoder: nn.Module, voters: ImageSet, asked: ImageSet) -> float:
    return knn_accuracy(embed(encoder, voters), voters.labels, embed(encoder, asked), asked.labels)


def with_seed(method: str, seed: int) -> Recipe:
    return replace(RECIPES[method], config=replace(RECIPES[method].config, seed=seed))


def ours(row: str, seed: int) -> tuple[nn.Module, list[dict], dict]:
    """A method of the course by its recipe for photos: encoder, one row an epoch, settings."""
    chosen = with_seed(OF_ROW[row], seed)
    seen = everything()
    method, watch = chosen.build(seen), Watch(chosen.config.epochs)
    history = pretrain(
        method,
        seen,
        chosen.config,
        on_epoch=lambda row, method: watch(row, method.encoder),
        resume=KEPT / f"{OF_ROW[row]}_{seed}.checkpoint",
    )
    return method.encoder, history.rows, asdict(chosen.config) | {"head": chosen.head} | chosen.settings


def peer(seed: int) -> tuple[nn.Module, list[dict], dict]:
    """lightly's recipe and loop for the core minutes of our SimCLR."""
    simclr = RECIPES["simclr"]
    _, rows, _ = ours("SimCLR", seed)  # finished before: read from its checkpoint
    encoder = copy.deepcopy(simclr.build(everything()).encoder)
    minutes = sum(row["core_minutes"] for row in rows)
    return lightly_run(encoder, everything().images, minutes, seed, KEPT / f"lightly_{seed}.checkpoint", Watch)


def judged(features: Callable[[ImageSet], torch.Tensor]) -> dict:
    """kNN and linear accuracy on test; only the probe's strength is chosen, on validation."""
    return judge(*(images(split) for split in ("train", "val", "test")), features)


def run(row: str, seed: int) -> dict:
    encoder, rows, config = peer(seed) if row == PEER else ours(row, seed)
    measured = judged(lambda x: embed(encoder, x))
    minutes = round(sum(each["core_minutes"] for each in rows), 1)
    keep = ("epoch", "loss", "seconds", "core_minutes", "knn_val")
    curve = [{name: round(each[name], 4) for name in keep if name in each} for each in rows]
    about = (
        {"run": row, "seed": seed}
        | measured
        | {"core_minutes": minutes, "epochs": len(rows), "images": len(everything())}
    )
    if row != PEER:
        ship(row, seed, encoder, config, about)
    return about | {"config": config, "curve": curve}


def ship(row: str, seed: int, encoder: nn.Module, config: dict, about: dict) -> None:
    """Keep an encoder among those that come with the course: half precision, half the megabytes."""
    card = {
        "method": row,
        "data": "CIFAR-10 (a JPEG copy), all 50,000 images that are not test, without their labels",
        "encoder": RECIPES[OF_ROW[row]].encoder,
        "config": config,
        "seed": seed,
        "cpu_minutes": about["core_minutes"],
        "machine": platform.machine(),
        "torch": torch.__version__.split("+")[0],
        "accuracy on test": {judge: about[judge] for judge in ("knn", "linear")},
        "script": "benchmarks/record_photos.py",
    }
    name = f"{OF_ROW[row]}_cifar10_seed{seed}.safetensors"
    checkpoints.save(checkpoints.SHIPPED / name, copy.deepcopy(encoder).half(), card)


def floor(row: str, seed: int) -> dict:
    """Raw pixels, or the encoder before its first step."""
    encoder = with_seed("simclr", seed).build(everything()).encoder
    measured = judged(lambda x: to_float(x.images).flatten(1) if row == PIXELS else embed(encoder, x))
    return (
        {"run": row, "seed": seed}
        | measured
        | {"core_minutes": 0.0, "epochs": 0, "images": 0, "config": {}, "curve": []}
    )


def kept_file(row: str, seed: int) -> Path:
    return KEPT / f"{row.replace(' ', '_')}_{seed}.json"


def once(row: str, seed: int) -> dict:
    """What the run gave, made now unless it is kept."""
    kept = kept_file(row, seed)
    if not kept.exists():
        result = floor(row, seed) if row in (PIXELS, RANDOM) else run(row, seed)
        write_atomically(kept, lambda temporary: temporary.write_text(json.dumps(result)))
    return json.loads(kept.read_text())


def write(wanted: Sequence[tuple[str, int]] = RUNS) -> Path:
    """The record of these runs; those that are not kept are made first."""
    runs = [once(row, seed) for row, seed in wanted]
    configs = {run["run"]: config for run in runs if (config := run.pop("config"))}
    return records.write(
        "photos",
        room="lessons/full_scale",
        script="benchmarks/record_photos.py",
        about=f"{', '.join(dict.fromkeys(run['run'] for run in runs))} on the 50,000 photos of CIFAR-10 that are not "
        "test, one core a run: kNN and linear accuracy on the 10,000 test images.",
        config={"encoder": ENCODER, "configs": configs, "voters on the way": VOTERS},
        runs=runs,
        minutes=sum(run["core_minutes"] for run in runs),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted({row for row, _ in RUNS}), help="one run instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of that run")
    parser.add_argument("--so-far", action="store_true", help="the record of the runs that are kept, and no new one")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    KEPT.mkdir(parents=True, exist_ok=True)
    if wanted.only:
        print(once(wanted.only, wanted.seed))
    else:
        print(write([one for one in RUNS if kept_file(*one).exists()] if wanted.so_far else RUNS))
