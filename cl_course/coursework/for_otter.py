"""Otter with the course's own judge, as a plugin: also on Gradescope.

Otter runs a notebook and its tests in one process and reads the results from a file that this process writes. So the
judge looks at the notebook before that, where it is shut off; Otter then runs an empty one, and the judge puts its
marks in the place of Otter's. `cl-course export --to otter` writes the configuration that names it.
"""

import tempfile
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from otter.plugins import AbstractOtterPlugin
from otter.test_files import GradingResults
from otter.test_files.abstract_test import TestCase, TestCaseResult, TestFile

from cl_course.coursework.assignment import Assignment
from cl_course.coursework.marking import Limits, Mark, mark, nothing_for
from cl_course.coursework.submission import Notebook
from cl_course.coursework.variants import Variant


class Judge(AbstractOtterPlugin):
    """Marks a submission before Otter runs it, and sets Otter's results afterwards."""

    def before_execution(self, submission: NotebookNode) -> NotebookNode:
        """Judge, and give Otter a notebook without code."""
        assignment = Assignment.read(self._file())
        cells = tuple("".join(cell["source"]) for cell in submission["cells"] if cell["cell_type"] == "code")
        try:
            seed = Variant("otter", assignment.lesson).seed
            with tempfile.TemporaryDirectory(prefix="cl-course-", ignore_cleanup_errors=True) as folder:
                self.marks = mark(Notebook(cells, {}), assignment, Path(folder).resolve(), Limits(), seed)
        except Exception as error:
            self.marks = nothing_for(assignment, f"the grader stopped ({type(error).__name__}); look at it by hand.")
        submission["cells"] = [cell for cell in submission["cells"] if cell["cell_type"] != "code"]
        return submission

    def after_grading(self, results: GradingResults) -> None:
        results.results = {one.task.attempt: Judged(one) for one in self.marks}

    def _file(self) -> Path:
        """The lesson's file, beside the submission or where Otter puts an autograder's files."""
        name = self.plugin_config["assignment"]
        here = [Path.cwd(), Path(self.submission_path).parent, Path.cwd() / "files", Path.cwd().parent / "source/files"]
        return next(folder / name for folder in here if (folder / name).is_file())


class Judged(TestFile):
    """One exercise's mark in the form of Otter's tests."""

    def __init__(self, one: Mark):
        case = TestCase(f"exercise {one.task.number}", "", False, one.task.points, None, None)
        super().__init__(one.task.attempt, "", [case], all_or_nothing=False)
        self.test_case_results = [TestCaseResult(case, one.sentence, one.full)]
        self.update_score(one.points)

    @classmethod
    def from_file(cls, path: str) -> TestFile:
        raise NotImplementedError("a mark is no file")

    @classmethod
    def from_metadata(cls, s: Any, path: str) -> TestFile:
        raise NotImplementedError("a mark is no part of a notebook")

    def run(self, global_environment: dict[str, Any]) -> None:
        """Nothing: the judge has looked at the notebook already."""
