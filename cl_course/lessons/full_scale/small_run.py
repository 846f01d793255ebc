"""Lesson 08: MoCo on sixteen vectors, whose state is a dict, so that any part can be left out of a checkpoint.

It has all that a real run has: weights, a slow copy, a queue, an optimiser with momentum, random views in a random
order, and a learning rate that follows the epoch.
"""

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.losses import info_nce

EPOCHS, CUT, BATCH, RATE = 6, 3, 4, 0.4
NEEDED = {  # part of the state -> what happens without it
    "weights": "the network starts from other weights",
    "key weights": "the slow copy starts from other weights, so that all keys are strange to the queries",
    "queue": "the queue is filled with random keys again",
    "optimizer": "the optimiser starts again without its momenta",
    "generator": "images come in another order, and views are drawn anew",
    "epoch": "the run begins again at epoch 1, with the learning rate of epoch 1",
}
FOLLOWS = {  # what need not be kept -> why
    "gradients": "each step computes them anew",
    "learning rate": "it follows from the epoch",
    "loss": "it follows from the weights; the curve so far is worth keeping for you, not for the run",
    "images": "they are on disk already; a hash tells whether they are still the same",
}
IMAGES = torch.randn(16, 8, generator=Generator().manual_seed(5))


def fresh(seed: int) -> dict:
    """The state of a run that has not begun."""
    generator = Generator().manual_seed(seed)
    weights = torch.randn(8, 4, generator=generator) / 2
    return {
        "weights": weights,
        "key weights": weights.clone(),
        "queue": F.normalize(torch.randn(12, 4, generator=generator), dim=1),
        "optimizer": torch.zeros_like(weights),
        "generator": generator.get_state(),
        "epoch": 0,
    }


def run(state: dict, until: int = EPOCHS) -> tuple[dict, list[float]]:
    """The state at the end of epoch `until`, and the loss of each step on the way; the state given is not changed."""
    state, losses = dict(state), []
    generator = Generator()
    generator.set_state(state["generator"])
    while state["epoch"] < until:
        rate = RATE * (1 + math.cos(math.pi * state["epoch"] / EPOCHS)) / 2
        for batch in torch.randperm(len(IMAGES), generator=generator).split(BATCH):
            losses.append(_step(state, IMAGES[batch], rate, generator))
        state["epoch"] += 1
    return state | {"generator": generator.get_state()}, losses


def _step(state: dict, x: Tensor, rate: float, generator: Generator) -> float:
    view1, view2 = (x + 0.3 * torch.randn(x.shape, generator=generator) for _ in range(2))
    weights = state["weights"].clone().requires_grad_()
    keys = F.normalize(view2 @ state["key weights"], dim=1)
    loss = info_nce(view1 @ weights, keys, state["queue"], 0.2)
    (gradient,) = torch.autograd.grad(loss, weights)
    state["optimizer"] = 0.9 * state["optimizer"] + gradient
    state["weights"] = state["weights"] - rate * state["optimizer"]
    state["key weights"] = 0.8 * state["key weights"] + 0.2 * state["weights"]
    state["queue"] = torch.cat([state["queue"][len(keys) :], keys])
    return float(loss.detach())


def resumed(kept: Collection[str]) -> list[float]:
    """The losses after a cut at the end of epoch CUT: what is kept comes from the cut run, the rest is fresh."""
    cut, _ = run(fresh(seed=0), CUT)
    return run(fresh(seed=1) | {name: cut[name] for name in NEEDED if name in kept})[1]


def unbroken() -> list[float]:
    """The losses of the same epochs in a run that was not cut."""
    return run(run(fresh(seed=0), CUT)[0])[1]


def first_difference(kept: Collection[str]) -> tuple[int, float, float] | None:
    """(step after the cut, from 1; its loss; the unbroken run's), or None where all losses are the same."""
    theirs, ours = resumed(kept), unbroken()
    for step, (a, b) in enumerate(zip(theirs, ours), start=1):
        if a != b:
            return step, a, b
    return None if len(theirs) == len(ours) else (len(ours) + 1, theirs[len(ours)], math.nan)
