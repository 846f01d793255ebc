"""nbgrader's autograde with the course's own judge: it takes the place of the step that runs a notebook.

`cl-course export --to nbgrader` writes a configuration that names it. nbgrader has put its locked check cells back by
then; what a check cell gets is written into its outputs, where nbgrader looks for the points: an error is none.
"""

import tempfile
from functools import cache
from pathlib import Path

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float, Unicode

from cl_course.coursework.assignment import Assignment, check_of
from cl_course.coursework.marking import CELL_SECONDS, TASK_SECONDS, Limits, Mark, mark, nothing_for, self_tested
from cl_course.coursework.submission import Notebook
from cl_course.coursework.variants import Variant


class Judge(NbGraderPreprocessor):
    """Gives every check cell the outputs that its exercise deserves."""

    lessons = Unicode(help="the folder with a .json for each lesson, as the export wrote it").tag(config=True)
    cell_seconds = Float(CELL_SECONDS, help="that a cell may take").tag(config=True)
    exercise_seconds = Float(TASK_SECONDS, help="that the answers of one exercise may take").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        about = resources["nbgrader"]
        limits = Limits(cell=self.cell_seconds, task=self.exercise_seconds)
        assignment = _assignment(Path(self.lessons) / f"{about['notebook']}.json", limits)
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        for cell in code:
            cell.outputs, cell.execution_count = [], None
        notebook = Notebook(tuple(map(_judged_source, code)), {})
        seed = Variant(str(about["student"]), assignment.lesson).seed
        try:
            with tempfile.TemporaryDirectory(prefix="cl-course-", ignore_cleanup_errors=True) as folder:
                marks = mark(notebook, assignment, Path(folder).resolve(), limits, seed)
        except Exception as error:
            self.log.exception("the judge stopped")
            marks = nothing_for(assignment, f"the grader stopped ({type(error).__name__}); look at this by hand.")
        by_id = {f"check_{one.task.attempt}": one for one in marks}
        for cell in code:
            grade = cell.metadata.get("nbgrader", {})
            if grade.get("grade"):
                one = by_id.pop(grade.get("grade_id"), None)
                cell.outputs = _outputs(one)
        for one in by_id.values():
            nb.cells.append(new_markdown_cell(f"**Exercise {one.task.number}, no points**: {one.sentence}"))
            self.log.warning("exercise %d: %s", one.task.number, one.sentence)
        return nb, resources


def _judged_source(cell: NotebookNode) -> str:
    """A check cell without its hidden tests: the judge has its own."""
    found = check_of(cell.source) if cell.metadata.get("nbgrader", {}).get("grade") else None
    return f"checks.{found[0]}({found[1]})" if found else cell.source


@cache
def _assignment(path: Path, limits: Limits) -> Assignment:
    return self_tested(Assignment.read(path), limits)


def _outputs(one: Mark | None) -> list[NotebookNode]:
    """What nbgrader reads points from: an error is none, a number is partial credit, and nothing of either is all."""
    sentence = "this check cell is there twice, or belongs to another lesson." if one is None else one.sentence
    if one is None or one.points <= 0:
        return [new_output("error", ename="NoPoints", evalue=sentence, traceback=[f"no points: {sentence}"])]
    said = new_output("stream", name="stdout", text=f"{'right' if one.full else 'partly right'}: {sentence}\n")
    if one.full:
        return [said]
    return [said, new_output("execute_result", data={"text/plain": str(one.points)}, execution_count=1)]
