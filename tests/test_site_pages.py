"""How notebooks and labs become pages of the site."""

import json

import nbformat
import pytest

pytest.importorskip("sphinx", reason="no sphinx: pip install -e '.[site]'")
import live_labs
import pages
from build import sources
from cl_course.running import records

PICTURE = '<img alt="a queue" src="data:image/png;base64,aGVsbG8=">'
AS_BUILT = {"text/html": PICTURE, "text/plain": "a queue"}
BUNDLE = "cl_course/lessons/moco/lab_queue.bundle.js"


def notebook(*outputs: dict, tags: tuple[str, ...] = (), source: str = "queue_lab()") -> str:
    cell = nbformat.v4.new_code_cell(source, id="abc", metadata={"tags": list(tags)})
    cell.outputs = [nbformat.v4.new_output("display_data", data) for data in outputs]
    return nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))


def read(tmp_path, text: str, *entries: dict):
    (tmp_path / "04_moco.json").write_text(json.dumps([{"cell": "abc"} | entry for entry in entries]))
    return pages.read_lesson(text, tmp_path).cells[0]


def shown(cell) -> list[str]:
    return [output.data.get("text/html", "") for output in cell.outputs]


def test_the_picture_of_a_lab_becomes_the_lab(tmp_path):
    data = {"n": 6, "name": "</script><b>"}
    entry = {"lab": BUNDLE, "data": data, "alt": "a queue"}
    (html,) = shown(read(tmp_path, notebook(AS_BUILT), entry))
    assert 'data-lab="lab_queue"' in html and PICTURE in html
    inside = html.partition('<script type="application/json">')[2]
    written, _, rest = inside.partition("</script>")
    assert json.loads(written) == data and rest == "</div>"


def test_labs_of_one_cell_come_in_order_and_figures_stay(tmp_path):
    figure = {"text/html": "<img>", "text/plain": "a figure"}
    text = notebook(AS_BUILT, figure, AS_BUILT)
    first, second = ({"lab": BUNDLE, "data": {"n": n}, "alt": "a queue"} for n in (1, 2))
    html = shown(read(tmp_path, text, first, second))
    assert '{"n":1}' in html[0] and html[1] == "<img>" and '{"n":2}' in html[2]


def test_a_picture_that_is_no_lab_stays(tmp_path):
    cell = read(tmp_path, notebook(AS_BUILT))
    assert cell.outputs[0].data == AS_BUILT


@pytest.mark.parametrize("tag", ["setup", "parameters", "folded"])
def test_folded_code_is_folded_under_its_title(tmp_path, tag):
    cell = read(tmp_path, notebook(tags=(tag,), source="#@title Imports\nimport math"))
    assert "hide-input" in cell.metadata.tags and cell.source == "import math"
    assert cell.metadata.mystnb == {"code_prompt_show": "Imports", "code_prompt_hide": "Imports"}


def test_code_to_read_is_not_folded(tmp_path):
    cell = read(tmp_path, notebook(source="import math"))
    assert cell.source == "import math" and "mystnb" not in cell.metadata


def test_the_badge_of_another_host_becomes_links_to_the_lesson_s_notebook():
    for source in sources():
        first = pages.read_lesson((pages.ROOT / "notebooks" / f"{source.stem}.ipynb").read_text()).cells[0].source
        assert "colab-badge" not in first
        assert f"/notebooks/{source.stem}.ipynb" in first and first.count('class="button"') == 2


def test_every_lesson_is_on_the_list_with_its_minutes():
    listed, timed = pages.lesson_list(), pages.time_table()
    for source in sources():
        assert f"lessons/{source.stem}.ipynb" in listed and f"lessons/{source.stem}.ipynb" in timed
    for run in records.read("lessons")["runs"]:
        assert f" {run['minutes']:.1f} |" in next(line for line in timed.splitlines() if run["lesson"] in line)


def test_links_of_the_project_s_pages_lead_to_a_page_or_to_github():
    text = "[a](ARCHITECTURE.md) [b](benchmarks/figures.py) [c](https://example.org) [d](#here)"
    assert pages._with_links(text) == (
        f"[a](architecture.md) [b]({pages.ON_GITHUB}/benchmarks/figures.py) [c](https://example.org) [d](#here)"
    )


def test_a_bundle_without_a_lab_is_refused(tmp_path):
    broken = tmp_path / "lab_x.bundle.js"
    broken.write_text("var a=1;export{a as other};")
    with pytest.raises(ValueError, match="lab_x.bundle.js has no default export at its end; bundle the labs"):
        live_labs.plain_script(broken)


def test_a_lab_is_called_by_its_name_and_has_the_data_that_python_hands_in():
    lab = live_labs.called("cl_course.lessons.shared.lab_circle.circle_lab")
    assert lab.bundle.name == "lab_circle.bundle.js" and lab.data["n"] == 6 and len(lab.data["angles"]) == 12


def test_a_lab_without_its_picture_is_an_error(tmp_path):
    entry = {"lab": BUNDLE, "data": {}, "alt": ""}
    with pytest.raises(ValueError, match="cell abc: 1 labs without a picture; run make notebooks"):
        read(tmp_path, notebook({"text/plain": "no picture"}), entry)
