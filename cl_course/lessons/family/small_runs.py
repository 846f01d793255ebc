"""Lesson 11: runs so small that they take seconds, of each method whole and without what keeps it from collapsing."""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course.augment import two_views
from cl_course.data import load, shuffled_steps, to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.losses import byol_loss
from cl_course.methods import DINO, Method, SimSiam, build
from cl_course.models import small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.train import TrainConfig, train_step

STEPS, EVERY, CARDS, PROTOTYPES = 96, 8, 64, 16
SLOW = TrainConfig(batch_size=32, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4)
FAST = replace(SLOW, optimizer="adamw", learning_rate=3e-3, weight_decay=1e-2)
HEAD = {"hidden_dim": 64, "out_dim": 32}


@dataclass(frozen=True)
class Part:
    """A method of the family, whole or with one thing taken out.

    Attributes:
        without: what is taken out, in words; empty for the whole method.
        settings: the method's own that take it out.
    """

    method: str
    without: str = ""
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def config(self) -> TrainConfig:
        return {"simsiam": SLOW, "dino": replace(FAST, learning_rate=1e-3)}.get(self.method, FAST)


PARTS = (
    Part("simsiam"),
    Part("simsiam", "stop-gradient"),
    Part("barlow_twins", settings=(("redundancy_weight", 0.05),)),
    Part("barlow_twins", "redundancy term", (("redundancy_weight", 0.0),)),
    Part("vicreg"),
    Part("vicreg", "variance term", (("variance_weight", 0.0),)),
    Part("dino"),
    Part("dino", "centring", (("center_momentum", 1.0),)),
    Part("dino", "sharpening", (("teacher_temperature", 0.1),)),
)


class Unstopped(SimSiam):
    """SimSiam whose gradients reach the targets, too."""

    def loss(self, view1: Tensor, view2: Tensor) -> Tensor:
        z1, z2 = self.embeddings(view1, view2)
        p1, p2 = self.predictor(torch.cat([z1, z2])).chunk(2)
        return byol_loss(p1, z2) + byol_loss(p2, z1)


def whole_or_broken(part: Part, seed: int) -> Method:
    """The small method; torch's own random numbers stay where they were."""
    head = HEAD | {"simsiam": {"norm_output": True}, "dino": {"prototypes": PROTOTYPES}}.get(part.method, {})
    # So few steps teach the teacher little: sharper targets than the paper's, 0.04, make up for it.
    settings = {"momentum": 0.98, "teacher_temperature": 0.02} if part.method == "dino" else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        method = build(part.method, small_resnet(width=4), head, **settings | dict(part.settings))
    if part.without == "stop-gradient":
        method.__class__ = Unstopped
    return method


def entropies(targets: Tensor) -> tuple[float, float]:
    """In nats, of targets (n, K): the mean entropy of one, and the entropy of their mean."""
    return float(torch.special.entr(targets).sum(dim=1).mean()), float(torch.special.entr(targets.mean(dim=0)).sum())


def small_run(part: Part, seed: int = 0) -> dict[str, list]:
    """Train for STEPS steps and look every EVERY, on the same two views of CARDS cards.

    Returns:
        loss: of the batch at hand; spread, rank: of z; each one value a look. For DINO also own and all, the mean
        entropy of a card's target and the entropy of the mean target; scores, the teacher's of view 1, (looks, CARDS,
        PROTOTYPES); and means, the mean score of every step's batch, (STEPS, PROTOTYPES).
    """
    images, generator = load("shapes", "train", limit=512).images, Generator().manual_seed(seed)
    cards = two_views(to_float(load("shapes", "val", limit=CARDS).images), SLOW.augment, Generator().manual_seed(0))
    method, config = whole_or_broken(part, seed), part.config
    optimizer = make_optimizer(method, config.optimizer, config.weight_decay)
    run: dict[str, list] = {"loss": [], "spread": [], "rank": []}
    if isinstance(method, DINO):
        run |= {"own": [], "all": [], "scores": [], "means": []}
    for step, batch in enumerate(shuffled_steps(len(images), config.batch_size, STEPS + 1, generator)):
        look = step % EVERY == 0
        if look:
            with torch.no_grad():
                z = F.normalize(torch.cat(method.embeddings(*cards)), dim=1)
            run["spread"].append(spread(z))
            run["rank"].append(effective_rank(z))
            if isinstance(method, DINO):
                scores = method.teach(*cards)[:CARDS]
                own, of_all = entropies(((scores - method.center) / method.teacher_temperature).softmax(dim=1))
                run["own"].append(own)
                run["all"].append(of_all)
                run["scores"].append(scores.tolist())
        loss = float(train_step(method, images[batch], optimizer, config.learning_rate, config, generator))
        if look:
            run["loss"].append(loss)
        if isinstance(method, DINO) and step < STEPS:
            run["means"].append(method.new_scores.mean(dim=0).tolist())
    return run
