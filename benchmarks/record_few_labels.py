"""Records what labels are worth with a pre-trained encoder: lesson 06.

An encoder is judged in five ways, at 1, 10 and 100 % of the labels.

    python benchmarks/record_few_labels.py shapes      record `few_labels`
    python benchmarks/record_few_labels.py cifar10     10,000 images of CIFAR-10: record `few_labels_cifar10`

Everything is chosen on validation, and test is asked once. Learning rates are chosen with seed 0, for each way and
share, and kept for the other seeds; the number of neighbours and the strength of the linear probe with every seed.
The encoders are those of the results table: from build/encoders, or trained again.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import product

import torch
from record_results import IMAGES, features_of, matched
from runs import keep_encoder, kept_encoder, record_all

from cl_course.data import ImageSet, load
from cl_course.evaluate import embed, few_labels, knn_accuracy, linear_probe
from cl_course.finetune import FineTuneConfig, accuracy, choose_classifier
from cl_course.models import ResNet
from cl_course.running import records
from cl_course.train import pretrain

SHARES = (0.01, 0.1, 1.0)
SEEDS = range(3)
NEIGHBOURS = (1, 5, 20)  # from which validation chooses
TUNED = ("last", "all", "scratch")
# As many from scratch. With all labels of 8,000 images each is seen ten times, with 1 % of them 320 times.
STEPS = {0.01: 400, 0.1: 400, 1.0: 1200}
CONFIG = FineTuneConfig()

# The embedded set cut in two by class, for transfer to classes that pre-training has not seen.
OLD, NEW = "shapes, old classes", "shapes, new classes"
CLASSES = {OLD: range(5), NEW: range(5, 10)}


def images_of(dataset: str, split: str) -> ImageSet:
    """A data set, or some of its classes, renumbered from 0."""
    if dataset not in CLASSES:
        return load(dataset, split, limit=IMAGES[dataset] if split == "train" else None)
    kept, images = CLASSES[dataset], load("shapes", split)
    part = images.subset((images.labels >= kept.start) & (images.labels < kept.stop))
    return replace(part, labels=part.labels - kept.start, class_names=part.class_names[kept.start : kept.stop])


def make_encoder(row: str, dataset: str, seed: int) -> dict:
    """Train the encoder of a row of the results table and keep it.

    On half of the classes for twice the epochs, which is as many steps.
    """
    train = images_of(dataset, "train")
    chosen = matched("simclr", "shapes" if dataset in CLASSES else dataset, seed)
    if dataset in CLASSES:
        method = chosen.build(train)
        pretrain(method, train, replace(chosen.config, epochs=2 * chosen.config.epochs))
        encoder = method.encoder
    else:
        _, encoder = features_of(row, dataset, seed, train)
    return {"row": row, "seed": seed, "keeps": [keep_encoder(encoder, row, dataset, seed, {"encoder": chosen.encoder})]}


def make_missing(wanted: list[tuple[str, str]]) -> float:
    """Train what build/encoders lacks of the wanted (row, data set), with every seed: processor minutes."""
    missing = []
    for (row, dataset), seed in product(wanted, SEEDS):
        try:
            kept_encoder(row, dataset, seed)
        except FileNotFoundError:
            missing.append({"row": row, "dataset": dataset, "seed": seed})
    return record_all("encoder", make_encoder, missing)[1]


def run(row: str, source: str, target: str, share: float, how: str, seed: int, rates: list[float]) -> dict:
    """An encoder that has learned from `source`, judged on `target` with a share of its labels.

    `rates` are those to choose from where it is tuned.
    """
    train, val, test = (
        few_labels(images_of(target, "train"), share, seed),
        images_of(target, "val"),
        images_of(target, "test"),
    )
    encoder = kept_encoder(row, source, seed)
    measured = {
        "row": row,
        "source": source,
        "target": target,
        "share": share,
        "how": how,
        "seed": seed,
        "labels": len(train),
    }
    if how in TUNED:
        config = replace(CONFIG, steps=STEPS[share], learning_rates=tuple(rates))
        classifier, chosen, on_validation = choose_classifier(encoder, train, val, layers=how, seed=seed, config=config)
        on_test = accuracy(classifier, test)
    else:
        chosen, on_validation, on_test = frozen(encoder, train, val, test, how)
    return measured | {"chosen": chosen, "val": round(on_validation, 4), "accuracy": round(on_test, 4)}


def frozen(encoder: ResNet, train: ImageSet, val: ImageSet, test: ImageSet, how: str) -> tuple[object, float, float]:
    """What was chosen, accuracy on validation, accuracy on test."""
    h, val_h, test_h = (embed(encoder, images) for images in (train, val, test))
    if how == "linear probe":
        probe = linear_probe(h, train.labels, val_h, val.labels, test_h, test.labels)
        return None, probe.validation, probe.accuracy
    on_validation = [knn_accuracy(h, train.labels, val_h, val.labels, k) for k in NEIGHBOURS]
    best = int(torch.tensor(on_validation).argmax())
    return NEIGHBOURS[best], on_validation[best], knn_accuracy(h, train.labels, test_h, test.labels, NEIGHBOURS[best])


def with_all_seeds(name: str, job: Callable[..., dict], settings: list[dict]) -> tuple[list[dict], float]:
    """Seed 0 chooses each setting's learning rate, the others keep it: (runs, processor minutes)."""
    first, minutes = record_all(
        name, job, [setting | {"seed": 0, "rates": CONFIG.learning_rates} for setting in settings]
    )
    again = [
        setting | {"seed": seed, "rates": [one["chosen"]]}
        for setting, one in zip(settings, first)
        for seed in SEEDS[1:]
    ]
    rest, more = record_all(name, job, again)
    return first + rest, minutes + more


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=IMAGES)
    dataset = parser.parse_args().dataset
    spent = make_missing([(row, dataset) for row in ("random encoder", "SimCLR")])
    ways = [("SimCLR", how) for how in ("kNN", "linear probe", *TUNED)] + [
        ("random encoder", how) for how in ("kNN", "linear probe")
    ]
    settings = [
        {"row": row, "source": dataset, "target": dataset, "share": share, "how": how}
        for share in SHARES
        for row, how in ways
    ]
    runs, minutes = with_all_seeds("few_labels", run, settings)
    records.write(
        "few_labels" if dataset == "shapes" else f"few_labels_{dataset}",
        room="lessons/what_did_it_learn",
        script="benchmarks/record_few_labels.py",
        about=(
            f"Accuracy on the test images of {dataset} with 1, 10 and 100 % of the labels: "
            f"frozen features, fine-tuning, and from scratch."
        ),
        config=asdict(CONFIG)
        | {"steps": {str(share): steps for share, steps in STEPS.items()}, "neighbours": NEIGHBOURS},
        runs=runs,
        minutes=spent + minutes,
    )
