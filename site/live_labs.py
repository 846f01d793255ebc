"""Labs that are alive on the site: no kernel, no network, and the bundle that the notebooks use.

A bundle is an ES module, which browsers refuse to load from a folder (file://). Its copy on the site is a plain script
that leaves the lab's render function in `window.courseLabs`; `labs.js` puts it in the place of the picture.

In a notebook, the labs of a lesson are those of its side file, notebooks/labs/NN_topic.json. On any other page:

    ```{lab} cl_course.lessons.shared.lab_circle.circle_lab
    ```
"""

import contextlib
import importlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from ipywidgets import Widget
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cl_course.lessons.shared.lab_page import Lab

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "cl_course" / "lessons"
NO_SCRIPT = "<p>Here is a lab that you can touch. It needs JavaScript.</p>"


@dataclass(frozen=True)
class LiveLab:
    """One lab as the site shows it."""

    bundle: Path
    data: dict
    alt: str


def side_files(folder: Path) -> dict[str, list[LiveLab]]:
    """Cell id -> the labs that this cell shows, in order."""
    labs: dict[str, list[LiveLab]] = {}
    for path in sorted(folder.glob("*.json")):
        for entry in json.loads(path.read_text()):
            lab = LiveLab(ROOT / entry["lab"], entry["data"], entry["alt"])
            labs.setdefault(entry["cell"], []).append(lab)
    return labs


def called(path: str) -> LiveLab:
    """The lab that a function of a lesson shows when it is called without arguments."""
    module, _, function = path.rpartition(".")
    made: list[Widget] = []
    Widget.on_widget_constructed(made.append)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # without a kernel, `display` prints
            getattr(importlib.import_module(module), function)()
    finally:
        Widget.on_widget_constructed(None)
    (lab,) = [widget for widget in made if isinstance(widget, Lab)]
    (bundle,) = LESSONS.rglob(f"{type(lab).__name__}.bundle.js")
    return LiveLab(bundle, lab.data, "")


def lab_html(lab: LiveLab, fallback: str) -> str:
    """The place of a lab: what is there without JavaScript, and the lab's data."""
    name = lab.bundle.name.removesuffix(".bundle.js")
    data = json.dumps(lab.data, separators=(",", ":")).replace("<", "\\u003c")
    return f'<div data-lab="{name}">{fallback}<script type="application/json">{data}</script></div>'


class LabDirective(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", lab_html(called(self.arguments[0]), NO_SCRIPT), format="html")]


def plain_script(bundle: Path) -> str:
    """A bundle as a script that does not need to be a module.

    Raises:
        ValueError: it does not end with its exports, the lab as the default one.
    """
    code, _, exports = bundle.read_text().rstrip().rpartition("export{")
    default = re.search(r"([\w$]+) as default\b[^}]*\};?$", exports)
    if not default:
        raise ValueError(f"{bundle.name} has no default export at its end; bundle the labs with `make labs`")
    name = bundle.name.removesuffix(".bundle.js")
    return f'(() => {{"use strict";{code}\n(window.courseLabs ??= {{}}).{name} = {default[1]};}})();\n'


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """A page loads the labs that it shows."""
    names = sorted(set(re.findall(r'data-lab="(\w+)"', context.get("body", ""))))
    for name in [*(f"labs/{name}.js" for name in names), *["labs.js"] * bool(names)]:
        app.add_js_file(name, loading_method="defer")


def write_scripts(app: Sphinx) -> None:
    folder = Path(app.outdir) / "_static" / "labs"
    folder.mkdir(parents=True, exist_ok=True)
    for bundle in LESSONS.rglob("*.bundle.js"):
        (folder / bundle.name.replace(".bundle.js", ".js")).write_text(plain_script(bundle))


def setup(app: Sphinx) -> dict:
    app.add_directive("lab", LabDirective)
    app.connect("builder-inited", write_scripts)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
