"""A submitted notebook: what of it is run before which check.

Cells run in their order, as in Jupyter. Of the course's own cells only those run that an exercise needs, directly or
by way of others: their figures, labs and trainings take minutes and change no mark. What a student wrote runs in full.
An exercise is judged at its check cell, with what is defined there at that moment.
"""

import ast
import json
import symtable
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

from cl_course.coursework.assignment import Assignment, Task, check_of

MOST_BYTES = 60_000_000


class Unreadable(ValueError):
    """One sentence: why a file is no notebook that could be marked."""


@dataclass(frozen=True)
class Step:
    """One thing to do with a notebook: run a cell, then judge an exercise; either may be left out."""

    cell: int
    source: str
    task: Task | None = None


@dataclass(frozen=True)
class Notebook:
    """Its code cells, in their order, and what the course wrote into its metadata."""

    cells: tuple[str, ...]
    about: dict


def read(content: bytes) -> Notebook:
    """The notebook of a file's bytes; an Unreadable says in one sentence why there is none."""
    if len(content) > MOST_BYTES:
        raise Unreadable(
            f"the file has {len(content) / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}: clear its outputs"
        )
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = tuple("".join(cell["source"]) for cell in cells)
        about = notebook.get("metadata", {}).get("cl_course", {})
        return Notebook(sources, about if isinstance(about, dict) else {})
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unreadable("the file is no notebook, or a damaged one: open it in JupyterLab and save it again") from None


def load(path: Path) -> Notebook:
    return read(Path(path).read_bytes())


def steps(notebook: Notebook, assignment: Assignment) -> tuple[list[Step], list[Task]]:
    """What to run and to judge, in this order; and the exercises whose check cell is not there as it was set."""
    by_check = {(task.check, task.attempt): task for task in assignment.tasks}
    places = {by_check[found]: index for index, source in enumerate(notebook.cells)
              if (found := check_of(source)) in by_check}  # fmt: skip
    judged = {index: task for task, index in places.items()}
    numbers = [task for task in assignment.tasks if task.check == "number"]  # a value, with no check in the notebook
    planned = []
    to_run = needed(notebook.cells, assignment.own_cells, {task.attempt for task in (*places, *numbers)})
    for index, source in enumerate(notebook.cells):
        if check_of(source) is not None:
            rest = _without_first(source)
            if rest or index in judged:
                planned.append(Step(index, rest, judged.get(index)))
        elif index in to_run:
            planned.append(Step(index, source))
    planned += [Step(len(notebook.cells), "", task) for task in numbers]
    return planned, [task for task in assignment.tasks if task not in places and task not in numbers]


def lesson_of(notebook: Notebook, name: str, known: Sequence[Assignment]) -> Assignment | None:
    """Which lesson it is: what its metadata say, else its name, else the one of whose checks it has most."""
    for assignment in known:
        if notebook.about.get("lesson") == assignment.lesson:
            return assignment
    if named := [assignment for assignment in known if assignment.lesson in name]:
        return max(named, key=lambda assignment: name.rfind(assignment.lesson))  # a file's name before its folder's
    there = {check_of(source) for source in notebook.cells}
    counts = [len({(task.check, task.attempt) for task in a.tasks} & there) for a in known]
    return known[counts.index(max(counts))] if max(counts, default=0) else None


def _without_first(source: str) -> str:
    """What else stands in a check cell, on its own lines."""
    rest = ast.parse(source).body[1:]
    decorators = {s: [f"@{ast.unparse(d)}\n" for d in getattr(s, "decorator_list", ())] for s in rest}
    # A function's segment begins at its def, behind its decorators.
    return "\n".join("".join([*decorators[s], ast.get_source_segment(source, s)]) for s in rest)


def needed(cells: Sequence[str], own_cells: frozenset[str], names: set[str]) -> set[int]:
    """Indices of the cells to run: a student's, and of the course's those that define one of the names, or help to."""
    about = [names_of(source) for source in cells]
    own = [source.strip() in own_cells for source in cells]
    chosen = {index for index in range(len(cells)) if not own[index]}
    wanted, count = set(names), -1
    while count != len(wanted):
        count = len(wanted)
        for index, (bound, used) in enumerate(about):
            if bound & wanted or "*" in bound and not own[index]:
                chosen.add(index)
                wanted |= used
    return chosen


@cache
def names_of(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """(names that a cell binds or changes, global names that it uses); a cell that is no Python may bind any, "*"."""
    try:
        code = TransformerManager().transform_cell(textwrap.dedent(source))
        tree = ast.parse(code)
        used = set(_globals_of(symtable.symtable(code, "cell", "exec")))
        bound = {name for statement in tree.body for name in _bound_by(statement)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset("*"), frozenset()
    return frozenset(bound), frozenset(used)


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    yield from (s.get_name() for s in table.get_symbols() if s.is_referenced() and (top or s.is_global()))
    for inner in table.get_children():
        yield from _globals_of(inner)


def _bound_by(node: ast.AST) -> Iterator[str]:
    """Names that running this makes or changes, in the cell's own scope."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        root = node.value
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if isinstance(root, ast.Name):
            yield root.id
    for inner in ast.iter_child_nodes(node):
        if not isinstance(inner, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield from _bound_by(inner)
