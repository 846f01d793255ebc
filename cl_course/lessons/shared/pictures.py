"""Images as matplotlib and labs in the page want them, and sheets of them."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from cl_course.lessons.shared.cards import draw_card
from cl_course.lessons.shared.style import new_figure


def channels_last(images: Tensor) -> np.ndarray:
    """Images (..., 3, h, w) as an array (..., h, w, 3), as matplotlib draws them."""
    return images.movedim(-3, -1).cpu().numpy()


def data_uri(image: np.ndarray, photo: bool = False) -> str:
    """An image (h, w, 3) in [0, 1] inside an address, for labs in the page: as PNG, or as JPEG where size counts more.

    Args:
        photo: as JPEG, with its colours at full resolution: a quarter of a PNG of photos or of noisy cards.
    """
    return _address(image, "jpeg", quality=85, subsampling=0) if photo else _address(image, "png")


def _address(image: np.ndarray, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray((255 * image).clip(0, 255).round().astype(np.uint8)).save(buffer, kind, optimize=True, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sprite(images: Tensor, columns: int = 20) -> dict[str, Any]:
    """Many images in one picture, for labs in the page that show hundreds of them; `sprite` of kit.js takes them out.

    A JPEG of 0.4 kB for each card of 32 x 32, where a PNG would have 2.4 kB: it cannot pack their noise. Colours are
    not subsampled, since an outline often differs from its ground in colour alone. Sides are multiples of a JPEG's
    blocks, so that no image leaves a trace in the one beside it.

    Args:
        images: (n, 3, h, w) in [0, 1], n at least 1; they become squares of 32 pixels, larger ones of 48.

    Returns:
        `image`, the picture inside an address; `columns` and `rows`, how many images lie in each direction.
    """
    n, side, columns = len(images), 32 if images.shape[-1] <= 32 else 48, min(columns, len(images))
    if images.shape[-2:] != (side, side):
        images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
    rows = -(-n // columns)
    sheet = np.zeros((rows, side, columns, side, 3))
    for i, image in enumerate(channels_last(images)):
        sheet[i // columns, :, i % columns] = image
    image = _address(sheet.reshape(rows * side, columns * side, 3), "jpeg", quality=75, subsampling=0)
    return {"image": image, "columns": columns, "rows": rows}


def operations_figure(rows: Sequence[tuple[str, np.ndarray, Sequence[str]]], width: float = 8.5) -> Figure:
    """One operation a row, the same picture under one parameter after another.

    Args:
        rows: (operation, images (k, h, w, 3), k captions), the same k in every row.
    """
    columns = len(rows[0][1])
    figure = new_figure(width, 1.05 * width / (columns + 1) * len(rows) + 0.1)
    places = figure.subplots(len(rows), columns + 1, squeeze=False)
    for row, (name, images, captions) in zip(places, rows):
        row[0].set_axis_off()
        row[0].text(1.0, 0.5, name, ha="right", va="center", fontsize=10)
        for place, image, caption in zip(row[1:], images, captions):
            draw_card(place, image, caption)
    return figure
