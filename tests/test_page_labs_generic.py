"""What every lab in the page must do: it fits, has names, leaves nothing behind, and says what is wrong.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import json
import re
from itertools import product
from pathlib import Path

import pytest
from browser import wait_until
from lab_examples import EXAMPLES
from lab_pages import NAMELESS, PAGE, LabPage, in_browser

from cl_course.lessons.shared import lab_page
from cl_course.lessons.shared.lab_page import STYLE

pytestmark = in_browser
LESSONS = Path(lab_page.__file__).parents[1]
PLAYED = ("circle", "queue", "collapse")
HANDLES = (  # what arrow keys move, the most telling first
    "[role=slider]:visible",
    "[role=option][tabindex='0']:visible",
    "input[type=range]:not([disabled]):visible",
    "button[tabindex='0']",
    "input[type=radio]",
    "input[type=text]",
)
PRESSED = (  # by mouse or finger
    "input[type=range]:not([disabled]):visible",
    "input[type=radio]:not([disabled]):not(:checked)",
    "button:not([disabled]):visible",
)
STATE = """() => document.getElementById("lab").innerHTML +
    [...document.querySelectorAll("input")].map(i => i.value + i.checked).join() +
    [...document.querySelectorAll("canvas")].map(c => c.toDataURL()).join()"""
# Texts of a drawing that end outside it.
CUT = """() => [...document.querySelectorAll("svg.lab-sheet text")].filter(text => {
    const box = text.getBoundingClientRect(), sheet = text.ownerSVGElement.getBoundingClientRect()
    return box.width && (box.right > sheet.right + 1 || box.left < sheet.left - 1)
}).map(text => text.textContent)"""
MOUNT_ONE = """async ([code, data]) => {
    const lab = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))
    const el = document.body.appendChild(document.createElement("div"))
    lab.default.render({ model: { get: (name) => (name === "data" ? data : undefined) }, el })
}"""
# Names by which one part of a page refers to another, lab by lab.
NAMES = """() => [...document.querySelectorAll(".cl-lab")].map(lab => [...new Set([
    ...[...lab.querySelectorAll("[id]")].map(e => e.id),
    ...[...lab.querySelectorAll("input[type=radio]")].map(e => e.name),
    ...[...lab.querySelectorAll(".lab-card")].map(e => e.classList[1]),
])])"""


@pytest.fixture(scope="module", params=EXAMPLES)
def lab(request, browser):
    page = LabPage(browser, EXAMPLES[request.param]())
    page.rest()
    page.name = request.param
    yield page
    page.close(request.param)


def frame(page) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_every_lab_has_an_example():
    shown = {type(make()).__name__ for make in EXAMPLES.values()}
    assert shown == {path.name.removesuffix(".bundle.js") for path in LESSONS.rglob("*.bundle.js")}


def test_it_fits_and_can_be_read(lab):
    for width, theme in product((480, 1400), ("light", "dark")):
        lab.page.set_viewport_size({"width": width, "height": 900})
        lab.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        assert lab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert lab.page.evaluate(CUT) == [], f"at {width}"
        ink, ground = lab.page.locator(".cl-lab").evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
        assert abs(brightness[0] - brightness[1]) > 400
        assert (brightness[0] > brightness[1]) == (theme == "dark")
        lab.screenshot(f"{lab.name} {width} {theme}")


def test_all_has_a_name_and_the_words_are_whole(lab):
    assert lab.page.get_by_role("group", name=re.compile("(lab|game|Playground)$")).first.is_visible()
    assert lab.page.locator(".cl-lab").evaluate(NAMELESS) == []
    assert len(lab.words) > 20 and len(lab.alt) > 20
    assert not re.search("NaN|undefined|null|Infinity", lab.words + lab.alt)


def test_five_hundred_moves_leave_no_more_nodes(lab):
    page = lab.page
    handle = next(found.first for found in map(page.locator, HANDLES) if found.count())
    handle.focus()
    page.keyboard.press("ArrowRight")
    frame(page)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    for move in range(500):
        page.keyboard.press("ArrowLeft" if move % 100 < 50 else "ArrowRight")
    frame(page)
    assert page.evaluate("document.querySelectorAll('*').length") == nodes
    assert page.evaluate("document.querySelector('.cl-lab').contains(document.activeElement)"), "the focus stays"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(lab, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: pip install -e '.[dev]'")
    lab.rest()  # numbers that are being computed anew are faded
    lab.page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    faults = axe.Axe().run(lab.page, "#lab").response["violations"]
    serious = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
    assert not [(fault["id"], fault["nodes"][0]["html"][:200], len(fault["nodes"])) for fault in serious]


@pytest.mark.parametrize("name, by", product(EXAMPLES, ("mouse", "touch")))
def test_it_moves_by_mouse_and_by_touch(browser, name, by):
    lab = LabPage(browser, EXAMPLES[name](), touch=by == "touch")
    lab.rest()
    control = next(found for found in map(lab.page.locator, PRESSED) if found.count())
    control = control.nth(min(1, control.count() - 1))  # the first button may be pressed already
    control.scroll_into_view_if_needed()
    before, box = lab.page.evaluate(STATE), control.bounding_box()
    x, y = box["x"] + 0.23 * box["width"], box["y"] + box["height"] / 2
    lab.page.mouse.click(x, y) if by == "mouse" else lab.page.touchscreen.tap(x, y)
    wait_until(lambda: lab.page.evaluate(STATE) != before, "the lab has changed")
    lab.close(f"{name} by {by}")


@pytest.mark.parametrize("lab", PLAYED, indirect=True)
def test_what_plays_pauses_when_the_lab_leaves_the_page(lab):
    """JupyterLab takes cells that are out of sight from the page, and puts them back."""
    play = lab.page.get_by_role("button", name="Play")
    play.press("Enter")
    lab.page.get_by_role("button", name="Pause").wait_for()
    lab.page.evaluate("() => { window.kept = document.getElementById('lab'); window.kept.remove() }")
    wait_until(lambda: lab.page.evaluate("window.kept.textContent.includes('Play')"), "it has paused")
    lab.page.evaluate("() => document.body.append(window.kept)")
    words = lab.words
    play.press("Enter")
    wait_until(lambda: lab.words != words, "one press goes on")


@pytest.fixture(scope="module")
def crowded(browser):
    """Two of every lab on one page."""
    page = browser.new_page()
    page.set_content(PAGE.format(theme="light", style=STYLE))
    for make in [*EXAMPLES.values()] * 2:
        widget = make()
        page.evaluate(MOUNT_ONE, [widget._esm, json.loads(json.dumps(widget.data))])
    yield page
    page.close()


def test_labs_on_one_page_do_not_take_each_other_s_names(crowded):
    names = [name for lab in crowded.evaluate(NAMES) for name in lab]
    assert len(names) > 40 and len(names) == len(set(names))
    groups = crowded.get_by_role("radiogroup").or_(crowded.locator("fieldset.lab-choice:has([type=radio][checked])"))
    chosen = groups.evaluate_all("all => all.map(e => e.querySelectorAll('[type=radio]:checked').length)")
    assert len(chosen) > 10 and set(chosen) == {1}


NOTHING = {"settings": [], "factors": [], "start": [], "revealed": [], "chance": 0.1, "measure": "kNN"}
NO_PICTURE = "data:image/jpeg;base64,AAAA"
LACKS = "Augmentation lab cannot be shown: it needs a picture, and cards for its meter."


@pytest.mark.parametrize(
    "name, wrong, sentence",
    [
        ("circle", {"n": -1}, "Circle lab cannot be shown: it needs 2 images or more"),
        ("temperature", {"rows": []}, "Temperature lab cannot be shown: its record of similarities is missing"),
        ("collapse", {"runs": {}}, "Collapse lab cannot be shown: the recorded run of its first switches is missing"),
        ("ablation", NOTHING, "Ablation lab cannot be shown: it has no recorded runs"),
        ("clinic", {"healthy": {}}, "Clinic lab cannot be shown: recorded runs of patients or of a healthy"),
        ("neighbours", {"encoders": []}, "Neighbours lab cannot be shown: its features are missing"),
        ("neighbours", {"labels": [0]}, "Neighbours lab cannot be shown: features and cards differ in number"),
        ("neighbours", {"image": None}, "Neighbours lab cannot be shown: its pictures are missing"),
        ("retrieval", {"factors": []}, "Retrieval lab cannot be shown: the factors of its cards are missing"),
        ("game", {"rounds": []}, "Card game cannot be shown: no rounds were dealt"),
        ("labels", {"classes": []}, "Label lab cannot be shown: it has no classes to choose from"),
        ("labels", {"pictures": []}, "Label lab cannot be shown: every picture has a label already"),
        ("map", {"names": []}, "Map lab cannot be shown: its features and pictures differ in number"),
        ("augmentation", {"pictures": []}, LACKS),
        ("augmentation", {"cards": {}}, LACKS),
        ("augmentation", {"pictures": [{"name": "sea", "src": NO_PICTURE, "times": 1}]}, '"sea" is no picture that'),
        ("augmentation", {"cards": {"src": NO_PICTURE}}, '"cards of the meter" is no picture that this browser'),
    ],
)
def test_what_cannot_be_shown_is_said_in_its_place(blank, name, wrong, sentence):
    widget = EXAMPLES[name]()
    blank.evaluate("document.body.replaceChildren()")
    blank.evaluate(MOUNT_ONE, [widget._esm, json.loads(json.dumps(widget.data | wrong))])
    alert = blank.get_by_role("alert")
    alert.wait_for()
    assert sentence in alert.text_content() and blank.locator(".cl-lab > *").count() == 1


@pytest.fixture(scope="module")
def blank(browser):
    page = browser.new_page()
    page.set_content(PAGE.format(theme="light", style=STYLE))
    yield page
    page.close()
