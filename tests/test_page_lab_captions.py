"""The caption lab in a browser: its text encoder is Python's, and what it shows is what its numbers say.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import re

import pytest
import torch
import torch.nn.functional as F
from browser import wait_until
from lab_pages import LabPage, in_browser, shown_by

from cl_course.captions import FACTORS, VALUES, captions, named_values, tokens
from cl_course.clip import CLIP, TextEncoder
from cl_course.data import load
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.two_languages import lab_captions
from cl_course.lessons.two_languages.lab_captions import EXAMPLES, SHOWN, text_weights, unpacked
from cl_course.models import small_resnet

pytestmark = in_browser
READ = "encode(lab.read(text, data.words, data.longest).numbers)"


@pytest.fixture(scope="module")
def cards():
    return load("shapes", "val", limit=60)


@pytest.fixture(scope="module")
def method():
    torch.manual_seed(0)
    return CLIP(small_resnet(width=4), TextEncoder()).eval()


@pytest.fixture(scope="module")
def widget(cards, method):
    return shown_by(lab_captions, lab_captions.caption_lab, method=method, images=cards, texts=captions(cards))


@pytest.fixture
def opened(browser, widget, request):
    pages = []

    def open_lab(**settings) -> LabPage:
        pages.append(LabPage(browser, widget, **settings))
        return pages[0]

    yield open_lab
    for page in pages:
        page.close(f"captions {request.node.name}")


def as_in_the_page(method, data):
    """The same method with the weights that the page has."""
    rounded = CLIP(small_resnet(width=4), TextEncoder()).double().eval()
    weights = {name: unpacked(values) for name, values in data["weights"].items()}
    assert weights.keys() == text_weights(method).keys()
    rounded.load_state_dict(weights, strict=False)
    return rounded


def test_the_page_s_text_encoder_is_python_s(opened, widget, method):
    texts = [
        *EXAMPLES,
        "heart",
        "a large magenta cross at the bottom right on a yellow background",
        *widget.data["captions"],
    ]
    found = opened().page.evaluate(
        f"""([data, texts]) => {{
            const encode = lab.textEncoder(data.weights, data.heads)
            return texts.map((text) => [...{READ}])
        }}""",
        [widget.data, texts],
    )
    rounded = as_in_the_page(method, widget.data)
    expected = torch.stack([rounded.embed_texts([text])[0] for text in texts])
    assert torch.allclose(torch.tensor(found, dtype=torch.float64), expected, atol=1e-5)
    exact = method.embed_texts(texts)
    assert F.cosine_similarity(exact.double(), expected).min() > 0.995, "8 bits keep the directions"


def python_finds(data, method, text):
    z = F.normalize(unpacked(data["z"]), dim=1)
    similarity = z @ as_in_the_page(method, data).embed_texts([text])[0]
    return similarity.topk(SHOWN)


def shown_cards(page):
    return page.locator(".cap-card").evaluate_all("all => all.map(e => e.ariaLabel)")


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_cards_and_words_are_those_that_python_finds(opened, widget, method, cards, text):
    lab, data = opened(), widget.data
    lab.page.get_by_label("Caption", exact=True).fill(text)
    wait_until(lambda: f"“{text}”" in lab.words, "the words follow")
    values, places = python_finds(data, method, text)
    for label, similarity, card in zip(shown_cards(lab.page), values.tolist(), places.tolist()):
        assert f": {data['captions'][card]}, " in label and f"cosine similarity {similarity:.2f}" in label
    right = named_values(cards.subset(places))
    on = text.partition(" on ")
    for factor, part in (("class", on[0]), ("hue", on[0]), ("scale", on[0]), ("background", on[2])):
        for number, value in enumerate(VALUES[factor]):
            if value in part.split():
                name = f"{value} background" if factor == "background" else value
                assert re.search(rf"[:,] {name} {int((right[factor] == number).sum())}[,.]", lab.words), (
                    factor,
                    lab.words,
                )


def test_marks_words_and_alt_agree(opened, widget):
    lab = opened()
    lab.page.get_by_role("button", name="a large red disc").click()
    wait_until(lambda: "“a large red disc”" in lab.words, "the example is taken")
    labels = shown_cards(lab.page)
    marks = lab.page.locator(".cap-card").evaluate_all(
        "all => all.map(e => e.textContent[0] + e.classList.contains('right'))"
    )
    whole = ["large red disc" in label for label in labels]
    assert marks == ["✓true" if right else "✗false" for right in whole]
    assert [("as the caption says" in label) for label in labels] == whole
    assert lab.words in lab.page.evaluate("document.getElementById('lab').labAlt()")


def test_a_card_that_is_pressed_is_asked_for_its_words(opened, widget, method):
    lab, data = opened(), widget.data
    third = lab.page.locator(".cap-card").nth(2)
    third.press("Enter")
    wait_until(lambda: third.get_attribute("aria-pressed") == "true", "it is the chosen one")
    assert third.evaluate("e => e === document.activeElement"), "the focus stays"
    _, places = python_finds(data, method, EXAMPLES[0])
    card = places[2].item()
    vector = F.normalize(unpacked(data["z"]), dim=1)[card]
    answer = lab.page.locator(".cap-answer").text_content()
    for factor in data["factors"]:
        nearest = int((F.normalize(unpacked(factor["z"]), dim=1) @ vector).argmax())
        mark = "✓" if nearest == factor["of"][card] else "✗"
        assert f"{factor['values'][nearest]} {mark}" in answer
    assert f"drawn as {data['captions'][card]}" in lab.words


def test_what_it_cannot_read_is_said(opened, widget):
    lab = opened()
    box = lab.page.get_by_label("Caption", exact=True)
    before = shown_cards(lab.page)
    box.fill("purple")
    wait_until(lambda: "It has never read “purple”" in lab.words, "an unknown word")
    assert "Type a word that it has read" in lab.words and shown_cards(lab.page) == before
    box.fill("A Heart, purple.")
    wait_until(lambda: "“purple”, which is left out" in lab.words, "one unknown word among known ones")
    assert "heart " in lab.words
    box.fill("a " * 20)
    wait_until(lambda: "It reads the first 16 words" in lab.words, "a text that is too long")
    box.fill("")
    wait_until(lambda: lab.words.startswith("Type a word"), "an empty box")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a red disc on a blue background", {"hue": "red", "class": "disc", "background": "blue"}),
        ("A STAR at the top left.", {"class": "star", "position": "top left"}),
        ("a star on a red background at the bottom", {"class": "star", "position": "bottom", "background": "red"}),
        ("nothing", {}),
    ],
)
def test_what_a_text_names(opened, widget, text, expected):
    assert (
        opened().page.evaluate("([text, factors]) => lab.named(text, factors)", [text, widget.data["factors"]])
        == expected
    )


def test_a_first_caption_that_nobody_can_read_is_refused(cards, method):
    with pytest.raises(ValueError, match="no caption has the word 'purple'"):
        lab_captions.caption_lab(method, cards, captions(cards), caption="a purple heart")


def test_vocabulary_is_what_was_read(widget, cards):
    assert widget.data["words"][5] is None, "no caption has 'shape'"
    known = {word for word in widget.data["words"] if word}
    assert known == {word for text in captions(cards) for word in text.split()}
    assert [factor["name"] for factor in widget.data["factors"]] == list(FACTORS)
    assert tokens(["a"])[0, 0] == 1 and widget.data["words"][0] == "a"


@pytest.mark.parametrize("width", [480, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_and_can_be_read(opened, width, theme):
    page = opened(width=width, theme=theme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, ground = page.locator(".cl-lab").evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
    assert abs(brightness[0] - brightness[1]) > 400
    assert all(page.locator("button").evaluate_all("all => all.map(e => e.ariaLabel || e.textContent)"))


def test_five_hundred_letters_leave_no_more_nodes(opened):
    page = opened().page
    box, count = page.get_by_label("Caption", exact=True), "document.querySelectorAll('*').length"
    box.focus()
    page.keyboard.press("End")
    before = page.evaluate(count)
    for move in range(250):
        page.keyboard.type(" b"[move % 2])
        page.keyboard.press("Backspace")
    assert page.evaluate(count) == before
    assert page.evaluate("document.activeElement.tagName") == "INPUT"


def test_a_finger_takes_an_example_and_a_card(opened):
    lab = opened(touch=True, width=480)
    lab.page.get_by_role("button", name="a star at the bottom right").tap()
    wait_until(lambda: "“a star at the bottom right”" in lab.words, "the example is taken")
    last = lab.page.locator(".cap-card").last
    last.tap()
    wait_until(lambda: last.get_attribute("aria-pressed") == "true", "the card is chosen")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"weights": None}, "its text encoder is missing"),
        ({"factors": []}, "its text encoder is missing"),
        ({"image": None}, "its pictures are missing"),
        ({"captions": ["a heart"]}, "cards and captions differ in number"),
        ({"caption": "purple"}, "its first caption has no known word"),
    ],
)
def test_what_cannot_be_shown_is_said_in_its_place(browser, widget, change, said):
    broken = LabPage(browser, page_lab(lab_captions.__file__, "lab_captions", **(widget.data | change)))
    assert said in broken.page.get_by_role("alert").text_content()
    broken.close("captions broken")
