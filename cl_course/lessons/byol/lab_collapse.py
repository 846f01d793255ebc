"""Collapse lab: a BYOL so small that it trains in two seconds, and switches for its parts.

A broken BYOL is no setting of the method: it is made here, by taking parts out of a whole one.
"""

import base64
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from cl_course.augment import two_views
from cl_course.data import load, shuffled_steps, to_float
from cl_course.diagnose import effective_rank, spread
from cl_course.lessons.byol.collapse_figure import ends_figure
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.methods import BYOL
from cl_course.models import predictor, projector, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.running import records
from cl_course.train import TrainConfig, train_step

TARGETS = ("slow", "copied", "frozen")
CURVES = ("loss", "spread", "rank")
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

    @property
    def name(self) -> str:
        """The same for all switches that make the same run: without stop-gradient the target network is never asked."""
        parts = (("p", self.predictor), ("s", self.stop_gradient), ("b", self.batch_norm))
        letters = (letter if on else "-" for letter, on in parts)
        return " ".join((*letters, self.target if self.stop_gradient else "slow"))


EVERY_SETTING = (Switches(*parts) for parts in product((True, False), (True, False), TARGETS, (True, False)))
EVERY_RUN = {switches.name: switches for switches in EVERY_SETTING}
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


def as_data(run: SmallRun) -> dict:
    """A run as the page takes it: every look's points in hundredths, signed bytes in base64, and the three curves."""
    points = torch.stack([run.flat(look) for look in range(len(run.z))])
    coded = base64.b64encode((100 * points).round().to(torch.int8).numpy().tobytes()).decode()
    return {"points": coded} | {name: [round(x, 3) for x in getattr(run, name).tolist()] for name in CURVES}


def ends() -> Figure:
    """Where the embeddings of each setting lie at last, side by side: the recorded runs of start 0."""
    ended = {}
    for run in records.read("byol_lab")["runs"]:
        if run["seed"] == 0:
            caption = f"loss {run['loss']:.2f}, spread {run['spread']:.2f}, rank {run['rank']:.1f}"
            ended[run["switched"]] = np.array(run["points"]).reshape(2, CARDS, 2) / 100, caption
    return ends_figure(ended)


def recorded() -> dict[str, dict]:
    """The run of start 0 for all switches, by `Switches.name`."""
    record = records.read("byol_switches")
    return {run["name"]: {part: run[part] for part in ("points", *CURVES)} for run in record["runs"]}


def answer(asked: dict) -> dict:
    """Train what the page asks for: {"name", "seed", "switches"} -> {"name", "seed", "run"}."""
    run = small_run(Switches(**asked["switches"]), asked["seed"])
    return {"name": asked["name"], "seed": asked["seed"], "run": as_data(run)}


def collapse_lab(switches: Switches = Switches()) -> None:
    """Switch parts off, and walk through the steps of the small BYOL. The page draws, see lab_collapse.js.

    Runs of start 0 are recorded. The kernel trains those of another start, in about two seconds each.
    """
    data = {"cards": CARDS, "dim": DIM, "steps": STEPS, "every": EVERY, "momentum": MOMENTUM}
    lab = page_lab(__file__, "lab_collapse", answer=answer, **data, switches=asdict(switches), runs=recorded())
    display(lab)
