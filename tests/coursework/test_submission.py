"""Which cells of a notebook run before which check."""

import ast
import json

import pytest
from submissions import as_file, lesson, notebook

from cl_course.coursework.assignment import assignments, check_of, read_points
from cl_course.coursework.submission import Notebook, Unreadable, lesson_of, names_of, needed, read, steps


@pytest.mark.parametrize(
    "source, bound, used",
    [
        ("import torch.nn.functional as F, os.path", {"F", "os"}, set()),
        ("def f(x):\n    y = x\n    return y + z", {"f"}, {"z"}),
        ("a = b\nc[0] = 1\nd.e.f = 2\ng += 1", {"a", "c", "d", "g"}, {"b", "c", "d"}),
        ("for i in range(3):\n    with open(i) as h:\n        (k := i)", {"i", "h", "k"}, {"range", "open", "i"}),
        ("%matplotlib inline\nx = 1", {"x"}, {"get_ipython"}),
        ("class A(B):\n    c = d", {"A"}, {"B", "d"}),
        ("global = 3", {"*"}, set()),
        ("[w for w in v]", set(), {"v"}),
    ],
)
def test_names_that_a_cell_binds_and_uses(source, bound, used):
    found = names_of(source)
    assert found[0] == bound and found[1] == used


def test_of_the_course_s_own_cells_only_what_is_needed_runs():
    own = frozenset({"import torch", "h = train_for_minutes()", "z = h + 1", "show(z)"})
    cells = [
        "import torch",
        "h = train_for_minutes()",
        "z = h + 1",
        "show(z)",
        "print('mine')",
        "def f(x): return torch.sin(x)",
    ]
    assert needed(cells, own, {"f"}) == {0, 4, 5}
    assert needed([*cells[:5], "def f(x): return z"], own, {"f"}) == {1, 2, 4, 5}


@pytest.mark.parametrize("name", ["00", "02", "07"])
def test_a_lesson_s_figures_and_trainings_do_not_run(name):
    planned, missing = steps(notebook(name, solved=True), lesson(name))
    assert not missing and [step.task for step in planned if step.task] == list(lesson(name).tasks)
    cells = [step.source for step in planned if step.source]
    assert len(cells) <= len(lesson(name).tasks) + 2 and not any("pretrain(" in cell for cell in cells[1:])


@pytest.mark.parametrize(
    "cell, found",
    [
        ("checks.nt_xent(my_nt_xent)", ("nt_xent", "my_nt_xent")),
        ("# a remark\nchecks.nt_xent( my_nt_xent )\nprint(3)", ("nt_xent", "my_nt_xent")),
        ("print('✔')\nchecks.nt_xent(my_nt_xent)", None),
        ("checks.nt_xent(my_nt_xent, 3)", None),
        ("checks.nt_xent(lambda *a: 3)", None),
        ("if False:\n    checks.nt_xent(my_nt_xent)", None),
        ("other.checks.nt_xent(my_nt_xent)", None),
        ("checks.nt_xent(my_nt_xent", None),
        ("", None),
    ],
)
def test_what_counts_as_a_check_cell(cell, found):
    assert check_of(cell) == found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'{"cells": 3}', b'{"cells": [{"cell_type": "code"}]}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_notebook_is_said(content):
    with pytest.raises(Unreadable, match="no notebook, or a damaged one"):
        read(content)


def test_which_lesson_it_is():
    every = [lesson(name) for name in ("00", "02", "04")]
    of_02 = notebook("02", solved=False)
    assert lesson_of(of_02, "homework.ipynb", every).lesson == "02_infonce"
    assert lesson_of(Notebook((), {}), "x/04_moco.ipynb", every).lesson == "04_moco"
    assert lesson_of(Notebook((), {"lesson": "00_start_here"}), "x.ipynb", every).lesson == "00_start_here"
    assert lesson_of(Notebook(("print(1)",), {}), "x.ipynb", every) is None
    assert read(as_file(of_02)).cells == of_02.cells and json.loads(as_file(of_02))["nbformat"] == 4


def test_points_from_a_file(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("lesson,exercise,points\n02,4,7.5\n3,1,0\n")
    assert read_points(path) == {("02", 4): 7.5, ("03", 1): 0.0}
    for row in ("02,x,3", "02,4,-1", "02,4", "02,4,nan", "02,4,inf"):
        path.write_text(f"lesson,exercise,points\n{row}\n")
        with pytest.raises(ValueError, match="line 2: a row needs lesson, exercise and points"):
            read_points(path)


@pytest.mark.parametrize("terms", [400, 990, 3000])
def test_a_long_sum_is_a_cell_like_another(terms):
    source = "my_loss = " + " + ".join(["x"] * terms)
    assert check_of(source) is None
    bound, _ = names_of(source)
    assert bound in ({"my_loss"}, {"*"})
    cells = Notebook(("checks.nt_xent(my_nt_xent)\n" + source,), {})
    planned, _ = steps(cells, lesson("02"))
    assert planned[0].source in (source, cells.cells[0]), "a cell too deep for Python is run as it is"


@pytest.mark.parametrize(
    "source, found",
    [
        ("checks.nt_xent(my_nt_xent)", ("nt_xent", "my_nt_xent")),
        ("# mine\nchecks.nt_xent( my_nt_xent );x = 1", ("nt_xent", "my_nt_xent")),
        ("checks.nt_xent(my_nt_xent, 2)", None),
        ("checks.nt_xent(attempt=my_nt_xent)", None),
        ("checks.nt_xent(my_nt_xent).more", None),
        ("other.nt_xent(my_nt_xent)", None),
        ("x = 1\nchecks.nt_xent(my_nt_xent)", None),
        ("", None),
    ],
)
def test_what_a_check_cell_is(source, found):
    assert check_of(source) == found


def test_what_the_notebook_says_counts_before_its_path():
    known = [lesson("02"), lesson("03")]
    where = "02_infonce/ann/03_simclr.ipynb"
    assert lesson_of(Notebook((), {"lesson": "03_simclr"}), where, known).lesson == "03_simclr"
    assert lesson_of(Notebook((), {"lesson": "02_infonce"}), where, known).lesson == "02_infonce"
    assert lesson_of(Notebook((), {}), where, known).lesson == "03_simclr", "the file's name before the folder's"


def test_a_row_of_points_that_fits_none_is_named_for_one_lesson_too(tmp_path):
    (tmp_path / "p.csv").write_text("lesson,exercise,points\n02,44,8\n03,1,5\n")
    with pytest.raises(ValueError, match="lesson 02 has no exercise 44; correct or delete this row"):
        assignments("02", tmp_path / "p.csv")
    assert assignments("03", tmp_path / "p.csv")[0].tasks[0].points == 5


def test_what_follows_a_check_keeps_its_decorators():
    rest = "@torch.no_grad()\n@another\ndef helper(x):\n    return x\n\n\n@dataclass\nclass Pair:\n    a: int\ny = 1"
    planned, _ = steps(Notebook((f"checks.nt_xent(my_nt_xent)\n{rest}",), {}), lesson("02"))
    assert ast.dump(ast.parse(planned[0].source)) == ast.dump(ast.parse(rest))
