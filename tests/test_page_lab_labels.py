"""The label lab: what it says is saved is on disk, in a page of its own and in JupyterLab when the kernel is killed.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import importlib.util
import json
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from browser import Notebook, jupyter_lab, wait_until, write_notebook
from lab_examples import labels as label_lab
from lab_examples import named
from lab_pages import LabPage, in_browser

from cl_course.labels import BOM, Entry, Labels, _lines, standing
from cl_course.lessons.own_pictures.lab_labels import Desk

CLASSES = ("disc", "square", "another")
KEYS = "1213s12u31"
# What a kernel would do with the page's actions: it is a page without one that is asked here.
AFTER = "async ([code, state, actions]) => { const lab = await import(URL.createObjectURL(new Blob([code], " \
    "{ type: 'text/javascript' }))); const { counts, given, recent } = lab.after(state, actions); " \
    "return { counts, given: [...given].sort(), recent } }"  # fmt: skip


def action(number: int, kind: str, name: str, label: str = "") -> dict:
    return {"id": str(number), "kind": kind, "name": name, "label": label}


@pytest.fixture
def desk(tmp_path):
    return Desk(Labels(tmp_path / "labels.csv", CLASSES, "cards"), named())


def test_the_kernel_does_each_action_once(desk):
    names = named().names
    first = [action(1, "label", names[0], "disc"), action(2, "skip", names[1])]
    assert desk.answer({"actions": first})["done"] == ["1", "2"]
    answer = desk.answer({"actions": [*first, action(3, "undo", names[1])]})
    assert answer["done"] == ["1", "2", "3"] and answer["state"]["recent"] == [(names[0], "disc")]
    assert answer["state"]["saved"] == 1 and answer["state"]["counts"]["disc"] == 1
    desk.answer({"actions": [*first, action(3, "undo", names[1]), action(4, "label", names[1], "square")]})
    assert len(desk._labels.path.read_text().splitlines()) == 2 + 4, "a line for each action"


def test_a_second_kernel_is_sent_what_the_first_had_done(desk):
    """The first kernel wrote the labels and died before it could answer, so their numbers are unknown to the second."""
    names = named().names
    sent = [action(1, "label", names[0], "disc"), action(2, "label", names[1], "square")]
    sent.append(action(3, "undo", names[1], "square"))
    desk.answer({"actions": sent})
    again = Desk(desk._labels, named())
    state = again.answer({"actions": sent})["state"]
    assert state["counts"] == {"disc": 1, "square": 0, "another": 0}
    assert desk._labels.given == {names[0]: "disc"}


def test_what_cannot_be_written_is_not_confirmed(desk, monkeypatch):
    names = named().names

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = desk.answer({"actions": [action(1, "label", names[0], "disc"), action(2, "skip", names[1])]})
    assert answer["done"] == [] and "No space left" in answer["failed"] and answer["state"]["saved"] == 0
    monkeypatch.undo()
    assert desk.answer({"actions": [action(1, "label", names[0], "disc")]})["failed"] == ""


def test_pictures_that_are_labelled_are_not_asked_again(desk):
    names, order = named().names, torch.arange(60).flip(0)
    desk.answer({"actions": [action(i, "label", names[59 - i], "disc") for i in range(3)]})
    data = desk.data(order, 10)
    shown = [picture["name"] for picture in data["pictures"]]
    assert shown[:3] == [names[59], names[58], names[57]] and shown[3] == names[56] and len(shown) == 60
    assert data["state"]["recent"][-1] == (names[57], "disc")


@in_browser[0]
@in_browser[1]
def test_the_page_counts_as_the_kernel_does(browser, desk):
    page = browser.new_page()
    names = named().names
    sent = [action(i, "label", names[i % 4], CLASSES[i % 3]) for i in range(4)]
    sent += [action(4, "skip", names[5]), action(5, "undo", names[5]), action(6, "undo", names[3], CLASSES[0])]
    before = desk.answer({"actions": []})["state"]
    counted = page.evaluate(AFTER, [label_lab()._esm, json.loads(json.dumps(before)), sent])
    state = desk.answer({"actions": sent})["state"]
    assert counted["counts"] == state["counts"] and counted["given"] == sorted(state["given"])
    assert counted["recent"] == [list(pair) for pair in state["recent"]]
    page.close()


@in_browser[0]
@in_browser[1]
def test_keys_without_a_kernel(browser):
    lab = LabPage(browser, label_lab(), width=480)
    lab.rest()
    asked = lab.page.locator(".own-name")
    first = asked.text_content()
    lab.page.get_by_role("button", name="disc, 0 of 10").focus()
    lab.page.keyboard.press("1")
    lab.page.keyboard.press("s")
    assert asked.text_content() != first and "disc: 1" in lab.words
    lab.page.keyboard.press("Control+z")
    lab.page.keyboard.press("Backspace")
    assert asked.text_content() == first and "disc: 0" in lab.words
    assert "no kernel" in lab.page.locator(".own-saved").text_content()
    lab.page.keyboard.press("ArrowRight")
    assert lab.page.evaluate("document.activeElement.textContent").startswith("2 square")
    lab.close("label lab by keys")


@in_browser[0]
@in_browser[1]
def test_digits_are_their_own_keys(browser):
    lab = LabPage(browser, label_lab(classes=("0", "1", "7")))
    lab.rest()
    lab.page.get_by_role("button", name="0, 0 of 10", exact=True).focus()
    for key in "7790":  # 9 is no class
        lab.page.keyboard.press(key)
    assert "0: 1, 1: 0, 7: 2" in lab.words
    lab.close("label lab of digits")


CELLS = [
    """import os
from pathlib import Path
import torch
from cl_course.data import ImageSet, load
from cl_course.labels import Labels
from cl_course.lessons.own_pictures.lab_labels import label_lab
Path("pid").write_text(str(os.getpid()))
cards = load("shapes", "val", limit=60)
images = ImageSet(cards.images, names=tuple(f"IMG_{i:04d}.png" for i in range(60)))
labels = Labels("labels.csv", ("disc", "square", "another"), "cards")""",
    "label_lab(labels, images, torch.arange(60))",
]


@in_browser[0]
@in_browser[1]
@pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="no jupyterlab: pip install jupyterlab")
def test_a_killed_kernel_loses_no_label(browser, tmp_path):
    with jupyter_lab(tmp_path) as server:
        write_notebook(server.notebooks / "own.ipynb", CELLS)
        notebook = Notebook(browser, server, "own.ipynb")
        page, file = notebook.page, server.notebooks / "labels.csv"
        notebook.run_all()
        lab = notebook.cells.nth(1).locator(".cl-lab")
        saved = lab.locator(".own-saved")
        wait_until(lambda: saved.count() and saved.text_content() == "Saved 0.", "the lab is there", 120)
        lab.scroll_into_view_if_needed()
        lab.get_by_role("button", name=re.compile("^disc,")).focus()
        for key in KEYS:
            page.keyboard.press(key)
        wait_until(lambda: saved.text_content() == "Saved 7.", "all is on disk", 60)  # ten keys: a skip, an undo
        assert lab.evaluate("area => area.contains(document.activeElement)"), "the focus is still in the lab"
        before = given(file)
        assert sum(map(bool, before.values())) == 7 and len(before) == 8
        os.kill(int((server.notebooks / "pid").read_text()), signal.SIGKILL)
        page.keyboard.press("2")  # nobody is there to save these three
        page.keyboard.press("2")
        page.keyboard.press("1")
        wait_until(lambda: "does not answer" in saved.text_content(), "it says that nothing is saved", 60)
        assert given(file) == before
        notebook.screenshot("label lab without a kernel")
        wait_until(lambda: page.get_by_text(re.compile(r"\| Idle$")).count(), "the kernel has started anew", 120)
        page.get_by_role("dialog").get_by_role("button").click()  # "the kernel appears to have died"
        notebook.run_all()
        wait_until(lambda: saved.count() and saved.text_content() == "Saved 10.", "what waited is saved", 60)
        after = given(file)
        assert before.items() <= after.items() and sum(map(bool, after.values())) == 10
        notebook.screenshot("label lab after a restart")


def given(file: Path) -> dict[str, str]:
    """What the file says, read without its lock, which the kernel holds."""
    lines, _ = _lines(file.read_bytes().removeprefix(BOM.encode()))
    return {entry.picture: entry.label for entry in standing(Entry(*line) for line in lines[1:])}
