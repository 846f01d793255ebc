"""Figures on the page: crisp, on a white ground, and with a text for readers who cannot see them."""

import base64
import html
import io

import ipywidgets as widgets
import numpy as np
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from cl_course.lessons.shared.style import DENSITY

BORDER = 8 * DENSITY  # white pixels around a figure: on a dark page its labels would touch the page's ground
COLOURS = 256


def png(figure: Figure) -> bytes:
    """A figure as quickly as possible, for pictures that follow a slider."""
    buffer = io.BytesIO()
    _drawn(figure).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def canvas(width: int) -> widgets.Image:
    """The picture of a lab, still empty: `width` pixels wide where there is room, and never wider than the page."""
    # With a margin it would, at full width, not fit its box, which then shows a scroll bar.
    return widgets.Image(
        format="png", layout=widgets.Layout(width=f"{width}px", max_width="100%", align_self="flex-start", margin="0")
    )


def figure_bundle(figure: Figure, alt: str, photo: bool = False) -> dict:
    """A figure as the data of a notebook's output: an HTML image with its alt text.

    See `picture_bundle`; a white border is put around the figure.
    """
    return picture_bundle(ImageOps.expand(_drawn(figure), BORDER, "white"), alt, DENSITY, photo)


def picture_bundle(picture: Image.Image, alt: str, density: int, photo: bool = False) -> dict:
    """A picture as the data of a notebook's output: an HTML image with its alt text.

    As `image/png` it would lose the alt text: JupyterLab keeps that of HTML alone. The pixels lie in the page (a data
    URI), which JupyterLab shows in notebooks that it does not trust yet, too.

    Args:
        density: the picture's pixels for each pixel of the page.
        photo: as JPEG, where most of it is photographs; otherwise PNG with 256 colours, a third of the size.
    """
    buffer = io.BytesIO()
    if photo:
        picture.save(buffer, "jpeg", quality=80, optimize=True)
    else:
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    source = f"data:image/{'jpeg' if photo else 'png'};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    width = round(picture.width / density)
    image = f'<img alt="{html.escape(alt)}" width="{width}" style="max-width: 100%" src="{source}">'
    return {"text/html": image, "text/plain": alt}


def show(figure: Figure, alt: str, photo: bool = False) -> None:
    """Display a figure under a cell.

    Args:
        alt: what a reader who cannot see the figure needs to know, in one or two sentences.
        photo: see `figure_bundle`.
    """
    display(figure_bundle(figure, alt, photo), raw=True)


def _drawn(figure: Figure) -> Image.Image:
    canvas_of_it = FigureCanvasAgg(figure)
    canvas_of_it.draw()  # lays out once; `savefig` does it twice, a fifth slower under a slider
    return Image.fromarray(np.asarray(canvas_of_it.buffer_rgba())).convert("RGB")
