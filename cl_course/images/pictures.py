"""Any folder or .zip of images, laid out [split/]class/image.ext, as one array of one shape.

A zip is read in place, never unpacked to disk. Its entries must still lie inside it, and what
it claims to unpack to is bounded, because it may come from anywhere.
"""

import io
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps
from tqdm.auto import tqdm

from cl_course.images.cache import Decoded, files_in

SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "unlabeled": "unlabeled", "unlabelled": "unlabeled"}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MIXED = 96  # pixels a side, where sizes differ and none is asked for
KEPT = 256  # pixels a side up to which images of one size stay as they are
MAX_UNPACKED = 16 << 30  # bytes, all of a zip
MAX_ENTRY = 256 << 20  # bytes, one image of it


@dataclass(frozen=True)
class Pictures:
    """A folder or .zip of image files.

    Attributes:
        path: the folder or zip.
        size: images become size x size pixels: scaled until they cover it, then cut at the centre.
            None: as they are, where all have one size of at most 256 pixels a side, else 96.
    """

    path: Path
    size: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The split folders there are; ("all",) where there are none."""
        return tuple(self._layout)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return tuple(sorted({kind for images in self._layout.values() for kind in images.values() if kind is not None}))

    @cached_property
    def _names(self) -> list[str]:
        """Every image's path inside the source, with forward slashes."""
        if self.path.is_dir():
            names = [file.relative_to(self.path).as_posix() for file in files_in(self.path)]
        else:
            with _unzipped(self.path) as archive:
                names = list(_safe_entries(self.path, archive))
        names = sorted(name for name in names if name.lower().endswith(EXTENSIONS) and not _hidden(name))
        if not names:
            raise ValueError(f"{self.path} holds no images; put files ending in {', '.join(EXTENSIONS)} into it, laid out [split/]class/image")
        return names

    @cached_property
    def _layout(self) -> dict[str, dict[str, str | None]]:
        """part -> {name: class, or None where the part has no classes}."""
        folders = {name: tuple(name.split("/")[:-1]) for name in self._names}
        while (shared := _shared(folders)) and shared.lower() not in SPLIT_FOLDERS:  # a folder around it all, or the only class, tells nothing
            folders = {name: inside[1:] for name, inside in folders.items()}
        outer = {inside[0] if inside else "" for inside in folders.values()}
        splits = {folder: SPLIT_FOLDERS[folder.lower()] for folder in sorted(outer) if folder.lower() in SPLIT_FOLDERS}
        if not splits:
            return {"all": self._classes("it", folders)}
        if outer - splits.keys():
            others = ", ".join(folder or "images in no folder" for folder in sorted(outer - splits.keys()))
            raise ValueError(f"{self.path} has split folders ({', '.join(splits)}) beside others ({others}); move or rename the others")
        layout = {}
        for split in dict.fromkeys(splits.values()):
            of_split = [folder for folder, meant in splits.items() if meant == split]  # val and valid are one
            inside = {name: path[1:] for name, path in folders.items() if path[0] in of_split}
            layout[split] = dict.fromkeys(inside) if split == "unlabeled" else self._classes(f"its folder {' and '.join(of_split)}", inside)
        kinds = {split: sorted({kind for kind in classes.values() if kind is not None}) for split, classes in layout.items()}
        for split, names in kinds.items():
            if names and not set(names) & set(kinds.get("train", names)):
                raise ValueError(f"{self.path}: the classes of {split} ({', '.join(names[:3])}) are none of train's ({', '.join(kinds['train'][:3])}); lay both out as split/class/image")
        if len(set().union(*kinds.values())) == 1:  # one class tells nothing
            layout = {split: dict.fromkeys(classes) for split, classes in layout.items()}
        return layout

    def _classes(self, where: str, folders: dict[str, tuple[str, ...]]) -> dict[str, str | None]:
        loose = [name for name, inside in folders.items() if not inside]
        if loose and len(loose) < len(folders):
            raise ValueError(
                f"{self.path}: {where} has class folders and, beside them, {len(loose)} images in none, such as {loose[0]}; give all a class, or none"
            )
        return {name: inside[0] if inside else None for name, inside in folders.items()}

    def read(self, part: str) -> Decoded:
        images_of, width, height = self._layout[part], *self._shape
        images = np.empty((len(images_of), 3, height, width), np.uint8)
        kept, labels, skipped = [], [], []
        with self._opened() as open_image:
            for name, kind in tqdm(images_of.items(), desc=f"reading {self.path.name}", delay=2):
                try:
                    with open_image(name) as file:
                        images[len(kept)] = _decode(file.read(), width, height)
                except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                    raise ValueError(f"{name} in {self.path} unpacks to more than {Image.MAX_IMAGE_PIXELS:,} pixels; shrink it or take it out") from None
                except Exception as problem:  # broken bytes fail in as many ways as there are decoders
                    if isinstance(problem, MemoryError) or getattr(problem, "errno", None):  # the machine's fault: it may be gone next time
                        raise
                    skipped.append(f"{name}: {problem or type(problem).__name__}")
                    continue
                kept.append(name)
                labels.append(kind)
        if not kept:
            raise ValueError(f"none of the {len(skipped)} images of {self.path} can be read; the first is {skipped[0]}")
        # A name's hash: an image keeps its ticket, and mostly its split, when others come or go.
        tickets = np.array([int(md5(os.fsencode(name), usedforsecurity=False).hexdigest()[:13], 16) / 16**13 for name in kept])
        numbers = None if labels[0] is None else np.array([self.class_names.index(kind) for kind in labels], np.int64)
        return Decoded(images[: len(kept)], numbers, tickets, self.class_names, tuple(skipped))

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Width and height, the same in every part."""
        if self.size is not None:
            return self.size, self.size
        shapes = Counter()
        with self._opened() as open_image:
            for name in self._names:
                try:
                    with open_image(name) as file, Image.open(file) as image:  # reads the header only
                        turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)  # by a quarter
                        shapes[image.size[::-1] if turned else image.size] += 1
                except Exception:  # noqa: BLE001, S112, `read` will name it
                    continue
        only = next(iter(shapes), (MIXED, MIXED))
        return only if len(shapes) == 1 and max(only) <= KEPT else (MIXED, MIXED)

    @contextmanager
    def _opened(self) -> Iterator[Callable[[str], BinaryIO]]:
        """A function that opens an image by its name; too big a one becomes an error."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if self.path.is_dir():
                yield lambda name: (self.path / name).open("rb")
            else:
                with _unzipped(self.path) as archive:
                    entries = _safe_entries(self.path, archive)
                    yield lambda name: archive.open(entries[name])


def _decode(content: bytes, width: int, height: int) -> np.ndarray:
    """uint8 (3, height, width)."""
    with Image.open(io.BytesIO(content)) as image:
        if image.size != (width, height):
            image.draft("RGB", (2 * width, 2 * height))  # a big JPEG is decoded at a fraction of its size
        image = ImageOps.exif_transpose(image)  # cameras store a turn, not turned pixels
        if image.mode[0] in "IF":
            raise ValueError("more than 8 bits a channel; save it with 8")
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:  # what lies under transparent pixels is anything
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = image.convert("RGB")
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)


@contextmanager
def _unzipped(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is no readable zip file; give a folder or a .zip of images") from None
    with archive:
        yield archive


def _safe_entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """name -> entry, with names as they would be in a folder: forward slashes, and no ./ before them."""
    entries = {entry.filename.replace("\\", "/").removeprefix("./"): entry for entry in archive.infolist()}
    for name, entry in entries.items():
        if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
            raise ValueError(f"{path} holds the entry {entry.filename!r}, which would land outside its folder; do not trust this file")
        if entry.file_size > MAX_ENTRY:
            raise ValueError(f"{entry.filename} in {path} unpacks to {entry.file_size:,} bytes, more than the {MAX_ENTRY:,} allowed; take it out")
    total = sum(entry.file_size for entry in archive.infolist())
    if total > MAX_UNPACKED:
        raise ValueError(f"{path} unpacks to {total:,} bytes, more than the {MAX_UNPACKED:,} allowed; split it, or unpack it yourself and give the folder")
    return entries


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _shared(folders: dict[str, tuple[str, ...]]) -> str | None:
    """The folder that all lie in."""
    first = {inside[0] if inside else None for inside in folders.values()}
    return first.pop() if len(first) == 1 else None
