"""Records the patients of lesson 07's clinic: short runs of deliberately broken code, and a healthy one of each method.

    python benchmarks/record_clinic.py

The faults are those of real reports (cl_course/lessons/pitfalls_and_clinic/patients.py has their code and cites them).
Judged on validation, as a health panel is; test is not asked.
"""

from dataclasses import asdict

import torch
from runs import record_all
from torch import Generator

from cl_course.data import load
from cl_course.lessons.pitfalls_and_clinic.patients import HEALTHY, OF_FAULT, admit, prescribed
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.running import records
from cl_course.train import pretrain

SEEDS = range(3)
QUANTILES = 128  # kept of each heap of similarities


def patient(run: str, seed: int) -> dict:
    """`run`: one of HEALTHY or of OF_FAULT."""
    train, val = load("shapes", "train"), load("shapes", "val")
    gallery = train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000])
    chosen = prescribed(run, seed)
    method = admit(run, seed, train)
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
