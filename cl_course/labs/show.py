"""Figures as PNG pictures with alt text, static or behind sliders."""

import base64
import io

from IPython.display import display
from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def show(figure: Figure, alt: str) -> None:
    """Display a figure under a cell; `alt` is what a reader who cannot see it needs to know."""
    picture = {"image/png": base64.b64encode(png(figure)).decode(), "text/plain": alt}
    display(picture, metadata={"image/png": {"alt": alt}}, raw=True)
