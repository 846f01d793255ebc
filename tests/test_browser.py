"""A lesson in JupyterLab, as a learner meets it: figures, tables, the health panel. Skipped where there is no Chromium.

Screenshots lie in build/browser/. The labs have test_labs_in_jupyterlab.py.
"""

import importlib.util
import shutil
from collections.abc import Iterator

import nbformat
import pytest
from browser import (
    START,
    WINDOW,
    Notebook,
    Server,
    find_browser,
    jupyter_lab,
    wait_until,
    write_notebook,
)
from nbclient import NotebookClient

import build

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no chromium on the PATH: apt-get install chromium"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}: pip install {name}")
        for name in ("playwright", "jupyterlab")
    ),
]

LESSON = build.HERE / "00_start_here.ipynb"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


PAGE = """from cl_course.lessons.shared.cards import labels_per_class_figure
from cl_course.lessons.shared.show import show
from cl_course.lessons.shared.tables import show_table
import numpy as np
figure = labels_per_class_figure([1, 10], {'trained network': np.array([[0.6], [0.9]])}, 0.1)
show(figure, 'accuracy rises from 0.6 to 0.9')
show_table([['trained network', 0.6, 0.9]], ['features', '1 label', '10 labels'], 'Accuracy')"""
TRAINING = """import time
from cl_course.data import load
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.train import TrainConfig, pretrain
config = TrainConfig(epochs=3, batch_size=32)
cards, encoder = load('shapes', 'val', limit=96), small_resnet(width=4)
panel = HealthPanel(cards, cards, config)
def watched(row, method):
    measured = panel(row, method)
    time.sleep(1.5)
    return measured
history = pretrain(SimCLR(encoder, projector(encoder.dim)), cards, config, on_epoch=watched)"""


def test_the_health_panel_is_redrawn_in_place_while_it_trains(server, browser):
    write_notebook(server.notebooks / "training.ipynb", [TRAINING])
    lesson = Notebook(browser, server, "training.ipynb")
    seen = []

    def redrawn() -> bool:
        alts = lesson.page.locator(".jp-OutputArea img").evaluate_all("all => all.map(image => image.alt)")
        assert len(alts) < 2, "one picture, not one an epoch"
        seen.extend(alt[: len("Health panel: epoch 1 of 3")] for alt in alts)
        return bool(alts) and "epoch 3 of 3" in alts[0]

    try:
        lesson.page.locator('.lm-MenuBar-item:has-text("Run")').click()
        lesson.page.locator('.lm-Menu-itemLabel:text-is("Run All Cells")').click()
        wait_until(redrawn, "the panel shows the last epoch", START)
        assert list(dict.fromkeys(seen)) == [f"Health panel: epoch {epoch} of 3" for epoch in (1, 2, 3)]
    finally:
        lesson.screenshot("training")
        lesson.page.close()


def test_figures_and_tables_are_read_out_and_stand_on_white(server, browser):
    """JupyterLab does not trust this notebook, which it has not run, so it sanitises the HTML."""
    path = server.notebooks / "page.ipynb"
    write_notebook(path, [PAGE])
    executed = nbformat.read(path, as_version=4)
    NotebookClient(executed, timeout=START, kernel_name="python3").execute()
    nbformat.write(executed, path)
    lesson = Notebook(browser, server, path.name)
    try:
        image = lesson.page.locator(".jp-OutputArea img[alt='accuracy rises from 0.6 to 0.9']")
        wait_until(lambda: image.evaluate("image => image.complete && image.naturalWidth > 0"), "the figure is drawn")
        assert image.evaluate("image => image.naturalWidth / image.width") > 1.9, "two pixels to one of the page"
        table = lesson.page.locator(".jp-OutputArea table")
        assert table.locator("caption").text_content() == "Accuracy"
        assert table.locator("th[scope=col]").count() == 3 and table.locator("th[scope=row]").count() == 1
    finally:
        lesson.screenshot("page")
        lesson.page.close()


@pytest.mark.skipif(not LESSON.exists(), reason=f"{LESSON.name} is not built: make notebooks")
def test_a_lesson_shows_its_figures_before_anything_is_run(server, browser):
    """As it is shipped, and every figure has its alt text on the page."""
    shutil.copy(LESSON, server.notebooks)
    outputs = [
        output
        for cell in nbformat.read(LESSON, as_version=4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    figures = [output for output in outputs if "<img " in output.get("data", {}).get("text/html", "")]
    assert figures
    lesson = Notebook(browser, server, LESSON.name)
    images = lesson.page.locator(".jp-OutputArea img")
    try:
        wait_until(lambda: images.count() == len(figures), f"all {len(figures)} figures are there")
        wait_until(
            lambda: images.evaluate_all("all => all.every(image => image.complete && image.naturalWidth > 0)"),
            "all figures are drawn",
        )
        assert images.evaluate_all("all => all.every(image => image.alt.length > 20)")
        assert all(
            box["x"] + box["width"] <= WINDOW["width"] for box in (image.bounding_box() for image in images.all())
        )
        assert lesson.errors() == []
    except AssertionError:
        lesson.screenshot(LESSON.stem)
        raise
    finally:
        lesson.page.close()
