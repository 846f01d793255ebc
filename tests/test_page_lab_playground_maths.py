"""The playground's mathematics in the page: losses, gradients, steps and measures are those of torch and the package.

Skipped where there is no Chromium.
"""

import math

import pytest
import torch
from lab_pages import LabPage, in_browser, shown_by
from torch import Generator, nn

from cl_course import losses
from cl_course.diagnose import effective_rank, spread
from cl_course.evaluate import knn_accuracy
from cl_course.lessons.start_here import lab_playground
from cl_course.methods import BYOL, MoCo, SimCLR
from cl_course.models import predictor, projector

pytestmark = in_browser
SETTINGS = {
    "method": "simclr", "temperature": 0.2, "batch": 8, "queue": 32, "momentum": 0.9, "predictor": True,
    "stopGradient": True, "crop": True, "flip": True, "colour": True, "seed": 3,
}  # fmt: skip
N, QUEUE, DIMENSIONS, FEATURES = SETTINGS["batch"], SETTINGS["queue"], 3, 32


@pytest.fixture(scope="module")
def page(browser):
    lab = LabPage(browser, shown_by(lab_playground, lab_playground.playground))
    yield lab.page
    lab.close("playground maths")


def rows(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=Generator().manual_seed(seed), dtype=torch.float64)


def in_page(page, expression: str, *arrays, **numbers):
    """The value of an expression in which a, b, c are the given arrays, flat, and `o` holds numbers."""
    return page.evaluate(
        f"([[a, b, c], o]) => {{ [a, b, c] = [a, b, c].map(x => x && Float64Array.from(x)); return {expression} }}",
        [[*(array.flatten().tolist() for array in arrays), None, None, None][:3], numbers],
    )


def flat(array) -> list[float]:
    return [array[str(i)] for i in range(len(array))] if isinstance(array, dict) else list(array)


@pytest.mark.parametrize("temperature", [0.01, 0.2, 1.0])
def test_nt_xent(page, temperature):
    z = rows(2 * N, DIMENSIONS, 1).requires_grad_()
    loss = losses.nt_xent(*z.chunk(2), temperature)
    found = in_page(page, "lab.ntXent(a, o.t)", z, t=temperature)
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-5)
    loss.backward()
    assert flat(found["dz"]) == pytest.approx(z.grad.flatten().tolist(), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.01, 0.2, 1.0])
def test_info_nce(page, temperature):
    q, k, queue = rows(N, DIMENSIONS, 1).requires_grad_(), rows(N, DIMENSIONS, 2), rows(QUEUE, DIMENSIONS, 3)
    loss = losses.info_nce(q, k, queue, temperature)
    found = in_page(page, "lab.infoNce(a, b, c, o.t)", q, k, queue, t=temperature)
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-5)
    loss.backward()
    assert flat(found["dq"]) == pytest.approx(q.grad.flatten().tolist(), abs=1e-5)


def test_byol_loss(page):
    p, z = rows(N, DIMENSIONS, 1).requires_grad_(), rows(N, DIMENSIONS, 2).requires_grad_()
    loss = losses.byol_loss(p, z)
    found = in_page(page, "lab.byolLoss(a, b)", p, z)
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-5)
    loss.backward()
    assert flat(found["dp"]) == pytest.approx(p.grad.flatten().tolist(), abs=1e-5)
    assert flat(found["dz"]) == pytest.approx(z.grad.flatten().tolist(), abs=1e-5)


def test_spread_and_effective_rank(page):
    collapsed = torch.ones(20, DIMENSIONS, dtype=torch.float64) + 1e-3 * rows(20, DIMENSIONS, 2)
    for z in (rows(40, DIMENSIONS, 1), collapsed):
        assert in_page(page, "lab.spread(a, 3)", z) == pytest.approx(spread(z), abs=1e-5)
    narrow = rows(60, 4, 3) @ rows(4, FEATURES, 4)  # four directions alone
    for h in (rows(60, FEATURES, 5), rows(60, FEATURES, 5).relu(), narrow, torch.ones_like(narrow)):
        assert in_page(page, "lab.effectiveRank(a, 32)", h) == pytest.approx(effective_rank(h), abs=1e-5)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_accuracy(page, k):
    gallery, queries = rows(60, FEATURES, 1), rows(50, FEATURES, 2)
    labels, truth = torch.arange(60) % 4, (queries[:, 0] > 0).long() + 2 * (queries[:, 1] > 0).long()
    found = page.evaluate(
        "([a, x, b, y, k]) => lab.knnAccuracy(Float64Array.from(a), x, Float64Array.from(b), y, 32, k)",
        [gallery.flatten().tolist(), labels.tolist(), queries.flatten().tolist(), truth.tolist(), k],
    )
    assert found == pytest.approx(knn_accuracy(gallery, labels, queries, truth, k=k), abs=1e-9)


def twin(settings: dict) -> nn.Module:
    """The same method out of the package, in float64."""
    convolutions = [nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
    encoder = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(256, FEATURES), nn.ReLU())
    head = projector(FEATURES, FEATURES, DIMENSIONS)
    if settings["method"] == "simclr":
        return SimCLR(encoder, head, settings["temperature"]).double()
    if settings["method"] == "moco":
        return MoCo(encoder, head, QUEUE, settings["momentum"], settings["temperature"], DIMENSIONS).double()
    method = BYOL(encoder, head, predictor(DIMENSIONS, FEATURES), settings["momentum"]).double()
    if not settings["predictor"]:
        method.predictor = nn.Identity()
    if not settings["stopGradient"]:
        method.targets = method.embeddings
    return method


def learned(method: nn.Module) -> list[nn.Parameter]:
    """In the page's order: encoder, projector, predictor."""
    parts = [method.encoder, method.projector, getattr(method, "predictor", nn.Identity())]
    return [weight for part in parts for weight in part.parameters()]


CASES = {
    "SimCLR": {},
    "SimCLR at T = 0.01": {"temperature": 0.01},
    "MoCo": {"method": "moco"},
    "BYOL": {"method": "byol"},
    "BYOL without predictor": {"method": "byol", "predictor": False},
    "BYOL without stop-gradient": {"method": "byol", "stopGradient": False},
    "BYOL without both": {"method": "byol", "predictor": False, "stopGradient": False},
}
STEPS = 3
# Steps of a trainer, with all that torch needs to take the same ones.
TRAIN = """([settings, steps]) => {
    const trainer = new lab.Trainer(settings), { method } = trainer
    const copy = (kind) => method.weights.map(w => [...w[kind]])
    const found = { start: copy("value"), queue: method.queue && [...method.queue], steps: [] }
    for (let i = 0; i < steps; i++) {
        const loss = trainer.step()
        found.steps.push({ loss, views: [...trainer.views], gradients: copy("gradient"), weights: copy("value") })
    }
    return { ...found, chance: method.chance(settings.batch), last: method.queue && [...method.queue] }
}"""


@pytest.mark.parametrize("case", CASES)
def test_every_layer_s_gradient_and_every_step_is_torch_s(page, case):
    settings = SETTINGS | CASES[case]
    found = page.evaluate(TRAIN, [settings, STEPS])
    method = twin(settings)
    weights = learned(method)
    assert [w.numel() for w in weights] == [len(start) for start in found["start"]]
    with torch.no_grad():
        for weight, start in zip(weights, found["start"]):
            weight.copy_(torch.tensor(start, dtype=torch.float64).view_as(weight))
    slow = [
        (name, getattr(method, name, None))
        for name in ("key_encoder", "key_projector", "target_encoder", "target_projector")
    ]
    for name, copy in slow:
        if copy is not None:
            copy.load_state_dict(getattr(method, name.partition("_")[2]).state_dict())
    if settings["method"] == "moco":
        method.queue.copy_(torch.tensor(found["queue"], dtype=torch.float64).view(QUEUE, DIMENSIONS))
    assert found["chance"] == pytest.approx(method.chance(N), abs=1e-9)
    optimizer = torch.optim.Adam(weights, lr=3e-3)
    for step in found["steps"]:
        optimizer.zero_grad()
        loss = method.loss(*torch.tensor(step["views"], dtype=torch.float64).view(2, N, 3, 16, 16))
        loss.backward()
        assert step["loss"] == pytest.approx(loss.item(), abs=1e-5)
        for weight, gradient in zip(weights, step["gradients"]):
            assert torch.allclose(
                weight.grad.flatten(), torch.tensor(gradient, dtype=torch.float64), atol=1e-4, rtol=1e-4
            )
        optimizer.step()
        method.after_step()
        for weight, value in zip(weights, step["weights"]):
            assert torch.allclose(weight.flatten(), torch.tensor(value, dtype=torch.float64), atol=1e-4)
    if settings["method"] == "moco":
        assert torch.allclose(method.queue.flatten(), torch.tensor(found["last"], dtype=torch.float64), atol=1e-5)


def test_what_a_view_may_change(page):
    """Each switch changes what it names, and nothing else; off, all of them, a view is the drawing itself."""
    views = page.evaluate(
        """() => {
            const random = lab.uniform(5), { images } = lab.draw(4, random)
            const off = { crop: false, flip: false, colour: false }
            const make = (some) => [...lab.twoViews(images, [0, 1, 2, 3], { ...off, ...some }, random)]
            const some = [{}, { flip: true }, { crop: true }, { colour: true }]
            return [[...images, ...images], ...some.map(make)]
        }"""
    )
    drawn, same, mirrored, cut, recoloured = (torch.tensor(v, dtype=torch.float64).view(8, 3, 16, 16) for v in views)
    assert torch.equal(drawn, same)
    kept = [torch.equal(a, b) for a, b in zip(drawn, mirrored)]
    turned = [torch.equal(a.flip(2), b) for a, b in zip(drawn, mirrored)]
    assert all(k or t for k, t in zip(kept, turned)) and any(kept) and any(turned)
    assert all(not torch.equal(a, b) for a, b in zip(drawn, cut))
    assert all(torch.all(c.amax((1, 2)) <= d.amax((1, 2)) + 1e-9) for c, d in zip(cut, drawn)), "no new colours"
    assert recoloured.min() >= 0 and recoloured.max() <= 1
    assert not torch.equal(recoloured[:4], recoloured[4:]), "the two views get colours of their own"
    assert all(len(set(map(tuple, v.flatten(1).T.tolist()))) >= 2 for v in recoloured), "the shape is still there"


def test_guessing_is_what_equal_embeddings_give(page):
    alike = torch.ones(2 * N, DIMENSIONS, dtype=torch.float64)
    assert in_page(page, "lab.ntXent(a, 0.2)", alike)["loss"] == pytest.approx(math.log(2 * N - 1))
