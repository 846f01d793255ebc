"""Figures as PNG pictures with alt text, static or behind sliders."""

import base64
import io

import ipywidgets as widgets
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # lays out once; `savefig` does it twice, a fifth slower under a slider
    return buffer.getvalue()


def canvas(width: int) -> widgets.Image:
    """The picture of a lab, still empty: `width` pixels wide where there is room, and never wider than the page."""
    # With a margin it would, at full width, not fit its box, which then shows a scroll bar.
    return widgets.Image(
        format="png", layout=widgets.Layout(width=f"{width}px", max_width="100%", align_self="flex-start", margin="0")
    )


def png_bundle(picture: bytes, alt: str) -> tuple[dict, dict]:
    """A picture and its alt text, as the (data, metadata) of a notebook's output."""
    return {"image/png": base64.b64encode(picture).decode(), "text/plain": alt}, {"image/png": {"alt": alt}}


def show(figure: Figure, alt: str, photo: bool = False) -> None:
    """Display a figure under a cell; `alt` is what a reader who cannot see it needs to know.

    Args:
        photo: as JPEG, a quarter of the size where most of the figure is photographs.
    """
    if photo:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 88, "optimize": True})
        data, metadata = (
            {"image/jpeg": base64.b64encode(buffer.getvalue()).decode(), "text/plain": alt},
            {"image/jpeg": {"alt": alt}},
        )
    else:
        data, metadata = png_bundle(png(figure), alt)
    display(data, metadata=metadata, raw=True)
