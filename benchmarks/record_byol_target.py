"""Records what lesson 05 says about its lab over many starts, and about BYOL's target network.

    python benchmarks/record_byol_target.py lab       the lab, each part switched off, ten seeds: record `byol_lab`
    python benchmarks/record_byol_target.py switches  the lab, every setting of its switches, start 0: `byol_switches`
    python benchmarks/record_byol_target.py target    online against target network by epoch: record `byol_target`

No test image is used: kNN is judged on validation.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace

import torch
import torch.nn.functional as F
from runs import record_all, shapes
from torch import Generator, Tensor, nn

from cl_course.augment import two_views
from cl_course.data import to_float
from cl_course.diagnose import spread
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.byol.lab_collapse import (
    CONFIG,
    EVERY,
    EVERY_RUN,
    MOMENTUM,
    ONE_BY_ONE,
    STEPS,
    as_data,
    small_run,
)
from cl_course.running import records
from cl_course.running.recipes import recipe
from cl_course.train import pretrain

RECIPE = recipe("byol")
EPOCHS, MOMENTA = 8, (0.8, 0.99)
KEPT, FIT = (0, 1, 2, 4, 16, 64, 128), 3000  # directions of z; images that the best linear predictor is fitted on


def lab(switched: str, seed: int) -> dict:
    """One run of the lab: what it ends with, and the first step at which its loss is below 0.5.

    Of start 0 the points of its picture as well, in hundredths: view, card, x and y.
    """
    run = small_run(ONE_BY_ONE[switched], seed)
    low = (run.loss < 0.5).nonzero()
    ends = {name: round(float(getattr(run, name)[-1]), 3) for name in ("loss", "spread", "rank")}
    points = {} if seed else {"points": (100 * run.flat()).round().int().flatten().tolist()}
    below = int(low[0]) * EVERY if len(low) else None
    return {"switched": switched, "seed": seed} | ends | {"below_half": below} | points


def switches(name: str, seed: int) -> dict:
    """One run of the lab as the page draws it: points and curves of every look."""
    return {"name": name, "seed": seed} | as_data(small_run(EVERY_RUN[name], seed))


def target(momentum: float, seed: int, recipe: str) -> dict:
    """The recipe at another momentum: kNN of both networks by epoch, and at the end what the predictor does.

    `recipe` is not used: it tells a kept run of this recipe from one of another.
    """
    train, val, _ = shapes()
    changed = replace(
        RECIPE,
        config=replace(RECIPE.config, seed=seed, epochs=EPOCHS),
        settings=RECIPE.settings | {"momentum": momentum},
    )
    method = changed.build(train)
    gallery = train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000])
    history = pretrain(method, train, changed.config, on_epoch=watcher(gallery, val))
    curves = {name: [round(x, 4) for x in history.column(name)] for name in ("loss", "online", "target")}
    return {"momentum": momentum, "seed": seed, "curves": curves} | predictions(method, gallery, changed.config.augment)


def watcher(gallery, val) -> Callable:
    def knn(encoder: nn.Module) -> float:
        return round(knn_accuracy(embed(encoder, gallery), gallery.labels, embed(encoder, val), val.labels), 4)

    def watch(row: dict, method: nn.Module) -> dict:
        method.eval()
        return {"online": knn(method.encoder), "target": knn(method.target_encoder)}

    return watch


@torch.no_grad()
def predictions(method: nn.Module, gallery, augment) -> dict:
    """In eval mode, on two views of 4,000 images: spreads, similarities, what z tells of the other view's target."""
    method.eval()
    views = two_views(to_float(gallery.images), augment, Generator().manual_seed(1))
    (z1, z2), (_, target2) = method.embeddings(*views), method.targets(*views)
    p1, p2 = method.predictor(z1), method.predictor(z2)
    alike = {"z of two views": (z1, z2), "p of two views": (p1, p2), "p and target": (p1, target2)}
    return {
        "spread": {name: round(spread(x), 4) for name, x in {"z": z1, "p": p1, "target": target2}.items()},
        "similarity": {name: round(float(F.cosine_similarity(*pair).mean()), 4) for name, pair in alike.items()},
        "left": {str(kept): round(left(z1, F.normalize(target2, dim=1), kept), 4) for kept in KEPT},
    }


def left(z: Tensor, target: Tensor, kept: int) -> float:
    """The share of the targets' variance that the best linear predictor leaves, given the strongest directions of z."""
    directions = torch.linalg.svd(z - z.mean(dim=0), full_matrices=False).Vh[:kept]
    known = F.pad(z @ directions.T, (0, 1), value=1.0)  # a constant beside what is known
    best = torch.linalg.lstsq(known[:FIT], target[:FIT]).solution
    missed = target[FIT:] - known[FIT:] @ best
    return float(missed.square().sum() / (target[FIT:] - target[:FIT].mean(dim=0)).square().sum())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", choices=("lab", "switches", "target"))
    chosen = parser.parse_args().record
    config = asdict(CONFIG) | {"steps": STEPS, "every": EVERY, "momentum": MOMENTUM}
    if chosen == "lab":
        about = "The lab's small BYOL, one part switched off at a time: loss, spread, effective rank of z at the end."
        jobs = [{"switched": name, "seed": seed} for seed in range(10) for name in ONE_BY_ONE]
        runs, minutes = record_all("byol_lab", lab, jobs)
    elif chosen == "switches":
        about = "The lab's small BYOL with every setting of its switches: loss, spread, effective rank, points by step."
        runs, minutes = record_all("byol_switches", switches, [{"name": name, "seed": 0} for name in EVERY_RUN])
    else:
        about = "BYOL on shapes: kNN on validation of online and target encoder by epoch; spreads and similarities."
        config = asdict(RECIPE.config) | {"epochs": EPOCHS, "head": RECIPE.head, "settings": RECIPE.settings}
        jobs = [{"momentum": m, "seed": seed, "recipe": repr(RECIPE)} for seed in range(3) for m in MOMENTA]
        runs, minutes = record_all("byol_target", target, jobs)
    script = "benchmarks/record_byol_target.py"
    records.write(
        f"byol_{chosen}", room="lessons/byol", script=script, about=about, config=config, runs=runs, minutes=minutes
    )
