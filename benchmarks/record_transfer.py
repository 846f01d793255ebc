"""Records transfer: to classes and data sets that pre-training has not seen, and to where the object is. Lesson 06.

    python benchmarks/record_transfer.py classes         record `transfer_classes`
    python benchmarks/record_transfer.py datasets        record `transfer_datasets`
    python benchmarks/record_transfer.py segmentation    record `segmentation`

Choices as in record_few_labels.py, whose runs are taken over where they are the same.
"""

import argparse
from itertools import product

from record_few_labels import CLASSES, NEW, OLD, SEEDS, images_of, make_missing, run, with_all_seeds
from runs import kept_encoder, record_all

from cl_course.evaluate import few_labels
from cl_course.running import records
from cl_course.segment import iou, segmentation_head

FROZEN, ALL = ("kNN", "linear probe"), ("kNN", "linear probe", "all")
RANDOM, SIMCLR = ("random encoder", "shapes"), ("SimCLR", "shapes")
# Record -> (row, what its encoder has learned from, target, share of the target's labels, ways to judge it).
TRANSFER = {
    "classes": [
        (row, source, NEW, share, ways)
        for share in (0.01, 0.1)
        for row, source, ways in ((*RANDOM, FROZEN), ("SimCLR", OLD, (*ALL, "scratch")), (*SIMCLR, ALL))
    ],
    "datasets": [
        (row, source, target, 0.1, ways)
        for target, other in (("cifar10", "shapes"), ("shapes", "cifar10"))
        for row, source, ways in (
            ("random encoder", target, FROZEN),
            ("SimCLR", other, ALL),
            ("SimCLR", target, (*ALL, "scratch")),
        )
    ],
}
ABOUT = {
    "classes": (
        "Accuracy on five classes of shapes, of an encoder that has seen the other five, "
        "against one that has seen all ten, a random one and no pre-training."
    ),
    "datasets": (
        "Accuracy with a tenth of the labels on CIFAR-10 and on shapes, of an encoder that has learned from the other."
    ),
}
MASKED = 0.1  # share of the embedded set's training images whose masks are used
LOOKED_AT = 1000  # images of validation and of test that the heads are judged on: a million pixels


def segment(row: str, stage: int, seed: int) -> dict:
    """A 1x1 head on the frozen maps of one stage, and what calling every pixel object would give."""
    train, val, test = (images_of("shapes", split) for split in ("train", "val", "test"))
    train, val, test = few_labels(train, MASKED, seed), val.subset(slice(LOOKED_AT)), test.subset(slice(LOOKED_AT))
    result = segmentation_head(kept_encoder(row, "shapes", seed), train, val, test, stage=stage, seed=seed)
    everything = iou(test.masks | True, test.masks)
    return {
        "row": row,
        "stage": stage,
        "seed": seed,
        "masks": len(train),
        "val": round(result.validation, 4),
        "iou": round(result.score, 4),
        "everything": round(everything, 4),
    }


def record_transfer(name: str) -> None:
    chosen = TRANSFER[name]
    spent = make_missing(list(dict.fromkeys((row, source) for row, source, *_ in chosen)))
    keys = ("row", "source", "target", "share", "how")
    runs, minutes = with_all_seeds(
        "few_labels", run, [dict(zip(keys, (*setting, how))) for *setting, ways in chosen for how in ways]
    )
    config = {"classes": {part: [min(kept), max(kept)] for part, kept in CLASSES.items()}} if name == "classes" else {}
    records.write(
        f"transfer_{name}",
        room="lessons/what_did_it_learn",
        script="benchmarks/record_transfer.py",
        about=ABOUT[name],
        config=config,
        runs=runs,
        minutes=spent + minutes,
    )


def record_segmentation() -> None:
    rows = ("random encoder", "SimCLR", "supervised")
    spent = make_missing([(row, "shapes") for row in rows])
    runs, minutes = record_all(
        "segmentation",
        segment,
        [{"row": row, "stage": stage, "seed": seed} for row, stage, seed in product(rows, (1, 2, 3, 4), SEEDS)],
    )
    records.write(
        "segmentation",
        room="lessons/what_did_it_learn",
        script="benchmarks/record_transfer.py",
        about=(
            "IoU of the object's pixels on test images of shapes: "
            "a 1x1 head on the frozen maps of each stage of three encoders."
        ),
        config={"masked": MASKED, "judged on": LOOKED_AT},
        runs=runs,
        minutes=spent + minutes,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", choices=(*TRANSFER, "segmentation"))
    name = parser.parse_args().record
    record_segmentation() if name == "segmentation" else record_transfer(name)
