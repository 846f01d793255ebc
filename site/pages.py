"""What becomes a page, and how a notebook becomes one.

Lessons, figures and the project's own pages are copied to where Sphinx reads them. In a notebook, folded code, the
badge and the labs become what they are on the site.
"""

import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import nbformat
from docutils import nodes
from nbformat import NotebookNode
from PIL import Image
from sphinx.application import Sphinx

from live_labs import LiveLab, lab_html, side_files

HERE = Path(__file__).parent
ROOT = HERE.parent
ON_GITHUB = "https://github.com/cl-course/cl_course/blob/main"
PROJECT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
FOLDED = {"setup", "parameters", "folded"}
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\((\S+/github/\S+/(\w+)\.ipynb)\)")
ROW = re.compile(r"\| \[!\[.*?\| \[(.+?)\]\(notebooks/(\w+)\.ipynb\) \| ([\d +]+) \| (.+?) \|")
PICTURE = re.compile(r'<img ([^>]*?)src="data:image/(png|jpeg);base64,([^"]+)"([^>]*)>')


def gather(sources: Path) -> None:
    """Copy all that is a page, or part of one, to the folder that Sphinx reads."""
    for pattern, folder in (("site/*.md", ""), ("notebooks/*.ipynb", "lessons"), ("figures/*.png", "figures")):
        (sources / folder).mkdir(parents=True, exist_ok=True)
        for path in ROOT.glob(pattern):
            shutil.copy(path, sources / folder)
    shutil.copy(ROOT / "README.md", sources)
    (sources / "project").mkdir(exist_ok=True)
    for name in PROJECT_PAGES:
        (sources / "project" / name.lower()).write_text(_with_links((ROOT / name).read_text()))


def _with_links(text: str) -> str:
    """Links to files of the repository lead to a page of the site, or to GitHub."""

    def link(match: re.Match) -> str:
        target = match[1]
        return f"]({target.lower() if target in PROJECT_PAGES else f'{ON_GITHUB}/{target}'})"

    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", link, text)


def _lessons() -> list[tuple[str, str, str, str]]:
    """(title, file name, minutes such as "55 + 10", what one builds) of each lesson, from README's table."""
    return ROW.findall((ROOT / "README.md").read_text())


def lesson_list() -> str:
    """Markdown: one item for each lesson."""
    items = []
    for title, name, minutes, built in _lessons():
        number, _, words = title.partition(" ")
        items.append(f"- [{words}](lessons/{name}.ipynb) Lesson {number}, {minutes} minutes: {built}")
    return "\n".join(["{.lessons}", *items])


def time_table() -> str:
    """Markdown: minutes of work, and minutes of computing as recorded, of each lesson."""
    runs = json.loads((ROOT / "cl_course/running/recorded/lessons.json").read_text())["runs"]
    computing = {run["lesson"]: run["minutes"] for run in runs}
    rows = ["| lesson | core path | going deeper | computing |", "|---|--:|--:|--:|"]
    for title, name, minutes, _ in _lessons():
        core, _, deeper = minutes.partition(" + ")
        known = f"{computing[name]:.1f}" if name in computing else "–"
        rows.append(f"| [{title}](lessons/{name}.ipynb) | {core} | {deeper or '–'} | {known} |")
    return "\n".join(rows)


def read_lesson(text: str, labs_folder: Path = ROOT / "notebooks" / "labs") -> NotebookNode:
    """A notebook as myst-nb reads it, changed to what readers of the site need.

    Raises:
        ValueError: a cell has more labs in the side files than pictures.
    """
    notebook = nbformat.reads(text, as_version=4)
    labs = side_files(labs_folder)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = BADGE.sub(_buttons, cell.source)
            continue
        if FOLDED & set(cell.metadata.get("tags", [])):
            title, _, cell.source = cell.source.partition("\n")
            _fold(cell, title.removeprefix("#@title").strip())
        waiting = list(labs.get(cell.id, []))
        cell.outputs = [_with_lab(output, waiting) for output in cell.outputs]
        if waiting:
            raise ValueError(f"cell {cell.id}: {len(waiting)} labs without a picture; run make notebooks")
    return notebook


def _buttons(badge: re.Match) -> str:
    colab, name = badge.groups()
    links = [(colab, "Run it in Colab"), (f"{ON_GITHUB}/notebooks/{name}.ipynb", "Notebook on GitHub")]
    return " ".join(f'<a class="button" href="{url}">{text}</a>' for url, text in links)


def _fold(cell: NotebookNode, title: str) -> None:
    cell.metadata.tags = [*cell.metadata.tags, "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": title, "code_prompt_hide": title}


def _with_lab(output: NotebookNode, waiting: list[LiveLab]) -> NotebookNode:
    """A lab's picture becomes the lab; `waiting` are the labs of its cell that have no output yet."""
    data = output.get("data", {})
    if not waiting or data.get("text/plain") != waiting[0].alt or "<img " not in data.get("text/html", ""):
        return output
    return nbformat.v4.new_output("display_data", {"text/html": lab_html(waiting.pop(0), data["text/html"])})


def fold_deeper_sections(app: Sphinx, doctree: nodes.document) -> None:
    """A section "Going deeper" is folded, as in the notebook; its heading stays."""
    for section in doctree.findall(nodes.section):
        title, *content = section.children
        if title.astext().startswith("Going deeper"):
            opened = '<details class="deeper"><summary>Open or close this section</summary>'
            section[1:] = [nodes.raw("", opened, format="html"), *content, nodes.raw("", "</details>", format="html")]


def pictures_to_files(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Pictures that lie in a notebook become files, loaded when they come into sight."""
    folder = Path(app.outdir) / "_images"

    def to_file(match: re.Match) -> str:
        before, kind, data, after = match.groups()
        picture = base64.b64decode(data)
        name = f"{hashlib.sha256(picture).hexdigest()[:16]}.{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)
        width, height = Image.open(io.BytesIO(picture)).size
        shown = re.search(r'width="(\d+)"', before + after)
        size = f'height="{round(int(shown[1]) * height / width)}"' if shown else f'width="{width}" height="{height}"'
        source = f"{'../' * page.count('/')}_images/{name}"
        return f'<img {before}src="{source}" {size} loading="lazy"{after}>'

    if "body" in context:
        context["body"] = PICTURE.sub(to_file, context["body"])


def level_of_captions(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Sphinx calls the captions of its menu headings, and does not say of which level."""
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", fold_deeper_sections)
    app.connect("html-page-context", pictures_to_files)
    app.connect("html-page-context", level_of_captions, priority=900)  # after the theme has made the menu
    return {"parallel_read_safe": True, "parallel_write_safe": True}
