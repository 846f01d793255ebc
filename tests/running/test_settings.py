"""A lesson's parameters are checked one by one, and what was trained once can be read back."""

import ctypes
import platform
import random
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from cl_course.running.machine import describe_machine, pick_device
from cl_course.running.reuse import load_or_train
from cl_course.running.settings import DATASETS, Settings, resolve, seed_everything, settings
from cl_course.train import keep_freed_memory

NOTEBOOK = {
    "profile": "auto",
    "dataset": "auto",
    "seed": 0,
    "device": "auto",
    "In": ["", "profile = 'auto'"],
    "Out": {},
    "_": "",
    "__name__": "__main__",
}


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_auto_without_a_gpu(no_gpu, capsys):
    assert settings(dict(NOTEBOOK)) == Settings("quick", "shapes", 0, "cpu")
    assert capsys.readouterr().out == "quick profile: shapes on cpu, seed 0\n"


def test_auto_with_a_gpu(one_gpu):
    assert resolve() == Settings("full", "cifar10", 0, "cuda")
    assert resolve(device="cpu") == Settings("quick", "shapes", 0, "cpu")
    assert resolve(profile="quick", device="cuda:0") == Settings("quick", "shapes", 0, "cuda:0")


def test_a_folder_of_images_is_a_dataset(no_gpu, tmp_path):
    assert resolve(profile="full", dataset=str(tmp_path)) == Settings("full", str(tmp_path), 0, "cpu")


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"profile": "fast"}, "profile must be 'auto', 'quick' or 'full', got 'fast'"),
        ({"profile": "qiuck"}, "profile must be 'auto', 'quick' or 'full', got 'qiuck'; did you mean 'quick'?"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295, got 4294967296"),
        ({"seed": 1.0}, "seed must be a whole number from 0 to 4294967295, got 1.0"),
        ({"seed": True}, "seed must be a whole number from 0 to 4294967295, got True"),
        (
            {"device": "tpu"},
            "device must be 'auto', 'cpu', 'cuda' (or 'cuda:1', ...) or 'mps', got 'tpu'; did you mean 'cpu'?",
        ),
        ({"device": "cuda"}, "device 'cuda' is not there: torch sees 0 CUDA GPUs on this machine; use 'auto' or 'cpu'"),
        (
            {"dataset": "cifar"},
            (
                "dataset must be 'auto', 'shapes', 'cifar10', 'stl10', or an existing folder or .zip of images, "
                "got 'cifar'; did you mean 'cifar10'?"
            ),
        ),
        (
            {"dataset": ""},
            "dataset must be 'auto', 'shapes', 'cifar10', 'stl10', or an existing folder or .zip of images, got ''",
        ),
        (
            {"dataset": None},
            "dataset must be 'auto', 'shapes', 'cifar10', 'stl10', or an existing folder or .zip of images, got None",
        ),
        (
            {"profle": "full"},
            "unknown parameter 'profle': this lesson has profile, dataset, seed, device; did you mean 'profile'?",
        ),
        ({"temperature": 0.1}, "unknown parameter 'temperature': this lesson has profile, dataset, seed, device"),
        (
            {"seeds": [0, 1]},
            "unknown parameter 'seeds': this lesson has profile, dataset, seed, device; did you mean 'seed'?",
        ),
        ({"limit": None}, "unknown parameter 'limit': this lesson has profile, dataset, seed, device"),
    ],
)
def test_one_sentence_for_each_wrong_parameter(no_gpu, wrong, sentence):
    with pytest.raises(ValueError) as error:
        settings({**NOTEBOOK, **wrong})
    assert str(error.value) == sentence


def test_numpys_whole_numbers_are_seeds(no_gpu):
    assert type(resolve(seed=numpy.int64(3)).seed) is int


def test_a_gpu_that_is_not_there(one_gpu):
    with pytest.raises(ValueError, match="'cuda:3' is not there: torch sees 1 CUDA GPUs"):
        pick_device("cuda:3")


def test_a_lesson_may_have_parameters_of_its_own(no_gpu):
    assert settings({**NOTEBOOK, "images": "photos/"}, extra=("images",)).seed == 0


def test_a_second_call_forgives_the_lessons_own_variables(no_gpu):
    """Someone changes the profile half-way and runs the first cells again."""
    namespace = dict(NOTEBOOK)
    settings(namespace)
    namespace.update(losses=[2.3, 1.9], temperature=0.2, profile="full", dataset="shapes")
    assert settings(namespace).full
    with pytest.raises(ValueError, match="profile must be"):
        settings({**namespace, "profile": "huge"})


def test_a_full_run_keeps_a_checkpoint_of_its_own(one_gpu):
    files = {
        resolve(dataset=name, seed=seed).checkpoint(lesson)
        for name in ("cifar10", "stl10")
        for seed in (0, 1)
        for lesson in ("03_simclr", "05_byol")
    }
    assert len(files) == 8 and Path("runs/05_byol-stl10-seed1.pt") in files


def test_a_quick_run_keeps_none(no_gpu):
    assert resolve().checkpoint("03_simclr") is None


def test_seeds_every_generator():
    def draw():
        return random.random(), numpy.random.rand(), torch.rand(3).tolist()

    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert draw() != first


def test_machine():
    machine = describe_machine()
    assert machine["cores"] >= 1 and machine["device"] in ("cpu", "cuda") and machine["torch"] == torch.__version__
    assert machine["memory"] is None or machine["memory"] > 0.1


class Training:
    """Counts how often it trains; each time the weights and the result are new."""

    def __init__(self):
        self.module, self.times = nn.Linear(2, 2), 0

    def __call__(self):
        self.times += 1
        nn.init.constant_(self.module.weight, self.times)
        return {"loss": [2.0, 1.0], "step": self.times, "z": torch.full((2,), float(self.times))}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_REUSE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_trains_live_unless_asked(monkeypatch):
    monkeypatch.delenv("CL_COURSE_REUSE", raising=False)
    train = Training()
    assert [load_or_train({"lesson": 3}, train)["step"] for _ in range(2)] == [1, 2]


def test_reuses_weights_and_result_of_the_same_key(cache):
    first, second = Training(), Training()
    load_or_train({"epochs": 2}, first, first.module)
    again = load_or_train({"epochs": 2}, second, second.module)
    assert second.times == 0 and again["step"] == 1 and again["z"].tolist() == [1.0, 1.0]
    assert torch.equal(second.module.weight, first.module.weight)
    load_or_train({"epochs": 3}, second, second.module)
    assert second.times == 1
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_cache_is_made_again(cache, share):
    train = Training()
    load_or_train({}, train, train.module)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert load_or_train({}, train, train.module)["step"] == 2
    assert load_or_train({}, train, train.module)["step"] == 2


def test_weights_of_another_architecture_are_made_again(cache):
    train = Training()
    load_or_train({}, train, train.module)
    other = nn.Linear(3, 3)
    assert load_or_train({}, train, other)["step"] == 2


def test_another_architecture_starts_untouched_though_a_part_of_it_would_fit(cache):
    load_or_train({}, lambda: 1, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    before = other[0].weight.clone()
    assert load_or_train({}, lambda: torch.equal(other[0].weight, before), other) is True


def test_a_failed_training_leaves_nothing_behind(cache):
    def fail():
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        load_or_train({}, fail)
    assert not cache.exists()


@pytest.mark.parametrize("result", [object(), [{"model": nn.Linear(1, 1)}], {"accuracy": numpy.float64(0.5)}])
def test_only_plain_data_is_kept(cache, result):
    with pytest.raises(
        TypeError, match="what train returns must be plain data .*, got a (object|Linear|float64); give what it holds"
    ):
        load_or_train({}, lambda: result)


@pytest.mark.skipif(
    platform.system() == "Windows" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="only glibc, from 2.33 on, tells what it keeps",
)
def test_what_training_frees_is_kept():
    # What malloc says of itself.
    script = """
import ctypes, sys
from cl_course.train import keep_freed_memory

class Mallinfo2(ctypes.Structure):  # of malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    )]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
if sys.argv[1] == "keep":
    keep_freed_memory()
before = libc.mallinfo2()
blocks = [libc.malloc(24 * 2**20) for _ in range(4)]
held = libc.mallinfo2()
for block in blocks:
    libc.free(block)
freed = libc.mallinfo2()
print(held.hblkhd - before.hblkhd, held.arena - freed.arena)
"""

    def run(mode):
        return map(
            int,
            subprocess.run(
                [sys.executable, "-c", script, mode], capture_output=True, text=True, check=True
            ).stdout.split(),
        )

    mapped, given_back = run("as is")
    if mapped + given_back < 96 * 2**20:
        pytest.skip("another malloc than glibc's is in charge")
    mapped, given_back = run("keep")
    assert mapped < 2**20  # bytes fetched from the system block by block, which would go back to it when freed
    assert given_back < 2**20  # bytes of the heap, once nothing lies in them


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("no other library is asked"))
    keep_freed_memory()


def test_a_lesson_may_have_data_sets_of_its_own():
    own = ("digits", "cards", *DATASETS)
    assert resolve(device="cpu", datasets=own).dataset == "digits"
    assert resolve(dataset="cards", datasets=own).dataset == "cards"
    with pytest.raises(ValueError, match="must be 'auto', 'shapes', .* got 'digits'"):
        resolve(dataset="digits")


def test_a_device_of_torch_is_a_name_too():
    assert pick_device(torch.device("cpu")) == torch.device("cpu")
