"""How quickly a lab answers: from a key to the changed picture, in JupyterLab and on a page alone; and what it leaves.

    python benchmarks/labs.py

Headless Chromium, every lab with the data of its lesson (notebooks/labs/), the median of 20 keys after 4 to warm up.
The time runs from the key's event to the end of the frame that shows the change. A frame comes every 16.7 ms, so that
half of one is waiting. The first picture of the collapse lab is timed from the call in Python to the end of its frame,
without the way between the two. Then 500 keys in JupyterLab: nodes of the page, and memory of the kernel.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "notebooks"), str(ROOT)]
from browser import Notebook, headless_browser, jupyter_lab, wait_until, write_notebook
from lab_pages import PAGE, LabPage, shown_by
from test_labs_in_jupyterlab import CELL, IDS, SHOWN

from cl_course.lessons.byol import lab_collapse
from cl_course.lessons.shared.lab_page import STYLE, page_lab

BARS = {"JupyterLab": 30, "page": 16}  # milliseconds, median of 20
FIRST_BAR = 150
KEYS, WARM, DRAGS = 20, 4, 500
# A message posted in a frame arrives when that frame is drawn. What changes outside of one is drawn in the next.
WATCH = """area => {
    window.times = []
    let pressed = null, inFrame = false
    const nextFrame = window.requestAnimationFrame.bind(window)
    window.requestAnimationFrame = (draw) => nextFrame((time) => {
        inFrame = true
        draw(time)
        queueMicrotask(() => { inFrame = false })  // after the observer below
    })
    area.addEventListener("keydown", () => { pressed = performance.now() }, true)
    new MutationObserver(() => {
        if (pressed === null) return
        const from = pressed
        pressed = null
        const drawn = () => {
            const { port1, port2 } = new MessageChannel()
            port1.onmessage = () => window.times.push(performance.now() - from)
            port2.postMessage(0)
        }
        inFrame ? drawn() : nextFrame(drawn)
    }).observe(area, { subtree: true, childList: true, attributes: true, characterData: true })
}"""
FIRST = """async ([code, data]) => {
    const start = performance.now()
    const lab = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))
    lab.default.render({ model: { get: () => data }, el: document.getElementById("lab") })
    await new Promise(requestAnimationFrame)
    const { port1, port2 } = new MessageChannel()
    return new Promise((done) => { port1.onmessage = () => done(performance.now() - start); port2.postMessage(0) })
}"""
CONTROLS = "input[type=range]:not([disabled]), input[type=radio]:not([disabled]), [tabindex='0'], input[type=text]"
TO_AND_FRO, TYPED = ("ArrowRight", "ArrowLeft"), ("Backspace", "d")  # the caption's last letter
NODES = "document.querySelectorAll('*').length"
MEMORY = r"""import re
from pathlib import Path
print("memory", re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])"""


def press(page, area, keys: int) -> tuple[str, str]:
    """Keys on the lab's first slider, choice or handle, or else in its text box, to and fro; returns the two keys."""
    control = area.locator(CONTROLS).first
    control.scroll_into_view_if_needed()
    control.focus()
    pair = TYPED if control.evaluate("e => e.type === 'text'") else TO_AND_FRO
    if pair is TYPED:
        page.keyboard.press("End")
    for number in range(keys):
        page.keyboard.press(pair[number % 2])
    return pair


def first_picture(browser) -> float:
    """Milliseconds of the collapse lab, median of five: the call in Python, and from its data to the drawn frame."""
    page, times = browser.new_page(), []
    for _ in range(5):
        start = time.perf_counter()
        widget = shown_by(lab_collapse, lab_collapse.collapse_lab)
        data = json.loads(json.dumps(widget.data))
        python = 1000 * (time.perf_counter() - start)
        page.set_content(PAGE.format(theme="light", style=STYLE))
        times.append(python + page.evaluate(FIRST, [widget._esm, data]))
    page.close()
    return statistics.median(times)


def median(page, area) -> float:
    """Milliseconds from a key to the changed picture."""
    keys = press(page, area, WARM)  # an even number, and the control keeps the focus
    area.evaluate(WATCH)
    for _ in range(KEYS):
        before = page.evaluate("window.times.length")
        page.keyboard.press(keys[before % 2])
        wait_until(lambda before=before: page.evaluate("window.times.length") > before, "the picture has changed")
    return statistics.median(page.evaluate("window.times"))


def alone(browser) -> dict[str, float]:
    found = {}
    for (path, place), name in zip(SHOWN, IDS):
        shown = json.loads(path.read_text())[place]
        script = ROOT / shown["lab"]
        lab = LabPage(browser, page_lab(str(script), script.name.split(".")[0], **shown["data"]))
        found[name] = median(lab.page, lab.page.locator(".cl-lab"))
        lab.context.close()
    return found


def in_jupyterlab(browser, folder: Path) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """Milliseconds of every lab, and what 500 keys on each have added: nodes of the page, kB of the kernel."""
    found, left = {}, {}
    with jupyter_lab(folder) as server:
        cells = [CELL.format(path=str(path), place=place, root=str(ROOT)) for path, place in SHOWN]
        write_notebook(server.notebooks / "labs.ipynb", [*cells, MEMORY])
        notebook = Notebook(browser, server, "labs.ipynb")
        notebook.run_all()
        before = kernel_memory(notebook)
        for number, name in enumerate(IDS):
            area = notebook.cells.nth(number).locator(".cl-lab")
            notebook.cells.nth(number).scroll_into_view_if_needed()
            wait_until(lambda area=area: area.count() == 1, f"{name} is drawn")
            found[name] = median(notebook.page, area)
            nodes = notebook.page.evaluate(NODES)
            press(notebook.page, area, DRAGS)
            left[name] = notebook.page.evaluate(NODES) - nodes
        left["kernel, kB"] = kernel_memory(notebook) - before
    return found, left


def kernel_memory(notebook) -> int:
    """In kB, as the notebook's last cell prints it now."""
    cell = notebook.cells.nth(len(SHOWN))
    printed, prompt = cell.locator(".jp-OutputArea-output"), cell.locator(".jp-InputPrompt")
    before = prompt.text_content()
    cell.click()
    notebook.page.keyboard.press("Control+Enter")
    wait_until(lambda: prompt.text_content() not in (before, "[*]:"), "the cell has run")
    return int(printed.last.text_content().split()[1])


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder, headless_browser(Path(folder)) as browser:
        times, first = {"page": alone(browser)}, first_picture(browser)
        times["JupyterLab"], left = in_jupyterlab(browser, Path(folder) / "jupyter")
    print(f"{'key to picture, ms':<32}{'JupyterLab':>12}{'page':>8}   nodes added by {DRAGS} keys")
    for name in IDS:
        print(f"{name:<32}{times['JupyterLab'][name]:12.1f}{times['page'][name]:8.1f}{left[name]:8}")
    print(f"memory of the kernel: {left['kernel, kB']:+,} kB")
    missed = [f"{name} on {where}" for where, bar in BARS.items() for name in IDS if times[where][name] >= bar]
    print(f"first picture of the collapse lab: {first:.0f} ms (bar: {FIRST_BAR})")
    missed += ["the first picture of the collapse lab"] * (first >= FIRST_BAR)
    print(f"bars {BARS} ms: " + (f"missed by {', '.join(missed)}" if missed else "all met"))
    sys.exit(bool(missed))
