"""The training loop: the modes that it trains and times in, what it compiles, and what it refuses."""

import math
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import tqdm.notebook
from test_train import CONFIG, BreaksAt, simclr, weights
from torch import nn

from cl_course import train
from cl_course.data import ImageSet, load
from cl_course.losses import nt_xent
from cl_course.methods.method import Method
from cl_course.models import small_resnet
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


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda method: method.half(), r"weights must be float32, got torch.float16: call method.float\(\)"),
        (lambda method: method.double(), "weights must be float32, got torch.float64"),
        (lambda method: method.requires_grad_(False), "SimCLR has no weight to train"),
        (lambda method: method.projector.to("meta"), "SimCLR lies on cpu and meta; move all of it"),
        (lambda method: setattr(method, "contrast", None), "chunk_size is for SimCLR .* leave chunk_size out"),
    ],
)
@pytest.mark.parametrize("call", [pretrain, estimate])
def test_what_a_step_would_refuse_is_refused_before_it(images, monkeypatch, call, change, said):
    monkeypatch.setattr(train, "train_step", lambda *step: pytest.fail("a step was made"))
    method = simclr()
    change(method)
    with pytest.raises(ValueError, match=said):
        call(method, images, replace(CONFIG, chunk_size=8))


@pytest.mark.parametrize("call", [pretrain, estimate])
def test_other_classes_are_refused_in_one_sentence(images, call):
    for given, said in {
        (nn.Linear(2, 2), images, CONFIG): "method must be of class Method, got one of class Linear; derive its class",
        (simclr(), images.images, CONFIG): "images must be of class ImageSet, got one of class Tensor; load them",
        (simclr(), images, 5): "config must be of class TrainConfig, got 5",
    }.items():
        with pytest.raises(TypeError, match=said):
            call(*given)


@pytest.mark.parametrize("n", [1, 15])
def test_fewer_images_than_a_batch_are_refused(images, n):
    few = ImageSet(images.images[:n])
    with pytest.raises(ValueError, match="fewer than batch_size 16: .*add images") as refused:
        estimate(simclr(), few, CONFIG)
    assert ("--batch-size" in str(refused.value)) == (n > 1), "a batch of one image is refused too"


def test_two_runs_never_write_one_file(images, tmp_path):
    """The second is refused at once, in one sentence; afterwards the file is free, and no lock is left."""
    path, said = tmp_path / "run.pt", []

    def second(row, method):
        def run():
            try:
                pretrain(simclr(), images, CONFIG, resume=path)
            except ValueError as error:
                said.append(str(error))

        other = threading.Thread(target=run)
        other.start()
        other.join()

    history = pretrain(simclr(), images, CONFIG, on_epoch=second, resume=path)
    assert len(said) == 3 and all("another run is writing" in sentence and "run.pt" in sentence for sentence in said)
    assert list(tmp_path.iterdir()) == [path]
    assert pretrain(simclr(), images, CONFIG, resume=path).rows == history.rows


def test_a_folder_that_cannot_be_written_is_found_before_training(images, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "train_step", lambda *step: pytest.fail("a step was made"))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="nothing can be written to .*file .*; choose another folder"):
        pretrain(simclr(), images, CONFIG, resume=tmp_path / "file" / "run.pt")


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_is_shown_in_a_notebook_that_someone_watches_and_leaves_nothing(images, monkeypatch, watched):
    bars, request = [], {"content": {"allow_stdin": watched}}
    shell = SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda channel: request))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    class Bar(train.tqdm):
        def __init__(self, **how):
            bars.append(how)
            super().__init__(**how, disable=True)

    monkeypatch.setattr(tqdm.notebook, "tqdm", Bar)
    pretrain(simclr(), images, replace(CONFIG, epochs=1))
    assert [(bar["total"], bar["leave"]) for bar in bars] == ([(2, False)] if watched else [])


class ByOtherNames(Method):
    """A method of one's own, as a lesson writes it: its networks are not called encoder and projector."""

    def __init__(self):
        super().__init__()
        self.query = nn.Sequential(small_resnet(width=4), nn.Linear(32, 8))

    def loss(self, view1, view2):
        return nt_xent(self.query(view1), self.query(view2))


def test_a_method_may_call_its_networks_as_it_likes(images):
    assert estimate(ByOtherNames(), images, CONFIG, steps=1) > 0
    assert len(pretrain(ByOtherNames(), images, replace(CONFIG, epochs=1)).rows) == 1
    with pytest.raises(ValueError, match="checkpointing is for encoders with the parts of .* this is a NoneType"):
        pretrain(ByOtherNames(), images, replace(CONFIG, checkpointing=True))
