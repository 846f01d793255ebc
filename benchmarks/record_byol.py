"""Records what BYOL dies without, and what each part of its recipe is good for: one thing changed at a time. Lesson 05.

    python benchmarks/record_byol.py collapse      5 epochs, parts switched off or turned: record `byol`
    python benchmarks/record_byol.py parts         8 epochs, as the lesson's live run: record `byol_parts`
    python benchmarks/record_byol.py whole         20 epochs: which parts only bring the start forward: `byol_whole`

Every epoch is watched on validation; test is asked once, at the end.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace

import torch
import torch.nn.functional as F
from runs import judge, record_all, shapes
from torch import Generator, nn

from cl_course.augment import two_views
from cl_course.data import to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.byol.lab_collapse import Switches, take_apart
from cl_course.methods import BYOL
from cl_course.running import records
from cl_course.running.recipes import ALL_STEPS, Recipe, recipe
from cl_course.train import pretrain

SEEDS = range(3)
RECIPE = recipe("byol")
CHOSEN = {
    "predictor": "on",
    "stop-gradient": "on",
    "BatchNorm in the heads": "on",
    "targets": "other view",
    "BatchNorm at the projector's end": "on" if RECIPE.head.get("norm_output") else "off",
    "predictor rate": RECIPE.settings["predictor_rate"],
    "momentum": RECIPE.settings["momentum"],
    "schedule": "rises to 1" if RECIPE.settings.get("total_steps") else "constant",
    "batch size": RECIPE.config.batch_size,
}
# Record -> its epochs, and what is varied. Five epochs are enough to die in, not to learn in.
RECORDS = {
    "collapse": (
        5,
        {
            "predictor": ["off"],
            "stop-gradient": ["off"],
            "BatchNorm in the heads": ["off"],
            "targets": ["own view"],  # the prediction of a view held against the target of the same view
            "BatchNorm at the projector's end": ["on", "off"],
            "predictor rate": [1, 20],
            "momentum": [0, 0.8, 0.99, 1],
            "schedule": ["constant", "rises to 1"],
            "batch size": [64, 256],
        },
    ),
    "parts": (
        8,
        {
            "targets": ["own view"],
            "BatchNorm at the projector's end": ["on", "off"],
            "predictor rate": [1, 20],
            "momentum": [0, 0.8, 0.99],
            "schedule": ["constant", "rises to 1"],
        },
    ),
    "whole": (
        20,
        {
            "BatchNorm at the projector's end": ["on", "off"],
            "predictor rate": [1, 20],
        },
    ),
}


def build(factor: str, value: object, seed: int, epochs: int, images) -> tuple[BYOL, Recipe]:
    """The recipe with one thing changed; nothing where the factor is "recipe"."""
    changed = replace(RECIPE, config=replace(RECIPE.config, seed=seed, epochs=epochs))
    if factor == "BatchNorm at the projector's end":
        changed = replace(changed, head=changed.head | {"norm_output": value == "on"})
    elif factor == "predictor rate":
        changed = replace(changed, settings=changed.settings | {"predictor_rate": value})
    elif factor == "momentum":
        changed = replace(changed, settings=changed.settings | {"momentum": value})
    elif factor == "schedule":
        changed = replace(
            changed, settings=changed.settings | {"total_steps": ALL_STEPS if value == "rises to 1" else None}
        )
    elif factor == "batch size":  # the rate in proportion, as SGD's usually is and SimSiam's (sec. 4.3)
        rate = changed.config.learning_rate * value / changed.config.batch_size
        changed = replace(changed, config=replace(changed.config, batch_size=value, learning_rate=rate))
    method = changed.build(images)
    take_apart(
        method,
        Switches(
            predictor=factor != "predictor",
            stop_gradient=factor != "stop-gradient",
            batch_norm=factor != "BatchNorm in the heads",
        ),
    )
    if factor == "targets":
        crossed = method.targets
        method.targets = lambda view1, view2: crossed(view2, view1)
    return method, changed


def watcher(train, val, augment) -> Callable:
    """What every epoch is measured by, on 2,000 validation images in eval mode: z of two views of 512, h of all."""
    gallery = train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000])
    views = torch.cat(two_views(to_float(val.images[:512]), augment, Generator().manual_seed(0)))

    def watch(row: dict, method: nn.Module) -> dict:
        method.eval()
        with torch.no_grad():
            z = F.normalize(method.projector(method.encoder(views)), dim=1)
        gallery_h, h = embed(method.encoder, gallery), embed(method.encoder, val)
        knn = knn_accuracy(gallery_h, gallery.labels, h, val.labels)
        measured = {"spread": spread(z), "rank_z": effective_rank(z), "rank_h": effective_rank(h), "knn": knn}
        return {name: round(value, 4) for name, value in measured.items()}

    return watch


def run(factor: str, value: object, seed: int, epochs: int, recipe: str) -> dict:
    """`recipe` is not used: it tells a kept run of this recipe from one of another."""
    train, val, test = shapes()
    method, changed = build(factor, value, seed, epochs, train)
    history = pretrain(method, train, changed.config, on_epoch=watcher(train, val, changed.config.augment))
    curves = {
        name: [round(x, 4) for x in history.column(name)] for name in ("loss", "spread", "rank_z", "rank_h", "knn")
    }
    measured = judge(train, val, test, lambda images: embed(method.encoder, images), probes=True)
    return {"factor": factor, "value": value, "seed": seed, "curves": curves} | measured


def settings(varied: dict[str, list]) -> list[tuple[str, object]]:
    """The recipe, and everything that differs from it in one thing."""
    return [
        ("recipe", None),
        *((factor, value) for factor, values in varied.items() for value in values if value != CHOSEN[factor]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", choices=RECORDS)
    chosen = parser.parse_args().record
    epochs, varied = RECORDS[chosen]
    jobs = [
        {"factor": factor, "value": value, "seed": seed, "epochs": epochs, "recipe": repr(RECIPE)}
        for seed in SEEDS
        for factor, value in settings(varied)
    ]
    runs, minutes = record_all("byol", run, jobs)
    records.write(
        "byol" if chosen == "collapse" else f"byol_{chosen}",
        room="lessons/byol",
        script="benchmarks/record_byol.py",
        about=(
            "BYOL on shapes with one thing changed at a time: "
            "curves by epoch on validation; accuracy and factor probes on test at the end."
        ),
        config=asdict(RECIPE.config)
        | {"epochs": epochs, "head": RECIPE.head, "settings": RECIPE.settings, "chosen": CHOSEN, "values": varied},
        runs=runs,
        minutes=minutes,
    )
