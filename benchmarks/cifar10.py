"""SimCLR on real CIFAR-10, 10,000 images, in eight minutes on two cores: kNN on test against raw pixels.

    CL_COURSE_DATA=FOLDER python benchmarks/cifar10.py [--seed 0]

The encoder sees 10,000 training images without labels; the vote asks the same 10,000 with theirs.
The curve on validation shows whether more epochs would help; test is asked once, at the end.
"""

import argparse
import sys
import time

import torch

from cl_course.augment import AugmentConfig
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.train import TrainConfig, pretrain

IMAGES, BAR, MINUTES = 10_000, 0.09, 8
CONFIG = TrainConfig(
    epochs=80,
    batch_size=128,
    learning_rate=4e-3,
    augment=AugmentConfig(crop=(0.25, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2),
)
WIDTH, TEMPERATURE = 16, 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    train, val, test = load("cifar10", "train", limit=IMAGES), load("cifar10", "val"), load("cifar10", "test")

    def vote(features, images) -> float:
        return knn_accuracy(features(train), train.labels, features(images), images.labels)

    torch.manual_seed(seed)
    encoder = small_resnet(WIDTH)
    method = SimCLR(encoder, projector(encoder.dim), TEMPERATURE)

    def watch(row: dict, method) -> None:
        if row["epoch"] % 10 == 0:
            accuracy = vote(lambda x: embed(encoder, x), val)
            print(f"epoch {row['epoch']}: loss {row['loss']:.3f}, kNN on validation {accuracy:.3f}", flush=True)

    start = time.process_time()
    history = pretrain(method, train, CONFIG, on_epoch=watch)
    pixels, learned = vote(lambda x: to_float(x.images).flatten(1), test), vote(lambda x: embed(encoder, x), test)
    core_minutes = (time.process_time() - start) / 60
    print(f"{history.seconds / 60:.1f} minutes of training ({core_minutes:.1f} core minutes with watching)")
    print(f"kNN on {len(test):,} test images: raw pixels {pixels:.3f}, SimCLR {learned:.3f}, that is")
    print(f"{100 * (learned - pixels):.1f} points more (bar: {100 * BAR:.0f}, in {MINUTES} minutes)")
    return int(learned - pixels < BAR or history.seconds > 60 * MINUTES)


if __name__ == "__main__":
    sys.exit(main())
