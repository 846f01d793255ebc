"""The collapse lab in the page: recorded runs without a kernel, and what it asks one for."""

import json

import numpy as np
import pytest
from browser import wait_until
from lab_examples import collapse
from lab_pages import MOUNT, PAGE, LabPage, in_browser

from cl_course.lessons.byol import lab_collapse
from cl_course.lessons.byol.lab_collapse import CARDS, EVERY_RUN, STEPS, Switches, as_data, recorded, small_run
from cl_course.lessons.shared.lab_page import STYLE

pytestmark = in_browser


@pytest.fixture
def page(browser):
    page = LabPage(browser, collapse())
    yield page
    page.close("collapse")


def test_each_setting_shows_its_recorded_run(page):
    runs = recorded()
    names = ("predictor", "stop-gradient", "BatchNorm")
    switch = {name: page.page.get_by_role("checkbox", name=name) for name in names}
    for switches in EVERY_RUN.values():
        switch["predictor"].set_checked(switches.predictor)
        switch["stop-gradient"].set_checked(True)
        page.page.get_by_role("radio", name=switches.target).check()
        switch["stop-gradient"].set_checked(switches.stop_gradient)
        switch["BatchNorm"].set_checked(switches.batch_norm)
        expected = runs[switches.name]["spread"][-1]
        wait_until(lambda e=expected: f"spread {e:.2f} of 1" in page.words, f"{switches.name}: spread {expected:.2f}")
        assert ("Collapsed" in page.words) == (expected < 0.1)
        assert ("predictor" in page.words.split(";")[0]) == (not switches.predictor)
        disabled = page.page.get_by_role("group", name="target network").evaluate("e => e.disabled")
        assert disabled == (not switches.stop_gradient)


def test_the_points_are_python_s(page):
    run = small_run()
    of_each_look = "([run, cards]) => lab.pointsOf(run, cards).map((look) => [...look])"
    places = page.page.evaluate(of_each_look, [as_data(run), CARDS])
    for look in (0, 17, STEPS // lab_collapse.EVERY):
        assert np.allclose(np.array(places[look]) / 100, run.flat(look).flatten(), atol=0.0051)


@pytest.mark.parametrize("switches", [Switches(), Switches(False, False, "frozen", False), Switches(target="copied")])
def test_a_setting_has_one_name_in_both_languages(page, switches):
    parts = {name: getattr(switches, name) for name in ("predictor", "stop_gradient", "target", "batch_norm")}
    assert page.page.evaluate("(switches) => lab.nameOf(switches)", parts) == switches.name


def test_the_step_moves_by_the_keyboard_and_plays_to_the_end(page):
    step = page.page.get_by_role("slider", name="step")
    before = page.page.locator(".lab-sheet circle").nth(5).get_attribute("transform")
    step.press("Home")
    wait_until(lambda: "step 0: loss" in page.words, "step 0")
    assert page.page.locator(".lab-sheet circle").nth(5).get_attribute("transform") != before
    page.page.get_by_role("button", name="Play").press("Enter")
    wait_until(lambda: f"step {STEPS}: loss" in page.words, "the last step")


def test_without_a_kernel_other_starts_cannot_be_chosen_and_it_says_why(page):
    assert page.page.get_by_role("slider", name="start (seed)").is_disabled()
    assert "Other starts are trained in the notebook" in page.page.locator(".cl-lab").text_content()


def test_another_start_is_asked_of_the_kernel(browser):
    context = browser.new_context()
    page, widget = context.new_page(), collapse()
    page.set_content(PAGE.format(theme="light", style=STYLE))
    with_kernel = MOUNT.replace(
        "model: { get: () => data }",
        "model: window.model = { get: (name) => (name === 'data' ? data : window.answer), set: (name, value) => "
        "{ window.asked = value }, save_changes() {}, on: (_, f) => { window.answered = f }, off() {} }",
    )
    page.evaluate(with_kernel, [widget._esm, json.loads(json.dumps(widget.data))])
    page.get_by_role("slider", name="start (seed)").press("ArrowRight")
    wait_until(lambda: "trains it" in page.locator(".lab-report").text_content(), "it says that it waits")
    asked = page.evaluate("window.asked")
    assert (asked["seed"], Switches(**asked["switches"]).name, asked["name"]) == (1, Switches().name, Switches().name)
    dead = recorded()[Switches(predictor=False).name]
    page.evaluate("(run) => { window.answer = run; window.answered() }", {**asked, "run": dead})
    wait_until(lambda: "Collapsed" in page.locator(".lab-report").text_content(), "the answer is drawn")
    # Opened again beside the same kernel: the answer is there already, and will not come a second time.
    page.set_content(PAGE.format(theme="light", style=STYLE))
    page.evaluate(with_kernel, [widget._esm, json.loads(json.dumps(widget.data))])
    page.get_by_role("slider", name="start (seed)").press("ArrowRight")
    wait_until(lambda: "Collapsed" in page.locator(".lab-report").text_content(), "the last answer is known")
    context.close()
