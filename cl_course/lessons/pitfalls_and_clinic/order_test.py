"""Order a test: a clinic's patient runs for a few more steps, and one quantity is measured that no panel shows."""

from dataclasses import dataclass
from functools import lru_cache
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.augment import two_views
from cl_course.data import load, to_float
from cl_course.lessons.pitfalls_and_clinic.patients import HEALTHY, OF_FAULT, PATIENTS, admit, prescribed
from cl_course.lessons.shared.tables import Cell, show_table
from cl_course.methods import Method
from cl_course.optimizers import make_optimizer
from cl_course.train import train_step
from cl_course.values import one_of

STEPS, BATCH, FEW = 8, 64, 4  # cards in a training step, and in the step whose similarities are shown
TESTS = {
    "two views": "how much the two views that the network gets differ: the mean over all pixels, each 0 to 1",
    "one row": f"the similarities that the loss sees of one view, of {FEW} cards; * is where it looks for the partner",
    "exchanged views": "the loss of 64 cards, and the loss when view2 of each is exchanged for another card's",
    "key drift": f"how far the weights moved in {STEPS} steps, as a share of their length",
    "weight norm": f"the length of all weights, and the largest change in one of {STEPS} steps as a share of it",
}
NO_ROW = "BYOL compares each prediction with one target: there is no row of candidates"


@dataclass(frozen=True)
class Findings:
    """What a few steps of a run show."""

    apart: float  # view1 and view2, per pixel
    row: Tensor | None  # similarities of one view with its candidates; None for BYOL
    partner: int  # at which place the loss looks for the partner
    losses: tuple[float, float]  # with the right view2, and with another card's
    moved: float  # of the weights that learn
    copy_moved: float | None  # of the slow copy
    lengths: tuple[float, float]  # of all weights that learn, before and after
    largest: float  # change in one step


def order_test(letter: str, test: str) -> None:
    """Show one test of a patient beside the same test of a healthy run of its method.

    Args:
        letter: "A" to "F".
        test: a key of TESTS.

    Raises:
        ValueError: there is no such patient or no such test.
    """
    one_of("letter", letter, tuple(PATIENTS))
    one_of("test", test, tuple(TESTS))
    fault = PATIENTS[letter]
    method = next(name for name, short in HEALTHY.items() if short == OF_FAULT[fault])
    rows, columns = table(findings(fault), findings(method), test, method)
    rows = [[name, *cells] for name, cells in zip((f"patient {letter}", f"healthy {method}"), rows)]
    show_table(rows, ["", *columns], caption=f"{letter}, {method}: {TESTS[test]}")


def table(patient: Findings, healthy: Findings, test: str, method: str) -> tuple[list[list[Cell]], list[str]]:
    """The cells of both, and the columns' headings."""
    both = (patient, healthy)
    if test == "two views":
        return [[f.apart] for f in both], ["difference of the views"]
    if test == "exchanged views":
        return [[f"{loss:.4f}" for loss in f.losses] for f in both], ["loss", "loss with another card's view2"]
    if test == "weight norm":
        cells = [[*(f"{length:.1f}" for length in f.lengths), f"{f.largest:.0%}"] for f in both]
        return cells, ["length before", f"after {STEPS} steps", "largest change in a step"]
    if test == "key drift":
        if patient.copy_moved is None:
            return [[f"{f.moved:.1%}", None] for f in both], ["the network", "its slow copy (SimCLR has none)"]
        return [[f"{f.moved:.1%}", f"{f.copy_moved:.1%}"] for f in both], ["the network", "its slow copy"]
    if patient.row is None:
        return [[NO_ROW]] * 2, ["similarities"]
    cards = [f"{card}{view}" for view in (1, 2) for card in "abcd"]
    names = cards if method == "SimCLR" else ["own key", *(f"key {place}" for place in range(1, 8))]
    return [_marked(f.row[: len(names)], f.partner) for f in both], names


def _marked(row: Tensor, partner: int) -> list[str]:
    """Four digits, a * behind the partner's place, a dash where the loss does not look."""
    texts = [f"{float(s):.4f}" if s.isfinite() else "–" for s in row]
    return [text + " *" * (place == partner) for place, text in enumerate(texts)]


@lru_cache(maxsize=16)
def findings(run: str) -> Findings:
    """Run `run`, one of HEALTHY or of OF_FAULT, from its start for a few steps, and measure."""
    images = load("shapes", "train")
    method, recipe = admit(run, 0, images), prescribed(run, 0)
    config, generator = recipe.config, Generator().manual_seed(0)
    optimizer = make_optimizer(method, config.optimizer, config.weight_decay)
    method.train()
    start, copied = weights(method), slow_copy(method)
    largest, before = 0.0, start
    for step in range(STEPS):
        batch = images.images[BATCH * step : BATCH * (step + 1)]
        train_step(method, batch, optimizer, config.learning_rate, config, generator)
        now = weights(method)
        largest, before = max(largest, float((now - before).norm() / before.norm())), now
    view1, view2 = two_views(to_float(images.images[-BATCH:]), config.augment, generator)
    apart, row, partner = _one_step(method, view1[:FEW], view2[:FEW])
    with torch.no_grad():
        losses = tuple(float(method.loss(view1, view)) for view in (view2, view2.roll(1, dims=0)))
    return Findings(
        apart=apart,
        row=row,
        partner=partner,
        losses=losses,
        moved=float((before - start).norm() / start.norm()),
        copy_moved=None if copied is None else float((slow_copy(method) - copied).norm() / copied.norm()),
        lengths=(float(start.norm()), float(before.norm())),
        largest=largest,
    )


@torch.no_grad()
def _one_step(method: Method, view1: Tensor, view2: Tensor) -> tuple[float, Tensor | None, int]:
    """The difference of the views that reach the network, and what reaches the cross-entropy: the first row."""
    views, rows, cross_entropy, embeddings = [], [], F.cross_entropy, method.embeddings

    def watched_embeddings(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        views.append((a, b))
        return embeddings(a, b)

    def watched_cross_entropy(logits: Tensor, target: Tensor, *more, **options) -> Tensor:
        rows.append((logits[0] * method.temperature, int(target[0])))
        return cross_entropy(logits, target, *more, **options)

    method.embeddings = watched_embeddings
    with mock.patch.object(F, "cross_entropy", watched_cross_entropy):
        method.loss(view1, view2)
    del method.embeddings
    a, b = views[0]
    row, partner = rows[0] if rows else (None, 0)
    return float((a - b).abs().mean()), row, partner


def weights(method: nn.Module) -> Tensor:
    """All weights that learn, in one row."""
    return torch.cat([p.detach().flatten() for p in method.parameters() if p.requires_grad])


def slow_copy(method: nn.Module) -> Tensor | None:
    """All weights of the key or target network; None where there is none."""
    copied = [p.detach().flatten() for p in method.parameters() if not p.requires_grad]
    return torch.cat(copied) if copied else None
