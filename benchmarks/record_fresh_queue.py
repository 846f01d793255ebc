"""Records how much of MoCo's loss on shapes is owed to the age of the keys in the queue: lesson 04.

    python benchmarks/record_fresh_queue.py

After each epoch the queries of validation images are compared with the queue as it is, and with as many keys of
training images that the key network makes now. The queries and their own keys are the same in both.
"""

from dataclasses import asdict

import torch
from record_moco import EPOCHS, RECIPE, chosen
from runs import record_all, shapes
from torch import Generator

from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.moco.fresh_queue import own_and_fresh
from cl_course.running import records
from cl_course.train import pretrain

SEEDS, WATCHED = range(3), 3  # epochs of six, whose learning rates they have
SETTINGS = (
    {},
    {"queue_size": 4096},
    {"batch_size": 32, "queue_size": 4096, "momentum": 0.99},
)


class _Enough(Exception):
    """The last epoch that is watched is over."""


def run(seed: int, **changed) -> dict:
    train, val, _ = shapes()
    one = chosen("moco", seed, EPOCHS, **changed)
    gallery = train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000])
    method, rows = one.build(train), []

    def watch(row: dict, method) -> None:
        own, fresh = own_and_fresh(method, train, val, one.config.batch_size, one.config.augment)
        features = embed(method.encoder, gallery), embed(method.encoder, val)
        knn = knn_accuracy(features[0], gallery.labels, features[1], val.labels)
        rows.append({"loss": row["loss"], "own": own, "fresh": fresh, "knn": knn})
        if len(rows) == WATCHED:
            raise _Enough

    try:
        pretrain(method, train, one.config, on_epoch=watch)
    except _Enough:
        pass
    curves = {name: [round(row[name], 4) for row in rows] for name in rows[0]}
    return {"seed": seed, "batch_size": one.config.batch_size} | one.settings | {"curves": curves}


if __name__ == "__main__":
    runs, minutes = record_all("fresh_queue", run, [{"seed": seed} | setting for seed in SEEDS for setting in SETTINGS])
    records.write(
        "fresh_queue",
        room="lessons/moco",
        script="benchmarks/record_fresh_queue.py",
        about="MoCo's loss on shapes against its own queue and against one of keys made now, after each of 3 epochs.",
        config=asdict(RECIPE.config) | {"epochs": EPOCHS, "watched": WATCHED, "settings": RECIPE.settings},
        runs=runs,
        minutes=minutes,
    )
