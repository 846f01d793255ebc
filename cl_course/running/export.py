"""What leaves the course: features with file names, and encoders that other programs run.

A file is looked at before it is kept: an exported encoder has to give the features that the encoder itself gives.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cl_course.data import ImageSet
from cl_course.files import write_atomically
from cl_course.running.encoders import Encoder, Prepared

FEATURES, ENCODERS = (".npz", ".parquet"), (".pt", ".onnx")
CLOSE = 1e-4  # the largest difference of features, as a share of the largest feature
SHAPES = ((2, 3, 40, 56), (1, 3, 32, 32), (3, 3, 96, 64))  # numbers and sizes of pictures on which both are compared
INSTALL = "pip install 'cl-course[models]'"


def write_features(path: Path, splits: Mapping[str, ImageSet], features: Mapping[str, Tensor]) -> None:
    """Features with the name, the split and, where known, the class of every picture.

    Args:
        path: .npz with arrays names, splits, features (n, d) and, with labels, labels and class_names, where -1 is an
            unlabelled picture; or .parquet with columns name, split, class (null where unlabelled) and features.
        splits, features: split -> its pictures, and their features (n, d).
    """
    names = [name for split, images in splits.items() for name in names_of(images, split)]
    of_split = [split for split, images in splits.items() for _ in range(len(images))]
    unknown = {split: torch.full((len(images),), -1) for split, images in splits.items()}
    labels = torch.cat([unknown[split] if images.labels is None else images.labels for split, images in splits.items()])
    labelled = [images for images in splits.values() if images.labels is not None]
    class_names = labelled[0].class_names if labelled else ()
    h = torch.cat([features[split] for split in splits]).numpy()
    if path.suffix == ".npz":
        arrays = {"names": np.array(names), "splits": np.array(of_split), "features": h}
        if labelled:
            arrays |= {"labels": labels.numpy(), "class_names": np.array(class_names)}
        write_atomically(path, lambda temporary: _savez(temporary, arrays))
        return
    pyarrow, parquet = _pyarrow()
    kinds = [class_name(class_names, label) if label >= 0 else None for label in labels.tolist()]
    rows = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(h.reshape(-1)), h.shape[1])
    table = pyarrow.table(
        {"name": names, "split": of_split, "class": pyarrow.array(kinds, pyarrow.string()), "features": rows}
    )
    write_atomically(path, lambda temporary: parquet.write_table(table, temporary))


def check_features_file(path: Path) -> None:
    """Raise a ValueError if features cannot be written as this kind of file; before any work is done."""
    if path.suffix not in FEATURES:
        raise ValueError(f"--out must end in {' or '.join(FEATURES)}, got {path}")
    if path.suffix == ".parquet":
        _pyarrow()


def class_name(names: Sequence[str], label: int) -> str:
    """How a class is called where the classes may have no names."""
    return names[label] if names else f"class {label}"


def names_of(images: ImageSet, split: str) -> list[str]:
    """How pictures are called: by their paths, or by their places where they have no files of their own."""
    # A path that is not UTF-8, which Linux allows, has its odd bytes written out.
    names = [name.encode("utf-8", "backslashreplace").decode() for name in images.names]
    return names or [f"{split}/{place}" for place in range(len(images))]


def export_encoder(path: Path, encoder: Encoder) -> float:
    """Write an encoder with its preprocessing as TorchScript (.pt) or ONNX (.onnx).

    The file takes uint8 pictures (n, 3, h, w), RGB, of any number and size, and gives float32 features (n, d).

    Returns:
        The largest difference of its features from the encoder's, as a share of the largest feature.

    Raises:
        ValueError: another kind of file, a missing package, or features that differ; nothing is kept then.
    """
    if path.suffix not in ENCODERS:
        raise ValueError(f"--out must end in {' or '.join(ENCODERS)} (TorchScript or ONNX), got {path}")
    write, run = _onnx() if path.suffix == ".onnx" else (_write_torchscript, _run_torchscript)
    network = FromPixels(encoder.network.cpu()).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of exporters, on their own future
        draft = Path(folder) / path.name
        write(network, draft)
        generator = torch.Generator().manual_seed(0)
        pictures = [torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8) for shape in SHAPES]
        expected, given = [network(x) for x in pictures], run(draft, pictures)
        largest = max(float(h.abs().max()) for h in expected) or 1.0
        difference = max(float((h - other).abs().max()) for h, other in zip(expected, given)) / largest
        if not difference <= CLOSE:
            raise ValueError(
                f"the exported encoder gives other features than {encoder.name} (they differ by "
                f"{difference:.2g} of the largest, allowed is {CLOSE:g}), so {path} was not kept; "
                f"try {' or '.join({*ENCODERS} - {path.suffix})}"
            )
        content = draft.read_bytes()
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return difference


class FromPixels(nn.Module):
    """An encoder that takes pictures as they are stored: uint8 in place of floats in [0, 1]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.float() / 255)


def _write_torchscript(network: FromPixels, path: Path) -> None:
    inner = network.network
    if isinstance(inner, Prepared):  # its sizes are computed from the picture's, which tracing would freeze
        example = torch.zeros(2, 3, inner.side, inner.side)
        traced = Prepared(torch.jit.trace(inner.model, example), inner.side, inner.mean.view(-1), inner.std.view(-1))
        script = torch.jit.script(FromPixels(traced.eval()))
    else:
        script = torch.jit.trace(network, torch.zeros(SHAPES[0], dtype=torch.uint8))
    script.save(str(path))


def _run_torchscript(path: Path, pictures: list[Tensor]) -> list[Tensor]:
    script = torch.jit.load(str(path))
    return [script(x) for x in pictures]


def _onnx() -> tuple[Callable[[nn.Module, Path], None], Callable[[Path, list[Tensor]], list[Tensor]]]:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as missing:
        raise ValueError(
            f"an .onnx file needs the package {missing.name}, which is not installed; {INSTALL}, "
            "or write a .pt file (TorchScript)"
        ) from None

    def write(network: nn.Module, path: Path) -> None:
        free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
        torch.onnx.export(
            network, (torch.zeros(SHAPES[0], dtype=torch.uint8),), path, dynamo=True, verbose=False,
            external_data=False, dynamic_shapes=(free,), input_names=["images"], output_names=["features"],
        )  # fmt: skip

    def run(path: Path, pictures: list[Tensor]) -> list[Tensor]:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return [torch.from_numpy(session.run(None, {"images": x.numpy()})[0]) for x in pictures]

    return write, run


def _savez(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # given a name, numpy would add its own ending
        np.savez(file, **arrays)


def _pyarrow():
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            f"a .parquet file needs the package pyarrow, which is not installed; {INSTALL}, or write an .npz file"
        ) from None
    return pyarrow, parquet
