"""Methods and callbacks of one's own: what a checkpoint keeps of them, and what is refused before an epoch is lost."""

import math

import numpy
import pytest
import torch

from cl_course.data import ImageSet, load
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.train import NonFiniteLoss, TrainConfig, estimate, pretrain

CONFIG = TrainConfig(epochs=2, batch_size=20)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=40)


def made(kind: type[SimCLR] = SimCLR, **attributes) -> SimCLR:
    torch.manual_seed(0)
    encoder = small_resnet(4)
    method = kind(encoder, projector(encoder.dim, 16, 16))
    for name, value in attributes.items():
        setattr(method, name, value)
    return method


class Counts(SimCLR):
    """Its extra state is no tensor: torch allows any object."""

    steps = 0

    def after_step(self):
        self.steps += 1

    def get_extra_state(self):
        return {"steps": self.steps}

    def set_extra_state(self, state):
        self.steps = state["steps"]


class Breaks(SimCLR):
    """The loss of its last step is finite, and what the step leaves is not."""

    def after_step(self):
        self.encoder.stem[0].weight.data[0] = math.nan


@pytest.mark.parametrize("scale", [numpy.float64(0.2), numpy.float32(0.2), numpy.int64(2), numpy.str_("cosine")])
def test_a_method_with_numbers_of_numpy_can_be_resumed(images, tmp_path, scale):
    pretrain(made(scale=scale), images, CONFIG, resume=tmp_path / "run.pt")
    assert len(pretrain(made(scale=scale), images, CONFIG, resume=tmp_path / "run.pt").rows) == 2
    with pytest.raises(ValueError, match="run.pt belongs to a run with .*'scale'"):
        pretrain(made(scale=3.0), images, CONFIG, resume=tmp_path / "run.pt")


def test_an_attribute_that_no_checkpoint_can_give_back_is_refused_before_the_first_epoch(images, tmp_path):
    method = made(heads={"cosine": numpy.ones(2)})
    with pytest.raises(TypeError, match="the attribute heads of SimCLR must be plain data .* ndarray; .* name _heads"):
        pretrain(method, images, CONFIG, resume=tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()
    method = made(_heads={"cosine": numpy.ones(2)})
    assert len(pretrain(method, images, CONFIG, resume=tmp_path / "run.pt").rows) == 2


def test_extra_state_that_is_no_tensor_comes_back(images, tmp_path):
    pretrain(made(Counts), images, CONFIG, resume=tmp_path / "run.pt")
    again = made(Counts)
    pretrain(again, images, CONFIG, resume=tmp_path / "run.pt")
    assert again.steps == 4


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_break_in_the_last_step_of_an_epoch_are_no_good_checkpoint(images, tmp_path, epochs):
    config = TrainConfig(epochs=epochs, batch_size=40)  # one step an epoch
    with pytest.raises(NonFiniteLoss, match="weights became infinite or NaN in the last steps of epoch 1.*no check"):
        pretrain(made(Breaks), images, config, resume=tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()


@pytest.mark.parametrize("returned", [0.5, torch.ones(2), [1], numpy.ones(2)])
def test_on_epoch_must_return_a_dict(images, returned):
    with pytest.raises(TypeError, match=r"what on_epoch returns must be of class dict, got .*; return \{\"knn\""):
        pretrain(made(), images, CONFIG, on_epoch=lambda *_: returned)


def test_on_epoch_does_not_replace_what_the_row_says(images):
    with pytest.raises(ValueError, match="on_epoch returned 'loss', which the row has already; give it another name"):
        pretrain(made(), images, CONFIG, on_epoch=lambda *_: {"knn": 0.5, "loss": 0.1})
    assert pretrain(made(), images, CONFIG, on_epoch=lambda *_: {"knn": 0.5}).column("knn") == [0.5, 0.5]
    assert len(pretrain(made(), images, CONFIG, on_epoch=lambda *_: None).rows) == 2


def test_an_estimate_needs_a_step(images):
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        estimate(made(), images, CONFIG, steps=0)
