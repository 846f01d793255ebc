"""What is an encoder worth as a start? Fine-tuning: a linear classifier on a copy of it, with some or all layers.

The learning rate is chosen on validation; the test images are classified once, by the chosen classifier.
"""

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.augment import AugmentConfig, augment, horizontal_flip
from cl_course.data import ImageSet, shuffled_steps, to_float
from cl_course.distributed import in_words, on_device
from cl_course.evaluate import Result, embed
from cl_course.models import ResNet, stages_of
from cl_course.tensor_types import check_finite
from cl_course.values import instance, one_of, real, shown, whole

# What may be trained, and its name in a Result.
LAYERS = {"head": "the head", "last": "the last stage and the head", "all": "all layers"}
LAYERS["scratch"] = "all layers from scratch"


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune; the default suits the embedded set on two cores.

    Attributes:
        steps: optimiser steps (AdamW, decay 0.01), as many for few images as for many, so that few are seen more often.
            Recorded with 400 for 80 to 1,000 labels and 1,200 for 8,000 to 10,000 (benchmarks/record_few_labels.py).
        batch_size: images in a step; all of them where there are fewer.
        learning_rates: of the head, falling to 0 along a cosine; each is tried, and validation chooses.
        stage_factor: a stage's rate as a share of the next one's, in (0, 1]. Early stages hold general features and
            need the least change: 1 / 2.6 in ULMFiT (Howard & Ruder 2018, arXiv:1801.06146, sec. 3.2), 0.75 a block
            where MAE fine-tunes vision transformers (He et al. 2021, arXiv:2111.06377, App. A.1). From scratch it is 1.
        augment: of the training images; crop and flip alone, as SimCLR is fine-tuned (Chen et al. 2020, App. B.5).
    """

    steps: int = 400
    batch_size: int = 64
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    stage_factor: float = 1 / 2.6
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(jitter=0.0, grey=0.0))

    def __post_init__(self):
        rates = self.learning_rates if isinstance(self.learning_rates, tuple | list) else (self.learning_rates,)
        if not rates:
            raise ValueError("learning_rates must be one or more numbers, got none; 1e-3 to 1e-2 is usual")
        rates = tuple(real("learning_rates", rate, above=0) for rate in rates)
        size = whole("batch_size", self.batch_size, 2, advice="BatchNorm cannot normalise one image alone")
        factor = real("stage_factor", self.stage_factor, above=0, most=1, advice="layers='head' freezes all stages")
        values = {"steps": whole("steps", self.steps, 1), "batch_size": size, "stage_factor": factor}
        for name, value in (values | {"learning_rates": rates}).items():
            object.__setattr__(self, name, value)


# For tasks whose answers have places: no crop, colours as in pre-training, so that no way of training lacks them.
DENSE = FineTuneConfig(steps=300, batch_size=16, augment=AugmentConfig(crop=(1.0, 1.0)))


def fine_tune(
    encoder: ResNet, train: ImageSet, val: ImageSet, test: ImageSet, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = FineTuneConfig(),
) -> Result:
    """Accuracy on test of a linear classifier on a copy of the encoder, trained once a learning rate.

    Args:
        encoder: stays as it is; its device is where the copies are trained.
        train, val, test: labelled images, or a ValueError; validation chooses the rate.
        layers: as in `train_classifier`.
        seed: of the head, the order of the images, the augmentations and, from scratch, of all weights.
    """
    _check_sets(train=train, val=val, test=test)
    start = time.perf_counter()
    chosen, rate, on_validation = choose_classifier(encoder, train, val, layers=layers, seed=seed, config=config)
    return Result(
        score=accuracy(chosen, test), method="from scratch" if layers == "scratch" else "fine-tuning", split="test",
        seed=seed, labels=len(train), trained=f"{LAYERS[layers]}, rate {rate:g} chosen on validation",
        seconds=time.perf_counter() - start, validation=on_validation,
    )


def choose_classifier(
    encoder: ResNet, train: ImageSet, val: ImageSet, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = FineTuneConfig(),
) -> tuple[nn.Sequential, float, float]:
    """`train_classifier` once a learning rate; the best on validation: (classifier, its rate, accuracy there)."""
    _check_sets(train=train, val=val)
    tried = []
    for rate in config.learning_rates:
        classifier = train_classifier(encoder, train, rate, layers=layers, seed=seed, config=config)
        tried.append((classifier, rate, accuracy(classifier, val)))
    return max(tried, key=lambda one: one[2])


def train_classifier(
    encoder: ResNet, images: ImageSet, rate: float, *, layers: str = "all", seed: int = 0,
    config: FineTuneConfig = FineTuneConfig(),
) -> nn.Sequential:
    """A copy of the encoder and a linear head, trained with labels at one rate: images -> logits, in eval mode.

    BatchNorm is treated as its layer. Where weights learn, it normalises by the batch and updates its running
    statistics; where they are frozen, it uses those of the pre-training, in training as in testing.

    Args:
        images: labelled, of at least two classes. A class without images here is never predicted.
        rate: the head's learning rate at the start.
        layers: what learns: "head", the classifier alone; "last", also the encoder's last stage; "all"; or "scratch",
            which forgets the encoder's weights first and trains all layers at one rate.
    """
    if images.labels is None or len(images.labels.unique()) < 2:
        classes = "without labels" if images.labels is None else "of one"
        needed = "fine-tuning needs images of at least two classes"
        raise ValueError(f"{needed}, got {len(images)} {classes}; take more labelled images")
    device = next(encoder.parameters()).device
    pixels, labels = on_device(images.images, device), images.labels.to(device)

    def loss(classifier: nn.Module, batch: Tensor, generator: Generator) -> Tensor:
        views = augment(to_float(pixels[batch]), config.augment, generator)
        return F.cross_entropy(classifier(views), labels[batch])

    def with_head(tuned: ResNet) -> nn.Sequential:
        return nn.Sequential(tuned, nn.Linear(tuned.dim, int(images.labels.max()) + 1))

    return train_layers(encoder, with_head, loss, len(images), rate, layers=layers, seed=seed, config=config)


@in_words(smaller="take a smaller batch_size in its config, or another device", again="start again")
def train_layers(
    encoder: ResNet, with_head: Callable[[ResNet], nn.Module], loss: Callable[[nn.Module, Tensor, Generator], Tensor],
    n: int, rate: float, *, layers: str, seed: int, config: FineTuneConfig,
) -> nn.Module:
    """A copy of the encoder and a head for any task, trained at one rate, in eval mode, on the encoder's device.

    Args:
        with_head: the copy -> a network of two children, the copy and a new head.
        loss: (network, the batch's positions, generator of its augmentations) -> what is minimised.
        n: how many images are trained on.
        rate, layers, seed, config: as of `train_classifier`.
    """
    stages_of(encoder)  # what cannot be taken apart is refused here
    if layers != "scratch":
        check_finite("the encoder's weights", *encoder.state_dict().values())
    one_of("layers", layers, tuple(LAYERS))
    rate, seed = real("rate", rate, above=0), whole("seed", seed, 0)
    device = next(encoder.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's, where the weights are drawn
        tuned = copy.deepcopy(encoder).cpu()
        if layers == "scratch":
            for module in tuned.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        network = with_head(tuned).to(device)

    parts = learning_parts(network, layers)
    network.eval().requires_grad_(False)
    for part in parts:
        part.train().requires_grad_(True)
    factor = 1.0 if layers == "scratch" else config.stage_factor
    groups = [{"params": list(part.parameters()), "lr": rate * factor**depth} for depth, part in enumerate(parts)]
    optimizer = torch.optim.AdamW(groups, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.steps)
    generator = Generator().manual_seed(seed)
    for batch in shuffled_steps(n, config.batch_size, config.steps, generator):
        value = loss(network, batch.to(device), generator)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        schedule.step()
    if not value.isfinite():  # no error: of several rates, validation chooses another
        warnings.warn(f"at rate {rate:g} the training diverged: its last loss is {value.item():.3g}, and what this "
                      "network says means nothing; take a lower rate", stacklevel=3)
    return network.eval()


def learning_parts(network: nn.Module, layers: str) -> list[nn.Module]:
    """The parts that learn, from the output back to the input: the head, the stages, the stem."""
    encoder, head = network.children()
    return [head, *reversed(stages_of(encoder)), encoder.stem][: {"head": 1, "last": 2}.get(layers)]


def dense_views(images: Tensor, config: AugmentConfig, generator: Generator) -> tuple[Tensor, Tensor]:
    """Views for a task whose answers have places, and which of them are mirrored: the answers must be mirrored as well.

    Args:
        images: floats in [0, 1], (n, 3, h, w).
        config: as of `augment`, without a crop.

    Returns:
        The views (n, 3, h, w), and bool (n,) on the CPU.
    """
    if config.crop != (1.0, 1.0):
        raise ValueError(f"augment's crop moves what the boxes and masks say, got {config.crop}; pass crop=(1, 1)")
    mirrored = torch.rand(len(images), generator=generator) < config.flip
    views = horizontal_flip(images, mirrored.to(images.device))
    return augment(views, replace(config, flip=0.0), generator), mirrored


def _check_sets(**sets: ImageSet) -> None:
    """Raise a ValueError unless each set has labels, of the same classes."""
    for name, images in sets.items():
        if instance(name, images, ImageSet, "load it with cl_course.data.load").labels is None:
            raise ValueError(f"fine-tuning needs labels and {name} has none; load a set with classes")
        check_some(name, images)
    check_classes(**sets)


def check_some(name: str, images: ImageSet) -> None:
    """Raise a ValueError where a set has no image, before any training."""
    if not len(images):
        raise ValueError(f"{name} has no images; take a split with at least one")


def check_classes(**sets: ImageSet) -> None:
    """Raise a ValueError unless all sets that name their classes name the same ones in the same order."""
    named = {name: tuple(images.class_names) for name, images in sets.items() if images.class_names}
    first = next(iter(named), None)
    for name, classes in named.items():
        if classes != named[first]:
            raise ValueError(f"the class_names of {name} are {shown(classes)} and those of {first} are "
                             f"{shown(named[first])}; give all sets the same ones in the same order")


def accuracy(classifier: nn.Module, images: ImageSet) -> float:
    """The share of images whose largest logit is their class's, in [0, 1]."""
    _check_sets(images=images)
    return int((embed(classifier, images).argmax(dim=1) == images.labels).sum()) / len(images)
