"""Records the boxes that two detectors find in a few validation scenes, for the lab of lesson 06b.

    python benchmarks/record_found.py     record `found_boxes`

Both were trained with the first 200 training scenes: one from the shipped SimCLR encoder, one from scratch.
"""

import time
from dataclasses import asdict

import torch

from cl_course.average_precision import Found
from cl_course.data import load
from cl_course.detect import find, train_detector
from cl_course.finetune import DENSE
from cl_course.running import records
from cl_course.running.checkpoints import shipped

RATE, LABELLED, SHOWN, MOST = 1e-2, 200, 24, 10  # MOST: boxes of a scene that are kept
DETECTORS = {"fine-tuned": "all", "from scratch": "scratch"}


def written(found: Found) -> list[str]:
    """One line for each box: x1 y1 x2 y2 score class."""
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist())
    return [f"{' '.join(f'{side:.1f}' for side in box)} {score:.3f} {label}" for box, score, label in rows][:MOST]


if __name__ == "__main__":
    torch.set_num_threads(1)
    start = time.process_time()
    train, val = load("scenes", "train", limit=LABELLED), load("scenes", "val", limit=SHOWN)
    runs = []
    for name, layers in DETECTORS.items():
        detector = train_detector(shipped("simclr_shapes")[0], train, RATE, layers=layers)
        runs.append(
            {"detector": name, "layers": layers, "seed": 0, "scenes": [written(f) for f in find(detector, val)]}
        )
    records.write(
        "found_boxes",
        room="lessons/where_is_it",
        script="benchmarks/record_found.py",
        about=f"Boxes that two detectors find in the first {SHOWN} validation scenes, each x1 y1 x2 y2 score class.",
        config=asdict(DENSE) | {"rate": RATE, "labelled": LABELLED},
        runs=runs,
        minutes=(time.process_time() - start) / 60,
    )
