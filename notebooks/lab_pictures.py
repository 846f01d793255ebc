"""Pictures of the labs for a notebook that nobody runs: each lab is drawn in headless Chromium, as on the page.

`draw` takes the outputs of an executed notebook. In place of each lab it leaves a picture with its alt text, and it
returns what a page without a kernel needs to bring the labs to life again: for each its cell, its script and its data.
"""

import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image

from cl_course.lessons.shared.lab_page import STYLE, Lab
from cl_course.lessons.shared.show import picture_bundle

LESSONS = Path(__file__).resolve().parents[1] / "cl_course" / "lessons"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
WIDTH, DENSITY = 940, 2  # pixels of the page, and of the picture for each of them
MOST_BYTES = 250_000  # of a sharp picture; GitHub draws notebooks of at most 1 MB
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox, as in a container; the rest keeps the browser from calling home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
PAGE = f'<!doctype html><html lang="en" data-theme="light"><style>{STYLE}</style><body><div id="lab"></div></body>'
LONGEST = 60_000  # milliseconds that a lab may be busy
# Two frames later a lab has drawn what it drew at once, and what it asked to draw in the next frame.
MOUNT = """async ([code, data, longest]) => {
    const lab = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))
    const el = document.getElementById("lab")
    await lab.default.render({ model: { get: (name) => (name === "data" ? data : undefined) }, el })
    const end = performance.now() + longest
    while (el.getAttribute("aria-busy") === "true") {
        if (performance.now() > end) throw new Error(`it is still busy after ${longest / 1000} s`)
        await new Promise(requestAnimationFrame)
    }
    el.labPose?.()
    await document.fonts.ready
    for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame)
    const broken = el.querySelector(".lab-broken")
    if (broken) throw new Error(broken.textContent)
    return el.labAlt()
}"""


class NoPicture(Exception):
    """One sentence: a lab could not be drawn, and why."""


@dataclass(frozen=True)
class Shown:
    """A lab in a notebook.

    Attributes:
        cell: the id of its cell.
        lab: its bundled script, relative to the repository.
        data: what it shows.
        alt: its picture in words.
    """

    cell: str
    lab: str
    data: dict
    alt: str


def draw(notebook: NotebookNode) -> list[Shown]:
    """Put pictures in the place of the labs, in the order of the cells; says what was shown.

    Args:
        notebook: executed, with the state of its widgets in its metadata.

    Raises:
        NoPicture: there is no Chromium, or a lab does not draw itself.
    """
    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    places = [
        (cell, place, states[output.data[VIEW]["model_id"]]["state"])
        for cell in notebook.cells
        for place, output in enumerate(cell.get("outputs", []))
        if _is_lab(output, states)
    ]
    if not places:
        return []
    shown = []
    with _browser() as browser:
        for cell, place, state in places:
            data = json.loads(json.dumps(state["data"]))
            image, alt = _picture(browser, state["_esm"], data, cell.id)
            cell.outputs[place] = new_output("display_data", _bundle(image, alt))
            shown.append(Shown(cell.id, _script(state["_anywidget_id"]), data, alt))
    return shown


def _bundle(image: Image.Image, alt: str) -> dict:
    """Sharp on every screen, or where a lab shows photographs as a JPEG that leaves room for the rest of the lesson."""
    bundle = picture_bundle(image, alt, DENSITY)
    if len(bundle["text/html"]) > MOST_BYTES:
        bundle = picture_bundle(image.reduce(DENSITY), alt, 1, photo=True)
    return bundle


def as_text(shown: Sequence[Shown]) -> str:
    """The labs of a notebook as JSON, a line each."""
    return "[\n" + ",\n".join(json.dumps(asdict(lab), sort_keys=True) for lab in shown) + "\n]\n"


def _is_lab(output: NotebookNode, states: Mapping) -> bool:
    model = states.get(output.get("data", {}).get(VIEW, {}).get("model_id"), {}).get("state", {})
    return str(model.get("_anywidget_id", "")).startswith(f"{Lab.__module__}.")


def _script(identity: str) -> str:
    """The bundle of a lab, by its class's name."""
    (bundle,) = LESSONS.rglob(f"{identity.rpartition('.')[2]}.bundle.js")
    return bundle.relative_to(LESSONS.parents[1]).as_posix()


def find_browser() -> str | None:
    """Where a Chromium lies; None where there is none on the PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def _browser() -> Iterator:
    found = find_browser()
    if found is None:
        raise NoPicture("the labs' pictures need a browser: install chromium and put it on the PATH")
    from playwright.sync_api import sync_playwright  # only those who build notebooks need it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser.new_context(viewport={"width": WIDTH, "height": 800}, device_scale_factor=DENSITY)
        browser.close()


def _picture(context, code: str, data: dict, cell: str) -> tuple[Image.Image, str]:
    from playwright.sync_api import Error

    page = context.new_page()
    page.set_content(PAGE)
    try:
        alt = page.evaluate(MOUNT, [code, data, LONGEST])
        image = Image.open(io.BytesIO(page.locator("#lab").screenshot())).convert("RGB")
    except Error as error:
        raise NoPicture(f"the lab in cell {cell} does not draw itself: {error.message.splitlines()[0]}") from None
    page.close()
    return image, alt
