"""Records what pre-training is worth where the answer has a place: boxes and masks of scenes. Lesson 06b.

    python benchmarks/record_dense.py [--seeds 3] [--without-scenes]     record `dense`

Detection and segmentation with 50, 200 and 1,000 labelled scenes; the encoder frozen, fine-tuned, or trained from
scratch. It has random weights, or has learned by SimCLR from cards (`shapes`, one object each; as shipped) or from
the 4,000 scenes without their labels. Nothing is chosen here: see RATE. The test scenes are asked once. A seed is
another draw of the labelled scenes, another head and another order; there is one encoder of each kind.
"""

import argparse
from dataclasses import asdict, replace
from functools import cache
from itertools import product

import torch
from runs import keep_encoder, kept_encoder, record_all
from torch import nn

from cl_course.average_precision import average_precision
from cl_course.data import ImageSet, load
from cl_course.detect import find, train_detector
from cl_course.finetune import DENSE
from cl_course.running import records
from cl_course.running.checkpoints import shipped
from cl_course.running.recipes import recipe
from cl_course.segment import mask_iou, train_segmenter
from cl_course.train import pretrain

COUNTS = (50, 200, 1000)
# The head's. Of 3e-3 and 1e-2 the second was better on validation with the first 200 scenes, fine-tuned from cards (AP
# 0.43 and 0.51) and from scratch (0.13 and 0.18).
RATE = 1e-2
# What the encoder starts from, and what is trained; those that need no encoder of their own come first.
WAYS = (("cards", "all"), ("no pre-training", "scratch"), ("cards", "head"), ("random", "head"))
WAYS_ON_SCENES = (("scenes", "all"), ("scenes", "head"))
TASKS = ("detection", "segmentation")
STAGE = 2  # whose maps the masks are read from: 16 x 16 places
EPOCHS = 10  # of SimCLR on scenes: as many pixels as 20 epochs of cards
LOOKED_AT = 500  # scenes of test that are judged


@cache
def scenes(split: str) -> ImageSet:
    return load("scenes", split, limit=LOOKED_AT if split == "test" else None)


def on_scenes(seed: int) -> dict:
    """SimCLR with the quick recipe, on crops of whole scenes."""
    chosen = recipe("simclr", seed=seed)
    images = load("scenes", "train")
    method = chosen.build(images)
    pretrain(method, images, replace(chosen.config, epochs=EPOCHS))
    return {
        "seed": seed,
        "keeps": [keep_encoder(method.encoder, "SimCLR", "scenes", seed, {"encoder": chosen.encoder})],
    }


def encoder_of(start: str) -> nn.Module:
    if start == "scenes":
        return kept_encoder("SimCLR", "scenes", 0)
    return shipped("simclr_shapes" if start == "cards" else "random_shapes")[0]


def some_of(images: ImageSet, count: int, seed: int) -> ImageSet:
    """`count` scenes drawn by the seed; with the same seed a larger count holds all of a smaller one."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(order[:count])


def run(task: str, start: str, layers: str, count: int, seed: int) -> dict:
    """Trained with `count` labelled scenes, judged on test."""
    encoder, train, test = encoder_of(start), some_of(scenes("train"), count, seed), scenes("test")
    if task == "detection":
        trained = train_detector(encoder, train, RATE, layers=layers, seed=seed)
        measured = average_precision(find(trained, test), test)
    else:
        trained = train_segmenter(encoder, train, RATE, layers=layers, stage=STAGE, seed=seed)
        measured = {"IoU": mask_iou(trained, test)}
    about = {"task": task, "start": start, "layers": layers, "count": count, "seed": seed}
    return about | {name: round(score, 4) for name, score in measured.items()}


class Record:
    """The runs so far; the record is written after each stage, so that a stopped one has whole stages."""

    def __init__(self):
        self.runs, self.minutes = [], 0.0

    def add(self, ways: tuple[tuple[str, str], ...], seed: int) -> None:
        """Each task, way and number of scenes, with one seed."""
        keys = ("task", "start", "layers", "count", "seed")
        settings = [(task, *way, count, seed) for task, way, count in product(TASKS, ways, COUNTS)]
        runs, minutes = record_all("dense", run, [dict(zip(keys, one)) for one in settings])
        self.runs, self.minutes = self.runs + runs, self.minutes + minutes
        self.write()

    def write(self) -> None:
        test = scenes("test")
        records.write(
            "dense",
            room="lessons/where_is_it",
            script="benchmarks/record_dense.py",
            about=(
                "Average precision of boxes and IoU of object pixels on test scenes, with 50, 200 and 1,000 labelled "
                "scenes: encoders frozen and fine-tuned, and training from scratch."
            ),
            config=asdict(DENSE)
            | {"rate": RATE, "stage": STAGE, "judged on": LOOKED_AT}
            | {"objects": sum(map(len, test.objects)), "all object": round(test.masks.float().mean().item(), 4)},
            runs=self.runs,
            minutes=self.minutes,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--without-scenes", action="store_true", help="leave out the encoder that learns from scenes")
    given = parser.parse_args()
    record, seeds = Record(), range(given.seeds)
    for ways, seed in product((WAYS[:3], WAYS[3:]), seeds):
        record.add(ways, seed)
    if not given.without_scenes:
        record.minutes += record_all("dense encoder", on_scenes, [{"seed": 0}])[1]
        for seed in seeds:
            record.add(WAYS_ON_SCENES, seed)
