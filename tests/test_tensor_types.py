"""What every loss and diagnosis takes: half precision, numbers of any kind, and one sentence for a wrong tensor."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from cl_course import diagnose, evaluate, losses, segment, shortcut
from cl_course.large_batches import accumulate, grad_cache
from cl_course.methods import BYOL, MoCo, SimCLR, build
from cl_course.models import small_resnet
from cl_course.tensor_types import Embeddings, Images, checked

N, D = 12, 5


def vectors(seed: int, n: int = N) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed))


def pictures(seed: int) -> torch.Tensor:
    return torch.rand(N, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


LABELS = torch.arange(N) % 3
LINEAR = nn.Linear(48, 4)


def in_chunks(job, view1, view2):
    """A network in the views' own precision, and the gradient that reaches its weights."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).to(view1.dtype)
    net[1].load_state_dict(LINEAR.state_dict())
    loss = job(lambda a, b: (net(a), net(b)), partial(losses.nt_xent, temperature=0.2), view1, view2, 5)
    assert net[1].weight.grad.dtype == view1.dtype
    return loss


# name -> (function, {argument: tensor}); all are called positionally and by keyword.
FUNCTIONS = {
    "nt_xent": (partial(losses.nt_xent, temperature=0.1), {"z1": vectors(0), "z2": vectors(1)}),
    "info_nce": (losses.info_nce, {"q": vectors(0), "k": vectors(1), "negatives": vectors(2, 20)}),
    "byol_loss": (losses.byol_loss, {"p": vectors(0), "z": vectors(1)}),
    "alignment": (losses.alignment, {"z1": vectors(0), "z2": vectors(1)}),
    "uniformity": (losses.uniformity, {"z": vectors(0)}),
    "spread": (diagnose.spread, {"z": vectors(0)}),
    "effective_rank": (diagnose.effective_rank, {"h": vectors(0)}),
    "mean_colour": (shortcut.mean_colour, {"images": pictures(0)}),
    "colour_histogram": (shortcut.colour_histogram, {"images": pictures(0)}),
    "raw_pixels": (shortcut.raw_pixels, {"images": pictures(0)}),
    "shortcut_rate": (
        lambda view1, view2: shortcut.shortcut_rate(view1, view2, shortcut.raw_pixels),
        {"view1": pictures(0), "view2": 0.9 * pictures(0)},
    ),
    "knn_accuracy": (
        lambda train_h, test_h: evaluate.knn_accuracy(train_h, LABELS, test_h=test_h, test_y=LABELS, k=3),
        {"train_h": vectors(0), "test_h": vectors(1)},
    ),
    "retrieve": (
        lambda query_h, gallery_h: evaluate.retrieve(query_h, gallery_h, k=3)[1],
        {"query_h": vectors(0), "gallery_h": vectors(1)},
    ),
    "precision_at_k": (
        lambda query_h, gallery_h: evaluate.precision_at_k(query_h, LABELS, gallery_h, LABELS, k=3),
        {"query_h": vectors(0), "gallery_h": vectors(1)},
    ),
    "mean_average_precision": (
        lambda query_h, gallery_h: evaluate.mean_average_precision(query_h, LABELS, gallery_h, gallery_y=LABELS),
        {"query_h": vectors(0), "gallery_h": vectors(1)},
    ),
    "linear_probe": (
        lambda train_h, val_h, test_h: (
            evaluate.linear_probe(train_h, LABELS, val_h, LABELS, test_h=test_h, test_y=LABELS).score
        ),
        {"train_h": vectors(0), "val_h": vectors(1), "test_h": vectors(2)},
    ),
    "factor_probe": (
        lambda train_h, x, test_h, y: evaluate.factor_probe(train_h, {"hue": x}, test_h, {"hue": y})["hue"],
        {"train_h": vectors(0), "x": vectors(1)[:, 0], "test_h": vectors(2), "y": vectors(3)[:, 0]},
    ),
    "health": (
        lambda z1, z2, h: torch.tensor(
            [(now := diagnose.health(z1, z2, h, 1.0, 2.0)).spread, now.effective_rank, *now.positive, *now.negative]
        ),
        {"z1": vectors(0), "z2": vectors(1), "h": vectors(2)},
    ),
    "grad_cache": (partial(in_chunks, grad_cache), {"view1": pictures(0), "view2": pictures(1)}),
    "accumulate": (partial(in_chunks, accumulate), {"view1": pictures(0), "view2": pictures(1)}),
}

IN_CHUNKS = {"grad_cache", "accumulate"}


def precision_of(answer) -> torch.dtype | None:
    return answer.dtype if isinstance(answer, torch.Tensor) else None


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    """The answer is exactly that for the rounded values in float32, positionally, by keyword and under autocast.

    Where a network runs in half precision itself (in chunks) its own rounding comes on top.
    """
    function, given = FUNCTIONS[name]
    halves = {key: value.to(dtype) for key, value in given.items()}
    expected = function(*(value.float() for value in halves.values()))
    answers = [function(*halves.values()), function(**halves)]
    tolerance = {"rtol": 0.05, "atol": 0.02}
    if name not in IN_CHUNKS:
        tolerance = {"rtol": 0, "atol": 0}
        with torch.autocast("cpu", torch.bfloat16):
            answers += [function(*halves.values()), function(**halves)]
            answers.append(function(**{key: value.float() for key, value in halves.items()}))
    for answer in answers:
        assert precision_of(answer) == precision_of(expected)
        torch.testing.assert_close(answer, expected, **tolerance)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - IN_CHUNKS - {"health"}))
def test_float64_stays_float64(name):
    function, given = FUNCTIONS[name]
    answer = function(**{key: value.double() for key, value in given.items()})
    assert precision_of(answer) in (None, torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        again = function(**{key: value.double() for key, value in given.items()})
    torch.testing.assert_close(again, answer, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["nt_xent", "info_nce", "byol_loss", "alignment", "uniformity"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_gradients_come_back_in_the_precision_of_the_input(name, dtype):
    function, given = FUNCTIONS[name]
    leaves = {key: value.to(dtype).requires_grad_() for key, value in given.items()}
    function(**leaves).backward()
    for leaf in leaves.values():
        assert leaf.grad.dtype == dtype and leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0


def test_features_of_half_precision_give_a_segmentation_head_in_float32(monkeypatch):
    monkeypatch.setattr(segment, "STEPS", 1)
    maps, masks = torch.rand(4, 2, 3, 3), torch.rand(4, 6, 6) < 0.5
    head = segment.train_head(maps.half(), masks, 0.1)
    assert head[1].weight.dtype == torch.float32
    assert segment.predicted_masks(head, maps=maps.bfloat16(), size=(6, 6)).shape == (4, 6, 6)


# Numbers.
TEMPERATURES = [
    torch.tensor(0.2),
    nn.Parameter(torch.tensor(0.2)),
    np.array([0.2]),
    math.inf,
    math.nan,
    "0.2",
    None,
    True,
    0,
    -0.1,
]
USES = {
    "nt_xent": lambda t: losses.nt_xent(vectors(0), vectors(1), t),
    "info_nce": lambda t: losses.info_nce(vectors(0), vectors(1), vectors(2), temperature=t),
    "knn_accuracy": lambda t: evaluate.knn_accuracy(vectors(0), LABELS, vectors(1), LABELS, 3, t),
    "SimCLR": lambda t: SimCLR(LINEAR, nn.Linear(4, 4), t).temperature,
    "MoCo": lambda t: MoCo(LINEAR, nn.Linear(4, 4), dim=4, temperature=t).temperature,
    "build": lambda t: build("simclr", small_resnet(4), temperature=t).temperature,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("temperature", TEMPERATURES, ids=repr)
def test_a_temperature_that_cannot_be_is_one_sentence(use, temperature):
    with pytest.raises(ValueError, match="^temperature must be a finite number above 0, got ") as caught:
        USES[use](temperature)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 150
    if isinstance(temperature, torch.Tensor):
        assert "pass a number: a learnable temperature is not supported" in str(caught.value)


@pytest.mark.parametrize("use", USES)
def test_numbers_of_numpy_and_whole_numbers_are_temperatures(use):
    for temperature in (np.float32(0.5), np.float64(0.5), np.int64(1), 1):
        expected = USES[use](float(temperature))
        assert USES[use](temperature) == expected
    assert type(SimCLR(LINEAR, LINEAR, np.float32(0.5)).temperature) is float


def test_other_numbers_of_methods_may_be_numpys():
    moco = MoCo(LINEAR, nn.Linear(4, 4), np.int64(16), np.float32(0.5), dim=np.int32(4), norm_groups=np.int64(2))
    assert moco.queue.shape == (16, 4) and (type(moco.momentum), type(moco.norm_groups)) == (float, int)
    byol = BYOL(LINEAR, nn.Linear(4, 4), nn.Linear(4, 4), np.float32(0.5), np.float32(2), np.int64(10))
    assert byol.rate_factors == {"predictor": 2.0} and type(byol.total_steps) is int


# Shapes.
@checked
def pair(z1: Embeddings, z2: Embeddings, scale: float = 1.0) -> float:
    return 0.0


@checked
def picture(images: Images) -> float:
    return 0.0


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: pair(torch.rand(4, 5), torch.rand(3, 5)),
            (
                "pair: z2 must be a float tensor of shape (n, d), n = 4 as in z1, d = 5 as in z1, "
                "got a float32 tensor of shape (3, 5); print z1.shape and z2.shape before the call"
            ),
        ),
        (
            lambda: pair(z2=torch.rand(4, 5), z1=torch.rand(5)),
            (
                "pair: z1 must be a float tensor of shape (n, d), got a float32 tensor of shape (5,); "
                "print z1.shape before the call"
            ),
        ),
        (
            lambda: pair(torch.ones(4, 5).long(), torch.rand(4, 5)),
            (
                "pair: z1 must be a float tensor of shape (n, d), got an int64 tensor of shape (4, 5); "
                "z1.float() converts it"
            ),
        ),
        (
            lambda: pair([1.0], torch.rand(4, 5)),
            (
                "pair: z1 must be a float tensor of shape (n, d), got a list; "
                "torch.as_tensor(z1) makes a tensor of an array or a list"
            ),
        ),
        (
            lambda: picture(torch.rand(2, 1, 4, 4)),
            (
                "picture: images must be a float tensor of shape (n, 3, h, w), got a float32 tensor of shape "
                "(2, 1, 4, 4); print images.shape before the call"
            ),
        ),
        (
            lambda: evaluate.knn_accuracy(vectors(0), LABELS.float(), vectors(1), LABELS),
            (
                "knn_accuracy: train_y must be an int64 tensor of shape (n,), n = 12 as in train_h, got a float32 "
                "tensor of shape (12,); train_y.long() converts it"
            ),
        ),
        (
            lambda: segment.iou(torch.ones(1, 2, 2), torch.ones(1, 2, 2).bool()),
            (
                "iou: predicted must be a bool tensor of shape (n, h, w), got a float32 tensor of shape (1, 2, 2); "
                "predicted.bool() converts it"
            ),
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_one_sentence(call, sentence):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == sentence


def test_what_fits_passes():
    assert pair(torch.rand(4, 5), torch.rand(4, 5), scale=2) == 0
    assert picture(torch.rand(2, 3, 4, 6)) == 0
    with pytest.raises(TypeError, match="z2"):
        pair(torch.rand(4, 5))
