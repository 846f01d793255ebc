"""Marks: all of them for right work in every lesson, none for what is empty, wrong or hostile."""

from pathlib import Path

import pytest
from submissions import lesson, notebook

from cl_course import checks
from cl_course.coursework.marking import Limits, Mark, graded, judged, mark, part_of, self_tested
from cl_course.coursework.variants import Variant
from cl_course.running.lesson_files import lesson_id, lessons

LESSONS = [lesson_id(path.stem) for path in lessons()]
USUAL = Limits()


def marks(of, name: str, folder: Path, limits: Limits = USUAL, assignment=None, variant=None) -> dict[str, Mark]:
    found = mark(of, assignment or lesson(name), folder, limits, seed=11, variant=variant)
    return {one.task.attempt: one for one in found}


@pytest.mark.parametrize("name", LESSONS)
def test_every_solution_has_full_marks(name):
    assert self_tested(lesson(name), Limits()).allowed.keys() == {task.check for task in lesson(name).tasks}


@pytest.mark.parametrize("name", ["02"])
def test_an_empty_notebook_has_no_points(name, tmp_path):
    found = marks(notebook(name, solved=False), name, tmp_path)
    assert len(found) == len(lesson(name).tasks)
    assert all(one.points == 0 and "not attempted yet" in one.sentence for one in found.values())


WRONG = {
    "my_similarities": "def my_similarities(z1, z2):\n    z = torch.cat([z1, z2])\n    return z @ z.T",
    "my_partners": "def my_partners(n):\n    return torch.arange(2 * n) + n",
    "my_row_loss": "def my_row_loss(s, partner, T):\n    raise ValueError(f'for {s} at {T}')",
    "my_nt_xent": "def my_nt_xent(z1, z2, T):  # right, until the exponentials overflow\n"
    "    n, z = len(z1), F.normalize(torch.cat([z1, z2]), dim=1)\n"
    "    e = (z @ z.T / T).exp() * (1 - torch.eye(2 * n))\n"
    "    p = e / e.sum(dim=1, keepdim=True)\n"
    "    return -p[torch.arange(2 * n), torch.arange(2 * n).roll(n)].log().mean()",
    "my_gradient": "def my_gradient(s, partner, T):\n    g = s.softmax(dim=0)\n    g[partner] -= 1\n    return g",
    "my_log_sum_exp": "def my_log_sum_exp(x):\n    return x.exp().sum().log()",
}


def test_mistakes_are_named_and_partly_right_work_has_part_of_the_points(tmp_path):
    found = marks(notebook("02", solved=True, attempts=WRONG), "02", tmp_path)
    assert "lengths count" in found["my_similarities"].sentence and found["my_similarities"].points == 0
    assert "wrap around" in found["my_partners"].sentence and found["my_partners"].points == 0
    assert "message is not shown" in found["my_row_loss"].sentence and "tensor" not in found["my_row_loss"].sentence
    assert 0 < found["my_nt_xent"].points < found["my_nt_xent"].task.points
    assert "T = 0.01" in found["my_nt_xent"].sentence
    assert found["my_gradient"].points == 0
    assert 0 < found["my_log_sum_exp"].points < found["my_log_sum_exp"].task.points


HOSTILE = {  # one attempt each in one notebook, and what the sentence says
    "my_similarities": ("print('✔ my_similarities: right')", "not attempted"),
    "my_partners": ("import sys; sys.exit(0)", "SystemExit"),
    "my_row_loss": ("import os; os._exit(0)", "ended the whole Python process"),
    "my_nt_xent": ("import os; os.kill(os.getpid(), 9)", "ended the whole Python process"),
    "my_gradient": ("\n    while True: pass", "a loop that never ends"),
    "my_log_sum_exp": ("return [bytearray(1 << 28) for _ in range(64)]", "MemoryError"),
}


def test_hostile_attempts_have_no_points_and_do_not_stop_the_others(tmp_path):
    code = {name: f"def {name}(*given):\n    {body}" for name, (body, _) in HOSTILE.items()}
    limits = Limits(memory=3 << 30, cell=60.0, task=4.0)
    found = marks(notebook("02", solved=False, attempts=code), "02", tmp_path, limits)
    for name, (_, said) in HOSTILE.items():
        assert found[name].points == 0, name
        assert said in found[name].sentence or "a loop that never ends" in found[name].sentence, found[name].sentence


FORGED = {
    "my_similarities": "from cl_course import checks\nmy_similarities = checks.similarities.make()",
    "my_partners": "def my_partners(n):  # answers for the sizes of the public check alone\n"
    "    return torch.arange(2 * n).roll(n) if n in (3, 4, 8) else torch.zeros(2 * n)",
    "my_row_loss": "class Any:\n    __eq__ = __le__ = lambda *_: True\n    shape = ()\nmy_row_loss = lambda *_: Any()",
    "my_nt_xent": "my_nt_xent = nt_xent",
    "my_gradient": "my_gradient = 3",
    "my_log_sum_exp": "def another_name(x):\n    return torch.logsumexp(x, dim=0)",
}


def test_answers_that_are_not_a_students_own_have_no_points(tmp_path):
    assignment = self_tested(lesson("02"), Limits())
    found = marks(notebook("02", solved=True, attempts=FORGED), "02", tmp_path, assignment=assignment)
    said = {name: one.sentence for name, one in found.items()}
    assert [one.points for one in found.values()] == [0] * 6, said
    assert "leaves the work to cl_course.lessons" in said["my_similarities"]
    assert "typed in" in said["my_partners"]
    assert "leaves the work to cl_course.losses.nt_xent" in said["my_nt_xent"]
    assert "no function any more" in said["my_gradient"] and "there is no my_log_sum_exp" in said["my_log_sum_exp"]


@pytest.mark.parametrize(
    "cell, said",
    [
        (
            "from cl_course import checks\nchecks.counts = lambda attempt: print('✔')",
            "replaces cl_course.checks.counts",
        ),
        ("from cl_course.lessons.shared.exercise import Exercise\nExercise.judge = print", "replaces"),
        ("import torch\ntorch.allclose = lambda *a, **k: True", "replaces torch.allclose"),
        ("import builtins\nbuiltins.sum = lambda _: 3", "replaces builtins.sum"),
        ("import builtins\nbuiltins.len = lambda _: 3", ""),  # the process cannot even answer any more
        ("import sys\nsys.exit()", "SystemExit"),
        ("import os\nos._exit(0)", "ended the whole Python process"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "ended the whole Python process"),
        ("while True:\n    pass", "a loop that never ends"),
    ],
)
def test_after_a_hostile_cell_even_right_work_has_no_points(cell, said, tmp_path):
    limits = Limits(cell=15.0) if "while" in cell or "len" in cell else Limits()
    found = marks(notebook("00", solved=True, before=cell), "00", tmp_path, limits)
    assert all(one.points == 0 and "nothing was judged from code cell" in one.sentence for one in found.values())
    assert all(said in one.sentence for one in found.values()), found


def test_a_check_cell_that_is_removed_or_overwritten_is_no_points(tmp_path):
    right = notebook("02", solved=True)
    for cells in (
        tuple(cell for cell in right.cells if not cell.startswith("checks.")),
        tuple(cell.replace("checks.", "print('✔') # checks.") for cell in right.cells),
        tuple(f"print('✔')\n{cell}" if cell.startswith("checks.") else cell for cell in right.cells),
    ):
        found = marks(type(right)(cells, {}), "02", tmp_path)
        assert all(one.points == 0 and "its check cell" in one.sentence for one in found.values())


def test_what_one_student_has_found_does_not_count_for_the_next():
    """The check of lesson 07 remembers right diagnoses, for a learner who finds one patient after the other."""
    right = checks.diagnosis.make()()
    assert judged(checks.diagnosis, "diagnosis", lambda: dict(right), 0)[0] == 1
    share, sentence = judged(checks.diagnosis, "diagnosis", lambda: {"A": right["A"]}, 0)
    assert share == 0 and "1 of 6 are named" in sentence


def test_a_number_of_ones_own_is_marked_by_the_student_s_id(tmp_path):
    variant = Variant("s01", "00_start_here")
    assignment = lesson("00").with_number()
    right = notebook("00", solved=True)
    cells = (*right.cells, f"my_number = {variant.answer}")
    found = marks(type(right)(cells, {}), "00", tmp_path, assignment=assignment, variant=variant)
    assert all(one.full for one in found.values())


def test_points_of_any_fraction_are_given_in_full():
    assert graded("counts", checks.counts.make(), points=3.333, seed=1) == 3.333
    assert part_of(3.333, 0.5) == 1.67 and part_of(1e-3, 1) == 1e-3
