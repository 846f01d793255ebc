"""The labs of neighbours, retrieval and the card game in a browser: what they find is what Python finds.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import base64
import re
from collections import Counter

import numpy as np
import pytest
import torch
from browser import wait_until
from lab_examples import EXAMPLES
from lab_pages import LabPage, in_browser

from cl_course.data import ImageSet
from cl_course.lessons.start_here.lab_game import LEVELS, SAME
from cl_course.lessons.what_did_it_learn.lab_retrieval import DIFFERENCES, differences

pytestmark = in_browser
K = {"neighbours": 6, "retrieval": 10}


@pytest.fixture(scope="module")
def labs():
    """Name -> the widget that the lab displays."""
    return {name: EXAMPLES[name]() for name in ("neighbours", "retrieval", "game")}


@pytest.fixture
def opened(browser, labs, request):
    """open(name) -> its page, which is closed at the end of the test."""
    pages = {}

    def open_lab(name: str, **settings) -> LabPage:
        pages[name] = LabPage(browser, labs[name], **settings)
        return pages[name]

    yield open_lab
    for name, page in pages.items():
        page.close(f"{name} {request.node.originalname}")


def python_finds(data: dict, encoder: dict, query: int, k: int) -> list[tuple[int, float]]:
    """The nearest searched cards and their similarity, one card at a time."""
    codes = np.frombuffer(base64.b64decode(encoder["codes"]), np.int8).astype(int).reshape(len(data["labels"]), -1)
    squared = {card: int(((codes[card] - codes[query]) ** 2).sum()) for card in range(data["queries"], len(codes))}
    squared.pop(query, None)
    cards = sorted(squared, key=lambda card: (squared[card], card))[:k]
    return [(card, 1 - encoder["step"] ** 2 * squared[card] / 2) for card in cards]


@pytest.mark.parametrize("name", K)
def test_the_page_finds_what_python_finds(opened, labs, name):
    data, k, page = labs[name].data, K[name], opened(name).page
    for encoder in data["encoders"]:
        found = page.evaluate(
            """([encoder, queries, total, k]) => {
                const decoded = { ...encoder, codes: lab.decode(encoder.codes) }
                return Array.from({ length: total }, (_, query) => lab.nearest(decoded, query, queries, k))
            }""",
            [encoder, data["queries"], len(data["labels"]), k],
        )
        for query, cards in enumerate(found):
            expected = python_finds(data, encoder, query, k)
            assert [each["card"] for each in cards] == [card for card, _ in expected]
            assert [each["similarity"] for each in cards] == pytest.approx([s for _, s in expected], abs=1e-9)


def shown_cards(page) -> list[str]:
    return page.locator(".near-card").evaluate_all("all => all.map(e => e.ariaLabel)")


def selected(page) -> str:
    (label,) = page.locator("[role=option][aria-selected=true]").evaluate_all("all => all.map(e => e.ariaLabel)")
    return label


def focused(page) -> str:
    return page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")


def option(data: dict, card: int) -> str:
    """The name of a card on its sheet."""
    queries, total, kind = data["queries"], len(data["labels"]), data["classes"][data["labels"][card]]
    if card < queries:
        return f"{kind}, new card {card + 1} of {queries}"
    return f"{kind}, searched card {card - queries + 1} of {total - queries}"


@pytest.mark.parametrize("name", K)
def test_cards_marks_words_and_alt_say_the_same(opened, labs, name):
    data, lab = labs[name].data, opened(name)
    page, k = lab.page, K[name]
    for query in (0, 17, data["queries"] + 5):
        page.get_by_role("radio", name="new cards" if query < data["queries"] else "cards that are searched").check()
        page.get_by_role("option", name=option(data, query), exact=True).click()
        page.evaluate("() => new Promise(requestAnimationFrame)")
        kind, expected, counts = data["classes"][data["labels"][query]], [], []
        for encoder in data["encoders"]:
            found = python_finds(data, encoder, query, k)
            right = [data["labels"][card] == data["labels"][query] for card, _ in found]
            counts.append(f"{encoder['name']} {sum(right)}")
            for (card, cosine), same in zip(found, right):
                digits = f"{cosine:.{3 if cosine > 0.99 else 2}f}"
                whose = "the query's class" if same else "another class"
                expected.append(
                    f"{data['classes'][data['labels'][card]]}, {whose}, cosine similarity {digits}: make it the query"
                )
        assert shown_cards(page) == expected
        marks = page.locator(".near-card").evaluate_all(
            "all => all.map(e => e.textContent[0] + e.classList.contains('same'))"
        )
        assert marks == ["✓true" if "the query's" in label else "✗false" for label in expected]
        for text in (lab.words, lab.alt):
            assert f"Query: {kind}, a " in text and f"searched cards: {', '.join(counts)}." in text


def test_the_sheet_follows_the_arrow_keys(opened, labs):
    data, page = labs["neighbours"].data, opened("neighbours").page
    start = page.get_by_role("option", name=option(data, 0), exact=True)
    start.focus()
    columns = page.locator(".near-sheet").first.evaluate(
        "e => getComputedStyle(e).gridTemplateColumns.split(' ').length"
    )
    where = 0
    for key, to in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("ArrowUp", 0),
        ("End", 59),
        ("Home", 0),
    ):
        before, where = (shown_cards(page), where), to
        page.keyboard.press(key)
        assert selected(page) == focused(page) == option(data, to), key
        if before[1] != to:
            wait_until(lambda before=before: shown_cards(page) != before[0], f"{key}: other neighbours")
    reached = page.locator(".near-sheet:visible [tabindex='0']").evaluate_all("all => all.map(e => e.ariaLabel)")
    assert reached == [option(data, 0)], "the tabulator key reaches the query alone"


def test_a_neighbour_becomes_the_query_and_back_returns(opened, labs):
    data, page = labs["retrieval"].data, opened("retrieval").page
    page.get_by_role("option", name=option(data, 59), exact=True).click()
    card, _ = python_finds(data, data["encoders"][1], 59, 10)[2]
    assert data["labels"][card] > 4, "far down on the sheet"
    wait_until(lambda: "bolt" in page.locator(".near-query").text_content(), "the last query")
    first = shown_cards(page)
    neighbour = page.locator(".near-card").nth(10 + 2)
    neighbour.press("Enter")
    wait_until(lambda: shown_cards(page) != first, "the neighbours of the neighbour")
    assert selected(page) == option(data, card)
    assert page.get_by_role("radio", name="cards that are searched").is_checked()
    assert neighbour.evaluate("e => e === document.activeElement"), "the focus stays"
    assert page.locator("[aria-selected=true]").evaluate(
        "e => e.offsetTop >= e.parentElement.scrollTop "
        "&& e.offsetTop + e.offsetHeight <= e.parentElement.scrollTop + e.parentElement.clientHeight"
    ), "the query can be seen on its sheet"
    back = page.get_by_role("button", name="Back")
    back.press("Enter")
    wait_until(lambda: shown_cards(page) == first, "the first query again")
    assert selected(page) == option(data, 59)
    back.press("Enter")
    wait_until(lambda: back.get_attribute("aria-disabled") == "true", "there is nothing further back")
    back.press("Enter")
    assert selected(page) == option(data, 0)


def test_a_finger_chooses_a_query(opened, labs):
    data, page = labs["neighbours"].data, opened("neighbours", touch=True, width=480).page
    page.get_by_role("option", name=option(data, 4), exact=True).tap()
    assert selected(page) == option(data, 4)
    page.locator(".near-card").first.tap()
    assert "searched card" in selected(page)


def test_differences_are_python_s(opened, labs):
    data, lab = labs["retrieval"].data, opened("retrieval")
    values = [torch.tensor(factor["values"]) for factor in data["factors"]]
    factors = {name: of.squeeze(1) if of.shape[1] == 1 else of for name, of in zip(DIFFERENCES, values)}
    cards = ImageSet(torch.zeros(len(values[0]), 3, 4, 4, dtype=torch.uint8), factors=factors)
    for query in (0, 31):
        for encoder in data["encoders"]:
            near = [card for card, _ in python_finds(data, encoder, query, 10)]
            expected = differences(cards, cards.subset(torch.tensor([query])), torch.tensor([near]))
            found = lab.page.evaluate(
                "([factors, query, cards]) => factors.map((factor) => lab.difference(factor, query, cards))",
                [data["factors"], query, near],
            )
            assert found == pytest.approx([expected[name] for name in DIFFERENCES], abs=1e-5)
            if query == 0:
                for name, words in DIFFERENCES.items():
                    assert re.search(rf"{words}: [^;]*{encoder['name']} {expected[name]:.2f}", lab.words), words


def won_by(data: dict, player: str) -> Counter:
    """level -> rounds that a simple player wins."""
    return Counter(each["level"] for each in data["rounds"] if each["kinds"][each["picks"][player]] == SAME)


def table(page) -> dict[str, list[str]]:
    rows = page.locator(".game-score tbody tr").evaluate_all(
        "all => all.map(e => [...e.children].map(c => c.textContent))"
    )
    return {row[0]: row[1:] for row in rows}


def test_a_whole_game_by_the_keyboard(opened, labs):
    data, lab = labs["game"].data, opened("game")
    page, rounds = lab.page, data["rounds"]
    page.get_by_role("button", name="Take card A").focus()
    for number, each in enumerate(rounds):
        assert f"{each['level']}: round {number % 2 + 1} of 2" == page.locator(".game-title").text_content()
        right = each["kinds"].index(SAME)
        place = right if number != 3 else (right + 2) % 6
        if number % 2:
            page.keyboard.press(str(place + 1))
        else:
            for _ in range(place):
                page.keyboard.press("ArrowRight")
            page.keyboard.press("Enter")
        assert lab.words.startswith("Yes, the same card." if place == right else "No")
        assert f"You found {number + (number < 3)} of {number + 1};" in lab.words
        assert focused(page) == "Next round"
        for card, letter in enumerate("ABCDEF"):
            takers = [name for name, pick in each["picks"].items() if pick == card]
            named = ", ".join([*(["you"] if card == place else []), *takers]) or "nobody"
            assert (
                page.get_by_role("button", name=f"Card {letter}, {each['kinds'][card]}, taken by {named}").count() == 1
            )
        words = lab.words
        page.keyboard.press("1")
        assert lab.words == words, "a round is answered once"
        page.keyboard.press("Enter")
    assert "All rounds are played." in lab.words and focused(page) == "Next round"
    assert page.get_by_role("button", name="Next round").get_attribute("aria-disabled") == "true"
    score = table(page)
    for level in LEVELS:
        yours = 2 - (level == rounds[3]["level"])
        assert score[level] == [f"{yours} of 2", *(f"{won_by(data, name)[level]} of 2" for name in data["players"])]
    assert score["all rounds"] == ["9 of 10", *(f"{won_by(data, name).total()} of 10" for name in data["players"])]
    kind = rounds[3]["kinds"][(rounds[3]["kinds"].index(SAME) + 2) % 6]
    assert f"Instead you took: {kind} 1." in lab.words


@pytest.mark.parametrize("touch", [False, True])
def test_a_game_by_mouse_or_by_finger(opened, labs, touch):
    data, lab, level = labs["game"].data, opened("game", touch=touch, width=480), list(LEVELS)[3]
    page, press = lab.page, "tap" if touch else "click"
    page.get_by_role("radio", name=level).check()
    wait_until(lambda: level in page.locator(".game-title").text_content(), "that level's round")
    each = next(each for each in data["rounds"] if each["level"] == level)
    getattr(page.get_by_role("button", name=f"Take card {'ABCDEF'[each['kinds'].index(SAME)]}"), press)()
    assert "You found 1 of 1" in lab.words and table(page)[level][0] == "1 of 1"
    assert "You found 1 of 1" in lab.alt
    getattr(page.get_by_role("button", name="Next round"), press)()
    assert page.locator(".game-title").text_content() == f"{level}: round 2 of 2"


def test_nobody_s_answer_is_shown_before_yours(opened, labs):
    lab = opened("game")
    assert "Nothing is played yet." in lab.words
    assert lab.page.locator(".game-hand").text_content() == "ABCDEF"
    assert all(cell == "–" for row in table(lab.page).values() for cell in row)
