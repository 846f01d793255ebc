"""nbgrader and Otter themselves: full marks for right work, none for empty and hostile work, by their own commands."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from submissions import lesson

from cl_course.coursework.export import export
from cl_course.coursework.marking import Limits, self_tested

ROOT = Path(__file__).parents[2]
NAME = "00_start_here"
PATCH = "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])"  # no cell after it does anything


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # nbgrader calls alembic
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def solved(path: Path) -> nbformat.NotebookNode:
    """What students get, with the lesson's solutions filled in."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell.source for cell in lesson("00").solved().cells if "exercise" in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        head = cell.source.partition("(")[0]
        cell.source = next((source for source in cells if source.partition("(")[0] == head), cell.source)
    return notebook


def hand_in(notebook: nbformat.NotebookNode, folder: Path, first: str = "") -> None:
    notebook = nbformat.from_dict(notebook)
    if first:
        notebook.cells.insert(2, nbformat.v4.new_code_cell(first))
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")


def test_nbgrader(tmp_path):
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install -e '.[coursework]'")
    export([lesson("00")], "nbgrader", tmp_path, True, [], lambda said: None)
    run(tmp_path, "nbgrader", "generate_assignment", NAME)
    released = tmp_path / "release" / NAME / f"{NAME}.ipynb"
    text = released.read_text()
    assert "BEGIN SOLUTION" not in text and "HIDDEN" not in text and "graded(" not in text
    right, empty = solved(released), nbformat.read(released, as_version=4)
    removed = nbformat.from_dict(right)
    removed.cells = [c for c in right.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "check_my_pick"]
    for student, notebook, first in (("right", right, ""), ("empty", empty, ""), ("removed", removed, ""),
                                     ("patched", empty, PATCH), ("ends", right, "import os\nos._exit(0)")):  # fmt: skip
        hand_in(notebook, tmp_path / "submitted" / student / NAME, first)
    run(tmp_path, "nbgrader", "autograde", NAME)
    run(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open(newline="") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"right": 4.0, "empty": 0.0, "removed": 2.0, "patched": 0.0, "ends": 0.0}
    said = (tmp_path / "autograded" / "removed" / NAME / f"{NAME}.ipynb").read_text()
    assert "Exercise 2, no points" in said
    # The hidden tests themselves, in the notebook's own process, as `nbgrader validate` runs them:
    # all of them pass with the solutions, and an empty notebook fails at each.
    source = tmp_path / "source" / NAME / f"{NAME}.ipynb"
    assert "Success" in run(tmp_path, "nbgrader", "validate", str(source))
    (tmp_path / "stub").mkdir()
    export([lesson("00")], "nbgrader", tmp_path / "stub", False, [], lambda said: None)
    stub = tmp_path / "stub" / "source" / NAME / f"{NAME}.ipynb"
    assert "VALIDATION FAILED ON 2 CELL(S)" in run(tmp_path, "nbgrader", "validate", str(stub))


def test_otter(tmp_path, monkeypatch):
    pytest.importorskip("otter", reason="Otter is not installed: pip install -e '.[coursework]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    export([self_tested(lesson("00"), Limits())], "otter", tmp_path, True, [], lambda said: None)
    made = tmp_path / NAME / "dist"
    (archive,) = (made / "autograder").glob("*.zip")
    students = made / "student" / f"{NAME}.ipynb"
    assert "SOLUTION" not in students.read_text() and not list((made / "student").glob("*.json"))
    right, empty = solved(students), nbformat.read(students, as_version=4)
    for student, notebook, first, points in (("right", right, "", 4), ("patched", empty, PATCH, 0)):
        folder = tmp_path / student
        hand_in(notebook, folder, first)
        shutil.copy(archive, folder / "autograder.zip")
        run(folder, "otter", "run", "-a", "autograder.zip", f"{NAME}.ipynb")
        tests = json.loads((folder / "results.json").read_text())["tests"]
        assert sum(test.get("score") or 0 for test in tests) == points
        assert sum(test.get("max_score") or 0 for test in tests) == 4
