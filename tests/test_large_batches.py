"""GradCache and activation checkpointing against the full batch, and what accumulation does not give."""

import copy
import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Generator, nn

from cl_course import large_batches
from cl_course.data import ImageSet, load
from cl_course.large_batches import accumulate, checkpointed, grad_cache
from cl_course.losses import chance_loss, nt_xent
from cl_course.methods import BYOL, SimCLR, build
from cl_course.models import predictor, projector, resnet18, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.train import TrainConfig, pretrain, train_step

LOSS = partial(nt_xent, temperature=0.3)


def network(norm: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 10), norm or nn.Identity(), nn.Tanh(), nn.Linear(10, 6))


def both(net: nn.Module):
    return lambda view1, view2: (net(view1), net(view2))


def views(n: int, dtype: torch.dtype):
    return torch.rand(2, n, 3, 4, 4, generator=torch.Generator().manual_seed(1)).to(dtype)


def gradient(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in net.parameters()])


def full(net: nn.Module, view1: torch.Tensor, view2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    net.zero_grad()
    loss = LOSS(*both(net)(view1, view2))
    loss.backward()
    return loss.detach(), gradient(net)


# GradCache.
@pytest.mark.parametrize("chunk", [1, 3, 8, 20])
def test_grad_cache_is_the_full_batch(chunk):
    for dtype, tolerance in ((torch.float64, 1e-6), (torch.float32, 1e-4)):
        net, (view1, view2) = network().to(dtype), views(8, dtype)
        loss, expected = full(net, view1, view2)
        net.zero_grad()
        found = grad_cache(both(net), LOSS, view1, view2, chunk)
        assert float(found) == pytest.approx(float(loss), rel=tolerance) and not found.requires_grad
        assert float((gradient(net) - expected).norm() / expected.norm()) < tolerance


def test_grad_cache_adds_to_the_gradient_as_backward_does():
    net, (view1, view2) = network().double(), views(6, torch.float64)
    _, once = full(net, view1, view2)
    grad_cache(both(net), LOSS, view1, view2, 2)
    torch.testing.assert_close(gradient(net), 2 * once)


def test_batchnorm_is_the_exception_unless_it_uses_running_statistics():
    net, (view1, view2) = network(nn.BatchNorm1d(10)).double(), views(8, torch.float64)
    for training, alike in ((True, False), (False, True)):
        net.train(training)
        _, expected = full(net, view1, view2)
        net.zero_grad()
        grad_cache(both(net), LOSS, view1, view2, 4)
        assert (float((gradient(net) - expected).norm() / expected.norm()) < 1e-6) == alike


def test_the_network_never_sees_more_than_a_chunk():
    net, seen = network(), []
    net[1].register_forward_hook(lambda module, inputs, output: seen.append((len(inputs[0]), torch.is_grad_enabled())))
    grad_cache(both(net), LOSS, *views(7, torch.float32), 3)
    assert [size for size, _ in seen] == [3, 3, 3, 3, 1, 1] * 2
    assert [grad for _, grad in seen] == [False] * 6 + [True] * 6


# Accumulation.
def test_accumulation_is_the_mean_of_small_batches_and_adds_no_negative():
    net, (view1, view2) = network().double(), views(8, torch.float64)
    parts = [full(net, view1[i : i + 2], view2[i : i + 2]) for i in range(0, 8, 2)]
    net.zero_grad()
    found = accumulate(both(net), LOSS, view1, view2, 2)
    assert float(found) == pytest.approx(sum(float(loss) for loss, _ in parts) / 4)
    accumulated = gradient(net)
    torch.testing.assert_close(accumulated, sum(g for _, g in parts) / 4)
    _, whole = full(net, view1, view2)
    assert float((accumulated - whole).norm() / whole.norm()) > 0.1


def test_the_chance_line_tells_them_apart():
    """All views alike: the loss is the logarithm of how many candidates there were."""
    net, same = network(), torch.zeros(2, 8, 3, 4, 4)
    assert float(grad_cache(both(net), LOSS, *same, 2)) == pytest.approx(chance_loss(8), rel=1e-5)
    assert float(accumulate(both(net), LOSS, *same, 2)) == pytest.approx(chance_loss(2), rel=1e-5)


@pytest.mark.parametrize("job", [grad_cache, accumulate])
def test_impossible_settings_are_named(job):
    for chunk in (0, -2, 2.0, "2"):
        with pytest.raises(ValueError, match="chunk must be a whole number of at least 1, got"):
            job(both(network()), LOSS, *views(4, torch.float32), chunk)
    job(both(network()), LOSS, *views(4, torch.float32), np.int64(2))


# As a setting of training.
@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=40)


def trained(images, **changed) -> tuple[list[torch.Tensor], list[float]]:
    torch.manual_seed(0)
    method = SimCLR(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16)), nn.Linear(16, 8), temperature=0.3
    )  # no BatchNorm
    history = pretrain(
        method, images, TrainConfig(epochs=3, batch_size=16, optimizer="sgd", learning_rate=0.05, **changed)
    )
    return list(method.parameters()), history.column("loss")


def test_chunks_with_a_cached_gradient_train_as_the_whole_batch_does(images):
    (whole, losses), (chunked, in_chunks) = trained(images), trained(images, chunk_size=6)
    assert in_chunks == pytest.approx(losses, rel=1e-5)
    for a, b in zip(chunked, whole):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_accumulated_chunks_do_not(images):
    """Each view has 2 * 4 - 1 = 7 candidates, not 31: from the first epoch on its loss is another one."""
    (_, losses), (_, accumulated) = trained(images), trained(images, chunk_size=4, chunked="accumulate")
    assert accumulated[0] < math.log(7) * 1.05 < losses[0]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_in_chunks_every_weight_gets_a_gradient(images, precision):
    """Under autocast too: weights that the first pass cast, without a gradient, must not be used in the second."""
    torch.manual_seed(0)
    encoder = small_resnet(4)
    method = SimCLR(encoder, projector(encoder.dim, 16, 16))
    config = TrainConfig(batch_size=16, chunk_size=8, precision=precision)
    train_step(
        method, images.images[:16], make_optimizer(method, "adamw", 0.0), 1e-3, config, Generator().manual_seed(0)
    )
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters() if p.ndim > 1)


def test_a_chunk_size_for_a_method_without_negatives_in_its_batch(images):
    encoder = small_resnet(4)
    byol = BYOL(encoder, projector(encoder.dim, 16, 16), predictor(16, 16))
    with pytest.raises(ValueError, match="chunk_size is for SimCLR .* and this is BYOL"):
        pretrain(byol, images, TrainConfig(epochs=1, batch_size=16, chunk_size=4))


@pytest.mark.parametrize("n", [(8, 4), (4, 8), (0, 0)])
def test_views_of_other_numbers_of_images(n):
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    for job in (grad_cache, accumulate):
        with pytest.raises(ValueError, match="row i of both views"):
            job(lambda a, b: (net(a), net(b)), nt_xent, torch.rand(n[0], 3, 2, 2), torch.rand(n[1], 3, 2, 2), 2)


def test_a_shorter_last_chunk_counts_by_its_images():
    net, (view1, view2) = network().double(), views(8, torch.float64)
    parts = [(len(view1[i : i + 3]), *full(net, view1[i : i + 3], view2[i : i + 3])) for i in (0, 3, 6)]
    net.zero_grad()
    found = accumulate(both(net), LOSS, view1, view2, 3)
    assert float(found) == pytest.approx(sum(n * float(loss) for n, loss, _ in parts) / 8)
    torch.testing.assert_close(gradient(net), sum(n * g for n, _, g in parts) / 8)


# Activation checkpointing.
METHODS = {
    "simclr": {},
    "moco": {"queue_size": 32},
    "moco in groups": {"queue_size": 32, "key_norm": "shuffled", "norm_groups": 4, "symmetric": True},
    "byol": {},
}


def one_step(method: nn.Module, *views: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients, and all buffers after the step."""
    method.loss(*views).backward()
    grads = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    return {**grads, **dict(method.named_buffers())}


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("name", METHODS)
def test_checkpointing_changes_neither_a_gradient_nor_a_running_statistic(name, blocks):
    torch.manual_seed(0)
    encoder = small_resnet(4) if blocks == 1 else resnet18("stl")
    method = build(name.split()[0], encoder, {"hidden_dim": 16, "out_dim": 16}, **METHODS[name] | dims(name))
    again, pair = copy.deepcopy(method), torch.rand(2, 8, 3, 32, 32)
    expected = one_step(method, *pair)
    with checkpointed(again.encoder):
        found = one_step(again, *pair)
    assert found.keys() == expected.keys() and any("running_mean" in name for name in found)
    for part, value in expected.items():
        torch.testing.assert_close(found[part], value, rtol=1e-6, atol=1e-6, msg=part)
    assert "forward" not in vars(again.encoder.stem), "the encoder is as it was"


def dims(name: str) -> dict:
    return {"dim": 16} if name.startswith("moco") else {}


def test_torchs_checkpoint_by_itself_updates_running_statistics_twice(monkeypatch):
    """What the test above is there to catch."""
    monkeypatch.setattr(large_batches, "_on_copies_of_buffers", lambda part: nullcontext())
    encoder, x = small_resnet(4), torch.rand(4, 3, 32, 32)
    with checkpointed(encoder):
        encoder(x).sum().backward()
    assert encoder.stages[0].norm1.num_batches_tracked == 2


def test_of_each_part_only_the_input_is_kept():
    encoder, x = small_resnet(4), torch.rand(4, 3, 32, 32)
    held = []
    for wanted in (False, True):
        kept = []
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t) or t, lambda t: t)
        with hooks, checkpointed(encoder, wanted):
            encoder(x)
        held.append(len(kept))
    assert held[1] < held[0] / 4


def noted(part: nn.Module, modes: list[bool], *_) -> None:
    modes.append("forward" in vars(part))


def test_a_checkpointed_run_has_the_numbers_of_a_plain_one(images):
    runs = []
    for wanted in (False, True):
        torch.manual_seed(0)
        encoder = small_resnet(4)
        method = SimCLR(encoder, projector(encoder.dim, 16, 16))
        config, modes = TrainConfig(epochs=2, batch_size=16, checkpointing=wanted), []
        history = pretrain(method, images, config, on_epoch=partial(noted, encoder.stem, modes))
        runs.append((history.column("loss"), method.state_dict()))
        assert modes == [False, False], "an epoch's judges see the encoder as it is"
    torch.testing.assert_close(runs[0], runs[1])


@pytest.mark.parametrize("chunked", ["grad_cache", "accumulate"])
def test_checkpointing_goes_together_with_chunks(images, chunked):
    torch.manual_seed(0)
    encoder = small_resnet(4)
    plain = SimCLR(encoder, projector(encoder.dim, 16, 16))
    again = copy.deepcopy(plain)
    config = TrainConfig(epochs=1, batch_size=16, chunk_size=8, chunked=chunked)
    losses = [pretrain(plain, images, config).column("loss")]
    losses.append(pretrain(again, images, replace(config, checkpointing=True)).column("loss"))
    assert losses[0] == losses[1]


def test_what_checkpointing_cannot_do_is_refused(images):
    with pytest.raises(ValueError, match="compile and checkpointing do not work together; leave out compile"):
        TrainConfig(compile=True, checkpointing=True)
    with pytest.raises(TypeError, match="checkpointing must be True or False, got 1"):
        TrainConfig(checkpointing=1)
    method = SimCLR(nn.Sequential(nn.Flatten(), nn.Linear(3072, 8)), nn.Linear(8, 8))
    with pytest.raises(ValueError, match=r"with the parts of cl_course.models.ResNet, and this is a Sequential; leave"):
        pretrain(method, images, TrainConfig(epochs=1, batch_size=16, checkpointing=True))
