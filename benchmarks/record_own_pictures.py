"""Records what augmentation and order of labelling are worth on the pictures of lesson 09, three seeds of each.

    python benchmarks/record_own_pictures.py

Every run pre-trains on one of the sets at hand, without labels. Then ten pictures for each class are labelled, in one
of two orders, and all other pictures are classified.
"""

from dataclasses import asdict, replace
from itertools import product

import torch
import torch.nn.functional as F
from runs import record_all

from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet, to_float
from cl_course.duplicates import near_duplicates
from cl_course.evaluate import embed, knn_accuracy, linear_probe
from cl_course.finetune import FineTuneConfig, fine_tune
from cl_course.lessons.own_pictures.at_hand import at_hand
from cl_course.lessons.own_pictures.choose import choose
from cl_course.lessons.own_pictures.look import epochs_for, everything, look
from cl_course.lessons.own_pictures.order import labelling_order
from cl_course.running import records
from cl_course.running.recipes import recipe
from cl_course.train import pretrain

SEEDS = (0, 1, 2)
# By the rule of the lesson, or as the course augments its cards; for the cards both are the same.
RUNS = (("digits", "chosen"), ("digits", "usual"), ("cards", "chosen"))
EACH, NEIGHBOURS = 10, 5  # labels for each class; neighbours that vote


def pictures(kind: str) -> ImageSet:
    """One of the sets, with its classes, and every picture once."""
    path, truth = at_hand(kind)
    images = everything(path, look(path).size)
    names = tuple(sorted(set(truth.values())))
    labels = torch.tensor([names.index(truth[name]) for name in images.names])
    images = ImageSet(images.images, labels, names, names=images.names)
    once = torch.ones(len(images), dtype=torch.bool)
    once[near_duplicates(images.images)[:, 0]] = False
    return images.subset(once)


def run(kind: str, augmented: str, seed: int) -> dict:
    images = pictures(kind)
    config = choose(to_float(images.images)).config if augmented == "chosen" else AugmentConfig()
    one = recipe("simclr", seed=seed)
    epochs, batch = epochs_for(images, one)
    training = replace(one.config, epochs=epochs, batch_size=batch, augment=config)
    one = replace(one, config=training)
    method = one.build(images)
    untrained = embed(one.build(images).encoder, images)
    pretrain(method, ImageSet(images.images), training)
    h = embed(method.encoder, images)
    few = EACH * len(images.class_names)
    generator = torch.Generator().manual_seed(seed)
    orders = {"typical first": labelling_order(h, few, seed), "at random": torch.randperm(len(h), generator=generator)}
    pixels = F.adaptive_avg_pool2d(to_float(images.images), 16).flatten(1)
    found = {"kind": kind, "augmented": augmented, "seed": seed, "epochs": epochs, "labels": few}
    for name, order in orders.items():
        found[name] = judged(h, images.labels, order, few)
    for name, features in {"random encoder": untrained, "raw pixels": pixels}.items():
        found[name] = judged(features, images.labels, orders["typical first"], few)
    if augmented == "chosen":
        train, val, test = parts(orders["typical first"], few)
        sets = (images.subset(index) for index in (train, val, test))
        settings = FineTuneConfig(steps=100, batch_size=32, augment=replace(config, jitter=0.0, grey=0.0))
        found["fine-tuned"] = {
            "accuracy": round(fine_tune(method.encoder, *sets, seed=seed, config=settings).accuracy, 4)
        }
    return found


def parts(order: torch.Tensor, few: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the labelled pictures four in five train and one in five chooses; all others are judged."""
    chooses = torch.arange(few) % 5 == 4
    return order[:few][~chooses], order[:few][chooses], order[few:]


def judged(h: torch.Tensor, y: torch.Tensor, order: torch.Tensor, few: int) -> dict:
    train, val, test = parts(order, few)
    linear = linear_probe(h[train], y[train], h[val], y[val], h[test], y[test])
    labelled = order[:few]
    return {
        "knn": round(knn_accuracy(h[labelled], y[labelled], h[test], y[test], k=NEIGHBOURS), 4),
        "accuracy": round(linear.accuracy, 4),
        "classes": len(y[labelled].unique()),
    }


if __name__ == "__main__":
    settings = [{"kind": kind, "augmented": how, "seed": seed} for (kind, how), seed in product(RUNS, SEEDS)]
    runs, minutes = record_all("own_pictures", run, settings)
    records.write(
        "own_pictures",
        room="lessons/own_pictures",
        script="benchmarks/record_own_pictures.py",
        about=(
            f"SimCLR on sets at hand of lesson 09, then {EACH} labels for each class: accuracy on all other "
            f"pictures of a linear probe, of {NEIGHBOURS} neighbours, and of fine-tuning."
        ),
        config={
            "chosen": {kind: asdict(choose(to_float(pictures(kind).images)).config) for kind in ("digits", "cards")}
        },
        runs=runs,
        minutes=minutes,
    )
