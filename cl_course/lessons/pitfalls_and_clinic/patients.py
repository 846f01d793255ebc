"""The clinic's patients: six faults from real reports, built into runs of this course's own code.

`benchmarks/record_clinic.py` records their health panels; `order_test` runs them again for a few steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor

from cl_course.data import ImageSet
from cl_course.diagnose import Health
from cl_course.losses import byol_loss
from cl_course.methods import Method
from cl_course.running.recipes import Recipe, recipe

# What a patient may have. Two are nobody's here.
FAULTS = {
    "rate": "the learning rate is that of another optimiser",
    "views": "view2 is the same picture as view1",
    "diagonal": "each view's similarity with itself is left among the candidates",
    "partners": "the partner is looked for in the wrong row",
    "drift": "the key encoder is never updated",
    "own view": "each prediction is compared with the target of its own view",
    "queue": "the queue is longer than the data set",
    "norm": "all embeddings are divided by one common length, not each by its own",
}
NUMBERS = {fault: number for number, fault in enumerate(FAULTS, start=1)}
PATIENTS = {"A": "partners", "B": "views", "C": "norm", "D": "drift", "E": "own view", "F": "rate"}
REPORTS = {
    "partners": "open-mmlab/mmselfsup#159",
    "views": "catalyst-team/catalyst#1278",
    "norm": "tensorflow/similarity#237",
    "drift": "ligerfotis/mvitac#2",
    "own view": "The-AI-Summer/byol-cifar10#1",
    "rate": "lucidrains/byol-pytorch#44",
}
HEALTHY = {"SimCLR": "simclr", "MoCo": "moco", "BYOL": "byol"}
OF_FAULT = {
    "partners": "simclr",
    "norm": "simclr",
    "views": "simclr",
    "drift": "moco",
    "own view": "byol",
    "rate": "byol",
}
EPOCHS = 5
LARS_RATE = 0.2  # BYOL's (sec. 3.3), here given to Adam


def contrast(z: Tensor, partner: Tensor, temperature: float) -> Tensor:
    """NT-Xent of 2n vectors as they come, each to find `partner`."""
    itself = torch.eye(len(z), dtype=torch.bool)
    return F.cross_entropy((z @ z.T / temperature).masked_fill(itself, -torch.inf), partner)


# Each takes the place of a method's own `loss` or `after_step`.
def wrong_partners(method: Method, view1: Tensor, view2: Tensor) -> Tensor:
    z = F.normalize(torch.cat(method.embeddings(view1, view2)), dim=1)
    neighbours = torch.arange(len(z)) ^ 1  # 1 0 3 2 ..., but the views lie as 0 1 2 ... 0 1 2 ...
    return contrast(z, neighbours, method.temperature)


def normalised_over_the_batch(method: Method, view1: Tensor, view2: Tensor) -> Tensor:
    z = torch.cat(method.embeddings(view1, view2))
    return contrast(z / z.norm(), torch.arange(len(z)).roll(len(view1)), method.temperature)


def one_view_twice(method: Method, view1: Tensor, view2: Tensor) -> Tensor:
    return type(method).loss(method, view1, view1)


def no_drift(method: Method) -> None:
    method.enqueue(method.new_keys)


def own_view(method: Method, view1: Tensor, view2: Tensor) -> Tensor:
    p1, p2 = method.predictor(torch.cat(method.embeddings(view1, view2))).chunk(2)
    target1, target2 = method.targets(view1, view2)
    return byol_loss(p1, target1) + byol_loss(p2, target2)


BROKEN: dict[str, tuple[str, Callable]] = {
    "partners": ("loss", wrong_partners),
    "norm": ("loss", normalised_over_the_batch),
    "views": ("loss", one_view_twice),
    "drift": ("after_step", no_drift),
    "own view": ("loss", own_view),
}


def prescribed(run: str, seed: int) -> Recipe:
    """How `run`, one of HEALTHY or of OF_FAULT, is trained."""
    chosen = recipe(HEALTHY.get(run) or OF_FAULT[run], seed=seed)
    if run == "rate":  # the report's BYOL has no fast predictor
        chosen = replace(
            chosen,
            settings=chosen.settings | {"predictor_rate": 1.0},
            config=replace(chosen.config, optimizer="adamw", learning_rate=LARS_RATE),
        )
    return replace(chosen, config=replace(chosen.config, epochs=EPOCHS))


def admit(run: str, seed: int, images: ImageSet) -> Method:
    """The method of `run` before its first step, with the run's fault built in."""
    method = prescribed(run, seed).build(images)
    if run in BROKEN:
        name, part = BROKEN[run]
        setattr(method, name, MethodType(part, method))
    return method


def sheet(runs: Sequence[Mapping], letter: str, seed: int = 0) -> tuple[Mapping, Mapping]:
    """A patient's recorded run, and a healthy one of the same method."""
    by_name = {run["run"]: run for run in runs if run["seed"] == seed}
    patient = by_name[PATIENTS[letter]]
    return patient, by_name[patient["method"]]


def health_of(run: Mapping) -> Health:
    """The last look at a recorded run."""
    last = run["rows"][-1]
    similarities = {pairs: torch.tensor(run[pairs]) for pairs in ("positive", "negative")}
    return Health(
        loss=last["loss"],
        chance=run["chance"],
        spread=last["spread"],
        effective_rank=last["effective_rank"],
        dim=run["dim"],
        knn=last["knn"],
        **similarities,
    )
