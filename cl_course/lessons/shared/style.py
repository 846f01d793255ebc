"""One look for every figure: the Okabe-Ito palette (safe for colour-blind readers), type that is large enough."""

import matplotlib
from matplotlib.figure import Figure

INK, MUTED, GRID = "#222222", "#767676", "#e4e4e4"
BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, RED, INK)

DENSITY = 2  # pixels of a picture to one of the page: sharp on screens that have two
_SETTINGS = {
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.dpi": 100 * DENSITY,
    "font.size": 10,
}


def new_figure(width: float = 7.0, height: float = 3.2) -> Figure:
    """An empty figure (inches) in the course's style, with no window and no pyplot state behind it."""
    with matplotlib.rc_context(_SETTINGS):
        return Figure(figsize=(width, height), layout="constrained")


def subplots(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.2, **keywords):
    """`new_figure` with its axes, styled: (figure, axes) as pyplot's function of that name returns them."""
    figure = new_figure(width, height)
    with matplotlib.rc_context(_SETTINGS):
        return figure, figure.subplots(rows, columns, **keywords)
