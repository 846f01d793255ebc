"""Every lab of every lesson in JupyterLab: it is drawn, has names, and follows the keyboard.

One notebook shows them all, with the data of the lessons (notebooks/labs/). Skipped where there is no Chromium or
JupyterLab. Screenshots lie in build/browser/.
"""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Notebook, jupyter_lab, wait_until, write_notebook
from lab_pages import NAMELESS, in_browser

from cl_course.running.lesson_files import lesson_id

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "cl_course" / "lessons"
SIDE_FILES = {path: json.loads(path.read_text()) for path in sorted((ROOT / "notebooks/labs").glob("*.json"))}
SHOWN = [(path, place) for path, labs in SIDE_FILES.items() for place in range(len(labs))]
IDS = [
    f"{lesson_id(path.stem)}-{place}-{Path(SIDE_FILES[path][place]['lab']).name.split('.')[0]}" for path, place in SHOWN
]
CELL = """import json
from pathlib import Path
from IPython.display import display
from cl_course.lessons.shared.lab_page import page_lab
shown = json.loads(Path({path!r}).read_text())[{place}]
display(page_lab(str(Path({root!r}) / shown["lab"]), Path(shown["lab"]).name.split(".")[0], **shown["data"]))"""
TRAINED = """from cl_course.lessons.byol import lab_collapse
lab_collapse.collapse_lab()"""
STATE = """area => [...area.querySelectorAll("canvas")].map(c => c.toDataURL()).join("") + area.innerHTML
    + [...area.querySelectorAll("input")].map(i => i.value + i.checked).join()"""

pytestmark = [
    *in_browser,
    pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="no jupyterlab: pip install jupyterlab"),
]
each = pytest.mark.parametrize("number", range(len(SHOWN)), ids=IDS)


def foreign(url: str) -> bool:
    """Does it lead to another machine?"""
    return not url.startswith(("http://127.0.0.1:", "blob:", "data:", "about:"))


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory) -> Iterator[Notebook]:
    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as server:
        cells = [CELL.format(path=str(path), place=place, root=str(ROOT)) for path, place in SHOWN]
        write_notebook(server.notebooks / "labs.ipynb", [*cells, TRAINED])
        notebook = Notebook(browser, server, "labs.ipynb")
        notebook.said = []
        notebook.page.on("request", lambda request: notebook.said.append(request.url) if foreign(request.url) else None)
        notebook.page.on("pageerror", lambda error: notebook.said.append(str(error)))
        notebook.run_all()
        yield notebook


@pytest.fixture
def lab(notebook, number):
    area = notebook.cells.nth(number).locator(".cl-lab")
    notebook.cells.nth(number).scroll_into_view_if_needed()
    wait_until(lambda: area.count() == 1, f"{IDS[number]} is drawn")
    area.scroll_into_view_if_needed()
    yield area
    assert notebook.said == []


def test_every_lab_is_shown_in_a_lesson():
    shown = {lab["lab"] for labs in SIDE_FILES.values() for lab in labs}
    assert shown == {path.relative_to(ROOT).as_posix() for path in LESSONS.rglob("*.bundle.js")}


def test_all_cells_run_without_an_error(notebook):
    assert notebook.errors() == []


@each
def test_it_is_drawn_and_all_has_a_name(notebook, lab, number):
    assert lab.locator(".lab-broken").count() == 0
    assert lab.get_attribute("role") == "group" and lab.get_attribute("aria-label")
    assert lab.evaluate(NAMELESS) == []
    assert lab.evaluate("area => area.scrollWidth <= area.clientWidth + 1"), "nothing is wider than the lab"
    assert len(lab.locator(".lab-report").first.text_content()) > 20, "the picture in words"
    notebook.screenshot(f"lab {IDS[number]}")


@each
def test_it_follows_the_keyboard_and_keeps_the_focus(notebook, lab, number):
    """JupyterLab does not take the arrow keys for moving between its cells."""
    control = lab.locator("input:not([disabled]), [tabindex='0'], button:not([disabled])").first
    control.scroll_into_view_if_needed()
    control.focus()
    before = lab.evaluate(STATE)
    kind = control.evaluate("e => e.type ?? e.getAttribute('role')")
    keys = {"checkbox": ("Space",), "button": ("Enter",), "text": ("End", "Backspace")}
    for key in keys.get(kind, ("ArrowRight", "ArrowLeft")):
        notebook.page.keyboard.press(key)
        notebook.page.wait_for_timeout(50)
        if lab.evaluate(STATE) != before:
            break
    wait_until(lambda: lab.evaluate(STATE) != before, "the lab has changed")
    assert lab.evaluate("area => area.contains(document.activeElement)"), "the focus is still in the lab"


def test_the_kernel_trains_another_start_of_the_collapse_lab(notebook):
    cell = notebook.cells.nth(len(SHOWN))
    cell.scroll_into_view_if_needed()
    words, start = cell.locator(".lab-report"), cell.get_by_role("slider", name="start (seed)")
    wait_until(lambda: words.count() and "step 80" in words.text_content(), "the recorded run is there at once")
    first = words.text_content()
    start.press("ArrowRight")
    wait_until(lambda: "trains it" in words.text_content(), "it says that it waits")
    wait_until(lambda: re.search(r"step 80: loss \d", words.text_content()), "the kernel has answered", seconds=180)
    assert words.text_content() != first
