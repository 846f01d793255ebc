"""Features in files, and encoders for other programs: what is written is what the encoder gives."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_course.data import ImageSet
from cl_course.running import export
from cl_course.running.encoders import open_encoder
from cl_course.running.export import export_encoder, write_features


def two_splits() -> tuple[dict[str, ImageSet], dict[str, torch.Tensor]]:
    pixels = torch.zeros(3, 3, 4, 4, dtype=torch.uint8)
    names = ("cat/1.png", "dog/\udce9.png", "dog/3.png")
    splits = {
        "train": ImageSet(pixels, torch.tensor([0, 1, 1]), ("cat", "dog"), names=names),
        "unlabeled": ImageSet(pixels[:2]),
    }
    return splits, {"train": torch.arange(6.0).view(3, 2), "unlabeled": torch.ones(2, 2)}


NAMES = ["cat/1.png", "dog/\\udce9.png", "dog/3.png", "unlabeled/0", "unlabeled/1"]


def test_npz_needs_no_pickle(tmp_path):
    write_features(tmp_path / "h.npz", *two_splits())
    kept = np.load(tmp_path / "h.npz", allow_pickle=False)
    assert kept["names"].tolist() == NAMES and kept["splits"].tolist() == ["train"] * 3 + ["unlabeled"] * 2
    assert kept["labels"].tolist() == [0, 1, 1, -1, -1] and kept["class_names"].tolist() == ["cat", "dog"]
    assert kept["features"].dtype == np.float32
    assert kept["features"].tolist() == [[0, 1], [2, 3], [4, 5], [1, 1], [1, 1]]
    splits, features = two_splits()
    write_features(tmp_path / "none.npz", {"train": splits["unlabeled"]}, {"train": features["unlabeled"]})
    assert sorted(np.load(tmp_path / "none.npz")) == ["features", "names", "splits"]


def test_parquet_has_one_row_for_a_picture(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `models` is not installed")
    write_features(tmp_path / "h.parquet", *two_splits())
    rows = parquet.read_table(tmp_path / "h.parquet").to_pylist()
    assert [row["name"] for row in rows] == NAMES
    assert [row["class"] for row in rows] == ["cat", "dog", "dog", None, None]
    assert rows[1] == {"name": NAMES[1], "split": "train", "class": "dog", "features": [2.0, 3.0]}


@pytest.mark.parametrize("ending", ["pt", "onnx"])
def test_an_exported_encoder_gives_the_same_features(tmp_path, ending):
    if ending == "onnx":
        pytest.importorskip("onnxscript", reason="the extra `models` is not installed")
        onnxruntime = pytest.importorskip("onnxruntime")
    encoder, path = open_encoder("simclr_shapes"), tmp_path / f"encoder.{ending}"
    assert export_encoder(path, encoder) < 1e-4
    images = torch.randint(0, 256, (5, 3, 28, 64), dtype=torch.uint8)  # a size that the export has not seen
    if ending == "pt":
        given = torch.jit.load(str(path))(images)
    else:
        given = torch.from_numpy(onnxruntime.InferenceSession(str(path)).run(None, {"images": images.numpy()})[0])
    torch.testing.assert_close(given, encoder.features(ImageSet(images)), atol=1e-4, rtol=1e-4)


def test_an_export_that_gives_other_features_is_not_kept(tmp_path, monkeypatch):
    run = export._run_torchscript
    monkeypatch.setattr(export, "_run_torchscript", lambda *given: [1.01 * h for h in run(*given)])
    path = tmp_path / "encoder.pt"
    path.write_text("what was there before")
    with pytest.raises(ValueError, match="gives other features than simclr_shapes.*differ by 0.01 .*not kept"):
        export_encoder(path, open_encoder("simclr_shapes"))
    assert path.read_text() == "what was there before" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "package, ending, write",
    [
        ("pyarrow", "parquet", export.check_features_file),
        ("onnxscript", "onnx", lambda path: export_encoder(path, open_encoder("random_shapes"))),
        ("onnxruntime", "onnx", lambda path: export_encoder(path, open_encoder("random_shapes"))),
    ],
)
def test_a_missing_package_is_one_sentence(monkeypatch, package, ending, write):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf"\.{ending} file needs the package .*pip install 'cl-course\[models\]', or"):
        write(Path(f"x.{ending}"))


def test_other_endings_are_refused():
    with pytest.raises(ValueError, match="--out must end in .npz or .parquet, got h.csv"):
        export.check_features_file(Path("h.csv"))
    with pytest.raises(ValueError, match=r"--out must end in .pt or .onnx \(TorchScript or ONNX\), got x.tflite"):
        export_encoder(Path("x.tflite"), open_encoder("random_shapes"))


def test_labels_without_names_are_kept(tmp_path):
    images = ImageSet(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([1, 0]))
    write_features(tmp_path / "f.npz", {"train": images}, {"train": torch.ones(2, 3)})
    assert np.load(tmp_path / "f.npz")["labels"].tolist() == [1, 0]
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -e '.[models]'")
    write_features(tmp_path / "f.parquet", {"train": images}, {"train": torch.ones(2, 3)})
    assert parquet.read_table(tmp_path / "f.parquet")["class"].to_pylist() == ["class 1", "class 0"]
