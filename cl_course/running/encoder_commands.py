"""The commands that take an encoder: evaluate, report, embed, search and export-encoder."""

import argparse
from collections.abc import Callable
from pathlib import Path

from cl_course.running.outputs import check_file
from cl_course.values import path_of

EXAMPLES = {
    "evaluate": """examples:
  cl-course evaluate build/pretrained/simclr-shapes.safetensors shapes
  cl-course evaluate encoder.safetensors photos.zip --limit 2000
  cl-course evaluate torchvision:resnet18 photos.zip --limit 500    a published model; timm:NAME as well""",
    "report": """examples:
  cl-course report encoder.safetensors photos -o report.html
  cl-course report simclr_shapes shapes --limit 1000                an encoder that comes with the course
  cl-course report timm:resnet18.a1_in1k photos --limit 500         a published model""",
    "embed": """examples:
  cl-course embed encoder.safetensors photos -o features.npz
  cl-course embed encoder.safetensors photos.zip -o features.parquet""",
    "search": """examples:
  cl-course search encoder.safetensors photos holiday.jpg
  cl-course search simclr_shapes photos.zip query.png -k 20""",
    "export-encoder": """examples:
  cl-course export-encoder encoder.safetensors -o encoder.onnx
  cl-course export-encoder simclr_shapes -o encoder.pt              TorchScript""",
}


def add_to(command: Callable, device: dict) -> None:
    """Add these commands to the parser of `cl-course`; `device` are the settings of the option --device."""
    encoder = "a .safetensors file beside its .json card, a shipped name, timm:NAME or torchvision:NAME"
    source = "shapes, cifar10, stl10, or a folder or .zip of images"

    def on_pictures(name: str, function: Callable, about: str, of: str = source) -> argparse.ArgumentParser:
        one = command(name, function, about)
        one.add_argument("encoder", help=encoder)
        one.add_argument("source", help=of)
        one.add_argument("--limit", type=int, metavar="N", help="take at most so many images of each split")
        one.add_argument(
            "--size",
            type=int,
            metavar="N",
            help="pixels a side to which a folder's images are scaled "
            "(default: the published model's; else as `pretrain` does)",
        )
        one.add_argument("--seed", type=int, default=0, metavar="N")
        one.add_argument("--device", **device)
        return one

    about = "judge an encoder by nearest neighbours and a linear probe, beside raw pixels"
    on_pictures("evaluate", evaluate, about, f"labelled images: {source}")
    one = on_pictures("report", report, "write all that can be said of an encoder on your pictures into one page")
    html = "a .html file (default: %(default)s)"
    one.add_argument("-o", "--out", type=path_of, default=Path("report.html"), help=html)
    one = on_pictures("embed", embed, "write the features of all pictures, with their file names")
    one.add_argument("-o", "--out", type=path_of, required=True, help="a .npz or .parquet file")
    one = on_pictures("search", search, "print the pictures of a source that are nearest to one picture")
    one.add_argument("picture", type=path_of, help="an image file")
    one.add_argument("-k", type=int, default=10, metavar="N", help="how many (default: %(default)s)")
    one = command("export-encoder", export_encoder, "write an encoder as TorchScript or ONNX, preprocessing inside")
    one.add_argument("encoder", help=encoder)
    one.add_argument("-o", "--out", type=path_of, required=True, help="a .pt (TorchScript) or .onnx file")


def evaluate(chosen: argparse.Namespace) -> int:
    """Nearest neighbours and a linear probe on frozen features, beside a random encoder and the raw pixels."""
    from functools import partial

    import torch
    import torch.nn.functional as F

    from cl_course import data
    from cl_course.evaluate import knn_accuracy, linear_probe

    encoder = _opened(chosen)
    parts = [data.load(chosen.source, part, **_wanted(chosen, encoder)) for part in ("train", "val", "test")]
    train_y, val_y, test_y = (part.labels for part in parts)
    if any(part.labels is None for part in parts):
        raise ValueError(
            f"{chosen.source} has no labels to judge by; lay its images out as class/image.png, with at "
            "least two classes, or evaluate on another source"
        )

    def pixels(images: data.ImageSet) -> torch.Tensor:  # large ones shrunk: a probe on all pixels would take hours
        sides = images.images.shape[-2:]
        size = [max(1, int(min(1.0, 32 / max(sides)) * side)) for side in sides]
        shrunk = [F.interpolate(data.to_float(x), size, mode="area") for x in images.images.split(500)]
        return torch.cat(shrunk).flatten(1)

    k = min(20, len(train_y))
    print(f"{chosen.encoder}: {encoder.about}")
    print(f"{'accuracy on test':<34}{f'{k}-NN':>6}{'linear probe':>15}", flush=True)
    untrained = partial(encoder.features, untrained=True)
    rows = {"this encoder": encoder.features, "random encoder, same architecture": untrained, "raw pixels": pixels}
    for name, features in rows.items():
        train_h, val_h, test_h = map(features, parts)
        knn = knn_accuracy(train_h, train_y, test_h, test_y, k=k)
        linear = linear_probe(train_h, train_y, val_h, val_y, test_h, test_y, seed=chosen.seed).accuracy
        print(f"{name:<34}{knn:>6.3f}{linear:>15.3f}", flush=True)
    print(
        f"labels: {len(train_y):,} of train, {len(val_y):,} of val to choose the probe's strength, "
        f"{len(test_y):,} of test; seed {chosen.seed}"
    )
    return 0


def report(chosen: argparse.Namespace) -> int:
    """One page: accuracy beside what costs nothing, neighbours, a map, health, copies, doubtful labels, advice."""
    from cl_course import data
    from cl_course.files import write_atomically
    from cl_course.running.encoders import open_encoder
    from cl_course.running.machine import pick_device
    from cl_course.running.report.advice import advice
    from cl_course.running.report.measure import SHIPPED, gathered, measure
    from cl_course.running.report.page import page

    if chosen.out.suffix not in (".html", ".htm"):
        raise ValueError(f"--out must end in .html, got {chosen.out}")
    check_file(chosen.out)
    encoder = _opened(chosen)
    splits = data.load_splits(chosen.source, **_wanted(chosen, encoder))
    own_test = "test" in data.parts_of(chosen.source)
    shipped = open_encoder(SHIPPED).to(pick_device(chosen.device))
    found = measure(encoder, shipped, chosen.source, gathered(splits), own_test, chosen.seed)
    content = page(found)
    write_atomically(chosen.out, lambda temporary: temporary.write_text(content, encoding="utf-8"))
    print(f"{chosen.out}: {len(found.pictures.names):,} pictures, {chosen.out.stat().st_size / 1e6:.1f} MB")
    print(f"try next: {advice(found)[0]}")
    return 0


def embed(chosen: argparse.Namespace) -> int:
    """Features of every picture of every split, with names, into one file."""
    from cl_course import data
    from cl_course.running.export import check_features_file, write_features

    check_features_file(chosen.out)
    check_file(chosen.out)
    encoder = _opened(chosen)
    splits = data.load_splits(chosen.source, **_wanted(chosen, encoder))
    features = {split: encoder.features(images) for split, images in splits.items()}
    write_features(chosen.out, splits, features)
    dim = next(iter(features.values())).shape[1]
    numbers = ", ".join(f"{len(images):,} {split}" for split, images in splits.items())
    print(f"{chosen.out}: {dim} features of each picture; {numbers}")
    return 0


def search(chosen: argparse.Namespace) -> int:
    """The nearest pictures of a source, the most similar first."""
    import torch

    from cl_course import data
    from cl_course.evaluate import retrieve
    from cl_course.images.pictures import read_picture
    from cl_course.running.export import class_name, names_of
    from cl_course.values import whole

    k = whole("k", chosen.k, 1)
    encoder = _opened(chosen)
    splits = data.load_splits(chosen.source, **_wanted(chosen, encoder))
    names = [name for split, images in splits.items() for name in names_of(images, split)]
    height, width = next(iter(splits.values())).images.shape[-2:]
    query = torch.from_numpy(read_picture(chosen.picture, width, height).copy())
    h = encoder.features(data.ImageSet(query[None]))
    gallery = torch.cat([encoder.features(images) for images in splits.values()])
    nearest, similarity = retrieve(h, gallery, min(k, len(names)))
    kinds = [
        class_name(images.class_names, label)
        for images in splits.values()
        for label in ([] if images.labels is None else images.labels.tolist())
    ]
    kinds = kinds if len(kinds) == len(names) else [""] * len(names)
    print(f"{'similarity':<12}picture")
    for place, value in zip(nearest[0].tolist(), similarity[0].tolist()):
        kind = f"   ({kinds[place]})" if kinds[place] else ""
        print(f"{value:<12.3f}{names[place]}{kind}")
    return 0


def export_encoder(chosen: argparse.Namespace) -> int:
    """An encoder for other programs; kept only if its features are the encoder's."""
    from cl_course.running import export
    from cl_course.running.encoders import open_encoder

    check_file(chosen.out)
    difference = export.export_encoder(chosen.out, open_encoder(chosen.encoder))
    print(
        f"{chosen.out}: takes uint8 pictures (n, 3, h, w), gives float32 features; on {len(export.SHAPES)} batches "
        f"they differ from the encoder's by at most {difference:.1g} of the largest"
    )
    return 0


def _opened(chosen: argparse.Namespace):
    from cl_course.running.encoders import open_encoder
    from cl_course.running.machine import pick_device
    from cl_course.values import MAX_SEED, whole

    device = pick_device(chosen.device)
    return open_encoder(chosen.encoder, whole("seed", chosen.seed, 0, MAX_SEED)).to(device)


def _wanted(chosen: argparse.Namespace, encoder) -> dict[str, int | None]:
    """What `load` is asked for; a published model gets pictures of its own size, so that photos lose no more."""
    size = encoder.side if chosen.size is None else chosen.size
    return {"limit": chosen.limit, "seed": chosen.seed, "size": size}
