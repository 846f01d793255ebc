"""What to train with: for each method the quick recipe of two cores and the full one of a GPU, as published.

`recipe` picks one; `plans.plan` says before it starts what it will take and what to expect.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet
from cl_course.methods import METHODS, Method, build
from cl_course.running import records
from cl_course.running.checkpoints import build_encoder
from cl_course.running.settings import PROFILES
from cl_course.train import TrainConfig
from cl_course.values import one_of, whole

ALL_STEPS = "all"  # of BYOL's and DINO's total_steps: as many as the run has


@dataclass(frozen=True)
class Recipe:
    """All that decides a run except the images.

    Attributes:
        method: its name in `methods.METHODS`, such as "simclr".
        encoder: as a card describes it, such as {"name": "small", "width": 16}.
        head: the projector's hidden_dim, out_dim, norm_output, where they are not its defaults; DINO's prototypes.
        settings: the method's own, such as temperature; with total_steps "all" the momentum rises over the run.
        config: how to train.
        expected: the accuracy to expect on test, and who measured it.
    """

    method: str
    encoder: dict[str, Any]
    head: dict[str, Any]
    settings: dict[str, Any]
    config: TrainConfig
    expected: str = ""

    def build(self, images: ImageSet, device: str | torch.device = "cpu") -> Method:
        """The method on `device`, its weights drawn from the recipe's seed; torch's random state does not change."""
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
# MoCo has few and fresh keys: over a longer queue the query can tell its key by its age while the key encoder is fast.
_QUEUE = {"queue_size": 1024, "momentum": 0.95, "temperature": 0.2, "symmetric": True}
_SLOW = TrainConfig(batch_size=64, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4)
_WIDE = {"hidden_dim": 512, "norm_output": True}
_MANY = TrainConfig(batch_size=64, learning_rate=3e-3)  # more steps of fewer images
_PROTOTYPES = _WIDE | {"out_dim": 32, "prototypes": 256}
QUICK = {
    "simclr": Recipe("simclr", SMALL, {}, {"temperature": 0.3}, TrainConfig()),
    "moco": Recipe("moco", SMALL, {}, _QUEUE, TrainConfig()),
    "byol": Recipe("byol", SMALL, _WIDE, {"momentum": 0.8, "predictor_rate": 20.0}, _SLOW),
    # The cards of lesson 11, chosen by kNN on validation in runs of seed 0, of eight epochs (SimSiam's of twenty). Of
    # DINO some fifteen settings were tried, and all stayed below a random encoder: with this one its loss falls, but z
    # keeps few dimensions. At teacher temperatures of 0.04 the targets became uniform.
    "supcon": Recipe("supcon", SMALL, {}, {"temperature": 0.1}, TrainConfig()),
    "simsiam": Recipe("simsiam", SMALL, _WIDE, {"predictor_rate": 20.0}, replace(_MANY, learning_rate=1e-3)),
    "barlow_twins": Recipe("barlow_twins", SMALL, {"hidden_dim": 512}, {"redundancy_weight": 5e-3}, _MANY),
    "vicreg": Recipe("vicreg", SMALL, {"hidden_dim": 512}, {}, TrainConfig()),
    "dino": Recipe("dino", SMALL, _PROTOTYPES, {"momentum": 0.99, "teacher_temperature": 0.02},
                   replace(_MANY, learning_rate=1e-3)),
}
# The same on photos; SimCLR's are those of benchmarks/cifar10.py, which trains four times as long.
QUICK_PHOTOS = {name: replace(one, config=replace(one.config, augment=PHOTOS)) for name, one in QUICK.items()}
_FASTER = TrainConfig(learning_rate=4e-3, augment=PHOTOS)
QUICK_PHOTOS["simclr"] = Recipe("simclr", SMALL, {}, {"temperature": 0.2}, _FASTER)

# SimCLR's augmentation at half the colour strength and without blur, as its App. B.9 and lightly have it for CIFAR-10.
CIFAR = replace(PHOTOS, crop=(0.08, 1.0))
STL = replace(CIFAR, blur=0.5)
STL_EPOCHS = 100  # of 104,500 images: somewhat more steps than 200 of CIFAR-10
RESNET18 = {"name": "resnet18", "stem": "cifar"}
SMALL_SIDE = 64  # ResNet-18 has its CIFAR stem where no side is longer, the one for STL-10 elsewhere

# Full: lightly's CIFAR-10 benchmark (its docs/source/getting_started/benchmarks/cifar10_benchmark.py): SGD at 0.06 for
# 128 images and in proportion, decay 5e-4, a cosine, 200 epochs of batch 512; temperatures, heads, queue and momenta
# too. Ours are Nesterov's form, BatchNorm in every head, and SimCLR's ten epochs of warm-up (sec. 2.2).
_LIGHTLY = TrainConfig(epochs=200, batch_size=512, optimizer="sgd", learning_rate=0.24, warmup=0.05, weight_decay=5e-4,
                       augment=CIFAR, precision="bfloat16")
# lightly shuffles the keys and normalises both views in eighths, 64 images of 512, as MoCo on eight GPUs; our symmetric
# form takes both views as one batch, hence 16 groups. Its queue is 4096 long, and 8192 for batches of 512.
_SHUFFLED = {"queue_size": 8192, "momentum": 0.99, "temperature": 0.1, "key_norm": "shuffled", "norm_groups": 16,
             "symmetric": True}
# Our loss of BYOL is a sum of two 2 - 2s, lightly's the mean of two -s: four times the gradient. A quarter of the rate
# and four times the decay make the same steps. The momentum rises as in BYOL (sec. 3.3); lightly's does not.
_QUARTER = replace(_LIGHTLY, learning_rate=0.06, weight_decay=2e-3)
_BYOL_HEAD = {"hidden_dim": 1024, "out_dim": 256}
_TWO_LAYERS = {"hidden_dim": 2048, "out_dim": 2048}
FULL = {
    "simclr": Recipe("simclr", RESNET18, {"hidden_dim": 512}, {"temperature": 0.5}, _LIGHTLY),
    "moco": Recipe("moco", RESNET18, {"hidden_dim": 512}, _SHUFFLED, _LIGHTLY),
    "byol": Recipe("byol", RESNET18, _BYOL_HEAD, {"momentum": 0.99, "total_steps": ALL_STEPS}, _QUARTER),
    # Lightly's does not raise SimSiam's rate with the batch: 0.06 and 5e-4, here a quarter and four times of them.
    "simsiam": Recipe("simsiam", RESNET18, _TWO_LAYERS | {"norm_output": True}, {},
                      replace(_QUARTER, learning_rate=0.015)),
    "barlow_twins": Recipe("barlow_twins", RESNET18, _TWO_LAYERS, {"redundancy_weight": 5e-3}, _LIGHTLY),
    "dino": Recipe("dino", RESNET18, {"hidden_dim": 2048, "out_dim": 256, "prototypes": 2048}, {"momentum": 0.99},
                   _LIGHTLY),
    # Not in that benchmark: SimCLR's recipe at the temperature of SupCon's paper, and Barlow Twins' with the weights
    # that VICReg's authors run. Its loss has no bound and is steep: AdamW in place of their LARS.
    "supcon": Recipe("supcon", RESNET18, {"hidden_dim": 512}, {"temperature": 0.1}, _LIGHTLY),
    "vicreg": Recipe("vicreg", RESNET18, _TWO_LAYERS, {"variance_weight": 12.5},
                     replace(_LIGHTLY, optimizer="adamw", learning_rate=2e-3, weight_decay=1e-2)),
}

# kNN of lightly's two published tables, 2022 and 2023: ResNet-18, the best epoch on test, one run, all 50,000 images.
# Without that choice, and with the 45,000 images that validation leaves, expect up to two points less.
PUBLISHED_KNN = {
    "simclr": (0.828, 0.848), "moco": (0.850, 0.847), "byol": (0.872, 0.868), "simsiam": (0.814, 0.764),
    "barlow_twins": (0.827, 0.819), "dino": (0.862, 0.813),
}  # fmt: skip
PUBLISHED_STL = {
    "simclr": "linear 0.70 to 0.77 (ResNet-18: sthalles/SimCLR 0.703 after 40 epochs, "
    "Spijkervet/SimCLR 0.765 after 100)",
    "byol": "linear 0.70 or more (ResNet-18: sthalles/PyTorch-BYOL 0.701 after 40 epochs)",
}
RECORDED = {"shapes": ("results", "family"), "cifar10": ("results_cifar10",)}  # what was measured here
UNMEASURED = "not measured: judge it against the raw pixels and a random encoder"


def recipe(method: str, profile: str = "quick", dataset: str = "shapes", seed: int = 0, *,
           side: int | tuple[int, int] | None = None) -> Recipe:
    """The course's recipe.

    Args:
        method: its name in `methods.METHODS`, such as "simclr".
        profile: "quick" (the small encoder, about a minute on two cores) or "full" (ResNet-18, for a GPU).
        dataset: "shapes", "cifar10", "stl10", or a folder or .zip of images.
        seed: of the weights, the order of the images and the augmentations.
        side: pixels of the images, (h, w) or one number for both. ResNet-18 has its CIFAR stem where no side is longer
            than 64, and the one for STL-10 elsewhere. None: 32 for shapes and CIFAR-10, 96 for all others.

    Raises:
        ValueError: an unknown method or profile, or a side below 1.
    """
    one_of("method", method, tuple(METHODS))
    one_of("profile", profile, PROFILES)
    if profile == "quick":
        chosen = (QUICK if dataset == "shapes" else QUICK_PHOTOS)[method]
        changes = {}
    else:
        chosen = FULL[method]
        sides = side if isinstance(side, tuple) else (side or (32 if dataset in ("shapes", "cifar10") else 96),)
        small = max(whole("side", pixels, 1) for pixels in sides) <= SMALL_SIDE
        changes = {"augment": SHAPES if dataset == "shapes" else CIFAR if small else STL}
        changes |= {"epochs": STL_EPOCHS} if dataset == "stl10" else {}
        chosen = replace(chosen, encoder=RESNET18 | {"stem": "cifar" if small else "stl"})
    config = replace(chosen.config, seed=seed, **changes)
    return replace(chosen, config=config, expected=_expected(method, profile, dataset))


def _expected(method: str, profile: str, dataset: str) -> str:
    if profile == "quick" and dataset in RECORDED:
        for record in map(_recorded, RECORDED[dataset]):
            if runs := [run for run in record["runs"] if run["row"] == METHODS[method].__name__]:
                knn, linear = ([run[judge] for run in runs] for judge in ("knn", "linear"))
                how = f"{record['config']['images']:,} images, {len(runs)} seeds, {record['script']}"
                return f"kNN {min(knn):.2f} to {max(knn):.2f}, linear {min(linear):.2f} to {max(linear):.2f} ({how})"
    if (profile, dataset) == ("full", "cifar10") and method in PUBLISHED_KNN:
        of_2022, of_2023 = published = PUBLISHED_KNN[method]
        band = f"{min(published) - 0.02:.2f} to {max(published):.2f}"
        return f"kNN {band} (lightly's benchmark: {of_2022:.3f} in 2022, {of_2023:.3f} in 2023)"
    if (profile, dataset) == ("full", "stl10"):
        return PUBLISHED_STL.get(method, UNMEASURED)
    return UNMEASURED


def _recorded(name: str) -> dict:
    try:
        return records.read(name)
    except ValueError:  # not recorded yet
        return {"runs": []}
