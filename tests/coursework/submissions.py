"""Submissions for the tests of marking: a lesson's notebook as a student would hand it in, right, empty or hostile."""

import json
from collections.abc import Mapping
from functools import cache

from cl_course.coursework.assignment import Assignment, assignments
from cl_course.coursework.submission import Notebook


@cache
def lesson(name: str) -> Assignment:
    return assignments(name)[0]


@cache
def _sources(name: str, solved: bool) -> tuple[str, ...]:
    notebook = lesson(name).solved() if solved else lesson(name).learner()
    return tuple(cell.source for cell in notebook.cells if cell.cell_type == "code")


def notebook(
    name: str, solved: bool, attempts: Mapping[str, str] | None = None, before: str = "", about: dict | None = None
) -> Notebook:
    """A notebook of a lesson.

    Args:
        attempts: name of a function -> the code of its cell, in place of the lesson's.
        before: a cell that the student has put in front of the first exercise.
    """
    cells = list(_sources(name, solved))
    first = next(i for i, cell in enumerate(cells) if f"def {lesson(name).tasks[0].attempt}(" in cell)
    for attempt, code in (attempts or {}).items():
        cells[next(i for i, cell in enumerate(cells) if f"def {attempt}(" in cell)] = code
    return Notebook((*cells[:first], *[before] * bool(before), *cells[first:]), about or {})


def as_file(of: Notebook) -> bytes:
    """Its bytes as Jupyter writes them."""
    cells = [
        {"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None} for s in of.cells
    ]
    about = {"metadata": {"cl_course": of.about}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps({"cells": [{"id": f"c{i}"} | cell for i, cell in enumerate(cells)]} | about).encode()
