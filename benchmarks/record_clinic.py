"""Records the patients of lesson 07's clinic: short runs of deliberately broken code, and a healthy one of each method.

    python benchmarks/record_clinic.py

The faults are those of real reports (cl_course/lessons/pitfalls_and_clinic/check_clinic.py cites them).
Judged on validation, as a health panel is; test is not
asked.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from types import MethodType

import torch
import torch.nn.functional as F
from runs import record_all
from torch import Generator, Tensor, nn

from cl_course.data import load
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.losses import byol_loss
from cl_course.running import records
from cl_course.running.recipes import Recipe, recipe
from cl_course.train import pretrain

SEEDS = range(3)
EPOCHS = 5
LARS_RATE = 0.2  # BYOL's (sec. 3.3), here given to Adam
QUANTILES = 128  # kept of each heap of similarities
HEALTHY = {"SimCLR": "simclr", "MoCo": "moco", "BYOL": "byol"}
OF_FAULT = {
    "partners": "simclr",
    "norm": "simclr",
    "views": "simclr",
    "drift": "moco",
    "own view": "byol",
    "rate": "byol",
}


def contrast(z: Tensor, partner: Tensor, temperature: float) -> Tensor:
    """NT-Xent of 2n vectors as they come, each to find `partner`."""
    itself = torch.eye(len(z), dtype=torch.bool)
    return F.cross_entropy((z @ z.T / temperature).masked_fill(itself, -torch.inf), partner)


# Each takes the place of a method's own `loss` or `after_step`.
def wrong_partners(method: nn.Module, view1: Tensor, view2: Tensor) -> Tensor:
    z = F.normalize(torch.cat(method.embeddings(view1, view2)), dim=1)
    return contrast(
        z, torch.arange(len(z)) ^ 1, method.temperature
    )  # 1 0 3 2 ..., but the views lie as 0 1 2 ... 0 1 2 ...


def normalised_over_the_batch(method: nn.Module, view1: Tensor, view2: Tensor) -> Tensor:
    z = torch.cat(method.embeddings(view1, view2))
    return contrast(z / z.norm(), torch.arange(len(z)).roll(len(view1)), method.temperature)


def one_view_twice(method: nn.Module, view1: Tensor, view2: Tensor) -> Tensor:
    return type(method).loss(method, view1, view1)


def no_drift(method: nn.Module) -> None:
    method.enqueue(method.new_keys)


def own_view(method: nn.Module, view1: Tensor, view2: Tensor) -> Tensor:
    p1, p2 = method.predictor(torch.cat(method.embeddings(view1, view2))).chunk(2)
    target1, target2 = method.targets(view1, view2)
    return byol_loss(p1, target1) + byol_loss(p2, target2)


BROKEN: dict[str, tuple[str, Callable]] = {
    "partners": ("loss", wrong_partners),
    "norm": ("loss", normalised_over_the_batch),
    "views": ("loss", one_view_twice),
    "drift": ("after_step", no_drift),
    "own view": ("loss", own_view),
}


def prescribed(run: str, seed: int) -> Recipe:
    chosen = recipe(HEALTHY.get(run) or OF_FAULT[run], seed=seed)
    if run == "rate":  # the report's BYOL has no fast predictor
        chosen = replace(
            chosen,
            settings=chosen.settings | {"predictor_rate": 1.0},
            config=replace(chosen.config, optimizer="adamw", learning_rate=LARS_RATE),
        )
    return replace(chosen, config=replace(chosen.config, epochs=EPOCHS))


def patient(run: str, seed: int) -> dict:
    """`run`: one of HEALTHY or of OF_FAULT."""
    train, val = load("shapes", "train"), load("shapes", "val")
    gallery = train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000])
    chosen = prescribed(run, seed)
    method = chosen.build(train)
    if run in BROKEN:
        name, part = BROKEN[run]
        setattr(method, name, MethodType(part, method))
    panel = HealthPanel(gallery, val, chosen.config, live=False)
    history = pretrain(method, train, chosen.config, on_epoch=panel)
    columns = ("epoch", "loss", "knn", "spread", "effective_rank")
    marks = torch.linspace(0, 1, QUANTILES)
    heaps = {
        name: torch.quantile(getattr(panel.now, name).double(), marks.double()) for name in ("positive", "negative")
    }
    return {
        "run": run,
        "seed": seed,
        "method": type(method).__name__,
        "chance": round(panel.now.chance, 4),
        "dim": panel.now.dim,
        "rows": [{name: round(row[name], 4) for name in columns} for row in history.rows],
    } | {name: [round(float(x), 3) for x in values] for name, values in heaps.items()}


if __name__ == "__main__":
    names = (*HEALTHY, *OF_FAULT)
    runs, minutes = record_all("clinic", patient, [{"run": run, "seed": seed} for seed in SEEDS for run in names])
    records.write(
        "clinic",
        room="lessons/pitfalls_and_clinic",
        script="benchmarks/record_clinic.py",
        about=(
            "Five epochs of SimCLR, MoCo and BYOL on shapes, healthy and with one fault each: "
            "what the health panel shows, on validation."
        ),
        config={run: asdict(prescribed(run, 0)) for run in names},
        runs=runs,
        minutes=minutes,
    )
