"""Records whether training from scratch catches up with time: detection with four times the steps. Lesson 06b.

    python benchmarks/record_dense_longer.py [--seeds 3]     record `dense_longer`

With 50 and 1,000 labelled scenes; all else as in record_dense.py.
"""

import argparse
from dataclasses import replace
from itertools import product

from record_dense import RATE, encoder_of, scenes, some_of
from runs import record_all

from cl_course.average_precision import average_precision
from cl_course.detect import find, train_detector
from cl_course.finetune import DENSE
from cl_course.running import records

COUNTS, STEPS = (1000, 50), 4 * DENSE.steps
WAYS = (("no pre-training", "scratch"), ("cards", "all"))


def run(start: str, layers: str, count: int, seed: int) -> dict:
    """Average precision on test after `STEPS`."""
    train, test, config = some_of(scenes("train"), count, seed), scenes("test"), replace(DENSE, steps=STEPS)
    trained = train_detector(encoder_of(start), train, RATE, layers=layers, seed=seed, config=config)
    measured = average_precision(find(trained, test), test)
    about = {"start": start, "layers": layers, "count": count, "steps": STEPS, "seed": seed}
    return about | {name: round(score, 4) for name, score in measured.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    settings = [
        {"start": start, "layers": layers, "count": count, "seed": seed}
        for seed, count, (start, layers) in product(seeds, COUNTS, WAYS)
    ]
    runs, minutes = record_all("dense longer", run, settings)
    records.write(
        "dense_longer",
        room="lessons/where_is_it",
        script="benchmarks/record_dense_longer.py",
        about=f"Average precision of boxes after {STEPS:,} steps, with 50 and 1,000 labelled scenes.",
        config={"rate": RATE, "steps": STEPS, "batch_size": DENSE.batch_size},
        runs=runs,
        minutes=minutes,
    )
