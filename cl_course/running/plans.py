"""What a run will take and what to expect of it, before it starts."""

from dataclasses import dataclass
from pathlib import Path

import torch

from cl_course.data import ImageSet
from cl_course.methods import METHODS
from cl_course.running.recipes import Recipe
from cl_course.train import estimate


@dataclass(frozen=True)
class Plan:
    """What a run will take; as text, a few lines.

    Attributes:
        weights: of the encoder.
        seconds: of training on this machine, from a few timed steps.
        resume: the checkpoint that the run will keep, if any.
    """

    recipe: Recipe
    images: ImageSet
    device: str
    weights: int
    seconds: float
    resume: Path | None = None

    def __str__(self) -> str:
        recipe, config, (n, _, h, w) = self.recipe, self.recipe.config, self.images.images.shape
        encoder = " ".join(f"{name} {value}" for name, value in recipe.encoder.items()).removeprefix("name ")
        settings = ", ".join(f"{name} {value}" for name, value in recipe.settings.items())
        steps = f"{n // config.batch_size} steps of {config.batch_size} images"
        shape = "" if h == w else " (h x w)"
        weights = f"{self.weights / 1e6:.1f} M weights"
        how = ", compiled" * config.compile + ", activations computed twice" * config.checkpointing
        labels = "with" if METHODS[recipe.method].uses_labels else "without"
        lines = {
            "data": f"{n:,} images of {h} x {w} pixels{shape} {labels} labels, {_room(self.images, self.device)}",
            "model": f"{METHODS[recipe.method].__name__} ({settings}); encoder {encoder}, {weights}",
            "training": f"{config.epochs} epochs of {steps}; {config.optimizer} at {config.learning_rate:g}",
            "precision": f"{config.precision}{how}, on {self.device}",
            "takes": f"about {duration(self.seconds)} here, judging by a few timed steps",
            "expect": recipe.expected,
        }
        if self.resume is not None:
            lines["keeps"] = f"{self.resume} after every epoch; after a stop, the same run goes on from there"
        return "\n".join(f"{name:<10} {text}" for name, text in lines.items())


def plan(recipe: Recipe, images: ImageSet, device: str | torch.device = "cpu", *, resume: Path | None = None) -> Plan:
    """What the recipe's run will take here; print it before you start.

    Builds the method and times a few steps of a copy; `recipe.build` afterwards gives the same weights.

    Args:
        resume: the checkpoint file that you will give to `pretrain`.

    Raises:
        ValueError: what `pretrain` would refuse, such as fewer images than a batch.
    """
    method = recipe.build(images, device)
    weights = sum(p.numel() for p in method.encoder.parameters())
    return Plan(recipe, images, str(device), weights, estimate(method, images, recipe.config), resume)


def duration(seconds: float) -> str:
    """In words: "40 seconds", "1.5 minutes", "2.5 hours"."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _room(images: ImageSet, device: str) -> str:
    """What the images take as one tensor on the device, and whether they fit."""
    taken = f"{images.images.nbytes / 1e6:,.0f} MB as one tensor"
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        if images.images.nbytes > free:
            return f"{taken}, but {device} has only {free / 1e6:,.0f} MB free: take fewer images"
    return taken
