"""The augmentation lab in a browser: its pixels are the package's, and box, sliders, views and meter do what they say.

Skipped where there is no Chromium.
"""

import base64
import dataclasses
import importlib.util
import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import find_browser, wait_until
from test_page_labs import LabPage, browser, shown_by  # noqa: F401
from torch import Generator, Tensor

from cl_course import augment as ops
from cl_course import shortcut
from cl_course.augment import AugmentConfig
from cl_course.data import load, to_float
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.two_views import lab_augmentation
from cl_course.lessons.two_views.lab_augmentation import LARGE, PRESETS, photos

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no chromium on the PATH: apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright: pip install playwright"),
]
BOUND = 2 / 255  # two steps of a picture's bytes
BUSY = AugmentConfig(crop=(0.05, 1), grey=0.2, blur=0.5, blur_sigma=(0.1, 4), solarize=0.5)
STEPS = {  # as in augment.js
    "crop": lambda x, p: ops.resized_crop(x, p["box"], p["flipped"]),
    "brightness": lambda x, p: ops.adjust_brightness(x, p["brightness"]),
    "contrast": lambda x, p: ops.adjust_contrast(x, p["contrast"]),
    "saturation": lambda x, p: ops.adjust_saturation(x, p["saturation"]),
    "hue": lambda x, p: ops.adjust_hue(x, p["hue"]),
    "grey": lambda x, p: ops.greyscale(x, p["greyed"]),
    "blur": lambda x, p: ops.gaussian_blur(x, p["sigma"]),
    "solarize": lambda x, p: ops.solarize(x, p["threshold"]),
}
# Images cross as the bytes of their float32 values: as numbers in text they would take seconds.
TOOLS = """() => {
    window.packed = ({ data }) => {
        const bytes = new Uint8Array(data.buffer)
        let text = ""
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
        return btoa(text)
    }
    window.image = ([width, height, packed]) => {
        const bytes = Uint8Array.from(atob(packed), character => character.charCodeAt(0))
        return { width, height, data: new Float32Array(bytes.buffer) }
    }
    window.copied = ({ width, height, data }) => ({ width, height, data: data.slice() })
}"""


@pytest.fixture(scope="module")
def cards():
    return to_float(load("shapes", "val", limit=80).images)


@pytest.fixture(scope="module")
def widget(cards):
    pictures = {"flower": photos(LARGE)["flower"], "card": cards[4]}
    return shown_by(lab_augmentation, lab_augmentation.augmentation_lab, pictures=pictures, cards=cards, seed=3)


def opened(browser, widget, **settings) -> LabPage:  # noqa: F811
    page = LabPage(browser, widget, **settings)
    page.page.evaluate(TOOLS)
    rest(page)
    return page


def rest(page: LabPage) -> None:
    wait_until(lambda: page.page.locator(".cl-lab").get_attribute("aria-busy") == "false", "pictures and meter")


@pytest.fixture(scope="module")
def maths(browser, widget):  # noqa: F811
    """A page whose lab nobody touches."""
    page = opened(browser, widget)
    yield page.page
    page.close("augmentation")


@pytest.fixture
def lab(browser, widget):  # noqa: F811
    page = opened(browser, widget)
    yield page
    page.close("augmentation used")


def pack(image: Tensor) -> list:
    height, width = image.shape[1:]
    return [width, height, base64.b64encode(image.contiguous().numpy().tobytes()).decode()]


def unpack(texts: list[str], like: Tensor) -> Tensor:
    """Images from a page, (n, 3, h, w)."""
    values = np.frombuffer(b"".join(map(base64.b64decode, texts)), dtype=np.float32).copy()
    return torch.from_numpy(values).view(len(texts), *like.shape[-3:])


@pytest.fixture(scope="module", params=["flower", "card"])
def picture(request, maths, widget):
    """A picture as the page has decoded it, (3, h, w)."""
    shelf = [{"name": p["name"], "width": 0} for p in widget.data["pictures"]]
    number = [p["name"] for p in shelf].index(request.param)
    width, height, packed = maths.evaluate(
        """async ([data, number]) => {
            const { image } = (await lab.readPictures(data)).shelf[number]
            return [image.width, image.height, packed(image)]
        }""",
        [widget.data, number],
    )
    return unpack([packed], torch.empty(3, height, width))[0]


def test_a_picture_is_decoded_and_halved_as_python_does(picture, cards):
    if picture.shape[-1] == 32:  # PNG: without loss
        assert torch.allclose(picture, cards[4], atol=1e-6)
    else:  # JPEG: another decoder may round otherwise
        large = photos(LARGE)["flower"]
        assert picture.shape == (3, LARGE // 2, LARGE // 2)
        assert (picture - F.avg_pool2d(large[None], 2)[0]).abs().mean() < 3 / 255


def drawn(n: int, picture: Tensor, seed: int = 1) -> dict[str, Tensor]:
    """Parameters far over the whole range of each operation, all of them in use."""
    g = Generator().manual_seed(seed)
    everything = AugmentConfig(crop=(0.001, 1), jitter=1, brightness=1, contrast=1, saturation=1, blur=1, grey=0.5)
    wide = dataclasses.replace(everything, blur_sigma=(0.05, 4))
    return ops.draw_parameters(n, picture.shape[1:], wide, g) | {"threshold": torch.rand(n, generator=g)}


def rows(parameters: dict[str, Tensor]) -> list[dict]:
    lists = {name: values.tolist() for name, values in parameters.items()}
    return [dict(zip(lists, row)) for row in zip(*lists.values())]


@pytest.mark.parametrize("step", STEPS)
def test_each_operation_gives_the_package_s_pixels(maths, picture, step):
    n = 40 if picture.shape[-1] == 32 else 8
    parameters = drawn(n, picture)
    found = maths.evaluate(
        "([given, step, rows]) => rows.map(p => packed(lab.STEPS[step](copied(image(given)), p)))",
        [pack(picture), step, rows(parameters)],
    )
    expected = STEPS[step](picture.expand(n, -1, -1, -1), parameters)
    assert (expected != picture).any() and (unpack(found, picture) - expected).abs().max() < BOUND / 100


def test_values_at_the_very_threshold_turn_as_in_the_package(maths):
    image = (torch.arange(48).float() / 47).view(3, 4, 4)
    for value in image.flatten()[::5]:
        found = maths.evaluate(
            "([given, threshold]) => packed(lab.solarize(image(given), threshold))", [pack(image), round(float(value), 12)]
        )
        assert torch.equal(unpack([found], image), ops.solarize(image[None], value[None]))


@pytest.mark.parametrize("name", ["crop and flip", "the recipe", "too strong", "busy"])
def test_whole_views_from_the_same_random_numbers_are_the_package_s(maths, picture, name):
    n, config = (60 if picture.shape[-1] == 32 else 12), {**PRESETS, "busy": BUSY}[name]
    u = torch.rand(14, n, generator=Generator().manual_seed(5))
    found = maths.evaluate(
        """([given, config, rows]) => {
            const picture = image(given)
            return rows.map(u => packed(lab.augment(picture, lab.drawParameters(u, picture, config))))
        }""",
        [pack(picture), dataclasses.asdict(config), u.T.tolist()],
    )
    images = picture.expand(n, -1, -1, -1)
    expected = ops.augment(images, config, Generator().manual_seed(5))
    before = ops.augment(images, dataclasses.replace(config, solarize=0), Generator().manual_seed(5))
    # A value that lies at the threshold up to rounding may turn in one and stay in the other.
    clear = ((before - 0.5).abs() > 1e-4) | (u[4] >= config.solarize)[:, None, None, None]
    assert (unpack(found, picture) - expected).abs()[clear].max() < BOUND
    assert clear.float().mean() > 0.998


@pytest.mark.parametrize("size", [(32, 32), (96, 128), (5, 40)])
def test_parameters_from_the_same_random_numbers_are_the_package_s(maths, size):
    n, (h, w) = 500, size
    u = torch.rand(14, n, generator=Generator().manual_seed(2))
    expected = ops.draw_parameters(n, size, BUSY, Generator().manual_seed(2))
    found = maths.evaluate(
        "([rows, width, height, config]) => rows.map(u => lab.drawParameters(u, { width, height }, config))",
        [u.T.tolist(), w, h, dataclasses.asdict(BUSY)],
    )
    for name, values in expected.items():
        assert torch.allclose(torch.tensor([p[name] for p in found]).to(values), values, atol=1e-5), name


def test_the_meter_is_the_package_s(maths, cards):
    views = ops.two_views(cards[:64], PRESETS["crop and flip"], Generator().manual_seed(0))
    found = maths.evaluate(
        """([view1, view2]) => {
            const task = lab.shortcutRates(view1.map(image), view2.map(image))
            for (;;) { const { done, value } = task.next(); if (done) return value }
        }""",
        [[pack(view) for view in both] for both in views],
    )
    expected = {name: shortcut.shortcut_rate(*views, feature) for name, feature in shortcut.FEATURES.items()}
    assert found == pytest.approx(expected) and len(set(expected.values())) == 3
    for name, feature in shortcut.FEATURES.items():
        values = maths.evaluate("([name, given]) => [...lab.FEATURES[name](image(given))]", [name, pack(cards[0])])
        assert torch.allclose(torch.tensor(values), feature(cards[:1])[0], atol=1e-5)


def shots(lab: LabPage) -> list[str]:
    """The pixels of the eight pictures."""
    return lab.page.evaluate("[...document.querySelectorAll('.aug-view canvas')].map(c => c.toDataURL())")


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
    wait_until(lambda: "crop of 31 % of the area" in lab.words, "the words follow")


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


def test_the_box_follows_a_finger(browser, widget):  # noqa: F811
    lab = opened(browser, widget, touch=True, width=480)
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
    rest(lab)
    tiles = page.locator(".aug-view")
    spoken = tiles.nth(2).get_attribute("aria-label")
    tiles.nth(2).focus()
    assert "View 3: crop of" in page.locator(".aug-hint").text_content()
    pixels = "n => [...document.querySelectorAll('.aug-view canvas')[n].getContext('2d').getImageData(0, 0, 112, 112).data]"
    view = page.evaluate(pixels, 2)
    page.keyboard.press("Space")
    wait_until(lambda: "step by step" in lab.words, "by hand")
    difference = np.abs(np.array(page.evaluate(pixels, 7)) - view)
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
    wait_until(lambda: "a value (0 to 1) moves by 0.00" in lab.words, "nothing moves")
    assert "meter" in lab.words  # being read, or read
    rest(lab)
    assert "among 64 cards by mean colour 100 %, colour histogram 100 %, raw pixels 100 %" in lab.words
    lab.page.get_by_role("button", name="the recipe").click()
    wait_until(lambda: "is being read" in lab.words, "the meter of another recipe")
    rest(lab)
    rates = [int(rate) for rate in re.findall(r"(\d+) %", lab.words)][:3]
    assert max(rates) < 20 and "guessing 1.6 %" in lab.words
    alt = lab.page.evaluate("document.getElementById('lab').labAlt()")
    assert alt == f"Augmentation lab. {lab.words}"


def test_it_says_that_pictures_are_being_read_until_they_are(browser, widget):  # noqa: F811
    page = LabPage(browser, page_lab(lab_augmentation.__file__, "lab_augmentation", **widget.data))
    first = page.page.evaluate(
        """data => {
            const el = document.createElement("div")
            lab.default.render({ model: { get: () => data }, el })
            return el.labAlt()
        }""",
        json.loads(json.dumps(widget.data)),
    )
    assert first == "Augmentation lab. The pictures are being read."
    page.close("augmentation early")


@pytest.mark.parametrize("width", [480, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_and_can_be_read(browser, widget, width, theme):  # noqa: F811
    lab = opened(browser, widget, width=width, theme=theme)
    for mode in ("random", "exact"):
        assert lab.page.evaluate("document.documentElement.scrollWidth") <= width
        cut = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"
        assert lab.page.locator(".aug-group, .aug-view, .aug-line").evaluate_all(cut) == []
        if mode == "random":
            by_hand(lab)
    ink, ground = lab.page.locator(".cl-lab").evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert abs(brightness[0] - brightness[1]) > 400
    lab.close(f"augmentation {width} {theme}")


def test_five_hundred_moves_leave_no_more_nodes(lab):
    page, count = lab.page, "document.querySelectorAll('*').length"
    before = page.evaluate(count)
    page.get_by_role("slider", name="contrast").first.focus()
    for number in range(250):
        page.keyboard.press("ArrowLeft" if number % 2 else "ArrowRight")
    by_hand(lab)
    page.get_by_role("slider", name="Crop box, top left corner").focus()
    for number in range(250):
        page.keyboard.press("ArrowUp" if number % 2 else "ArrowDown")
    assert page.evaluate(count) == before


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"pictures": []}, "Augmentation lab cannot be shown: it needs a picture, and cards for its meter."),
        ({"cards": {}}, "Augmentation lab cannot be shown: it needs a picture, and cards for its meter."),
        ("flower", 'Augmentation lab cannot be shown: "flower" is no picture that this browser can read'),
        ("cards", 'Augmentation lab cannot be shown: "cards of the meter" is no picture that this browser can read'),
    ],
)
def test_what_cannot_be_shown_is_said_in_its_place(browser, widget, wrong, sentence):  # noqa: F811
    data = json.loads(json.dumps(widget.data))
    if wrong == "flower":
        data["pictures"][0]["src"] = "data:image/jpeg;base64,AAAA"
    elif wrong == "cards":
        data["cards"]["src"] = "data:image/jpeg;base64,AAAA"
    else:
        data |= wrong
    broken = LabPage(browser, page_lab(lab_augmentation.__file__, "lab_augmentation", **data))
    alert = broken.page.get_by_role("alert")
    alert.wait_for()
    assert alert.count() == 1 and sentence in alert.text_content()
    broken.close("augmentation broken")
