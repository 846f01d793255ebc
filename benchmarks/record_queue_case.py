"""Records a search for a case where MoCo's queue beats SimCLR: small batches on 10,000 photos of CIFAR-10. Lesson 04.

    CL_COURSE_DATA=... nice -n 15 python benchmarks/record_queue_case.py

Both methods see the same images, views and epochs, in batches of the same size. Settings are compared by kNN on
validation, with seed 0. At batch 16 the best of each method is run with three other seeds; test is asked there, once.
"""

from dataclasses import asdict, replace

from runs import record_all

from cl_course.data import load
from cl_course.evaluate import embed, knn_accuracy
from cl_course.running import records
from cl_course.running.recipes import recipe
from cl_course.train import pretrain

IMAGES, CONFIRMED, SEEDS = 10_000, 16, (1, 2, 3)
EPOCHS = {16: 8, 8: 5}  # batch size -> epochs
SLOW = {"method": "moco", "queue_size": 1024, "momentum": 0.999, "temperature": 0.1}
TRIED = {  # batch size -> settings; a rate is that of batch 128 and goes with the root of the batch size
    16: (
        {"method": "simclr", "temperature": 0.1},
        {"method": "simclr", "temperature": 0.2},
        {"method": "simclr", "temperature": 0.3},
        {"method": "simclr", "temperature": 0.2, "rate": 2e-3},
        SLOW | {"momentum": 0.99},
        SLOW | {"momentum": 0.99, "temperature": 0.2},
        SLOW,
        SLOW | {"temperature": 0.2},
        SLOW | {"queue_size": 4096},
        SLOW | {"key_norm": "shuffled", "norm_groups": 2},
    ),
    8: ({"method": "simclr", "temperature": 0.1}, {"method": "simclr", "temperature": 0.2}, SLOW),
}


def run(method: str, seed: int, batch_size: int, rate: float = 4e-3, test: bool = False, **changed) -> dict:
    train, val = load("cifar10", "train", limit=IMAGES), load("cifar10", "val")
    one, epochs = recipe(method, dataset="cifar10", seed=seed), EPOCHS[batch_size]
    rate_here = rate * (batch_size / 128) ** 0.5
    config = replace(one.config, epochs=epochs, batch_size=batch_size, learning_rate=rate_here)
    one = replace(one, settings=one.settings | changed, config=config)
    model = one.build(train)
    history = pretrain(model, train, config)
    features = embed(model.encoder, train)
    asked = {"knn_val": val} | ({"knn": load("cifar10", "test")} if test else {})
    scores = {
        name: round(knn_accuracy(features, train.labels, embed(model.encoder, images), images.labels), 4)
        for name, images in asked.items()
    }
    settings = {"method": method, "seed": seed, "batch_size": batch_size, "epochs": epochs, "rate": rate} | one.settings
    return settings | {"loss": [round(loss, 4) for loss in history.column("loss")]} | scores


def best(runs: list[dict], method: str) -> int:
    """Index of the run of a method that validation prefers, at the batch size that is confirmed."""
    of = [i for i, run in enumerate(runs) if (run["method"], run["batch_size"]) == (method, CONFIRMED)]
    return max(of, key=lambda i: runs[i]["knn_val"])


if __name__ == "__main__":
    searched = [{"batch_size": size, "seed": 0} | setting for size, settings in TRIED.items() for setting in settings]
    runs, minutes = record_all("queue_case", run, searched)
    winners = [searched[best(runs, method)] for method in ("simclr", "moco")]
    again = [winner | {"seed": seed, "test": True} for seed in SEEDS for winner in winners]
    confirmed, more = record_all("queue_case", run, again)
    records.write(
        "queue_case",
        room="lessons/moco",
        script="benchmarks/record_queue_case.py",
        about="kNN of SimCLR and MoCo at small batches on 10,000 photos of CIFAR-10: a search by validation with seed "
        "0, and the best of each at batch 16 with three other seeds, on test.",
        config=asdict(recipe("moco", dataset="cifar10").config) | {"images": IMAGES, "epochs": EPOCHS},
        runs=runs + confirmed,
        minutes=minutes + more,
    )
