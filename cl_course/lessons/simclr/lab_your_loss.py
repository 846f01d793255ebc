"""Your loss, your training: two small SimCLRs with the same first weights and the same views, but two losses."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from IPython.display import display
from torch import Generator, Tensor

from cl_course import losses
from cl_course.augment import two_views
from cl_course.data import load, shuffled_steps, to_float
from cl_course.diagnose import spread
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.shared.show import figure_bundle
from cl_course.lessons.simclr.your_loss_figure import your_loss_figure
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.train import TrainConfig, learning_rate_at, train_step

Loss = Callable[[Tensor, Tensor, float], Tensor]
TEMPERATURE, STEPS, LOOKS = 0.1, 480, 12
CONFIG = TrainConfig(batch_size=64, learning_rate=5e-3)
IMAGES, GALLERY, QUERIES = 4096, 800, 300
# Training makes differences in the last digit grow. Over three seeds two right losses that round differently ended 0.01
# to 0.09 apart in kNN accuracy, and one with a forgotten mask 0.03 to 0.15 lower: one run cannot tell these apart.
TELLING = 0.2


class Unusable(Exception):
    """Nothing can be trained with this loss; the message is a sentence for the learner."""


@dataclass
class Comparison:
    """What the two runs measured.

    Attributes:
        yours, course: looks at each run, dicts with "step", "loss", "knn", "positive", "negative" and "spread".
        stopped: why the learner's run ended early, a sentence; empty where it did not.
        sentence: what differs.
    """

    yours: list[dict] = field(default_factory=list)
    course: list[dict] = field(default_factory=list)
    stopped: str = ""

    @property
    def sentence(self) -> str:
        first, last = self.yours[0], self.yours[-1]
        right_first, right = self.course[0], next(look for look in self.course if look["step"] == last["step"])
        if self.stopped:
            return f"{self.stopped} The course's loss went on to a kNN accuracy of {self.course[-1]['knn']:.2f}."
        if all(math.isclose(a["loss"], b["loss"], rel_tol=1e-3) for a, b in zip(self.yours, self.course)):
            return f"Your loss is the course's at every look, and so are the networks: kNN accuracy {last['knn']:.2f}."
        pairs, right_pairs = (look["positive"] - look["negative"] for look in (last, right))
        return (
            f"On the same embeddings, before the first step, your loss is {first['loss']:.2f} and the course's "
            f"{right_first['loss']:.2f}; the network that yours trains {_verdict(last, right)}: "
            f"after {last['step']} steps the loss is {last['loss']:.2f} (the course's {right['loss']:.2f}), "
            f"kNN accuracy {last['knn']:.2f} ({right['knn']:.2f}), "
            f"positive pairs are {pairs:.2f} more alike than negative ones ({right_pairs:.2f}), "
            f"and the spread is {last['spread']:.2f} ({right['spread']:.2f})."
        )


def _verdict(yours: Mapping, course: Mapping) -> str:
    if yours["spread"] < 0.1:
        return "collapses"
    if abs(yours["knn"] - course["knn"]) <= TELLING:
        return "learns about as well, as far as one run can show"
    return "learns less in this run" if yours["knn"] < course["knn"] else "learns more in this run"


class _SimCLRWith(SimCLR):
    """SimCLR with a loss of one's own."""

    def __init__(self, whole: SimCLR, loss: Loss):
        super().__init__(whole.encoder, whole.projector, whole.temperature)
        self.own = loss

    def contrast(self, z1: Tensor, z2: Tensor) -> Tensor:
        return called(self.own, z1, z2, self.temperature)


def called(loss: Loss, z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The learner's loss of embeddings (n, d), a finite number that carries a gradient, as a tensor without dimensions.

    Raises:
        Unusable: it raised, or is nothing that can be minimised.
    """
    try:
        answer = loss(z1, z2, temperature)
    except NotImplementedError:
        answer = None
    except Exception as error:  # the learner's code may raise anything; the lesson goes on
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise Unusable(f"Your loss stopped with {type(error).__name__}: {first_line}") from error
    if answer is None or answer is ...:
        raise Unusable("Not attempted yet: your loss returns nothing. Fill in its stub, then run this cell again.")
    if not isinstance(answer, Tensor):
        raise Unusable(
            f"Your loss returns a {type(answer).__name__}, which carries no gradient: return a tensor, without "
            "float(), .item() or .numpy()."
        )
    if answer.numel() != 1:
        raise Unusable(
            f"Your loss returns {answer.numel()} numbers, shape {tuple(answer.shape)}: one number is minimised, "
            "so take their mean."
        )
    if not answer.isfinite():
        raise Unusable(f"Your loss is {answer.item()}, with which nothing can be trained.")
    if not answer.requires_grad:
        raise Unusable(
            "Your loss carries no gradient to z1 and z2, so nothing would be learned: compute it from them with torch, "
            "without .detach(), .data or torch.no_grad()."
        )
    return answer.reshape(())


def your_loss_training(
    my_nt_xent: Loss, *, steps: int = STEPS, temperature: float = TEMPERATURE, seed: int = 0, live: bool = True
) -> Comparison | None:
    """Train a small SimCLR with `my_nt_xent` beside one with the course's loss; about 20 s on two cores.

    Shows one figure, redrawn as they train, and then one sentence that says what differs.

    Args:
        my_nt_xent: (z1, z2, temperature) -> loss, as in the exercise; it may be wrong, or still the stub.
        steps: of each run; one cosine schedule.
        temperature: 0.1, where a view left in its own denominator (similarity 1) outweighs all the others.
        live: redraw while training; otherwise only at the end.

    Returns:
        What was measured; None where the loss cannot be trained with, which a sentence says.
    """
    result, handle = Comparison(), None
    try:
        for _ in _looks(result, my_nt_xent, steps, temperature, seed):
            if live or result.course[-1]["step"] == steps:
                bundle = _bundle(result, steps)
                handle = (
                    handle.update(bundle, raw=True) or handle if handle else display(bundle, raw=True, display_id=True)
                )
    except Unusable as unusable:
        print(unusable)
        return None
    print(result.sentence)
    return result


def _looks(result: Comparison, loss: Loss, steps: int, temperature: float, seed: int) -> Iterator[None]:
    """Train both, step by step; `result` grows by one look at each where this stops for a moment.

    Raises:
        Unusable: the learner's loss cannot be trained with from the start.
    """
    images, gallery = load("shapes", "train", limit=IMAGES), load("shapes", "train", limit=GALLERY)
    queries = load("shapes", "val", limit=QUERIES)
    pair = two_views(to_float(queries.images[: CONFIG.batch_size]), CONFIG.augment, Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = small_resnet(width=8)
        whole = SimCLR(encoder, projector(encoder.dim), temperature)
    methods = {
        "yours": _SimCLRWith(copy.deepcopy(whole), loss),
        "course": _SimCLRWith(copy.deepcopy(whole), losses.nt_xent),
    }
    optimizers = {name: make_optimizer(m, CONFIG.optimizer, CONFIG.weight_decay) for name, m in methods.items()}
    order = shuffled_steps(len(images), CONFIG.batch_size, steps, Generator().manual_seed(seed))
    every = max(1, steps // LOOKS)
    for step, batch in enumerate([None, *order]):  # step 0 is a look at the start
        for name in [name for name in methods if not (name == "yours" and result.stopped)]:
            method, config = methods[name], CONFIG
            try:
                if batch is not None:
                    rate = learning_rate_at(step - 1, steps, config)
                    views = Generator().manual_seed(1000 * seed + step)  # the same views for both
                    train_step(method, images.images[batch], optimizers[name], rate, config, views)
                if step % every == 0 or step == steps:
                    getattr(result, name).append(_look(step, method, pair, gallery, queries))
            except Unusable as unusable:
                if step == 0:
                    raise
                result.stopped = f"At step {step} of {steps}: {unusable}"
        if step % every == 0 or step == steps:
            yield


def _look(step: int, method: SimCLR, pair: tuple[Tensor, Tensor], gallery, queries) -> dict:
    """Measures of a run now; the loss is that of the held-out pair of views, the same at every look."""
    z1, z2 = method.embeddings(*pair)  # with BatchNorm as in training
    loss = method.contrast(z1, z2)
    z1, z2 = (F.normalize(z.detach(), dim=1) for z in (z1, z2))
    similarity = z1 @ z2.T
    n = len(z1)
    gallery_h, query_h = embed(method.encoder, gallery), embed(method.encoder, queries)
    return {
        "step": step,
        "loss": float(loss.detach()),
        "knn": knn_accuracy(gallery_h, gallery.labels, query_h, queries.labels),
        "positive": float(similarity.diagonal().mean()),
        "negative": float((similarity.sum() - similarity.diagonal().sum()) / (n * (n - 1))),
        "spread": spread(torch.cat([z1, z2])),
    }


def _bundle(result: Comparison, steps: int) -> dict:
    done, chance = result.course[-1]["step"], losses.chance_loss(CONFIG.batch_size)
    title = f"Your loss beside the course's, step {done} of {steps}, on validation images"
    figure = your_loss_figure({"yours": result.yours, "the course's": result.course}, steps, chance, title)
    return figure_bundle(figure, alt=f"{title}: loss, kNN accuracy, similarities and spread. {result.sentence}")
