"""Lessons to hand out: no solutions for students, points and check cells that hold, a variant for each student."""

import ast
import json
import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from submissions import lesson

from cl_course.coursework.assignment import Assignment, assignments, check_of
from cl_course.coursework.export import LEFT_OUT, export, for_nbgrader, for_otter, plain
from cl_course.coursework.submission import Notebook, steps
from cl_course.coursework.variants import Variant

LESSONS = ("00", "02", "07")


def code(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def solutions(name: str) -> list[str]:
    """The lines of the lesson's solutions that no stub has."""
    stub = {
        line for cell in lesson(name).learner().cells if cell.cell_type == "code" for line in cell.source.splitlines()
    }
    cells = [cell.source for cell in lesson(name).solved().cells if "exercise" in cell.metadata.get("tags", [])]
    return [line for cell in cells for line in cell.splitlines() if line.strip() and line not in stub]


@pytest.mark.parametrize("ends", ["in error", "without a zip"])
def test_a_failed_otter_assign_leaves_the_former_files(tmp_path, monkeypatch, ends):
    former = tmp_path / lesson("00").lesson / "dist" / "autograder" / "autograder.zip"
    former.parent.mkdir(parents=True)
    former.write_text("marked with this")

    def assign(command, **about):
        (Path(command[-1]) / "student").mkdir(parents=True)  # half of its work
        return subprocess.CompletedProcess(command, int(ends == "in error"), "", "no module named otter")

    monkeypatch.setattr(subprocess, "run", assign)
    with pytest.raises(ValueError, match="no module named otter.; what was made before is untouched"):
        export([lesson("00")], "otter", tmp_path, True, [], lambda said: None)
    assert former.read_text() == "marked with this"
    assert {path.name for path in former.parents[2].iterdir()} == {"dist", "master"}


@pytest.mark.parametrize("name", LESSONS)
def test_plain_has_points_and_no_solutions(name):
    notebook = plain(lesson(name))
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert (
        not [line for line in solutions(name) for cell in code(notebook) if line in cell.source]
        and "Solution</summary>" not in text
    )
    for task in lesson(name).tasks:
        assert re.search(rf"^### Exercise {task.number}: .*, {task.points:g} points\)$", text, re.MULTILINE)
    checks = [cell for cell in code(notebook) if check_of(cell.source)]
    assert len(checks) == len(lesson(name).tasks)
    assert all(cell.metadata.editable is False and cell.metadata.deletable is False for cell in checks)
    _, missing = steps(Notebook(tuple(c.source for c in code(notebook)), {}), lesson(name))
    assert not missing and plain(lesson(name)) == notebook, "the same export is the same file"


@pytest.mark.parametrize("make", [plain, lambda a: for_nbgrader(a, True), lambda a: for_otter(a, True)])
def test_what_grading_need_not_run_is_left_out_of_it(make):
    cells = code(make(lesson("02")))
    left_out = [cell for cell in cells if set(LEFT_OUT) <= set(cell.metadata.get("tags", []))]
    assert len(left_out) > 15 and any("temperature_lab(" in cell.source for cell in left_out)
    assert not [cell for cell in left_out if "import torch\n" in cell.source or "def my_" in cell.source]


def test_a_variant_has_its_student_s_seed_and_question():
    one, other = (plain(lesson("02"), Variant(student, "02_infonce")) for student in ("s01", "s02"))
    variant = Variant("s01", "02_infonce")
    assert variant.text in one.cells[-2].source and variant.text not in other.cells[-2].source
    (parameters,) = [cell.source for cell in code(one) if "parameters" in cell.metadata.get("tags", [])]
    assert f"\nseed = {variant.seed}" in parameters and one.metadata.cl_course.student == "s01"
    assert str(variant.answer)[:6] not in json.dumps(one)
    assert plain(lesson("02"), variant) == one


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("with_solutions", [True, False])
def test_nbgrader_s_cells(name, with_solutions):
    notebook = for_nbgrader(lesson(name), with_solutions)
    about = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
    assert len(about) == 2 * len(lesson(name).tasks)
    for task in lesson(name).tasks:
        check, exercise = about[f"check_{task.attempt}"], about[task.attempt]
        assert check.metadata.nbgrader.points == task.points
        assert check.metadata.nbgrader.locked and check.metadata.nbgrader.grade
        assert exercise.metadata.nbgrader.solution and not exercise.metadata.nbgrader.locked
        assert ("### BEGIN SOLUTION" in exercise.source) == with_solutions
        assert check_of(check.source) == (task.check, task.attempt) and ast.parse(check.source)
        assert "### BEGIN HIDDEN TESTS" in check.source
    assert with_solutions or not [line for line in solutions(name) for cell in code(notebook) if line in cell.source]


def test_files_of_nbgrader_and_variants(tmp_path):
    said = []
    export([lesson("00")], "nbgrader", tmp_path, True, [], said.append)
    assert (tmp_path / "source/00_start_here/00_start_here.ipynb").is_file() and (
        tmp_path / "nbgrader_config.py"
    ).is_file()
    back = Assignment.read(tmp_path / "lessons/00_start_here.json")
    assert back.tasks == lesson("00").tasks and back.own_cells == lesson("00").own_cells
    export([lesson("00")], "plain", tmp_path / "class", True, ["Zoë Ünal", "../evil"], said.append)
    assert {path.parent.name for path in tmp_path.glob("class/*/*.ipynb")} == {"Zoë_Ünal", "_evil"}
    with pytest.raises(ValueError, match="must have letters or digits"):
        export([lesson("00")], "plain", tmp_path, True, [".."], said.append)


def test_points_of_ones_own(tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("lesson,exercise,points\n00,2,7\n")
    (assignment,) = assignments("00", points)
    assert [task.points for task in assignment.tasks] == [2, 7]
    points.write_text("lesson,exercise,points\n00,9,7\n")
    with pytest.raises(ValueError, match="lesson 00 has no exercise 9"):
        assignments("all", points)


@pytest.mark.parametrize(
    "students, said",
    [
        (("a b", "a_b"), "'a b' and 'a_b' would get one folder, a_b; give ids"),
        (("ann", "..."), "must have letters or digits, got '...'"),
    ],
)
def test_ids_that_cannot_have_folders_are_refused_before_anything_is_written(tmp_path, students, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        export([lesson("00")], "plain", tmp_path / "out", False, students, print)
    assert not (tmp_path / "out").exists()


def test_what_an_instructor_has_changed_is_not_written_over(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("mine")
    with pytest.raises(ValueError, match="nbgrader_config.py is there already, with other content"):
        export([lesson("02")], "nbgrader", tmp_path, True, [], lambda said: None)
    assert [path.name for path in tmp_path.iterdir()] == ["nbgrader_config.py"]
    assert (tmp_path / "nbgrader_config.py").read_text() == "mine"
    for kind in ("nbgrader", "plain"):
        export([lesson("02")], kind, tmp_path / kind, True, [], lambda said: None)
        export([lesson("02")], kind, tmp_path / kind, True, [], lambda said: None)  # the same once more
        (path,) = (tmp_path / kind).rglob("02_infonce.ipynb")
        path.write_text(path.read_text().replace("InfoNCE", "InfoNCE, as I teach it"))
        with pytest.raises(ValueError, match="02_infonce.ipynb is there already, with other content; move or delete"):
            export([lesson("02")], kind, tmp_path / kind, True, [], lambda said: None)
        assert "as I teach it" in path.read_text()


def test_a_refused_export_changes_no_points(tmp_path):
    export([lesson("02")], "nbgrader", tmp_path, True, [], lambda said: None)
    before = (tmp_path / "lessons" / "02_infonce.json").read_bytes()
    (tmp_path / "p.csv").write_text("lesson,exercise,points\n02,1,9\n")
    with pytest.raises(ValueError, match="is there already, with other content"):
        export(assignments("02", tmp_path / "p.csv"), "nbgrader", tmp_path, True, [], lambda said: None)
    assert (tmp_path / "lessons" / "02_infonce.json").read_bytes() == before
