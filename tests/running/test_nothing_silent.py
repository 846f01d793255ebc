"""No file that the course reads back can change by one bit without a word: 200 flips of each kind."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from cl_course.data import load
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import checkpoints
from cl_course.running.reuse import load_or_train
from cl_course.train import TrainConfig, pretrain

FLIPS = 200


def flipped(path: Path):
    """The file with one bit changed, 200 times: spread evenly over it, the bit drawn; in the end as it was."""
    good, draw = path.read_bytes(), random.Random(0)
    for flip in range(FLIPS):
        place = min(len(good) - 1, int((flip + draw.random()) * len(good) / FLIPS))
        changed = bytearray(good)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        yield
    path.write_bytes(good)


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def method():
    torch.manual_seed(0)
    encoder = small_resnet(4)
    return SimCLR(encoder, projector(encoder.dim, 16, 16))


def test_run_checkpoints(tmp_path):
    images, config, path = load("shapes", "train", limit=16), TrainConfig(epochs=1, batch_size=8), tmp_path / "run.pt"
    done, again = method(), method()
    pretrain(done, images, config, resume=path)
    before = state(again)
    for _ in flipped(path):
        with pytest.raises(ValueError, match="run.pt is damaged, or no checkpoint .* name another file"):
            pretrain(again, images, config, resume=path)
    assert same(state(again), before)
    pretrain(again, images, config, resume=path)
    assert same(state(again), state(done)), "the file as it was is read"


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("name", ["own", *(path.stem for path in checkpoints.SHIPPED.glob("*.safetensors"))])
def test_weights_and_cards_own_and_shipped(tmp_path, name, suffix):
    path = tmp_path / f"{name}.safetensors"
    if name == "own":
        card = {"encoder": {"name": "small", "width": 4}, "loss": [2.5, 1.25], "data": "photos of Zoë"}
        checkpoints.save(path, small_resnet(4), card)
    else:
        for kind in (".safetensors", ".json"):
            shutil.copy(checkpoints.SHIPPED / f"{name}{kind}", tmp_path)
    encoder = checkpoints.build_encoder(checkpoints.read_card(path))
    before = state(encoder)
    for _ in flipped(path.with_suffix(suffix)):
        with pytest.raises(ValueError, match=f"{name}.* damaged"):
            checkpoints.load(path, encoder)
    assert same(state(encoder), before)
    checkpoints.load(path, encoder)
    assert not same(state(encoder), before)


def test_reused_runs_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_REUSE", str(tmp_path))
    made, module = [], torch.nn.Linear(3, 3)

    def train():
        made.append(1)
        return {"loss": [2.0, 1.0]}

    load_or_train({}, train, module)
    (path,) = tmp_path.iterdir()
    for _ in flipped(path):
        assert load_or_train({}, train, module) == {"loss": [2.0, 1.0]}
    assert len(made) == 1 + FLIPS
    load_or_train({}, train, module)
    assert len(made) == 1 + FLIPS, "the file as it was is read"
