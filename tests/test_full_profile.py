"""The full profile on STL-10, from the authors' own bytes to a report: some hundred pictures in their layout."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from archive_files import CLASSES
from tqdm import tqdm

from cl_course import data
from cl_course.images.archives import STL10_MD5
from cl_course.running import cli

SIDE, SIZES = 96, {"train": 200, "test": 100, "unlabeled": 260}
ENCODER = Path("stl.safetensors")
SHORT = ["pretrain", "stl10", "--profile", "full", "--epochs", "2", "--limit", "24", "--batch-size", "8"]
SHORT += ["--device", "cpu", "--out", str(ENCODER)]


def drawn(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 3, rows, columns) that show what may go wrong, and classes 0 to 9.

    Red grows from top to bottom, green from left to right, and blue tells the class.
    """
    rng = np.random.default_rng(len(part))
    n = SIZES[part]
    classes = rng.permutation(np.arange(n) % 10)
    red, green = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    pictures = np.stack([np.stack([2 * red, 2 * green, np.full_like(red, 20 * c)]) for c in classes])
    return (pictures + rng.integers(0, 16, pictures.shape)).astype(np.uint8), classes


@pytest.fixture
def stl10(tmp_path_factory, tmp_path, monkeypatch) -> Path:
    """The folder that stl10_binary.tar.gz unpacks to, in CL_COURSE_DATA, with the checksums of these bytes."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "stl10_binary"
    folder.mkdir()
    (folder / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "fold_indices.txt").write_text("".join(f"{i} {i + 1}\n" for i in range(10)))
    for part in SIZES:
        pictures, classes = drawn(part)
        (folder / f"{part}_X.bin").write_bytes(pictures.swapaxes(2, 3).tobytes())  # column by column
        if part != "unlabeled":
            (folder / f"{part}_y.bin").write_bytes((classes + 1).astype(np.uint8).tobytes())  # from 1
    for name in STL10_MD5:
        monkeypatch.setitem(STL10_MD5, name, hashlib.md5((folder / name).read_bytes()).hexdigest())
    monkeypatch.setenv("CL_COURSE_DATA", str(root))
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return folder


def call(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_pictures_stand_upright_and_labels_count_from_0(stl10):
    for part in ("train", "val", "test", "unlabeled"):
        images = data.load("stl10", part)
        red, green, blue = images.images.double().unbind(1)
        assert (red[:, -1] - red[:, 0]).min() > 150, "red grows from the first row to the last"
        assert (green[:, :, -1] - green[:, :, 0]).min() > 150, "green from the first column to the last"
        if part == "unlabeled":
            assert images.labels is None
        else:
            assert torch.equal(blue.mean(dim=(1, 2)).floor_divide(20).long(), images.labels)
            assert images.class_names == CLASSES and images.labels.min() == 0 and images.labels.max() == 9
    counts = {part: len(data.load("stl10", part)) for part in ("train", "val", "test", "unlabeled")}
    assert counts == {"train": 180, "val": 20, "test": 100, "unlabeled": 260}


def test_from_the_authors_bytes_to_a_report(stl10, capsys, monkeypatch):
    def stop(line):
        if line.startswith("epoch    2"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tqdm, "write", stop)
        code, plan, error = call(capsys, *SHORT)
    assert code == 130 and "the same command with --resume goes on after the last whole epoch (stl.run)" in error
    assert "24 images of 96 x 96 pixels without labels, 1 MB as one tensor" in plan
    assert "SimCLR (temperature 0.5); encoder resnet18 stem stl, 11.2 M weights" in plan
    assert "2 epochs of 3 steps of 8 images; sgd at 0.24" in plan and "bfloat16, on cpu" in plan
    assert Path("stl.run").exists() and not ENCODER.exists()

    code, out, _ = call(capsys, *SHORT, "--resume", "--checkpointing")
    assert code == 0 and "epoch    1" not in out and "epoch    2 of 2" in out and "activations computed twice" in out
    card = json.loads(ENCODER.with_suffix(".json").read_text())
    assert card["encoder"] == {"name": "resnet18", "stem": "stl"} and card["config"]["augment"]["blur"] == 0.5
    assert card["images"] == 24 and len(card["loss"]) == 2 and all(np.isfinite(card["loss"]))

    code, out, _ = call(capsys, "evaluate", ENCODER, "stl10", "--limit", 40, "--device", "cpu")
    rows = {line[:34].strip(): line[34:].split() for line in out.splitlines()[2:5]}
    assert code == 0 and list(rows) == ["this encoder", "random encoder, same architecture", "raw pixels"]
    assert all(0 <= float(score) <= 1 for row in rows.values() for score in row)
    assert "labels: 40 of train, 20 of val" in out and "40 of test" in out

    code, out, _ = call(capsys, "report", ENCODER, "stl10", "--limit", 30, "--device", "cpu", "-o", "stl.html")
    assert code == 0 and "try next" in out
    page = Path("stl.html").read_text()
    assert "airplane" in page and "truck" in page


def test_bytes_that_are_not_the_authors_are_refused(stl10, capsys):
    with open(stl10 / "unlabeled_X.bin", "r+b") as file:
        file.write(b"\x01\x02\x03")
    code, _, error = call(capsys, *SHORT, "--split", "unlabeled")
    assert code == 1 and error.startswith("cl-course: unlabeled_X.bin in ") and "has the md5" in error
    assert error.count("\n") == 1 and not Path("stl.run").exists()


def test_the_command_learns_from_the_unlabeled_images_too(stl10, capsys, monkeypatch):
    seen = []

    def stop(method, images, *given, **how):
        seen.append(images)
        raise ValueError("enough")

    monkeypatch.setattr("cl_course.train.pretrain", stop)
    monkeypatch.setattr("cl_course.running.plans.plan", lambda *given: "")
    command = ["pretrain", "stl10", "--profile", "full", "--batch-size", "8", "--device", "cpu"]
    assert call(capsys, *command, "--out", "x.safetensors")[0] == 1
    assert len(seen[0]) == 180 + SIZES["unlabeled"] and seen[0].labels is None


@pytest.mark.parametrize("where", ["cl_course.images.archives.np.empty", "cl_course.data.torch.cat"])
def test_stl10_that_does_not_fit_into_memory_is_one_sentence(stl10, capsys, monkeypatch, where):
    def full(*given, **how):
        raise MemoryError("no room") if "empty" in where else RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        code, _, error = call(capsys, *SHORT[:6], "--batch-size", "8", "--device", "cpu", "--out", "x.safetensors")
    assert code == 1 and error.startswith("cl-course: this machine's memory is too small for that: ")
    assert error.count("\n") == 1 and "--batch-size" not in error


def test_stl10_that_is_larger_than_the_memory_is_refused_before_it_is_read(stl10, capsys, monkeypatch):
    monkeypatch.setattr("cl_course.images.pictures.machine_memory", lambda: 10_000_000)
    code, _, error = call(capsys, *SHORT[:6], "--batch-size", "8", "--device", "cpu", "--out", "x.safetensors")
    assert code == 1 and "images of 96 x 96 pixels need" in error and "--split train" in error
