"""Collapse lab: a BYOL so small that it trains in two seconds, and switches for its parts.

A broken BYOL is no setting of the method: it is made here, by taking parts out of a whole one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from cl_course.augment import two_views
from cl_course.data import load, shuffled_steps, to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.lessons.byol.collapse_figure import CollapsePicture, ends_figure
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.show import canvas, png
from cl_course.methods import BYOL
from cl_course.models import predictor, projector, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.running import records
from cl_course.train import TrainConfig, train_step

TARGETS = ("slow", "copied", "frozen")
DIM, MOMENTUM, STEPS, EVERY, CARDS = 32, 0.9, 80, 2, 48
CONFIG = TrainConfig(batch_size=64, optimizer="sgd", learning_rate=0.05, weight_decay=5e-4)


@dataclass(frozen=True)
class Switches:
    """What a BYOL consists of.

    Attributes:
        predictor: off, the embeddings themselves are held against the targets.
        stop_gradient: off, the targets are the online network's own embeddings, and the gradient flows into them.
        target: "slow" keeps the method's momentum; "copied" is momentum 0 (SimSiam), "frozen" momentum 1.
        batch_norm: of projector and predictor; the encoder keeps its own.
    """

    predictor: bool = True
    stop_gradient: bool = True
    target: str = "slow"
    batch_norm: bool = True

    def __post_init__(self):
        if self.target not in TARGETS:
            raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {self.target!r}")

    def __str__(self) -> str:
        parts = (("predictor", self.predictor), ("stop-gradient", self.stop_gradient), ("BatchNorm", self.batch_norm))
        off = [name for name, on in parts if not on]
        target = f"Target {self.target}" if self.stop_gradient else "Target never asked"
        return f"{target}, {' and '.join(off) + ' off' if off else 'all on'}"


# One change at a time, as the lesson and its record have them.
ONE_BY_ONE = {
    "all on": Switches(),
    "no predictor": Switches(predictor=False),
    "no stop-gradient": Switches(stop_gradient=False),
    "target copied": Switches(target="copied"),
    "target frozen": Switches(target="frozen"),
    "no BatchNorm": Switches(batch_norm=False),
}


def take_apart(method: BYOL, switches: Switches) -> BYOL:
    """Take out of a method, in place, what is switched off."""
    if not switches.batch_norm:
        for head in (method.projector, method.target_projector, method.predictor):
            _without_batch_norm(head)
    if not switches.predictor:
        method.predictor = nn.Identity()
    if not switches.stop_gradient:
        method.targets = method.embeddings  # the online network's own, and their gradient with them
    method.start_momentum = {"copied": 0.0, "frozen": 1.0}.get(switches.target, method.start_momentum)
    return method


def _without_batch_norm(head: nn.Sequential) -> None:
    for place, layer in enumerate(head):
        if isinstance(layer, nn.BatchNorm1d):
            head[place] = nn.Identity()


@dataclass(frozen=True, eq=False)
class SmallRun:
    """A run, looked at every EVERY steps on the same two views of CARDS cards.

    Attributes:
        z: embeddings of length 1, (looks, 2, cards, DIM), with BatchNorm in training mode, as the loss sees them.
        loss: of the batch at hand; spread, rank: of z, its effective rank in [1, DIM]; each (looks,).
    """

    z: Tensor
    loss: Tensor
    spread: Tensor
    rank: Tensor

    def flat(self, look: int = -1) -> Tensor:
        """z in the two directions in which there is most of it, (2, cards, 2), within the unit circle.

        One point for all lies at (1, 0): the first direction is turned towards the mean.
        """
        z = self.z[look].flatten(0, 1)
        across = torch.linalg.svd(z, full_matrices=False).Vh[:2]
        flat = z @ across.T
        return (flat * torch.where(flat.mean(dim=0) < 0, -1.0, 1.0)).unflatten(0, (2, CARDS))


@cache
def small_run(switches: Switches = Switches(), seed: int = 0) -> SmallRun:
    """Train a small BYOL for STEPS steps; torch's own random numbers stay where they were."""
    images, generator = load("shapes", "train", limit=512).images, Generator().manual_seed(seed)
    cards = two_views(to_float(load("shapes", "val", limit=CARDS).images), CONFIG.augment, Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = small_resnet(width=4)
        method = take_apart(
            BYOL(encoder, projector(encoder.dim, 64, DIM), predictor(DIM, 64), momentum=MOMENTUM), switches
        )
    optimizer = make_optimizer(method, CONFIG.optimizer, CONFIG.weight_decay)
    looks, losses = [], []
    for step, batch in enumerate(shuffled_steps(len(images), CONFIG.batch_size, STEPS + 1, generator)):
        if step % EVERY == 0:
            with torch.no_grad():
                looks.append(F.normalize(torch.cat(method.embeddings(*cards)), dim=1))
        losses.append(train_step(method, images[batch], optimizer, CONFIG.learning_rate, CONFIG, generator))
    measured = torch.tensor([[spread(z), effective_rank(z)] for z in looks])
    return SmallRun(torch.stack(looks).unflatten(1, (2, CARDS)), torch.stack(losses)[::EVERY], *measured.T)


def verdict(path: SmallRun, look: int = -1) -> str:
    """One word and its reason."""
    if path.spread[look] < 0.1:
        return (
            "Collapsed: every view of every card is at one point, and the loss takes it for success."
            if path.loss[look] < 0.1
            else "Collapsed: every view of every card is at one point."
        )
    return "Apart: different cards are at different points."


def sentence(switches: Switches, path: SmallRun, step: int = STEPS) -> str:
    """The picture in words, beside it and for those who cannot see it."""
    look = step // EVERY
    return (
        f"{switches}; step {step}: loss {path.loss[look]:.2f} (4: knows nothing, 0: predicts perfectly), "
        f"spread {path.spread[look]:.2f} of 1, effective rank {path.rank[look]:.1f} of {DIM}. {verdict(path, look)}"
    )


def _show(picture: CollapsePicture, switches: Switches, path: SmallRun, step: int) -> Figure:
    return picture.update(
        path.flat(step // EVERY).numpy(),
        path.loss.numpy(),
        path.spread.numpy(),
        path.rank.numpy() / DIM,
        step // EVERY,
        f"{switches}, step {step}",
    )


def collapse_figure(switches: Switches = Switches(), step: int = STEPS, seed: int = 0) -> Figure:
    """One picture out of the lab."""
    return _show(CollapsePicture(CARDS, STEPS, EVERY), switches, small_run(switches, seed), step)


def ends() -> Figure:
    """Where the embeddings of each setting lie at last, side by side: the recorded runs of start 0."""
    ended = {}
    for run in records.read("byol_lab")["runs"]:
        if run["seed"] == 0:
            caption = f"loss {run['loss']:.2f}, spread {run['spread']:.2f}, rank {run['rank']:.1f}"
            ended[run["switched"]] = np.array(run["points"]).reshape(2, CARDS, 2) / 100, caption
    return ends_figure(ended)


def collapse_lab(seed: int = 0) -> None:
    """Switch parts off: the small BYOL trains anew, in about two seconds. Then walk through its steps."""
    picture = CollapsePicture(CARDS, STEPS, EVERY)
    style = {"description_width": "110px", "button_width": "70px"}

    def switch(name: str, options: Sequence = (("on", True), ("off", False)), **keywords) -> widgets.ToggleButtons:
        return widgets.ToggleButtons(options=options, description=name, style=style, **keywords)

    parts = {
        "predictor": switch(
            "predictor", tooltips=["p = q(z) is held against the target", "z itself is held against the target"]
        ),
        "target": switch(
            "target",
            TARGETS,
            tooltips=[
                f"momentum {MOMENTUM}",
                "momentum 0: the online network itself, SimSiam",
                "momentum 1: the random start for ever",
            ],
        ),
        "stop_gradient": switch(
            "stop-gradient", tooltips=["targets are given", "the gradient flows into the targets too"]
        ),
        "batch_norm": switch("BatchNorm", tooltips=["in projector and predictor", "only in the encoder"]),
    }
    wide = widgets.Layout(width="400px", max_width="100%")
    again = widgets.IntSlider(seed, 0, 9, description="start (seed)", style={"description_width": "110px"}, layout=wide)
    step = widgets.IntSlider(
        STEPS, 0, STEPS, EVERY, description="step", style={"description_width": "110px"}, layout=wide
    )
    play = widgets.Play(value=STEPS, min=0, max=STEPS, step=EVERY, interval=150)
    image, text = canvas(920), widgets.HTML()

    def draw(_=None) -> None:
        switches = Switches(**{name: part.value for name, part in parts.items()})
        parts["target"].disabled = not switches.stop_gradient  # it is never asked then
        text.value = f"{switches}: training ..."  # seen where the run is a new one
        path = small_run(switches, again.value)
        image.value = png(_show(picture, switches, path, step.value))
        text.value = sentence(switches, path, step.value)

    widgets.jslink((play, "value"), (step, "value"))
    for control in (*parts.values(), again, step):
        control.observe(draw, "value")
    draw()
    left, right = widgets.VBox(list(parts.values())), widgets.VBox([again, step, play])
    display(
        lab_view("Collapse lab", widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap")), image, text)
    )
