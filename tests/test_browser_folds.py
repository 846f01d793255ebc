"""What is folded in JupyterLab when a lesson is opened, and that it runs all the same."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browser import Notebook, find_browser, jupyter_lab

import build

SAMPLE = Path(__file__).parent / "lessons" / "00_sample.py"
pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no chromium on the PATH: apt-get install chromium"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}: pip install {name}")
        for name in ("playwright", "jupyterlab")
    ),
]


@pytest.fixture(scope="module")
def lesson(tmp_path_factory, browser) -> Iterator[Notebook]:
    with jupyter_lab(tmp_path_factory.mktemp("lab")) as server:
        nbformat.write(build.learner(SAMPLE), server.notebooks / "sample.ipynb")
        yield Notebook(browser, server, "sample.ipynb")


def test_set_up_and_parameters_show_their_titles_alone(lesson):
    for number, title in ((0, "#@title Set-up"), (1, "#@title Parameters")):
        cell = lesson.cells.nth(number)
        assert cell.locator(".jp-Placeholder").text_content().startswith(title)
        assert cell.locator(".cm-content").count() == 0 or not cell.locator(".cm-content").is_visible()


def test_a_section_going_deeper_is_closed_and_opens(lesson):
    heading = lesson.page.locator(".jp-MarkdownCell", has_text="Going deeper: thrice (1 min)")
    inside = lesson.page.locator(".jp-MarkdownCell", has_text="What is 3x, written as a sum?")
    assert heading.is_visible() and not inside.is_visible()
    assert lesson.page.locator(".jp-MarkdownCell", has_text="The end").is_visible()
    lesson.run_all()
    assert not lesson.errors()
    heading.get_by_text("2 cells hidden").click()
    inside.wait_for(state="visible")
    assert "tensor([3.])" in lesson.cells.last.locator(".jp-OutputArea-output").text_content(), "it has run, folded"
