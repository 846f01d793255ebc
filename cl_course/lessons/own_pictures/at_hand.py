"""Pictures at hand without a download, written as a learner's own would lie on a disk: one zip, no classes.

The zips are made to be looked at: a few pictures are in there twice, two files are broken, and sizes differ.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cl_course.files import write_atomically
from cl_course.images import shapes
from cl_course.images.download import cache_folder, writable
from cl_course.running.settings import AT_HAND
from cl_course.values import one_of, path_of

KINDS = AT_HAND
CARDS = 2000
SIDES = (28, 32, 40)  # pixels of the cards
PATCH, STEP = 64, 32  # pixels: a patch's side, and from one patch to the next
COPIES = 12  # pictures that are in there twice, saved anew as JPEG
VERSION = 1  # of what is written


def at_hand(kind: str) -> tuple[Path, dict[str, str]]:
    """A zip of pictures, and what the drawer or the data set's authors know: name in the zip -> class.

    "cards": 2,000 drawn cards; "digits": scikit-learn's 1,797 handwritten digits, grey, 8 pixels a side;
    "photos": 456 patches of scikit-learn's two sample photos (CC BY 2.0).

    Raises:
        ValueError: there is no such kind.
        OSError: the cache folder cannot be written.
    """
    one_of("pictures at hand", kind, KINDS)
    path = writable(cache_folder() / "at_hand") / f"{kind}-{VERSION}.zip"
    drawn = list({"cards": _cards, "digits": _digits, "photos": _photos}[kind]())
    names = [f"IMG_{number:04d}" for number in np.random.default_rng(1).permutation(len(drawn))]
    truth = {f"{name}.png": label for name, (_, label) in zip(names, drawn)}
    copied = {f"{name}_edited.jpg": pixels for name, (pixels, _) in list(zip(names, drawn))[:COPIES]}
    truth |= {name: truth[name.replace("_edited.jpg", ".png")] for name in copied}
    if not path.exists():
        files = {f"{name}.png": _saved(pixels, "png") for name, (pixels, _) in zip(names, drawn)}
        files |= {name: _saved(pixels, "jpeg", quality=95, subsampling=0) for name, pixels in copied.items()}
        files |= {"IMG_9998.png": next(iter(files.values()))[:60], "IMG_9999.jpg": b"not a picture"}
        write_atomically(path, lambda unfinished: _pack(unfinished, files))
    return path, truth


def opened(dataset: str) -> tuple[Path, dict[str, str]]:
    """The folder or zip that a lesson's parameter `dataset` means, and the classes that are known: name -> class.

    "shapes" are the cards, another data set of the course stands for the digits; of a path nothing is known.

    Raises:
        ValueError: there is no such folder or zip.
    """
    dataset = {"shapes": "cards", "cifar10": "digits", "stl10": "digits"}.get(dataset, dataset)
    if dataset in KINDS:
        return at_hand(dataset)
    path = path_of(dataset)
    if not path.exists():
        raise ValueError(f"dataset must be {', '.join(map(repr, KINDS))}, or your own folder or .zip of pictures, got "
                         f"{dataset!r}")  # fmt: skip
    return path.resolve(), {}  # "." has no name to put labels and encoder beside


def _pack(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])  # ZipInfo has a fixed date: the same bytes each time


def _saved(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _cards() -> Iterator[tuple[np.ndarray, str]]:
    drawing, draw = shapes.draw("train", seed=9, limit=CARDS), np.random.default_rng(0)
    for pixels, label in zip(drawing.images, drawing.labels):
        image = Image.fromarray(pixels.transpose(1, 2, 0))
        side = int(draw.choice(SIDES))
        yield np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)), shapes.CLASS_NAMES[label]


def _digits() -> Iterator[tuple[np.ndarray, str]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for pixels, label in zip(digits.images, digits.target):
        yield (pixels * (255 / 16)).round().astype(np.uint8), str(label)


def _photos() -> Iterator[tuple[np.ndarray, str]]:
    from sklearn.datasets import load_sample_images

    for photo, name in zip(load_sample_images().images, ("temple", "flower")):
        height, width = photo.shape[:2]
        for y in range(0, height - PATCH + 1, STEP):
            for x in range(0, width - PATCH + 1, STEP):
                yield photo[y : y + PATCH, x : x + PATCH], name
