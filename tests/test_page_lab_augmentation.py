"""The augmentation lab in a browser: box, sliders, views and meter do what they say, by mouse, touch and keyboard.

Skipped where there is no Chromium. Whether its pixels are the package's is tested in test_page_augment.py.
"""

import json
import re

import numpy as np
import pytest
from browser import wait_until
from lab_examples import augmentation
from lab_pages import LabPage, in_browser

from cl_course import augment as ops
from cl_course.lessons.two_views.lab_augmentation import PRESETS

pytestmark = in_browser


def opened(browser, **settings) -> LabPage:
    page = LabPage(browser, augmentation(), **settings)
    page.rest()
    return page


@pytest.fixture
def lab(browser):
    page = opened(browser)
    yield page
    page.close("augmentation used")


def shots(lab: LabPage) -> list[str]:
    """The pixels of the eight pictures."""
    return lab.page.evaluate("[...document.querySelectorAll('.aug-view canvas')].map(c => c.toDataURL())")


def bytes_of(lab: LabPage, number: int) -> np.ndarray:
    canvas = lab.page.locator(".aug-view canvas").nth(number)
    return np.array(canvas.evaluate("e => [...e.getContext('2d').getImageData(0, 0, 112, 112).data]"))


def changed(lab: LabPage, act, what: str) -> None:
    before = shots(lab)
    act()
    wait_until(lambda: shots(lab) != before, what)


def by_hand(lab: LabPage) -> None:
    lab.page.get_by_role("radio", name="exactly these parameters").check()
    wait_until(lambda: "step by step" in lab.words, "one view, step by step")


def place_of_box(lab: LabPage) -> list[int]:
    """Left, top, width and height, as a screen reader says them."""
    text = lab.page.get_by_role("slider", name="Crop box", exact=True).get_attribute("aria-valuetext")
    return [int(number) for number in re.findall(r"\d+", text)[1:5]]


def drag(page, control, dx: float, dy: float) -> None:
    box = control.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=5)
    page.mouse.up()


def test_the_box_is_resized_and_dragged_by_the_mouse(lab):
    by_hand(lab)
    page, corner = lab.page, lab.page.get_by_role("slider", name="Crop box, bottom right corner")
    scale = 112 / page.locator(".aug-picture svg").bounding_box()["width"]
    changed(lab, lambda: drag(page, corner, -64 / scale, -32 / scale), "another crop")
    assert place_of_box(lab) == [0, 0, 48, 80]
    frame = page.get_by_role("slider", name="Crop box", exact=True)
    changed(lab, lambda: drag(page, frame, 20 / scale, 10 / scale), "another place")
    assert place_of_box(lab) == [20, 10, 48, 80]
    drag(page, frame, 400, 400)
    assert place_of_box(lab) == [64, 32, 48, 80], "it stays on the picture"
    wait_until(lambda: "crop of 31% of the area" in lab.words, "the words follow")


def test_the_box_follows_the_arrow_keys_keeps_the_focus_and_never_vanishes(lab):
    by_hand(lab)
    page, corner = lab.page, lab.page.get_by_role("slider", name="Crop box, top left corner")
    corner.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert place_of_box(lab) == [4, 4, 108, 108]
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert place_of_box(lab) == [111, 4, 1, 108]
    page.get_by_role("slider", name="Crop box", exact=True).press("ArrowLeft")
    assert place_of_box(lab) == [107, 4, 1, 108]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Crop box"


def test_the_box_follows_a_finger(browser):
    lab = opened(browser, touch=True, width=480)
    by_hand(lab)
    lab.page.evaluate(
        """() => {
            const corner = document.querySelector("[aria-label='Crop box, top left corner']")
            const svg = corner.ownerSVGElement.getBoundingClientRect()
            const at = (type, x, y) => corner.dispatchEvent(new PointerEvent(type, {
                pointerId: 1, pointerType: "touch", clientX: x, clientY: y, bubbles: true, isPrimary: true }))
            corner.setPointerCapture = () => {}; corner.hasPointerCapture = () => true
            at("pointerdown", svg.left, svg.top); at("pointermove", svg.left + svg.width / 4, svg.top + svg.height / 2)
        }"""
    )
    assert place_of_box(lab) == [28, 56, 84, 56]
    lab.close("augmentation touched")


def test_the_box_keeps_its_share_on_another_picture(lab):
    by_hand(lab)
    corner = lab.page.get_by_role("slider", name="Crop box, bottom right corner")
    for _ in range(14):
        corner.press("ArrowLeft")
    assert place_of_box(lab) == [0, 0, 56, 112]
    changed(lab, lambda: lab.page.get_by_role("radio", name="card").check(), "another picture")
    assert place_of_box(lab) == [0, 0, 16, 32]


@pytest.mark.parametrize("mode", ["random", "exact"])
def test_every_slider_redraws_the_views_and_speaks(lab, mode):
    page = lab.page
    if mode == "exact":
        by_hand(lab)
    start = page.get_by_role("button", name={"random": "too strong", "exact": "Change nothing"}[mode])
    sliders = page.locator(".aug-groups:not([hidden]) input[type=range]").all()
    assert len(sliders) == {"random": 11, "exact": 6}[mode]
    for slider in sliders:
        start.click()  # where all that the slider works on is in use
        before = slider.get_attribute("aria-valuetext")
        far = "End" if slider.input_value() == slider.get_attribute("min") else "Home"
        changed(lab, lambda slider=slider, far=far: slider.press(far), f"another view, not {before}")
        assert slider.get_attribute("aria-valuetext") != before
    for toggle in page.locator(".aug-groups:not([hidden]) input[type=checkbox]").all():
        start.click()
        changed(lab, toggle.check, "another view")


def test_presets_are_the_lesson_s_and_the_line_of_code_makes_them(lab):
    for name, preset in PRESETS.items():
        lab.page.get_by_role("button", name=name, exact=True).click()
        wait_until(
            lambda preset=preset: eval(lab.page.locator("code").text_content(), vars(ops)) == preset,
            f"the code of {name}",
        )
    assert lab.page.locator("code").text_content().startswith("AugmentConfig(crop=(0.03, 0.15)")


def test_the_seed_brings_views_back_and_new_draws_are_others(lab):
    seed, first = lab.page.get_by_role("spinbutton", name="Seed of the random draws"), shots(lab)
    changed(lab, lambda: lab.page.get_by_role("button", name="New draws").click(), "new views")
    assert seed.input_value() == "4"
    seed.fill("3")
    wait_until(lambda: shots(lab) == first, "the first views")
    seed.fill("")
    seed.fill("-7.5")  # no whole number: it counts as 0
    assert lab.page.get_by_role("alert").count() == 0


def test_a_view_can_be_taken_over_by_hand(lab):
    page = lab.page
    page.get_by_role("button", name="too strong").click()
    lab.rest()
    tiles = page.locator(".aug-view")
    spoken = tiles.nth(2).get_attribute("aria-label")
    tiles.nth(2).focus()
    assert "View 3: crop of" in page.locator(".aug-hint").text_content()
    view = bytes_of(lab, 2)
    page.keyboard.press("Space")
    wait_until(lambda: "step by step" in lab.words, "by hand")
    difference = np.abs(bytes_of(lab, 7) - view)
    assert difference.mean() < 2, "the last step is the view, but for the steps of the sliders"
    assert spoken.split(": ")[1].split(". Go")[0] in lab.words
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Crop box"


def test_the_steps_lead_from_the_crop_to_the_view(lab):
    by_hand(lab)
    same = shots(lab)
    assert len(set(same)) == 1, "nothing is changed"
    lab.page.get_by_role("slider", name="hue, in turns").press("End")
    wait_until(lambda: shots(lab) != same, "another hue")
    now = shots(lab)
    assert now[:4] == same[:4] and now[4] != same[4] and len(set(now[4:])) == 1


def test_meter_and_words_follow_the_recipe(lab):
    lab.page.get_by_role("button", name="nothing", exact=True).click()
    wait_until(lambda: "a pixel value (0 to 1) moves by 0.00" in lab.words, "nothing moves")
    assert "meter" in lab.words  # being read, or read
    lab.rest()
    assert "among 64 cards by mean colour 100%, colour histogram 100%, raw pixels 100%" in lab.words
    lab.page.get_by_role("button", name="the recipe").click()
    wait_until(lambda: "is being read" in lab.words, "the meter of another recipe")
    lab.rest()
    rates = [int(rate) for rate in re.findall(r"(\d+)%", lab.words)][:3]
    assert max(rates) < 20 and "guessing 1.6%" in lab.words
    assert lab.alt == f"Augmentation lab. {lab.words}"


def test_it_says_that_pictures_are_being_read_until_they_are(browser):
    page = LabPage(browser, augmentation())
    first = page.page.evaluate(
        """data => {
            const el = document.createElement("div")
            lab.default.render({ model: { get: () => data }, el })
            return [el.labAlt(), el.inert]
        }""",
        json.loads(json.dumps(augmentation().data)),
    )
    assert first == ["Augmentation lab. The pictures are being read.", True]
    page.rest()
    assert not page.page.evaluate("document.getElementById('lab').inert")
    page.close("augmentation early")
