"""Records the family of lesson 11: SupCon, SimSiam, Barlow Twins, VICReg and DINO.

    python benchmarks/record_family.py table       as `record_results.py`, for these methods: record `family`
    python benchmarks/record_family.py collapse    small runs, whole and without a part: `family_collapse`
    python benchmarks/record_family.py targets     a small DINO's scores, for the target lab: `family_targets`

Optimiser, rate and head of each method are those of its quick recipe; the table states them.
"""

import argparse
import time
from dataclasses import asdict

import torch
from record_results import EPOCHS, matched
from runs import judge, record_all, shapes

from cl_course.augment import two_views
from cl_course.data import to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.evaluate import embed
from cl_course.lessons.family.lab_targets import CARDS, packed
from cl_course.lessons.family.small_runs import EVERY, PARTS, PROTOTYPES, STEPS, Part, small_run
from cl_course.methods import METHODS
from cl_course.running import records
from cl_course.train import pretrain

FAMILY = ("supcon", "simsiam", "barlow_twins", "vicreg", "dino")
SEEDS = range(3)
CURVES = ("loss", "spread", "rank", "own", "all")  # the last two of DINO alone


def row(method: str, seed: int, recipe: str) -> dict:
    """`recipe` is not used: it tells a kept run of this recipe from one of another."""
    train, val, test = shapes()
    chosen = matched(method, "shapes", seed)
    trained = chosen.build(train)
    start = time.process_time()
    history = pretrain(trained, train, chosen.config)
    minutes = round((time.process_time() - start) / 60, 2)
    views = two_views(to_float(val.images[:512]), chosen.config.augment, torch.Generator().manual_seed(0))
    trained.eval()
    with torch.no_grad():
        z = torch.cat(trained.embeddings(*views))
    return (
        {"row": METHODS[method].__name__, "seed": seed}
        | judge(train, val, test, lambda images: embed(trained.encoder, images), probes=True)
        | {"spread": round(spread(z), 4), "rank_z": round(effective_rank(z), 2)}
        | {"rank_h": round(effective_rank(embed(trained.encoder, val)), 2)}
        | {"loss": [round(loss, 4) for loss in history.column("loss")]}
        | {"labels": len(train) if trained.uses_labels else 0, "cpu_minutes": minutes}
    )


def collapse(place: int, seed: int) -> dict:
    part = PARTS[place]
    run = small_run(part, seed)
    curves = {name: [round(value, 4) for value in run[name]] for name in CURVES if name in run}
    return {"row": METHODS[part.method].__name__, "without": part.without, "seed": seed, "curves": curves}


def targets(seed: int) -> dict:
    run = small_run(Part("dino"), seed)
    scores = torch.tensor(run["scores"])[:, :CARDS]
    return {
        "seed": seed,
        "looks": len(scores),
        "scores": packed(scores.flatten()),
        "means": packed(torch.tensor(run["means"]).flatten()),
    }


def record_table() -> None:
    chosen = {method: matched(method, "shapes", 0) for method in FAMILY}
    jobs = [{"method": method, "seed": seed, "recipe": repr(chosen[method])} for seed in SEEDS for method in FAMILY]
    runs, minutes = record_all("family", row, jobs)
    described = {
        METHODS[method].__name__: asdict(one.config) | {"head": one.head} | one.settings
        for method, one in chosen.items()
    }
    records.write(
        "family",
        room="lessons/family",
        script="benchmarks/record_family.py",
        about="kNN and linear accuracy on the test images of shapes, under the same encoder, images, epochs and views; "
        "spread and effective rank on validation.",
        config={"epochs": EPOCHS["shapes"], "images": len(shapes()[0])} | described,
        runs=sorted(runs, key=lambda run: FAMILY.index(next(m for m in FAMILY if METHODS[m].__name__ == run["row"]))),
        minutes=minutes,
    )


def record_collapse() -> None:
    jobs = [{"place": place, "seed": seed} for seed in SEEDS for place in range(len(PARTS))]
    runs, minutes = record_all("family_collapse", collapse, jobs)
    records.write(
        "family_collapse",
        room="lessons/family",
        script="benchmarks/record_family.py",
        about="Small runs of each method, whole and without one part: loss, spread and effective rank of z.",
        config={"steps": STEPS, "every": EVERY, "parts": [asdict(part) for part in PARTS]},
        runs=runs,
        minutes=minutes,
    )


def record_targets() -> None:
    runs, minutes = record_all("family_targets", targets, [{"seed": 0}])
    records.write(
        "family_targets",
        room="lessons/family",
        script="benchmarks/record_family.py",
        about="Scores of a small DINO's teacher on cards, and the mean score of every step's batch.",
        config={"steps": STEPS, "every": EVERY, "cards": CARDS, "prototypes": PROTOTYPES},
        runs=runs,
        minutes=minutes,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", choices=("table", "collapse", "targets"))
    {"table": record_table, "collapse": record_collapse, "targets": record_targets}[parser.parse_args().record]()
