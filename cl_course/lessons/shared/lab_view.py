"""The frame of every lab: its parts in a column, and what ipywidgets leaves out for keyboard and screen reader."""

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

_LOOK = """
.cl-lab.cl-lab button:disabled { opacity: 0.4; cursor: not-allowed; }
.cl-lab button:focus-visible, .cl-lab .noUi-handle:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
"""


class Accessibility(anywidget.AnyWidget):
    """Takes no room; its script names the sliders around it and keeps the keyboard's place (see lab_view.js)."""

    _esm = Path(__file__).with_suffix(".js")
    _css = _LOOK
    name = traitlets.Unicode().tag(sync=True)


def lab_view(name: str, *parts: widgets.Widget) -> widgets.VBox:
    """A lab's parts from top to bottom.

    Args:
        name: of the lab, as a screen reader says it.
    """
    view = widgets.VBox([*parts, Accessibility(name=name, layout=widgets.Layout(height="0", margin="0"))])
    view.add_class("cl-lab")
    return view
