"""What stands in a notebook in place of a lab: its picture with its words, or one sentence that says why there is none.

Skipped where there is no Chromium.
"""

import re

import pytest
from lab_examples import circle
from lab_pages import in_browser
from nbformat.v4 import new_code_cell, new_notebook, new_output

import lab_pictures
from lab_pictures import STATE, VIEW, NoPicture, draw

pytestmark = in_browser


def executed(widget, **data):
    """A notebook as it is after its run: a lab, another widget and a text."""
    lab = {"_anywidget_id": f"{type(widget).__module__}.{type(widget).__name__}", "_esm": widget._esm}
    states = {"lab": {"state": lab | {"data": widget.data | data}}, "bar": {"state": {"_model_name": "FloatProgress"}}}
    outputs = [new_output("display_data", {VIEW: {"model_id": name}}) for name in states]
    cell = new_code_cell("circle_lab()", id="a-cell", outputs=[*outputs, new_output("stream", text="said")])
    return new_notebook(cells=[cell], metadata={"widgets": {STATE: {"state": states}}})


def lab_of(notebook) -> dict:
    return notebook.metadata["widgets"][STATE]["state"]["lab"]["state"]


def stay_busy(patch, notebook) -> None:
    patch.setattr(lab_pictures, "LONGEST", 100)
    lab_of(notebook)["_esm"] = "export default { render: ({ el }) => el.setAttribute('aria-busy', 'true') }"


def test_a_lab_becomes_its_picture_and_all_else_stays():
    notebook = executed(circle(n=4, seed=2))
    (shown,) = draw(notebook)
    picture, other, text = notebook.cells[0].outputs
    assert re.match("Circle lab, 4 images with two views each. Step 200 at T = 0.50: ", shown.alt), "as it is posed"
    assert picture.data["text/plain"] == shown.alt and f'alt="{shown.alt}"' in picture.data["text/html"]
    assert VIEW in other.data and text.text == "said"
    assert (shown.cell, shown.lab) == ("a-cell", "cl_course/lessons/shared/lab_circle.bundle.js")
    assert shown.data["n"] == 4 and len(shown.data["angles"]) == 8


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda patch, notebook: patch.setattr(lab_pictures.shutil, "which", lambda _: None), "install chromium"),
        (lambda patch, notebook: lab_of(notebook)["data"].update(n=-1), "it needs 2 images or more"),
        (stay_busy, "it is still busy after 0.1 s"),
    ],
)
def test_why_there_is_no_picture_is_said(monkeypatch, change, sentence):
    notebook = executed(circle())
    change(monkeypatch, notebook)
    with pytest.raises(NoPicture, match=sentence):
        draw(notebook)
