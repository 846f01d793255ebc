"""What to train with: for every method the quick recipe of two cores and the full one of a GPU, after the published ones.

`recipe` picks one, `plan` says before it starts what it will take and what to expect. The numbers stand in QUICK and FULL.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet
from cl_course.methods import METHODS, build
from cl_course.running import records
from cl_course.running.checkpoints import build_encoder
from cl_course.running.settings import PROFILES
from cl_course.train import TrainConfig

ALL_STEPS = "all"  # of BYOL's total_steps: as many as the run has


@dataclass(frozen=True)
class Recipe:
    """All that decides a run but the images.

    Attributes:
        method: "simclr", "moco" or "byol".
        encoder: as a card describes it, such as {"name": "small", "width": 16}.
        head: the projector's hidden_dim, out_dim, norm_output, where they are not its defaults.
        settings: the method's own, such as temperature; BYOL's total_steps may be "all": its momentum then rises over the run.
        config: how to train.
        expected: the accuracy to expect on test, and who measured it.
    """

    method: str
    encoder: dict[str, Any]
    head: dict[str, Any]
    settings: dict[str, Any]
    config: TrainConfig
    expected: str = ""

    def build(self, images: ImageSet, device: str | torch.device = "cpu") -> nn.Module:
        """The method on `device`, its weights drawn from the recipe's seed; torch's own random numbers stay where they were."""
        settings = dict(self.settings)
        if settings.get("total_steps") == ALL_STEPS:
            settings["total_steps"] = self.config.epochs * max(1, len(images) // self.config.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.config.seed)  # the CPU's, where all weights are drawn
            method = build(self.method, build_encoder({"encoder": self.encoder}), self.head, **settings)
        return method.to(device)


SMALL = {"name": "small", "width": 16}
SHAPES = AugmentConfig()
# Photos: there a hue says something, and a quarter of the area still shows the same thing.
PHOTOS = AugmentConfig(crop=(0.25, 1.0), brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2)

# Quick: the embedded set on two cores, about a minute of training.
QUICK = {
    "simclr": Recipe("simclr", SMALL, {}, {"temperature": 0.3}, TrainConfig()),
    # Few and fresh keys: over a longer queue the query can tell its key by its age while the key encoder still moves fast.
    "moco": Recipe("moco", SMALL, {}, {"queue_size": 1024, "momentum": 0.95, "temperature": 0.2, "symmetric": True}, TrainConfig()),
    "byol": Recipe(
        "byol",
        SMALL,
        {"hidden_dim": 512, "norm_output": True},
        {"momentum": 0.8, "predictor_rate": 20.0},
        TrainConfig(batch_size=64, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4),
    ),
}
# The same on photos; SimCLR's are those of benchmarks/cifar10.py, which trains four times as long.
QUICK_PHOTOS = {name: replace(one, config=replace(one.config, augment=PHOTOS)) for name, one in QUICK.items()}
QUICK_PHOTOS["simclr"] = Recipe("simclr", SMALL, {}, {"temperature": 0.2}, TrainConfig(learning_rate=4e-3, augment=PHOTOS))

# SimCLR's augmentation at half the colour strength and without blur, as its App. B.9 and lightly's benchmark have it for CIFAR-10.
CIFAR = replace(PHOTOS, crop=(0.08, 1.0))
STL = replace(CIFAR, blur=0.5)
STL_EPOCHS = 100  # of 104,500 images: somewhat more steps than 200 of CIFAR-10
RESNET18 = {"name": "resnet18", "stem": "cifar"}

# Full: lightly's CIFAR-10 benchmark (its docs/source/getting_started/benchmarks/cifar10_benchmark.py). SGD at 0.06 for 128 images and
# in proportion, decay 5e-4, a cosine, 200 epochs of batch 512; temperatures, heads, queue and momenta are lightly's as well. Ours are
# Nesterov's form, BatchNorm in every head, and SimCLR's ten epochs of warm-up (sec. 2.2).
_LIGHTLY = TrainConfig(epochs=200, batch_size=512, optimizer="sgd", learning_rate=0.24, warmup=0.05, weight_decay=5e-4, augment=CIFAR, precision="bfloat16")
FULL = {
    "simclr": Recipe("simclr", RESNET18, {"hidden_dim": 512}, {"temperature": 0.5}, _LIGHTLY),
    # lightly shuffles the keys and normalises both views in eighths, 64 images of 512, as MoCo on eight GPUs; our symmetric form takes
    # both views as one batch, hence 16 groups. Its queue is 4096 long, and 8192 for batches of 512.
    "moco": Recipe(
        "moco",
        RESNET18,
        {"hidden_dim": 512},
        {"queue_size": 8192, "momentum": 0.99, "temperature": 0.1, "key_norm": "shuffled", "norm_groups": 16, "symmetric": True},
        _LIGHTLY,
    ),
    # Our loss is a sum of two 2 - 2s, lightly's the mean of two -s: four times the gradient. A quarter of the rate and four times the
    # decay make the same steps. The momentum rises as in BYOL (sec. 3.3) and solo-learn; lightly's stays.
    "byol": Recipe(
        "byol",
        RESNET18,
        {"hidden_dim": 1024, "out_dim": 256},
        {"momentum": 0.99, "total_steps": ALL_STEPS},
        replace(_LIGHTLY, learning_rate=0.06, weight_decay=2e-3),
    ),
}

# kNN of lightly's two published tables, 2022 and 2023: ResNet-18, the best epoch on test, one run, all 50,000 images. Two points less,
# without that choice and with the 45,000 that validation leaves, would be no surprise.
PUBLISHED_KNN = {"simclr": (0.828, 0.848), "moco": (0.850, 0.847), "byol": (0.872, 0.868)}
PUBLISHED_STL = {
    "simclr": "linear 0.70 to 0.77 (ResNet-18: sthalles/SimCLR 0.703 after 40 epochs, Spijkervet/SimCLR 0.765 after 100)",
    "byol": "linear 0.70 or more (ResNet-18: sthalles/PyTorch-BYOL 0.701 after 40 epochs)",
}
RECORDED = {"shapes": "results", "cifar10": "results_cifar10"}  # what was measured here
UNMEASURED = "not measured: judge it against the raw pixels and a random encoder"


def recipe(method: str, profile: str = "quick", dataset: str = "shapes", seed: int = 0, *, side: int | None = None) -> Recipe:
    """The course's recipe.

    Args:
        method: "simclr", "moco" or "byol".
        profile: "quick" (the small encoder, about a minute on two cores) or "full" (ResNet-18, for a GPU).
        dataset: "shapes", "cifar10", "stl10", or a folder or .zip of images.
        seed: of the weights, the order of the images and the augmentations.
        side: pixels a side of the images, which decides ResNet-18's stem; None: 32 of shapes and CIFAR-10, 96 of all others.

    Raises:
        ValueError: an unknown method or profile.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}; there are {', '.join(PROFILES)}")
    if profile == "quick":
        chosen = (QUICK if dataset == "shapes" else QUICK_PHOTOS)[method]
        changes = {}
    else:
        chosen = FULL[method]
        small = side <= 64 if side else dataset in ("shapes", "cifar10")
        changes = {"augment": SHAPES if dataset == "shapes" else CIFAR if small else STL}
        changes |= {"epochs": STL_EPOCHS} if dataset == "stl10" else {}
        chosen = replace(chosen, encoder=RESNET18 | {"stem": "cifar" if small else "stl"})
    return replace(chosen, config=replace(chosen.config, seed=seed, **changes), expected=_expected(method, profile, dataset))


def _expected(method: str, profile: str, dataset: str) -> str:
    if profile == "quick" and dataset in RECORDED:
        record = _recorded(RECORDED[dataset])
        runs = [run for run in record["runs"] if run["row"] == METHODS[method].__name__]
        if runs:
            knn, linear = (f"{min(run[judge] for run in runs):.2f} to {max(run[judge] for run in runs):.2f}" for judge in ("knn", "linear"))
            return f"kNN {knn}, linear {linear} ({record['config']['images']:,} images, {len(runs)} seeds, benchmarks/record_results.py)"
    if (profile, dataset) == ("full", "cifar10"):
        published = PUBLISHED_KNN[method]
        return f"kNN {min(published) - 0.02:.2f} to {max(published):.2f} (lightly's benchmark: {published[0]:.3f} in 2022, {published[1]:.3f} in 2023)"
    if (profile, dataset) == ("full", "stl10"):
        return PUBLISHED_STL.get(method, UNMEASURED)
    return UNMEASURED


def _recorded(name: str) -> dict:
    try:
        return records.read(name)
    except ValueError:  # not recorded yet
        return {"runs": []}
