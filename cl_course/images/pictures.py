"""Any folder or .zip of images, laid out [split/]class/image.ext, as one array of one shape.

A zip is read in place, never unpacked to disk. Because it may come from anywhere, its entries must lie inside it, and
what it claims to unpack to is bounded.
"""

import io
import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import md5
from pathlib import Path
from typing import BinaryIO, NamedTuple
from unicodedata import normalize

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm.auto import tqdm

from cl_course.images.cache import Decoded, Source, hidden, refuse

SPLIT_FOLDERS = {name: name for name in ("train", "val", "test", "unlabeled")}
SPLIT_FOLDERS |= {"valid": "val", "validation": "val", "unlabelled": "unlabeled"}
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MIXED = 96  # pixels a side, where sizes differ and none is asked for
KEPT = 256  # pixels a side up to which images of one size stay as they are
MAX_UNPACKED = 16 << 30  # bytes, all of a zip
MAX_ENTRY = 256 << 20  # bytes, one image of it
COPIES = 3  # of all pixels that are in memory at a time, while they are kept in the cache and then taken from it


class Picture(NamedTuple):
    """An image file: its path as it is written in the folder or zip, its class or None, its path inside its class.

    Its split follows from the last one, which is the same however the set is packed and whatever lies around it.
    """

    name: str
    kind: str | None
    place: str


@dataclass(frozen=True)
class Pictures(Source):
    """A folder or .zip of image files.

    They are scaled until they cover `size` x `size` pixels, then cut at the centre. Without a size they stay as they
    are if all have one size of at most 256 pixels a side, else they become 96 x 96.
    """

    size: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The split folders there are; ("all",) where there are none."""
        return tuple(self._layout[0])

    @property
    def summary(self) -> str:
        """What was found: the splits, and the classes with the number of images of each."""
        layout, class_names = self._layout
        found = []
        for part, pictures in layout.items():
            counts = Counter(picture.kind for picture in pictures)
            names = listed([f"{name} {counts[name]:,}" for name in class_names], most=12)
            classes = "without classes" if None in counts else f"of {len(class_names)} classes ({names})"
            found.append(f"{'' if part == 'all' else f'{part} '}{len(pictures):,} images {classes}")
        if "all" in layout:
            found[0] += ", cut 80 / 10 / 10 into train, val and test"
        elif "train" in layout and "val" not in layout:
            found.append("val is a tenth of train")
        return f"{self.path}: {'; '.join(found)}"

    @cached_property
    def unused(self) -> list[str]:
        """The folders and files that gave nothing, without junk; a folder stands for all that lies in it."""
        giving = {folder for name in self._images for folder in _folders(name)}
        folders, files = Counter(), []
        for name in sorted(set(self._entries) - set(self._images)):
            if useless := [folder for folder in _folders(name) if folder not in giving]:
                folders[useless[0]] += name[-1] != "/"
            elif name[-1] != "/":
                files.append(name)
        inside = {folder: f"{n:,} other file{'s' * (n > 1)}" if n else "empty" for folder, n in folders.items()}
        return [f"{folder} ({what})" for folder, what in inside.items()] + files

    @cached_property
    def _entries(self) -> list[str]:
        """The paths of all that is visible, files and folders; those of folders end in "/"."""
        if self.path.is_dir():
            return self.listing
        with _unzipped(self.path) as archive:
            return [name for name in _safe_entries(self.path, archive) if not hidden(name)]

    @cached_property
    def _images(self) -> list[str]:
        names = [name for name in self._entries if name.lower().endswith(EXTENSIONS)]
        if not names:
            what = f"{self.path} holds no images; put files ending in {', '.join(EXTENSIONS)} into it"
            raise ValueError(f"{what}, laid out [split/]class/image")
        return sorted(names, key=lambda name: normalize("NFC", name))

    @cached_property
    def _layout(self) -> tuple[dict[str, list[Picture]], tuple[str, ...]]:
        """The pictures of each part, and the names of all classes; a folder without any file is a class as well."""
        filled = {folder for name in self._entries if name[-1] != "/" for folder in _folders(name)}
        empty = [name for name in self._entries if name[-1] == "/" and name not in filled]
        # The folders that lead to an image, and the image ("" if there is none). macOS writes other accents (NFD).
        trails = {name: tuple(normalize("NFC", name).split("/")) for name in self._images + empty}
        while len(outer := _outer(trails)) == 1 and not outer & {"", *_split_folders(outer)}:
            beside = {trail[0] for trail in trails.values()} - outer
            inside = {trail[1] for trail in trails.values() if len(trail) == 2}  # pictures, not folders
            if beside - _split_folders(beside).keys() and any(inside):
                break  # a class, beside classes without pictures
            trails = {name: trail[1:] for name, trail in trails.items() if trail[0] in outer and any(trail[1:])}
        splits = _split_folders(outer)
        if splits and (others := sorted(folder or "images in no folder" for folder in outer - splits.keys())):
            what = f"{self.path} has split folders ({', '.join(splits)}) beside others ({', '.join(others)})"
            raise ValueError(f"{what}; move or rename the others")
        if not splits:  # empty split folders are no classes
            trails = {name: ("it", *trail) for name, trail in trails.items() if not _split_folders(trail[:1])}
            splits = {"it": "all"}
        layout, classes = {}, {}
        for split in dict.fromkeys(splits.values()):
            of_split = [folder for folder, meant in splits.items() if meant == split]  # val and valid are one
            inside = {name: trail[1:] for name, trail in trails.items() if trail[0] in of_split}
            layout[split] = self._sorted(" and ".join(of_split), inside, with_classes=split != "unlabeled")
            classes[split] = {trail[0] for trail in inside.values() if layout[split][0].kind and len(trail) > 1}
        for split, names in classes.items():
            if names and not names & classes.get("train", names):
                here, train = (", ".join(sorted(classes[of])[:3]) for of in (split, "train"))
                what = f"the classes of {split} ({here}) are none of train's ({train})"
                raise ValueError(f"{self.path}: {what}; lay both out as split/class/image")
        class_names = tuple(sorted(set().union(*classes.values())))
        if len(class_names) == 1:  # tells nothing
            return {part: [picture._replace(kind=None) for picture in found] for part, found in layout.items()}, ()
        return layout, class_names

    def _sorted(self, where: str, trails: dict[str, tuple[str, ...]], with_classes: bool) -> list[Picture]:
        trails = {name: trail for name, trail in trails.items() if trail[-1]}  # no empty folders
        loose = [name for name, trail in trails.items() if len(trail) == 1]
        if with_classes and loose and len(loose) < len(trails):
            what = f"{where} has class folders and, beside them, {len(loose)} images in none, such as {loose[0]}"
            raise ValueError(f"{self.path}: {what}; give all a class, or none")
        first = 1 if with_classes and not loose else 0
        return [Picture(name, trail[0] if first else None, "/".join(trail[first:])) for name, trail in trails.items()]

    def read(self, part: str) -> Decoded:
        (layout, class_names), (width, height) = self._layout, self._shape
        check_room(len(layout[part]), height, width)
        images = np.empty((len(layout[part]), 3, height, width), np.uint8)
        kept, skipped = [], []
        with self._opened() as open_image:
            for picture in tqdm(layout[part], desc=f"reading {self.path.name}", delay=2):
                try:
                    with open_image(picture.name) as file:
                        images[len(kept)] = decode(file.read(), width, height)
                    kept.append(picture)
                except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                    what = f"{picture.name} in {self.path} unpacks to more than {Image.MAX_IMAGE_PIXELS:,} pixels"
                    raise ValueError(f"{what}; shrink it or take it out") from None
                except FileNotFoundError:
                    skipped.append(f"{picture.name}: removed while it was read, or a link that leads nowhere")
                except PermissionError as problem:
                    refuse(problem)
                except Exception as problem:  # broken bytes fail in as many ways as there are decoders
                    if isinstance(problem, MemoryError) or getattr(problem, "errno", None):
                        raise  # the machine's fault: it may be gone next time
                    reason = "not an image" if isinstance(problem, UnidentifiedImageError) else problem
                    skipped.append(f"{picture.name}: {reason or type(problem).__name__}")
        if not kept:
            raise ValueError(f"none of the {len(skipped)} images of {self.path} can be read; the first is {skipped[0]}")
        numbers = {name: number for number, name in enumerate(class_names)}
        labels = None if kept[0].kind is None else np.array([numbers[picture.kind] for picture in kept], np.int64)
        hashes = [md5(picture.place.encode(errors="surrogateescape"), usedforsecurity=False) for picture in kept]
        tickets = np.array([int(found.hexdigest()[:13], 16) / 16**13 for found in hashes])
        names = tuple(picture.name for picture in kept)
        return Decoded(images[: len(kept)], labels, tickets, class_names, tuple(skipped), names)

    @cached_property
    def headers(self) -> dict[str, tuple[int, int, str]]:
        """Width, height and mode (Pillow's, such as "RGB") of each image whose header can be read; pixels are not."""
        found = {}
        with self._opened() as open_image:
            for name in self._images:
                with suppress(Exception), open_image(name) as file, Image.open(file) as image:  # `read` says what broke
                    turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)  # by a quarter
                    found[name] = (*(image.size[::-1] if turned else image.size), image.mode)
        return found

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Width and height, the same in every part."""
        if self.size is not None:
            return self.size, self.size
        shapes = {(width, height) for width, height, _ in self.headers.values()}
        only = next(iter(shapes), (MIXED, MIXED))
        return only if len(shapes) == 1 and max(only) <= KEPT else (MIXED, MIXED)

    @contextmanager
    def _opened(self) -> Iterator[Callable[[str], BinaryIO]]:
        """A function that opens an image by its name; too big a one becomes an error."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if self.path.is_dir():
                yield lambda name: _open_file(self.path / name)
            else:
                with _unzipped(self.path) as archive:
                    entries = _safe_entries(self.path, archive)
                    yield lambda name: archive.open(entries[name])


def _open_file(path: Path) -> BinaryIO:
    """An ordinary file, opened: a pipe would be waited for without end."""
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(path)  # also where the link leads to itself
    if path.exists() and not path.is_file():
        raise ValueError("a pipe, a device or a link to a folder, and not a file")
    return path.open("rb")


def check_room(n: int, height: int, width: int, advice: str = "") -> None:
    """Raise a ValueError if n images of this size do not fit into this machine's memory.

    Without other advice it names a size that does.
    """
    memory, needed = machine_memory(), COPIES * n * 3 * height * width
    if memory is None or needed <= memory:
        return
    fitting = max(1, int((memory / (COPIES * n * 3)) ** 0.5))
    fitting -= fitting % 8 if fitting > 8 else 0
    what = f"{n:,} images of {height} x {width} pixels need {needed / 1e9:.0f} GB of memory"
    advice = advice or f"make them smaller with size={fitting} or less (on the command line --size {fitting})"
    raise ValueError(f"{what}, and this machine has {memory / 1e9:.0f} GB; {advice}")


def machine_memory() -> int | None:
    """Bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def read_picture(path: Path, width: int, height: int) -> np.ndarray:
    """One image file as `decode` gives it; an OSError or ValueError says in a sentence why it cannot be read."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no image file {path}; give the path of one")
    try:
        return decode(path.read_bytes(), width, height)
    except PermissionError as problem:
        refuse(problem)
    except Exception as problem:  # noqa: BLE001  broken bytes fail in as many ways as there are decoders
        reason = "not an image" if isinstance(problem, UnidentifiedImageError) else problem
        raise ValueError(f"{path} cannot be read as an image ({reason}); give another file") from None


def decode(content: bytes, width: int, height: int) -> np.ndarray:
    """The bytes of an image file as uint8 (3, height, width): upright, on white, scaled and cut at the centre."""
    with Image.open(io.BytesIO(content)) as image:
        if image.size != (width, height):
            image.draft("RGB", (2 * width, 2 * height))  # a big JPEG is decoded at a fraction of its size
        image = ImageOps.exif_transpose(image)  # cameras store a turn, not turned pixels
        if image.mode[0] in "IF":
            raise ValueError("more than 8 bits a channel; save it with 8")
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:  # hidden pixels may have any colour
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = image.convert("RGB")
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)


@contextmanager
def _unzipped(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except PermissionError as problem:
        refuse(problem)
    except (zipfile.BadZipFile, NotImplementedError):  # the latter for a version that zipfile does not know
        raise ValueError(f"{path} is not a readable zip file; give a folder or a .zip of images") from None
    with archive:
        yield archive


def _safe_entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """name -> entry, with names as in a folder: forward slashes, no "." among them, and "/" behind folders."""
    entries, total = {}, 0
    for entry in archive.infolist():
        written = entry.filename
        if not entry.flag_bits & 0x800:  # many tools write UTF-8 without the flag for it, and zipfile reads cp437
            with suppress(UnicodeError):
                written = written.encode("cp437").decode()
        written = written.replace("\\", "/")
        if written.startswith("/") or ".." in written.split("/") or re.match("[A-Za-z]:", written):
            what = f"{path} holds the entry {entry.filename!r}, which would land outside its folder"
            raise ValueError(f"{what}; do not trust this file")
        if entry.flag_bits & 0x1:
            raise ValueError(f"{path} is encrypted; unpack it with its password and give the folder")
        if entry.file_size > MAX_ENTRY:
            what = f"{written} in {path} unpacks to {entry.file_size:,} bytes, more than the {MAX_ENTRY:,} allowed"
            raise ValueError(f"{what}; take it out")
        total += entry.file_size
        if name := "/".join(part for part in written.split("/") if part not in ("", ".")):
            entries[name + "/" * written.endswith("/")] = entry
    if total > MAX_UNPACKED:
        what = f"{path} unpacks to {total:,} bytes, more than the {MAX_UNPACKED:,} allowed"
        raise ValueError(f"{what}; split it, or unpack it yourself and give the folder")
    return entries


def _folders(name: str) -> list[str]:
    """The folders that a path leads through: "a/" and "a/b/" of "a/b/c.png"."""
    return [name[: i + 1] for i, letter in enumerate(name) if letter == "/"]


def _outer(trails: dict[str, tuple[str, ...]]) -> set[str]:
    """The outermost folders that hold pictures; "" for pictures in no folder."""
    return {trail[0] if len(trail) > 1 else "" for trail in trails.values() if trail[-1]}


def _split_folders(names: Iterable[str]) -> dict[str, str]:
    """folder -> split, for those that are called like one."""
    return {name: SPLIT_FOLDERS[name.lower()] for name in sorted(names) if name.lower() in SPLIT_FOLDERS}


def listed(items: Sequence[str], most: int) -> str:
    """The items in one line, the first `most` of them."""
    return ", ".join(items[:most]) + (f" and {len(items) - most:,} more" if len(items) > most else "")
