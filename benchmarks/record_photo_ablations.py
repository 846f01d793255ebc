"""Records on photos what lessons 02 to 05 vary on the drawn cards: lesson 08.

    CL_COURSE_DATA=FOLDER python benchmarks/record_photo_ablations.py

Temperature, augmentation, batch and queue, and projection head, on 10,000 images of CIFAR-10. Each axis changes one
thing of the quick recipe for photos, whose own run stands on every axis. Few labels on photos are the record
`few_labels_cifar10` (`record_few_labels.py cifar10`). kNN and linear accuracy on the 10,000 test images.
"""

from dataclasses import asdict, replace

import torch
from record_ablation import make_head
from runs import judge, record_all

from cl_course.data import load
from cl_course.evaluate import embed
from cl_course.methods import Method, MoCo, SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.recipes import PHOTOS, QUICK_PHOTOS, SHAPES
from cl_course.train import TrainConfig, pretrain

IMAGES, SEEDS = 10_000, range(3)
RECIPE = QUICK_PHOTOS["simclr"]
TEMPERATURE = RECIPE.settings["temperature"]
CONFIG = replace(RECIPE.config, epochs=10)
AUGMENTS = {
    "crop + flip": replace(PHOTOS, jitter=0, grey=0),
    "+ jitter": replace(PHOTOS, grey=0),
    "+ jitter + grey": PHOTOS,
    "no crop": replace(PHOTOS, crop=(1.0, 1.0)),
    "the cards' recipe": SHAPES,
}
# MoCo's queue of 1,024 and momentum are those of the course's recipe for photos.
QUEUE = QUICK_PHOTOS["moco"].settings
AXES = {
    "temperature": ("0.05", "0.1", "0.2", "0.5", "1"),
    "augmentation": tuple(AUGMENTS),
    "batch and queue": ("SimCLR, 32", "SimCLR, 128", "SimCLR, 512", "MoCo, 32 + 1,024"),
    "head": ("none", "linear", "mlp"),
}
BASE = {
    "temperature": f"{TEMPERATURE:g}",
    "augmentation": "+ jitter + grey",
    "batch and queue": "SimCLR, 128",
    "head": "mlp",
}


def of_batch(batch_size: int) -> TrainConfig:
    """The rate follows the square-root rule for Adam (Malladi et al. 2022, arXiv:2205.10287); the betas stay."""
    return replace(CONFIG, batch_size=batch_size, learning_rate=CONFIG.learning_rate * (batch_size / 128) ** 0.5)


def setting(axis: str, value: str) -> tuple[Method, TrainConfig]:
    """The recipe with one thing changed."""
    encoder = small_resnet()
    head = make_head(value, encoder.dim) if axis == "head" else projector(encoder.dim)
    temperature = float(value) if axis == "temperature" else TEMPERATURE
    config = replace(CONFIG, augment=AUGMENTS[value]) if axis == "augmentation" else CONFIG
    if axis == "batch and queue":
        config = of_batch(int(value.split(",")[1].split("+")[0]))
        if value.startswith("MoCo"):
            return MoCo(encoder, head, **QUEUE), config
    return SimCLR(encoder, head, temperature), config


def run(axis: str, value: str, seed: int) -> dict:
    torch.manual_seed(seed)
    method, config = setting(axis, value)
    train = load("cifar10", "train", limit=IMAGES)
    pretrain(method, train, replace(config, seed=seed))
    measured = judge(train, load("cifar10", "val"), load("cifar10", "test"), lambda x: embed(method.encoder, x))
    return {"axis": axis, "value": value, "seed": seed, "epochs": config.epochs, "images": IMAGES} | measured


if __name__ == "__main__":
    once = [("temperature", BASE["temperature"])]  # the recipe's own run, copied to the other axes below
    once += [(axis, value) for axis, values in AXES.items() for value in values if value != BASE[axis]]
    settings = [{"axis": axis, "value": value, "seed": seed} for axis, value in once for seed in SEEDS]
    runs, minutes = record_all("photo_ablation", run, settings)
    own = [one for one in runs if (one["axis"], one["value"]) == once[0]]
    others = [(axis, value) for axis, value in BASE.items() if axis != "temperature"]
    runs += [one | {"axis": axis, "value": value} for axis, value in others for one in own]
    order = [(axis, value, seed) for axis, values in AXES.items() for value in values for seed in SEEDS]
    runs.sort(key=lambda one: order.index((one["axis"], one["value"], one["seed"])))
    records.write(
        "photo_ablations",
        room="lessons/full_scale",
        script="benchmarks/record_photo_ablations.py",
        about="SimCLR on 10,000 photos of CIFAR-10 with one thing changed at a time: temperature, augmentation, batch "
        "and queue, projection head; kNN and linear accuracy on test.",
        config=asdict(CONFIG) | {"augments": {name: asdict(one) for name, one in AUGMENTS.items()}},
        runs=runs,
        minutes=minutes,
    )
