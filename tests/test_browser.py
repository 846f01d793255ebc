"""The labs and a lesson in JupyterLab, as a learner meets them: every control by keyboard, and what it changes.

One notebook with a cell for each lab is opened, run and used. Skipped where there is no Chromium.
Screenshots of what failed lie in build/browser/.
"""

import importlib.util
import shutil
import statistics
from collections.abc import Iterator

import nbformat
import pytest
from browser import (
    START,
    WINDOW,
    Lab,
    Notebook,
    Server,
    find_browser,
    headless_browser,
    jupyter_lab,
    wait_until,
    write_notebook,
)
from nbclient import NotebookClient

import build
from cl_course.data import load
from cl_course.lessons.start_here.lab_game import CardGame

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no chromium on the PATH: apt-get install chromium"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}: pip install {name}")
        for name in ("playwright", "jupyterlab")
    ),
]

RECORDS = "from cl_course.running import records\n"
CARDS = "from cl_course.data import load, to_float\ncards = load('shapes', 'val', limit=200)"
CELLS = {
    "game": f"{CARDS}\nfrom cl_course.lessons.start_here.lab_game import card_game\ngame = card_game(cards)",
    "ablation": f"""{RECORDS}from cl_course.lessons.simclr.lab_ablation import ablation_lab
ablation_lab(records.read('ablation')['runs'])""",
    "clinic": f"""{RECORDS}from cl_course.lessons.pitfalls_and_clinic.lab_clinic import clinic_lab
clinic_lab(records.read('clinic')['runs'])""",
    "neighbours": f"""{CARDS}
from cl_course.lessons.simclr.lab_neighbours import neighbours_lab
from cl_course.shortcut import mean_colour, raw_pixels
queries = load('shapes', 'test', limit=30)
features = {{f.__name__: (f(to_float(cards.images)), f(to_float(queries.images))) for f in (raw_pixels, mean_colour)}}
neighbours_lab(cards, queries, features)""",
    "retrieval": f"""{CARDS}
from cl_course.lessons.what_did_it_learn.lab_retrieval import retrieval_lab
from cl_course.shortcut import mean_colour, raw_pixels
queries = load('shapes', 'test', limit=30)
features = {{f.__name__: (f(to_float(cards.images)), f(to_float(queries.images))) for f in (raw_pixels, mean_colour)}}
retrieval_lab(cards, queries, features)""",
    # Short runs: a whole one trains for some seconds at every press.
    "collapse": "from cl_course.lessons.byol import lab_collapse\nlab_collapse.STEPS = 10\nlab_collapse.collapse_lab()",
}
IN_PAGE = "from cl_course.lessons.shared.lab_circle import circle_lab\ncircle_lab()"
# A lab with every fault that the checks below are for: a slider that moves nothing, a label cut, a picture too wide.
FAULTY = """import ipywidgets as widgets
from IPython.display import display
from cl_course.lessons.shared.lab_circle import circle_figure
from cl_course.lessons.shared.show import png
slider = widgets.IntSlider(description='a label too long for its place')
picture = widgets.Image(value=png(circle_figure()), layout=widgets.Layout(min_width='1200px'))
display(widgets.VBox([slider, widgets.HTML('words'), picture]))"""
LESSON = build.HERE / "00_start_here.ipynb"

each_lab = pytest.mark.parametrize("name", CELLS)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    with jupyter_lab(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with headless_browser(tmp_path_factory.mktemp("home")) as browser:
        yield browser


@pytest.fixture(scope="module")
def notebook(server, browser) -> Notebook:
    write_notebook(server.notebooks / "labs.ipynb", [*CELLS.values(), FAULTY, IN_PAGE])
    notebook = Notebook(browser, server, "labs.ipynb")
    try:
        notebook.run_all()
    except AssertionError:
        notebook.screenshot("run all")
        raise
    return notebook


@pytest.fixture(scope="module")
def labs(notebook, request) -> Iterator[dict[str, Lab]]:
    labs = {name: Lab(notebook, cell) for cell, name in enumerate([*CELLS, "faulty"])}
    yield labs
    times = {name: lab.milliseconds for name, lab in labs.items() if lab.milliseconds}
    medians = ", ".join(
        f"{name} {statistics.median(values):.0f} ({len(values)} keys)" for name, values in times.items()
    )
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nmilliseconds from key to picture, median: {medians}")


@pytest.fixture(autouse=True)
def screenshot_of_a_failure(request, notebook) -> Iterator[None]:
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        notebook.screenshot(request.node.name)


def test_all_cells_run_without_an_error(notebook):
    assert notebook.errors() == []


@each_lab
def test_all_fits_on_the_page_and_has_a_name(name, labs):
    lab = labs[name]
    wait_until(lab.is_drawn, f"{name}: the picture is there")
    assert lab.misfits() == []
    assert len(lab.words) > 20, "the picture in words"
    assert all(slider.label for slider in lab.sliders)
    nameless = [
        button
        for button in lab.area.locator("button").all()
        if not (button.text_content() or button.get_attribute("title") or button.locator("i").count())
    ]
    assert not nameless


@pytest.mark.parametrize("name", [name for name in CELLS if name != "game"])
def test_sliders_follow_the_arrow_keys_and_toggles_the_space_bar(name, labs):
    lab = labs[name]
    said = lab.words
    assert lab.sliders
    for slider in lab.sliders:
        lab.turn(slider)
    toggles = lab.area.locator(".widget-toggle-button").all()
    for toggle in sorted(
        toggles, key=lambda toggle: "mod-active" in toggle.get_attribute("class")
    ):  # last the one that is pressed now
        if toggle.is_enabled():
            lab.press(toggle, "Space")
    wait_until(lambda: lab.words != said, "the words have changed")


def test_tab_goes_through_every_control(labs):
    lab = labs["ablation"]
    lab.area.locator("button, .noUi-handle").first.focus()
    reached = set()
    for _ in range(30):
        reached.add(
            lab.page.evaluate(
                "() => document.activeElement.closest('.widget-inline-hbox')"
                "?.querySelector('.widget-label')?.textContent"
            )
        )
        lab.page.keyboard.press("Tab")
    assert {slider.label for slider in lab.sliders} <= reached


def test_a_lab_in_the_page_lives_in_jupyterlab_by_keyboard(notebook):
    """Its arrow keys reach it, and JupyterLab does not take them for moving between cells."""
    area = notebook.page.locator(".cl-lab:has(.lab-dot)")
    area.scroll_into_view_if_needed()
    wait_until(lambda: area.locator(".lab-report").text_content(), "the lab is drawn")
    heat, words = area.get_by_role("slider", name="Temperature T"), area.locator(".lab-report")
    heat.focus()
    notebook.page.keyboard.press("ArrowRight")
    wait_until(lambda: "T = 0.51" in words.text_content(), "the slider moved")
    dot = area.locator(".lab-dot").first
    dot.focus()
    before = dot.get_attribute("aria-valuenow")
    notebook.page.keyboard.press("ArrowUp")
    wait_until(lambda: dot.get_attribute("aria-valuenow") != before, "the point moved")
    assert notebook.page.evaluate("document.activeElement.classList.contains('lab-dot')")


@each_lab
def test_a_screen_reader_hears_names_and_values_as_they_are_shown(name, labs):
    """Not a logarithm (temperature) nor a place in a list (momentum)."""
    lab = labs[name]
    assert lab.area.locator(".cl-lab").get_attribute("aria-label")
    assert len(lab.picture.get_attribute("alt")) > 20
    for slider in lab.sliders:
        assert slider.handle.get_attribute("aria-label") == slider.label
        arrow = slider.key()
        for key in (arrow, "ArrowLeft" if arrow == "ArrowRight" else "ArrowRight"):
            if not slider.handle.is_disabled():
                value = slider.value()
                slider.handle.focus()
                lab.page.keyboard.press(key)
                wait_until(lambda value=value, slider=slider: slider.value() != value, f"{slider.label}: moved")
            wait_until(
                lambda slider=slider: slider.handle.get_attribute("aria-valuetext") == slider.value(),
                f"{slider.label}: {slider.handle.get_attribute('aria-valuetext')} is spoken, {slider.value()} shown",
            )
    lab.rest()


def focused(lab: Lab) -> str:
    """What the keyboard is on, where that is in this lab."""
    return lab.area.evaluate("area => area.contains(document.activeElement) ? document.activeElement.textContent : ''")


def opacity(button) -> float:
    return float(button.evaluate("button => getComputedStyle(button).opacity"))


def test_a_game_by_keyboard(labs):
    lab = labs["game"]
    rounds = CardGame(load("shapes", "val", limit=200)).rounds
    for number, dealt in enumerate(rounds, 1):
        place = dealt.positive if number != 2 else (dealt.positive + 1) % 6
        lab.press(lab.button("ABCDEF"[place]), "Space", changes="picture, words")
        assert f"{number - (number > 1)} of {number} found" in lab.words
        assert lab.words.startswith("No" if number == 2 else "Yes")
        assert lab.button("A").is_disabled() and opacity(lab.button("A")) < 0.6
        if number < len(rounds):
            wait_until(lambda: focused(lab) == "Next round", "the keyboard is on the next button")
            lab.press(lab.button("Next round"), "Space", changes="picture, words")
            wait_until(lambda: focused(lab) == "A", "the keyboard is on the first card")
            assert opacity(lab.button("A")) == 1
    assert lab.button("Next round").is_disabled()
    assert "90%" in lab.words and lab.misfits() == []


def test_guess_and_reveal(labs):
    lab = labs["ablation"]
    assert "covered" in lab.words
    lab.press(lab.button("Reveal"), "Space", changes="picture, words")
    assert "mean" in lab.words and "1 guessed so far" in lab.words
    wait_until(lambda: focused(lab) == "Reveal all", "Reveal is switched off, the keyboard is on the next button")
    lab.press(lab.button("Reveal all"), "Space")
    lab.press(lab.sliders[0].handle, lab.sliders[0].key(), changes="picture, words")
    assert "covered" not in lab.words and lab.misfits() == []


def test_the_checks_see_a_faulty_lab(labs):
    lab = labs["faulty"]
    assert lab.is_drawn()
    with pytest.raises(AssertionError, match="the picture has changed: not within 1 s"):
        lab.turn(lab.sliders[0], seconds=1)
    assert lab.sliders[0].value() == "1", "the slider did move"
    found = "\n".join(lab.misfits())
    assert "too narrow: a label too long" in found and "outside its cell" in found


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
