"""Labs that live in the page, in a browser without a network: mouse, touch and keyboard, and numbers that are Python's.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import math
import re

import pytest
import torch
from browser import wait_until
from lab_examples import circle, queue, temperature
from lab_pages import LabPage, in_browser

from cl_course.lessons.infonce import lab_temperature
from cl_course.lessons.moco import lab_queue
from cl_course.lessons.moco.lab_queue import BATCHES, MOMENTA, QUEUES, Belt
from cl_course.lessons.shared import lab_circle

pytestmark = in_browser


@pytest.fixture
def circle_page(browser):
    page = LabPage(browser, circle(n=6, temperature=0.5, seed=3))
    yield page
    page.close("circle")


@pytest.mark.parametrize("want", lab_circle.WANTS)
@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
def test_the_circle_s_numbers_are_python_s(circle_page, temperature, want):
    angles = lab_circle.start(5, seed=1)
    path = lab_circle.simulate(angles, temperature, want, steps=40)
    measured, push, places = circle_page.page.evaluate(
        """([angles, temperature, want]) => {
            const first = [lab.measures(angles, temperature), lab.push(angles, temperature, want)]
            let velocity = angles.map(() => 0)
            for (let i = 0; i < 40; i++) [angles, velocity] = lab.step(angles, velocity, temperature, want)
            return [...first, angles]
        }""",
        [angles.flatten().tolist(), temperature, want],
    )
    for name in ("loss", "alignment", "uniformity"):
        assert measured[name] == pytest.approx(float(getattr(path, name)[0]), abs=1e-5)
    assert torch.allclose(torch.tensor(push, dtype=torch.float64), path.push[0].flatten(), atol=1e-5)
    assert torch.allclose(torch.tensor(places, dtype=torch.float64), path.angles[-1].flatten(), atol=1e-5)


def test_it_starts_where_python_s_picture_starts(circle_page):
    path = lab_circle.simulate(lab_circle.start(6, 3), 0.5, steps=0)
    assert f"NT-Xent {path.loss[0]:.2f}" in circle_page.words and "Step 0 at T = 0.50" in circle_page.words


def angle(page, number: int) -> int:
    return int(page.locator(".lab-dot").nth(number).get_attribute("aria-valuenow"))


def test_any_point_is_dragged_by_the_mouse(circle_page):
    page = circle_page.page
    for number in (0, 8):  # view 1 of A, view 2 of C
        box = page.locator("svg.lab-sheet").first.bounding_box()
        dot = page.locator(".lab-dot").nth(number).bounding_box()
        page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=5)
        page.mouse.up()
        wait_until(lambda number=number: abs(angle(page, number) - 90) <= 1, "the point is at the top")


def test_a_point_follows_the_arrow_keys_and_keeps_the_focus(circle_page):
    page, before, words = circle_page.page, angle(circle_page.page, 1), circle_page.words
    page.locator(".lab-dot").nth(1).focus()
    page.keyboard.press("ArrowRight")
    wait_until(lambda: angle(page, 1) == (before + 5) % 360, "five degrees further")
    assert page.evaluate("document.activeElement.classList.contains('lab-dot')")
    assert circle_page.words != words


def test_a_point_follows_a_finger(browser):
    touched = LabPage(browser, circle(), touch=True)
    page = touched.page
    page.evaluate(
        """() => {
            const dot = document.querySelectorAll(".lab-dot")[2], svg = dot.ownerSVGElement.getBoundingClientRect()
            const at = (type, x, y) => dot.dispatchEvent(new PointerEvent(type, {
                pointerId: 1, pointerType: "touch", clientX: x, clientY: y, bubbles: true, isPrimary: true }))
            dot.setPointerCapture = () => {}; dot.hasPointerCapture = () => true
            at("pointerdown", 0, 0); at("pointermove", svg.left + svg.width / 2, svg.bottom - 5)
        }"""
    )
    wait_until(lambda: abs(angle(page, 2) - 270) <= 1, "the point is at the bottom")
    touched.close("circle touched")


def test_play_ends_evenly_and_pauses(circle_page):
    page = circle_page.page
    page.get_by_role("button", name="Play").press("Space")
    wait_until(lambda: int(re.search(r"Step (\d+)", circle_page.words)[1]) >= 200, "200 steps")
    page.get_by_role("button", name="Pause").press("Space")
    assert page.evaluate("document.activeElement.textContent") == "Play", "the focus stays on the button"
    places = sorted(math.radians(angle(page, number)) for number in range(6))
    gaps = [b - a for a, b in zip(places, [*places[1:], places[0] + 2 * math.pi])]
    assert min(gaps) > math.radians(57), "six pairs lie 60 degrees apart"


def test_sliders_and_choices_have_names_and_speak_their_own_unit(circle_page):
    page = circle_page.page
    heat = page.get_by_role("slider", name="Temperature T")
    assert heat.get_attribute("aria-valuetext") == "0.50" and heat.get_attribute("data-lm-suppress-shortcuts") == "true"
    heat.press("ArrowRight")
    assert heat.get_attribute("aria-valuetext") == "0.51"
    wait_until(lambda: "T = 0.51" in circle_page.words, "the words follow")
    page.get_by_role("radio", name="uniformity alone").check()
    assert page.get_by_role("group", name="Circle lab").count() == 1
    assert all(name for name in page.locator(".lab-dot").evaluate_all("all => all.map(e => e.ariaLabel)"))


@pytest.fixture
def temperature_page(browser):
    page = LabPage(browser, temperature(row="false negative", temperature=0.1))
    yield page
    page.close("temperature")


@pytest.mark.parametrize("row", ["easy", "hard", "false negative"])
@pytest.mark.parametrize("heat", [0.01, 0.1, 0.5, 2.0])
def test_the_temperature_lab_s_numbers_are_python_s(temperature_page, row, heat):
    recorded = lab_temperature.recorded_rows()[row]
    expected = lab_temperature.shares(recorded, heat)
    at = temperature_page.page.evaluate(
        "([similarities, kinds, heat]) => lab.shares(similarities, kinds, heat)",
        [recorded.similarities.tolist(), list(recorded.kinds), heat],
    )
    assert at["probabilities"] == pytest.approx(expected.probabilities.tolist(), abs=1e-5)
    assert at["push"] == pytest.approx(expected.pull.tolist(), rel=1e-5, abs=1e-9)
    for name in ("loss", "entropy", "effective", "same_class", "lost"):
        assert at[name] == pytest.approx(getattr(expected, name), rel=1e-5, abs=1e-9), name


def test_temperature_and_row_move_the_picture_and_the_words(temperature_page):
    page = temperature_page.page
    expected = lab_temperature.shares(lab_temperature.recorded_rows()["false negative"], 0.1)
    assert f"loss is {expected.loss:.2f}" in temperature_page.words
    assert f"in effect {expected.effective:.1f} of 30 negatives count" in temperature_page.words
    heights = "[...document.querySelectorAll('svg rect')].map(e => e.getAttribute('height'))"
    before = page.evaluate(heights)
    heat = page.get_by_role("slider", name="Temperature T")
    heat.press("ArrowRight")
    wait_until(lambda: page.evaluate(heights) != before, "the bars moved")
    assert heat.get_attribute("aria-valuetext") == "0.10"
    words = temperature_page.words
    page.get_by_role("radio", name="easy").check()
    wait_until(lambda: temperature_page.words != words, "another row, other words")
    assert "own class" not in temperature_page.words


@pytest.fixture
def queue_page(browser):
    page = LabPage(browser, queue())
    yield page
    page.close("queue")


def test_the_belt_s_numbers_are_python_s(queue_page):
    for length, batch, step in ((512, 32, 3), (512, 100, 7), (1024, 256, 200), (8192, 100, 85)):
        belt = Belt(length, batch, 0.9, step)
        found = queue_page.page.evaluate(
            "a => [lab.ages(...a), lab.oldest(...a), lab.longest(a[0], a[1])]", [length, batch, step]
        )
        ages = [None if math.isnan(age) else age for age in belt.ages()]
        assert found == [ages, belt.oldest, belt.longest]
    for momentum in MOMENTA:
        for age in (1, 5, 32, 512):
            found = queue_page.page.evaluate(
                "([m, age]) => [lab.lag(m), lab.behind(m), lab.across(m, age)]", [momentum, age]
            )
            expected = [lab_queue.lag(momentum), lab_queue.behind(momentum), lab_queue.across(momentum, age)]
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_every_slider_of_the_belt_moves_and_speaks(queue_page):
    page = queue_page.page
    for name, values in (("Momentum m", MOMENTA), ("Queue", QUEUES), ("Batch", BATCHES), ("Step", range(201))):
        words, slider = queue_page.words, page.get_by_role("slider", name=name)
        before = slider.get_attribute("aria-valuetext")
        slider.press("ArrowLeft")
        wait_until(lambda words=words: queue_page.words != words, f"{name}: other words")
        spoken = slider.get_attribute("aria-valuetext")
        assert spoken != before and any(f"{value:,}" in spoken or str(value) in spoken for value in values)


def test_the_words_of_the_belt_are_python_s(queue_page):
    numbers = re.compile(r"\d[\d,.]*")
    assert numbers.findall(queue_page.words) == numbers.findall(Belt().sentence)


def test_the_belt_plays_and_pauses(queue_page):
    page = queue_page.page
    page.get_by_role("button", name="Play").press("Space")
    wait_until(lambda: int(re.search(r"Step (\d+)", queue_page.words)[1]) >= 43, "three steps on")
    page.get_by_role("button", name="Pause").press("Space")
    assert page.get_by_role("button", name="Play").count() == 1


def test_at_the_last_step_play_begins_again(queue_page):
    queue_page.page.get_by_role("slider", name="Step").press("End")
    wait_until(lambda: "Step 200:" in queue_page.words, "the last step")
    queue_page.page.get_by_role("button", name="Play").press("Space")
    wait_until(lambda: re.match(r"Step [1-9]:", queue_page.words), "the first steps")
