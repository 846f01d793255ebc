"""The training loop: the modes that it trains and times in, what it compiles, and what it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from test_train import CONFIG, BreaksAt, simclr, weights

from cl_course import train
from cl_course.data import ImageSet, load
from cl_course.train import NonFiniteLoss, TrainConfig, estimate, pretrain


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=40)


def test_a_method_in_eval_mode_is_trained_in_train_mode(images):
    method, modes = simclr().eval(), []
    method.encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    pretrain(method, images, replace(CONFIG, epochs=1))
    assert all(modes)


def test_estimate_times_whole_batches_in_train_mode(images, monkeypatch):
    seen = []

    def step(method, batch, *rest):
        seen.append((method.training, len(batch)))
        return torch.tensor(0.0)

    monkeypatch.setattr(train, "train_step", step)
    estimate(simclr().eval(), images, CONFIG, steps=2)
    assert seen == [(True, 16)] * 3


def test_estimate_leaves_the_cold_step_out(images, monkeypatch):
    clock = iter([0, 100, 100, 101, 101, 103])  # seconds: a cold step of 100, then 1 and 2
    monkeypatch.setattr(train.time, "perf_counter", lambda: float(next(clock)))
    assert estimate(simclr(), images, TrainConfig(epochs=1, batch_size=40), steps=2) == 1.5


def test_only_encoders_are_compiled_and_only_while_training(images, monkeypatch):
    compiled, calls = [], []

    def fake(forward):
        compiled.append(forward.__self__)
        return lambda *x: calls.append(1) or forward(*x)

    monkeypatch.setattr(torch, "compile", fake)
    method = simclr()
    pretrain(method, images, replace(CONFIG, epochs=1, compile=True))
    assert compiled == [method.encoder] and len(calls) == 2
    assert "forward" not in vars(method.encoder)


def test_the_first_step_that_is_not_finite_is_named(images):
    base = simclr()

    class Breaks(BreaksAt):
        def loss(self, *views):
            return super().loss(*views) * (math.nan if self.step >= self.breaks else 1)

    method = Breaks(base.encoder, base.projector, 0.125).break_at(1, math.nan)
    with pytest.raises(NonFiniteLoss, match="at step 1 of epoch 1"):
        pretrain(method, images, CONFIG)


def test_data_that_a_method_refuses_is_refused_before_training(images):
    method = simclr()

    def refuse(n, batch_size):
        raise ValueError(f"{n} images, {batch_size} a batch")

    method.check_data = refuse
    with pytest.raises(ValueError, match="40 images, 16 a batch"):
        pretrain(method, images, CONFIG)


def test_in_chunks_bfloat16_gives_every_weight_its_gradient(images):
    method = simclr()
    before = weights(method)
    pretrain(method, images, replace(CONFIG, epochs=1, precision="bfloat16", chunk_size=8))
    assert all(not torch.equal(p, before[n]) for n, p in method.named_parameters())


def test_raising_the_temperature_is_no_advice_where_there_is_none(images):
    method = simclr()
    method.loss = lambda view1, view2: method.projector(method.encoder(view1)).sum() * math.nan
    method.temperature = None
    with pytest.raises(NonFiniteLoss, match="with peak learning rate .*; lower the rate; there is no checkpoint"):
        pretrain(method, images, CONFIG)
