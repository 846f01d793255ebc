"""Small image files for the tests, loose, in folders and in zips."""

import io
import zipfile

import numpy as np
from PIL import Image


def picture(seed: int, size=(20, 20), mode="RGB") -> Image.Image:
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode)
    shape = size[::-1] if channels is None else (*size[::-1], channels)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode)


def encoded(image: Image.Image, form="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def folder_of(tmp_path, files: dict[str, bytes]):
    for name, content in files.items():
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pics" / name).write_bytes(content)
    return tmp_path / "pics"


def zip_of(tmp_path, files: dict[str, bytes]):
    with zipfile.ZipFile(tmp_path / "pics.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return tmp_path / "pics.zip"


def flowers(per_class=20, before="", classes=("rose", "tulip")) -> dict[str, bytes]:
    return {
        f"{before}{name}/{i:03}.png": encoded(picture(1000 * c + i))
        for c, name in enumerate(classes)
        for i in range(per_class)
    }
