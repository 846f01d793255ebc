"""Lessons in, notebooks out: one source makes the learner's notebook and the solved one.

    python notebooks/build.py                  build and execute every lesson
    python notebooks/build.py 03 05            only these
    python notebooks/build.py --no-execute     sources and cells only, outputs empty
    python notebooks/build.py --solved-only    only build/solved/, which is never executed here
    python notebooks/build.py --check          say which notebooks are out of date

From notebooks/src/NN_topic.py (jupytext percent) come notebooks/NN_topic.ipynb, executed, with
each solution cut out of its exercise and folded under the hints, and build/solved/NN_topic.ipynb.
A lab's output becomes its picture, and notebooks/labs/NN_topic.json keeps what brings it to life on a page.
What stands in a source, by cell tag:

    setup       the body is replaced by setup_cell.SETUP, and the Colab badge goes under the title
    parameters  profile, dataset, seed, device; papermill writes its own below this cell
    folded      code that a learner need not read; its first line is a comment that says what it does
    exercise    holds ### BEGIN SOLUTION ... ### END SOLUTION; a check cell must come next
    hints       markdown after the check cell; the folded solution is appended to it

Set-up, parameters and folded cells are collapsed in JupyterLab and are forms in Colab. A section whose heading begins
with "Going deeper" is collapsed with all of its cells, and its heading says how long it takes. In the first cell,
{minutes} and {deeper_minutes} become what minutes.py counts.

Exit codes: 0 done, 1 a source, a cell or a check failed (one line on stderr), 2 wrong usage.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook, new_output

from cl_course.running.lesson_files import named
from lab_pictures import NoPicture, Shown, as_text, draw
from minutes import FOLDED, count, deeper_sections, stated
from setup_cell import PARAMETERS, REPOSITORY, SETUP, as_form

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BRANCH = "main"
CELL_TIMEOUT = 300  # seconds
MAX_BYTES = 1_000_000

COLLAPSED = "jp-MarkdownHeadingCollapsed"  # JupyterLab's; Colab lists the ids of such cells
STUB = "...  # your code here"
SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION[^\n]*\n(.*?)^[ \t]*### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL
)
WIDGET = "application/vnd.jupyter.widget-view+json"
NO_KERNEL = "*A widget: it comes alive when this cell is run.*"


class BuildError(Exception):
    """One sentence for the author: which lesson, which cell, what is wrong."""


def sources(names: Sequence[str] = (), folder: Path = HERE / "src") -> list[Path]:
    """The lessons' sources in order; a name is `03`, `06b`, `03_simclr` or a file name."""
    try:
        return named(names, folder)
    except ValueError as error:
        raise BuildError(str(error)) from None


def learner(source: Path) -> NotebookNode:
    """The notebook that learners open: exercises cut, not executed yet."""
    return _assemble(source, solved=False)


def solved(source: Path) -> NotebookNode:
    """The same notebook with every exercise done, for papermill and instructors."""
    return _assemble(source, solved=True)


def execute(notebook: NotebookNode, lesson: str, folder: Path = HERE) -> list[Shown]:
    """Run all cells in order, in `folder`, and keep outputs that look the same in any place; returns the labs shown.

    Raises:
        BuildError: a cell raised, took longer than CELL_TIMEOUT or killed its kernel, or a lab could not be drawn.
    """
    # Strict checks would stop at the first stub: a learner's notebook goes on.
    environment = {**os.environ, "CL_COURSE_STRICT": "0"}
    running = 0

    def note(cell: NotebookNode, cell_index: int) -> None:
        nonlocal running
        running = cell_index

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # no remarks on how the kernel is connected
        resources={"metadata": {"path": str(folder)}},
        allow_errors=True,
        record_timing=False,
        store_widget_state=True,
        coalesce_streams=True,
        on_cell_start=note,
        on_cell_executed=lambda cell, cell_index, execute_reply: _raise_error(cell, cell_index, lesson),
    )
    try:
        client.execute(env=environment)
    except CellTimeoutError:
        raise BuildError(f"{lesson}, cell {running + 1}: took longer than {CELL_TIMEOUT} s") from None
    except DeadKernelError:
        raise BuildError(f"{lesson}, cell {running + 1}: the kernel died") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
    try:
        shown = draw(notebook)
    except NoPicture as error:
        raise BuildError(f"{lesson}: {error}") from None
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [_portable(output) for output in cell.outputs]
    _finish_metadata(notebook)
    return shown


def build(source: Path, target: Path, run: bool = True) -> None:
    """Make the learner's notebook and the file of its labs; they are replaced only when all has gone well."""
    notebook = learner(source)
    shown = execute(notebook, source.stem) if run else []
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MAX_BYTES:
        size = f"{len(text.encode()) / 1e6:.2f} MB, and GitHub draws at most 1 MB"
        raise BuildError(f"{source.stem}: {size}; draw smaller or fewer figures")
    if shown:
        write(target.parent / "labs" / f"{source.stem}.json", as_text(shown))
    write(target, text)


def write(target: Path, text: str) -> None:
    """Whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, target)


def stale(source: Path, target: Path) -> str | None:
    """Why `target` is not what `source` makes now (outputs aside), or None."""
    if not target.exists():
        return f"{source.stem}: {target.name} is missing; run make notebooks"
    made, there = learner(source), nbformat.read(target, as_version=4)
    nbformat.validate(there)
    if len(made.cells) != len(there.cells):
        counts = f"{len(there.cells)} cells in {target.name}, {len(made.cells)} from its source"
        return f"{source.stem}: {counts}; run make notebooks"
    for number, (new, old) in enumerate(zip(made.cells, there.cells), 1):
        if any(new.get(field) != old.get(field) for field in ("id", "cell_type", "source", "metadata")):
            return f"{source.stem}, cell {number}: {target.name} differs from its source; run make notebooks"
    return None


def _assemble(source: Path, solved: bool) -> NotebookNode:
    lesson = source.stem
    cells = jupytext.read(source, fmt="py:percent").cells
    _check_order(lesson, cells, [cell.metadata.get("tags", []) for cell in cells])
    cells = _with_minutes(lesson, cells)
    notebook = new_notebook(cells=cells)
    for index, cell in enumerate(cells):
        # Ids from the place, not from chance: building again changes nothing.
        cell.id = hashlib.sha256(f"{lesson}/{index}".encode()).hexdigest()[:8]
        tags, opens = cell.metadata.get("tags", []), COLLAPSED in cell.metadata
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        if "setup" in tags:
            cell.source = SETUP
        if "parameters" in tags:
            cell.source = as_form(cell.source)
        if FOLDED & set(tags):
            cell.source = re.sub(r"\A# *(?!@)", "#@title ", cell.source)
            cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
        if opens:
            cell.metadata |= {COLLAPSED: True, "id": cell.id}
            notebook.metadata.setdefault("colab", {}).setdefault("collapsed_sections", []).append(cell.id)
        if "exercise" in tags:
            # Hints come second after the exercise: behind its check cell.
            cells[index + 2].source += _folded(_with_solution(cell.source))
            cell.source = _with_solution(cell.source) if solved else _with_stub(cell.source)
    cells[0].source = _with_badge(cells[0].source, lesson)
    _finish_metadata(notebook)
    return notebook


def _with_minutes(lesson: str, cells: list) -> list:
    """The cells with the counted minutes; each section "Going deeper" has its heading in a cell that folds the rest."""
    try:
        sections = {section.start: section.stop for section in deeper_sections(cells)}
    except ValueError as error:
        raise BuildError(f"{lesson}, {error}") from None
    counted, out = count(cells), []
    for index, cell in enumerate(cells):
        if index in sections:
            minutes = ceil(count(cells[index : sections[index]]).deeper.minutes)
            title, _, rest = cell.source.partition("\n")
            out.append(new_markdown_cell(f"{title.rstrip()} ({minutes} min)", metadata={COLLAPSED: True}))
            cell = new_markdown_cell(rest.strip())
        out += [cell] * bool(cell.source or cell.cell_type == "code")
    for place, minutes in (("{minutes}", counted.core.minutes), ("{deeper_minutes}", counted.deeper.minutes)):
        out[0].source = out[0].source.replace(place, str(stated(minutes)))
    return out


def _check_order(lesson: str, cells: list, tags: list) -> None:
    """Every rule of a lesson's source that a later step relies on, each with its own sentence."""

    def stop(index: int, sentence: str) -> None:
        raise BuildError(f"{lesson}, cell {index + 1}: {sentence}")

    def has(index: int, kind: str, text: str = "") -> bool:
        return index < len(cells) and cells[index].cell_type == kind and text in cells[index].source

    if not has(0, "markdown", "# "):
        stop(0, "the first cell must be markdown and open with '# NN Title'")
    for tag in ("setup", "parameters"):
        if (count := sum(tag in t for t in tags)) != 1:
            stop(0, f"exactly one cell must carry the tag {tag!r}, {count} do")
    parameters = next(i for i, t in enumerate(tags) if "parameters" in t)
    given = re.findall(r"^(\w+) *=", cells[parameters].source, re.MULTILINE)
    if given != list(PARAMETERS):
        wanted, found = ", ".join(PARAMETERS), ", ".join(given) or "nothing"
        stop(parameters, f"the parameters cell must set {wanted}, in this order; it sets {found}")
    if not has(parameters + 1, "code", "settings(globals()"):
        stop(parameters + 1, "the cell after the parameters must call settings(globals())")
    for index, cell in enumerate(cells):
        if "folded" in tags[index] and not (has(index, "code") and cell.source.startswith("# ")):
            stop(index, "a folded cell must be code, and its first line a comment that says what it does")
        marks = len(SOLUTION.findall(cell.source))
        if marks != cell.source.count("### BEGIN SOLUTION") or marks != cell.source.count("### END SOLUTION"):
            stop(index, "### BEGIN SOLUTION and ### END SOLUTION do not pair up")
        if bool(marks) != ("exercise" in tags[index]):
            stop(index, "a solution must stand in a cell tagged 'exercise', and such a cell must hold one")
        if marks and not has(index + 1, "code", "checks."):
            stop(index, "the next cell must check this exercise: checks.name(attempt)")
        if marks and not (has(index + 2, "markdown") and "hints" in tags[index + 2]):
            stop(index, "markdown tagged 'hints' must follow the check cell")


def _with_stub(source: str) -> str:
    return SOLUTION.sub(rf"\1{STUB}", source)


def _with_solution(source: str) -> str:
    return SOLUTION.sub(lambda match: match.group(2).rstrip("\n"), source)


def _folded(code: str) -> str:
    return f"\n\n<details><summary>Solution</summary>\n\n```python\n{code.strip()}\n```\n\n</details>"


def _with_badge(source: str, lesson: str) -> str:
    page = f"{REPOSITORY.removeprefix('https://github.com/')}/blob/{BRANCH}/notebooks/{lesson}.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/{page})"
    title, _, rest = source.partition("\n")
    return f"{title}\n\n{badge}\n\n{rest.lstrip()}".rstrip()


def _finish_metadata(notebook: NotebookNode) -> None:
    """No widget state (GitHub refuses to draw it) and no trace of the Python that ran it."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    language = NotebookNode(name="python")
    colab = {"colab": notebook.metadata.colab} if "colab" in notebook.metadata else {}
    notebook.metadata = NotebookNode(kernelspec=NotebookNode(kernel), language_info=language, **colab)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def _is_progress(output: NotebookNode) -> bool:
    """tqdm's bar as a widget: of use only while it moves."""
    return WIDGET in output.get("data", {}) and "%|" in output.data.get("text/plain", "")


def _portable(output: NotebookNode) -> NotebookNode:
    """A widget needs its kernel: a closed notebook says so instead. Paths lose the folder of this machine."""
    if WIDGET in output.get("data", {}):
        return new_output("display_data", {"text/markdown": NO_KERNEL, "text/plain": NO_KERNEL.strip("*")})
    return nbformat.from_dict(json.loads(json.dumps(output).replace(f"{ROOT}{os.sep}", "")))


def _raise_error(cell: NotebookNode, index: int, lesson: str) -> None:
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            where = cell.source.strip().partition("\n")[0]
            raise BuildError(f"{lesson}, cell {index + 1} ({where}): {output.ename}: {output.evalue}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="03 or 03_simclr; all where none is named")
    parser.add_argument("--no-execute", action="store_true", help="leave the outputs empty")
    parser.add_argument("--solved-only", action="store_true", help="write only build/solved/")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a notebook is out of date")
    folders = (
        ("--source", HERE / "src", "where the sources are (default: notebooks/src)"),
        ("--target", HERE, "where notebooks go (default: notebooks)"),
        ("--solved", ROOT / "build/solved", "where solved ones go (default: build/solved)"),
    )
    for name, default, about in folders:
        parser.add_argument(name, type=Path, default=default, metavar="FOLDER", help=about)
    chosen = parser.parse_args(arguments)
    try:
        lessons = sources(chosen.lessons, chosen.source)
        if chosen.check:
            late = [why for s in lessons if (why := stale(s, chosen.target / f"{s.stem}.ipynb"))]
            print("\n".join(late), file=sys.stderr, end="\n" if late else "")
            return 1 if late else 0
        for source in lessons:
            start = time.monotonic()
            write(chosen.solved / f"{source.stem}.ipynb", nbformat.writes(solved(source)) + "\n")
            if not chosen.solved_only:
                build(source, chosen.target / f"{source.stem}.ipynb", run=not chosen.no_execute)
            print(f"{source.stem}: built in {time.monotonic() - start:.0f} s", flush=True)
    except (BuildError, OSError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
