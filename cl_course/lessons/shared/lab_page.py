"""Labs that live in the page: JavaScript computes and draws, Python hands in the data once.

A lab is two files beside each other, `lab_x.py` and `lab_x.js`; `make labs` bundles the second with what it imports.
The widget works in JupyterLab, in Colab and on a page without a kernel.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STYLE = (Path(__file__).parent / "js" / "lab.css").read_text()


class Lab(anywidget.AnyWidget):
    """One lab; what it shows follows from `data` alone, so that a page without a kernel can show it, too."""

    _css = STYLE
    data = traitlets.Dict().tag(sync=True)


class AskingLab(Lab):
    """A lab that asks the kernel for what only torch can do, such as a training run.

    The page finds `ask` only where there is a kernel. It sets it, and gets the `answer` when it is there.
    """

    ask = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)


def page_lab(source: str, name: str, *, answer: Callable[[dict], dict] | None = None, **data: Any) -> Lab:
    """The lab `name` beside the Python file `source`.

    Args:
        source: `__file__` of the lab's Python.
        answer: what the page asks -> the answer, both plain data; None for a lab that never asks.
        data: plain data: numbers, strings, lists and dicts.

    Raises:
        FileNotFoundError: the lab has not been bundled.
    """
    bundle = Path(source).with_name(f"{name}.bundle.js")
    if not bundle.is_file():
        raise FileNotFoundError(f"{bundle.name} is missing: bundle the labs with `make labs`, which needs Node.js")
    # A class for each lab: anywidget knows them apart by their classes.
    base = Lab if answer is None else AskingLab
    kind = type(Lab)(name, (base,), {"__module__": __name__, "_esm": bundle.read_text()})
    lab = kind(data=data)
    if answer is not None:
        lab.observe(lambda change: lab.set_trait("answer", answer(change["new"])), "ask")
    return lab
