"""Lessons as they are handed out: plain, for nbgrader and for Otter, from the sources of the course's own notebooks.

All three have the exercises with their points, without the folded solutions, and check cells marked as not editable.
Cells of the course that no exercise needs (labs, figures, trainings) are tagged so that nbclient and Otter leave them
out when they grade; in JupyterLab they run as usual.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from cl_course.coursework.assignment import Assignment, Task, builder, check_of, source_of
from cl_course.coursework.submission import needed
from cl_course.coursework.variants import Variant
from cl_course.files import write_atomically
from cl_course.running.lesson_files import lesson_id

LEFT_OUT = ("skip-execution", "otter_ignore")  # tags that nbclient and Otter know
SOLUTION = re.compile(r"\n*<details><summary>Solution</summary>\n.*?</details>", re.DOTALL)
STUB = "...  # your code here"
CELL_SECONDS = 300
JUDGE = "cl_course.coursework.for_otter.Judge"
COURSE = "cl-course @ git+https://github.com/cl-course/cl_course"
SEED_LINE = re.compile(r"^seed = \d+", re.MULTILINE)

NBGRADER_CONFIG = """\
# Made by `cl-course export --to nbgrader`.
from pathlib import Path

from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, IgnorePattern, LimitOutput, SaveAutoGrades

from cl_course.coursework.for_nbgrader import Judge

c = get_config()  # noqa: F821
c.CourseDirectory.root = str(Path(__file__).parent)
c.CourseDirectory.course_id = "cl_course"
c.ClearSolutions.code_stub = {{"python": "{stub}"}}
# Judge takes the place of nbgrader's Execute: a student's code runs in a process that is shut off, and has no part in
# the marks. Without it, nbgrader runs notebooks and hidden tests in one process, where a notebook can reach the tests.
c.Autograde.autograde_preprocessors = [
    Judge, IgnorePattern, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata
]
c.Judge.lessons = str(Path(__file__).parent / "lessons")
c.Execute.timeout = {seconds}  # for `nbgrader validate`
c.ExecutePreprocessor.timeout = {seconds}
"""


def export(
    assignments: Sequence[Assignment],
    to: str,
    out: Path,
    solutions: bool,
    students: Sequence[str],
    tell: Callable[[str], None],
) -> None:
    """Write lessons into a folder.

    Args:
        to: plain, nbgrader or otter.
        solutions: put them into the instructor's files of nbgrader and Otter; plain never has them.
        students: for plain, one folder each, with the student's own numbers.
        tell: called with one sentence for each thing that is done.

    Raises:
        ValueError: Otter is not installed, or could not make its files.
    """
    owners: dict[str, str] = {}  # before anything is written
    for student in students:
        if (other := owners.setdefault(_folder(student).casefold(), student)) != student:
            raise ValueError(f"the ids {other!r} and {student!r} would get one folder, {_folder(student)}; give ids "
                             "that differ in letters or digits")
    if to == "nbgrader":  # first: where a course has its own, the lines of Judge go into that one
        _write_text(out / "nbgrader_config.py", NBGRADER_CONFIG.format(stub=STUB, seconds=CELL_SECONDS))
    for assignment in assignments:
        if to == "plain":
            for student in students or [""]:
                path = out / (_folder(student) if student else "") / f"{assignment.lesson}.ipynb"
                _write(path, plain(assignment, Variant(student, assignment.lesson) if student else None))
            tell(f"{assignment.lesson}: {assignment.points:g} points{f', {len(students)} variants' * bool(students)}")
        elif to == "nbgrader":
            path = out / "source" / assignment.lesson / f"{assignment.lesson}.ipynb"
            _write(path, for_nbgrader(assignment, solutions))
            assignment.write(out / "lessons" / f"{assignment.lesson}.json")  # last: a refusal changes no points
            tell(f"{assignment.lesson}: {assignment.points:g} points, {path}")
        else:
            tell(f"{assignment.lesson}: {assignment.points:g} points, {_otter(assignment, out, solutions)}")


def plain(assignment: Assignment, variant: Variant | None = None) -> NotebookNode:
    """The notebook to hand out; with a variant, under a student's own seed and with a question of their own."""
    notebook = _prepared(assignment, variant)
    for cell in notebook.cells:
        if cell.cell_type == "code" and check_of(cell.source):
            cell.metadata |= {"editable": False, "deletable": False}
    if variant is not None:
        task = assignment.with_number().tasks[-1]
        heading = f"## Exercise {task.number}: {task.title} ({task.points:g} points)"
        notebook.cells += [
            new_markdown_cell(f"{heading}\n\n{variant.text} Give at least three digits."),
            new_code_cell(f"{task.attempt} = None  # your number"),
        ]
        notebook.metadata["cl_course"]["student"] = variant.student
    return _with_ids(notebook, assignment.lesson)


def for_nbgrader(assignment: Assignment, solutions: bool) -> NotebookNode:
    """The instructor's notebook: solution regions, and locked check cells with points and hidden tests."""
    notebook = _prepared(assignment)
    tasks = {(task.check, task.attempt): task for task in assignment.tasks}
    with_solution = _solution_cells(assignment)
    for cell in notebook.cells:
        found = check_of(cell.source) if cell.cell_type == "code" else None
        if found in tasks:
            task = tasks[found]
            cell.source += f"\n### BEGIN HIDDEN TESTS\n{hidden_tests(task)}\n### END HIDDEN TESTS"
            cell.metadata |= _nbgrader(f"check_{task.attempt}", locked=True, grade=True, points=task.points)
            cell.metadata |= {"editable": False, "deletable": False}
        elif cell.source in with_solution:
            attempt, source = with_solution[cell.source]
            cell.source = source if solutions else cell.source
            cell.metadata |= _nbgrader(attempt, solution=True)
    return _with_ids(notebook, assignment.lesson)


def for_otter(assignment: Assignment, solutions: bool) -> NotebookNode:
    """The master notebook that `otter assign` splits into the students' one and the autograder."""
    notebook = _prepared(assignment)
    tasks = {(task.check, task.attempt): task for task in assignment.tasks}
    with_solution = _solution_cells(assignment)
    cells = [new_raw_cell(_otter_config(assignment))]
    for cell in notebook.cells:
        found = check_of(cell.source) if cell.cell_type == "code" else None
        if cell.cell_type == "code" and cell.source in with_solution:
            attempt, source = with_solution[cell.source]
            task = next(task for task in assignment.tasks if task.attempt == attempt)
            cell.source = _in_otters_words(source) if solutions else cell.source
            cells += [
                new_raw_cell(f"# BEGIN QUESTION\nname: {attempt}\npoints: {task.points:g}"),
                *([new_raw_cell("# BEGIN SOLUTION"), cell, new_raw_cell("# END SOLUTION")] if solutions else [cell]),
            ]
        elif found in tasks:
            task = tasks[found]
            test = f"def test_{task.attempt}({task.attempt}):\n    "
            config = '""" # BEGIN TEST CONFIG\nhidden: {}\npoints: {:g}\n""" # END TEST CONFIG\n'
            public = f"{test}from cl_course import checks\n    assert checks.{task.check}.judge({task.attempt}).passed"
            hidden = test + hidden_tests(task).replace("\n", "\n    ")
            cells += [
                new_raw_cell("# BEGIN TESTS"),
                new_code_cell(config.format("false", 0) + public),
                new_code_cell(config.format("true", task.points) + hidden),
                new_raw_cell("# END TESTS"),
                new_raw_cell("# END QUESTION"),
                cell,  # the lesson's own check stays, for the sentence that it says
            ]
        else:
            cells.append(cell)
    notebook.cells = cells
    return _with_ids(notebook, assignment.lesson)


def hidden_tests(task: Task) -> str:
    """Code that looks at an attempt on other seeds and sizes, by the same check; its value is the points."""
    seed = Variant("hidden", task.attempt).seed
    return (
        "import sys\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'cl_course']:\n"
        "    del sys.modules[name]  # so that nothing of the course is as a cell above has left it\n"
        "from cl_course.coursework.marking import graded\n"
        f'graded("{task.check}", {task.attempt}, points={task.points:g}, seed={seed})'
    )


def _prepared(assignment: Assignment, variant: Variant | None = None) -> NotebookNode:
    """The learner's notebook without solutions, its exercises with points, what grading may leave out tagged."""
    notebook = assignment.learner()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    attempts = {task.attempt for task in assignment.tasks}
    wanted = needed([cell.source for cell in code], assignment.own_cells, attempts)
    imports = re.compile(r"^(import|from) ", re.MULTILINE)  # a solution may need any of them
    for index, cell in enumerate(code):
        if not (index in wanted or check_of(cell.source) or imports.search(cell.source)):
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), *LEFT_OUT]
        if variant is not None and "parameters" in cell.metadata.get("tags", []):
            cell.source = SEED_LINE.sub(f"seed = {variant.seed}", cell.source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLUTION.sub("", cell.source)
            for task in assignment.tasks:
                stated = f"Exercise {task.number}: {task.title} ("
                cell.source = re.sub(
                    rf"^(#+ {re.escape(stated)}[^)\n]*)\)$",
                    rf"\1, {task.points:g} points)",
                    cell.source,
                    flags=re.MULTILINE,
                )
    about = (
        f"**To hand in**: {len(assignment.tasks)} exercises, {assignment.points:g} points. Leave the check cells and "
        "the names of the functions as they are: what is not found there has no points. Keep long experiments of your "
        "own out of this notebook: it is run when it is marked. An exercise may call of the course what its text "
        "names, and nothing else."
    )
    notebook.cells.insert(1, new_markdown_cell(about))
    notebook.metadata["cl_course"] = {"lesson": assignment.lesson}
    return notebook


def _solution_cells(assignment: Assignment) -> dict[str, tuple[str, str]]:
    """The stub's code -> (the attempt's name, the code with its solution region)."""
    import jupytext

    cells = [c for c in jupytext.read(source_of(assignment.lesson), fmt="py:percent").cells if c.cell_type == "code"]
    found = {}
    for cell, after in pairwise(cells):
        if "exercise" in cell.metadata.get("tags", []):
            found[builder().SOLUTION.sub(rf"\1{STUB}", cell.source)] = check_of(after.source)[1], cell.source
    return found


def _nbgrader(name: str, points: float | None = None, **flags: bool) -> dict:
    about = {"grade": False, "locked": False, "solution": False, "task": False} | flags
    about |= {"grade_id": name, "schema_version": 3, "cell_type": "code"}
    return {"nbgrader": about | ({} if points is None else {"points": points})}


def _in_otters_words(source: str) -> str:
    return source.replace("### BEGIN SOLUTION", "# BEGIN SOLUTION").replace("### END SOLUTION", "# END SOLUTION")


def _otter_config(assignment: Assignment) -> str:
    about = f"{assignment.lesson}.json"
    lines = [
        "# ASSIGNMENT CONFIG",
        f"name: {assignment.lesson}",
        "init_cell: true",
        "export_cell:",
        "  pdf: false",
        "  run_tests: false",
        "run_tests: false  # `cl-course export` has marked the solution itself",
        "tests:",
        "  ok_format: false",
        "generate:",
        "  show_all_public: true",
        f"  plugins: [{{{JUDGE}: {{assignment: {about}}}}}]",
        "autograder_files:",
        f"  - {about}",
        "requirements:",
        f'  - "{COURSE}"',
        "  - jupytext",
    ]
    return "\n".join(lines)


def _otter(assignment: Assignment, out: Path, solutions: bool) -> Path:
    """Master, the students' folder and Gradescope's zip; the zip's path."""
    folder = out / assignment.lesson
    master = folder / "master" / f"{assignment.lesson}.ipynb"
    _write(master, for_otter(assignment, solutions))
    assignment.write(master.parent / f"{assignment.lesson}.json")  # last: a refusal changes no points
    made = folder / "dist"
    with tempfile.TemporaryDirectory(dir=folder) as beside:  # so that a failure leaves the former files as they were
        fresh = Path(beside).resolve() / made.name
        command = [sys.executable, "-m", "otter", "assign", master.name, str(fresh)]
        done = subprocess.run(command, cwd=master.parent, capture_output=True, text=True, check=False)
        zips = sorted((fresh / "autograder").glob("*.zip"))
        if done.returncode or not zips:
            last = (f"{done.stdout}\n{done.stderr}".strip().splitlines() or ["it said nothing"])[-1]
            raise ValueError(f"otter assign could not split {master} ({last}); what was made before is untouched; "
                             "pip install 'cl-course[coursework]' has Otter 7")
        shutil.rmtree(made, ignore_errors=True)
        fresh.rename(made)
    return made / "autograder" / zips[-1].name


def _write(path: Path, notebook: NotebookNode) -> None:
    _write_text(path, nbformat.writes(notebook) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Nothing that an instructor may have changed is written over."""
    if path.exists() and path.read_bytes() != text.encode():
        raise ValueError(f"{path} is there already, with other content; move or delete it, or name another folder with "
                         "--out")
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode()))


def _with_ids(notebook: NotebookNode, lesson: str) -> NotebookNode:
    """Ids from the place, so that the same export is the same file."""
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{lesson_id(lesson)}-{index}"
    return json.loads(json.dumps(notebook), object_hook=NotebookNode)


def _folder(student: str) -> str:
    """A student's id as the name of a folder."""
    name = re.sub(r"[^\w.@+-]", "_", student).strip(".")
    if not name:
        raise ValueError(f"a student's id must have letters or digits, got {student!r}")
    return name
