"""The page's pictures: thumbnails inside the page, and charts as SVG, whose colours follow light and dark."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cl_course.data import to_float
from cl_course.running.report.scores import Scores, spread

SIDE, SMALL = 96, 48  # pixels of a thumbnail, and of one on the map's sheet
COLUMNS = 32  # of that sheet
# Okabe and Ito's colours, which colour-blind readers tell apart, and lighter and darker ones for further classes.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b5a900", "#8c8c8c", "#7a4fbf", "#8b5a2b")
PLOT, HEIGHT, LABEL = 300, 46, 250  # of the chart of scores, in its own units
MAP, EDGE = 640, 16


def thumbnail(image: Tensor) -> str:
    """One uint8 image (3, h, w) as a JPEG inside an address; large ones shrunk, small ones as they are."""
    height, width = image.shape[-2:]
    scale = min(1.0, SIDE / min(height, width))
    if scale < 1:
        image = _resized(image[None], (round(height * scale), round(width * scale)))[0]
    return _address(image.permute(1, 2, 0).numpy(), 88)


def sheet(images: Tensor) -> dict[str, str | int]:
    """Many images (n, 3, h, w), n at least 1, as one picture of squares: its address, columns and rows."""
    n, columns = len(images), min(COLUMNS, len(images))
    rows = -(-n // columns)
    whole = np.zeros((rows, SMALL, columns, SMALL, 3), np.uint8)
    for first in range(0, n, 500):
        for place, image in enumerate(_resized(images[first : first + 500], (SMALL, SMALL)), first):
            whole[place // columns, :, place % columns] = image.permute(1, 2, 0).numpy()
    address = _address(whole.reshape(rows * SMALL, columns * SMALL, 3), 75)
    return {"image": address, "columns": columns, "rows": rows}


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    shrunk = F.interpolate(to_float(images), size, mode="bilinear", antialias=True)
    return (255 * shrunk).round().clamp(0, 255).byte()


def _address(pixels: np.ndarray, quality: int) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=quality, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def score_chart(scores: Scores) -> str:
    """Every split as a dot, the mean as a bar: kNN filled, the probe open."""
    height = HEIGHT * len(scores.rows) + 26
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = LABEL + PLOT * share
        parts.append(
            f'<line class="axis" x1="{x}" x2="{x}" y1="4" y2="{height - 20}"/>'
            f'<text class="muted" x="{x}" y="{height - 4}" text-anchor="middle">{share:g}</text>'
        )
    x = LABEL + PLOT * scores.largest
    parts.append(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 20}" stroke="var(--warn)" stroke-dasharray="4 3"/>'
    )
    for place, row in enumerate(scores.rows):
        y = HEIGHT * place + 14
        parts.append(f'<text x="0" y="{y + 12}">{escape(row.name)}</text>')
        for offset, values, fill in ((0, row.knn, "var(--accent)"), (16, row.probe, "var(--ground)")):
            mean = LABEL + PLOT * spread(values)[0]
            parts.append(
                f'<line x1="{mean:.1f}" x2="{mean:.1f}" y1="{y + offset - 7}" y2="{y + offset + 7}" '
                'stroke="var(--ink)" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{LABEL + PLOT * value:.1f}" cy="{y + offset}" r="4.5" fill="{fill}" '
                'fill-opacity="0.7" stroke="var(--accent)"/>'
                for value in values
            ]
    about = "; ".join(
        f"{row.name}: kNN {spread(row.knn)[0]:.3f}, probe {spread(row.probe)[0]:.3f}" for row in scores.rows
    )
    return _svg(LABEL + PLOT + 14, height, f"Accuracy on the test pictures. {about}", parts)


def map_chart(points: Tensor, captions: Sequence[str], labels: Sequence[int] | None) -> str:
    """A point for each picture, coloured by its class; points (m, 2) in [0, 1]."""
    parts = []
    for place, ((x, y), caption) in enumerate(zip((EDGE + (MAP - 2 * EDGE) * points).tolist(), captions)):
        colour = COLOURS[0] if labels is None else COLOURS[labels[place] % len(COLOURS)]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.8" '
            f'data-name="{escape(caption)}"/>'
        )
    about = f"Map of {len(captions):,} pictures by their features; arrow keys go from picture to picture"
    return _svg(MAP, MAP, about, parts, ' tabindex="0"')


def loss_chart(losses: Sequence[float]) -> str:
    """The loss after every epoch."""
    width, height, top = 420, 120, max(losses)
    low = min(0.0, *losses)
    step = (width - 60) / max(1, len(losses) - 1)
    scale = (height - 40) / ((top - low) or 1)
    line = " ".join(f"{44 + step * epoch:.1f},{10 + (top - loss) * scale:.1f}" for epoch, loss in enumerate(losses))
    parts = [
        f'<text class="muted" x="0" y="16">{top:.2f}</text>',
        f'<text class="muted" x="0" y="{height - 26}">{low:.2f}</text>',
        f'<line class="axis" x1="44" x2="{width - 16}" y1="{height - 30}" y2="{height - 30}"/>',
        f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="2"/>',
        f'<text class="muted" x="44" y="{height - 8}">epoch 1</text>',
        f'<text class="muted" x="{width - 16}" y="{height - 8}" text-anchor="end">{len(losses)}</text>',
    ]
    return _svg(width, height, f"Loss by epoch, from {losses[0]:.2f} to {losses[-1]:.2f}", parts)


def _svg(width: float, height: float, about: str, parts: Sequence[str], more: str = "") -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(about)}"{more}>'
        f"{''.join(parts)}</svg>"
    )
