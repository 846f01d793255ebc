"""Images as matplotlib and labs in the page want them, and sheets of them."""

import base64
import io
from collections.abc import Sequence

import numpy as np
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
    kind, options = ("jpeg", {"quality": 85, "subsampling": 0}) if photo else ("png", {})
    buffer = io.BytesIO()
    Image.fromarray((255 * image).round().astype(np.uint8)).save(buffer, kind, optimize=True, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


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
