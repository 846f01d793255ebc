"""One source, two notebooks: what the build cuts, inserts, refuses and leaves alone."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import build

SAMPLE = Path(__file__).parent / "lessons" / "00_sample.py"


@pytest.fixture
def sample(tmp_path) -> Path:
    """A copy of the sample lesson that a test may change."""
    copy = tmp_path / "src" / SAMPLE.name
    copy.parent.mkdir()
    copy.write_text(SAMPLE.read_text())
    return copy


def change(source: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))


def run_build(sample: Path, *arguments: str) -> int:
    folder = sample.parents[1]
    return build.main(
        ["--source", str(sample.parent), "--target", str(folder), "--solved", str(folder / "solved"), *arguments]
    )


def with_tag(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_the_learner_gets_a_stub_and_the_folded_solution():
    notebook = build.learner(SAMPLE)
    (exercise,), (hints,) = with_tag(notebook, "exercise"), with_tag(notebook, "hints")
    assert exercise.source == 'def my_double(x):\n    """Twice x."""\n    ...  # your code here'
    assert hints.source.count("<details>") == hints.source.count("</details>") == 2
    assert hints.source.endswith(
        '<details><summary>Solution</summary>\n\n```python\ndef my_double(x):\n    """Twice x."""\n    twice = x + x\n    return twice\n```\n\n</details>'
    )
    assert not [cell for cell in notebook.cells if "SOLUTION" in cell.source]


def test_the_solved_notebook_differs_in_its_exercises_alone():
    learner, solved = build.learner(SAMPLE), build.solved(SAMPLE)
    different = [(a, b) for a, b in zip(learner.cells, solved.cells, strict=True) if a != b]
    ((stub, done),) = different
    assert done.source.endswith("    twice = x + x\n    return twice") and stub.id == done.id


def test_a_solution_may_stand_in_several_blocks():
    text = "def f(x):\n    ### BEGIN SOLUTION\n    y = x\n    ### END SOLUTION\n    for i in x:\n        ### BEGIN SOLUTION one line\n        y += i\n        ### END SOLUTION\n    return y"
    assert (
        build._with_stub(text)
        == "def f(x):\n    ...  # your code here\n    for i in x:\n        ...  # your code here\n    return y"
    )
    assert build._with_solution(text) == "def f(x):\n    y = x\n    for i in x:\n        y += i\n    return y"


def test_badge_setup_and_parameters():
    notebook = build.learner(SAMPLE)
    nbformat.validate(notebook)
    assert (
        "/github/cl-course/cl_course/blob/main/notebooks/00_sample.ipynb)" in notebook.cells[0].source.splitlines()[2]
    )
    assert [cell.source for cell in with_tag(notebook, "setup")] == [build.SETUP]
    assert [cell.source.splitlines()[2] for cell in with_tag(notebook, "parameters")] == ["seed = 0"]
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_cell_ids_come_from_the_place():
    ids = [cell.id for cell in build.learner(SAMPLE).cells]
    assert len(set(ids)) == len(ids)
    assert ids == [cell.id for cell in build.learner(SAMPLE).cells]


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("# # 00 Sample", "# 00 Sample", "cell 1: the first cell must be markdown and open with '# NN Title'"),
        ('# %% tags=["setup"]', "# %%", "cell 1: exactly one cell must carry the tag 'setup', 0 do"),
        ('# %% tags=["parameters"]', "# %%", "cell 1: exactly one cell must carry the tag 'parameters', 0 do"),
        (
            "seed = 0\n",
            "",
            "cell 3: the parameters cell must set profile, dataset, seed, device, in this order; it sets profile, dataset, device",
        ),
        (
            "seed = 0\n",
            "seed = 0\nepochs = 2\n",
            "cell 3: the parameters cell must set profile, dataset, seed, device, in this order; it sets profile, dataset, seed, epochs, device",
        ),
        (
            "lesson = settings(globals())",
            "lesson = None",
            "cell 4: the cell after the parameters must call settings(globals())",
        ),
        ("    ### END SOLUTION\n", "", "cell 8: ### BEGIN SOLUTION and ### END SOLUTION do not pair up"),
        (
            '# %% tags=["exercise"]',
            "# %%",
            "cell 8: a solution must stand in a cell tagged 'exercise', and such a cell must hold one",
        ),
        (
            "# The course's own checks are called checks.name(attempt).",
            "",
            "cell 8: the next cell must check this exercise: checks.name(attempt)",
        ),
        (
            '# %% [markdown] tags=["hints"]',
            "# %% [markdown]",
            "cell 8: markdown tagged 'hints' must follow the check cell",
        ),
    ],
)
def test_a_broken_source_is_refused_with_one_sentence(sample, capsys, old, new, sentence):
    change(sample, old, new)
    assert run_build(sample, "--no-execute") == 1
    assert capsys.readouterr().err == f"build: 00_sample, {sentence}\n"
    assert not (sample.parents[1] / "00_sample.ipynb").exists()


def test_chooses_lessons_by_number_or_name(sample):
    other = sample.with_name("03_other.py")
    other.write_text(sample.read_text())
    assert build.sources(["03"], sample.parent) == build.sources(["03_other"], sample.parent) == [other]
    assert build.sources([], sample.parent) == [sample, other]
    with pytest.raises(build.BuildError, match="no lesson '7'; there are 00_sample, 03_other"):
        build.sources(["7"], sample.parent)


def test_solved_only_and_no_execute(sample):
    target = sample.parents[1] / "00_sample.ipynb"
    assert run_build(sample, "--solved-only") == 0
    assert (target.parent / "solved" / target.name).exists() and not target.exists()
    assert run_build(sample, "--no-execute") == 0
    assert not any(cell.get("outputs") for cell in nbformat.read(target, as_version=4).cells)


def test_check_sees_every_difference(sample, capsys):
    target = sample.parents[1] / "00_sample.ipynb"
    assert run_build(sample, "--check") == 1
    assert capsys.readouterr().err == "00_sample: 00_sample.ipynb is missing; run make notebooks\n"
    run_build(sample, "--no-execute")
    assert run_build(sample, "--check") == 0
    change(sample, "twice = x + x", "twice = 2 * x")
    assert run_build(sample, "--check") == 1
    assert (
        capsys.readouterr().err == "00_sample, cell 10: 00_sample.ipynb differs from its source; run make notebooks\n"
    )
    sample.write_text(sample.read_text() + "\n# %%\nprint(1)\n")
    assert run_build(sample, "--check") == 1
    assert "10 cells in 00_sample.ipynb, 11 from its source" in capsys.readouterr().err
    assert target.exists()


def test_execution(sample, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")  # a learner's notebook is never strict
    last = f"from tqdm.auto import tqdm\nlist(tqdm(range(3)))\nprint({str(build.ROOT)!r} + '/cl_course/losses.py')"
    sample.write_text(f"{sample.read_text()}\n# %%\n{last}\n")
    target = sample.parents[1] / "00_sample.ipynb"
    assert run_build(sample) == 0
    first = target.read_bytes()
    notebook = nbformat.reads(first.decode(), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "widgets" not in notebook.metadata and b"widget-view" not in first and b'execution"' not in first
    assert code[5 - 1].outputs[0].data["text/markdown"] == build.NO_KERNEL
    assert code[-2].outputs[0].text.startswith("✘ double: not attempted yet")
    assert [output.text for output in code[-1].outputs] == ["cl_course/losses.py\n"]
    assert run_build(sample, "--check") == 0
    assert run_build(sample) == 0
    assert target.read_bytes() == first, "building again must change nothing"


PLAIN = """\
# %% [markdown]
# # 00 Sample

# %% tags=["setup"]

# %% tags=["parameters"]
profile = "auto"
dataset = "auto"
seed = 0
device = "auto"

# %%
# This lesson imports nothing, so that its kernel starts at once: no settings(globals()) here.

# %%
"""


@pytest.mark.parametrize(
    "code, message",
    [
        ("batch = 3\n1 / 0", "00_sample, cell 5 (batch = 3): ZeroDivisionError: division by zero"),
        ("import os; os._exit(1)", "00_sample, cell 5: the kernel died"),
        ("import time; time.sleep(60)", "00_sample, cell 5: took longer than 4 s"),
        (
            "from IPython.display import Image; Image(bytes(1_000_000), format='png')",
            "00_sample: 1.34 MB, and GitHub draws at most 1 MB; draw smaller or fewer figures",
        ),
    ],
)
def test_a_failed_cell_leaves_the_old_notebook(sample, monkeypatch, capsys, code, message):
    target = sample.parents[1] / "00_sample.ipynb"
    target.write_text("the old one")
    sample.write_text(f"{PLAIN}{code}\n")
    monkeypatch.setattr(build, "CELL_TIMEOUT", 4)
    assert run_build(sample) == 1
    assert capsys.readouterr().err == f"build: {message}\n"
    assert target.read_text() == "the old one"
    assert [path.name for path in target.parent.glob("*.ipynb*")] == [target.name]


# A fresh kernel that cannot import the course: an editable install would hook in through sys.path or sys.meta_path.
KERNEL = f"""
import os, sys, types
sys.path[:] = [p for p in sys.path if p not in ("", {str(build.ROOT)!r})]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f)]
from IPython.core.interactiveshell import InteractiveShell
if "colab" in sys.argv:
    sys.modules |= {{"google": types.ModuleType("google"), "google.colab": types.ModuleType("google.colab"), "jaxtyping": None}}
installed = []
shell = InteractiveShell.instance()
shell.register_magic_function(installed.append, "line", "pip")
shell.run_cell(sys.stdin.read()).raise_error()
import cl_course
print(os.getcwd(), cl_course.__file__, *installed, sep="\\n")
"""


def run_setup(*arguments: str, cwd: Path, **environment: str) -> list[str]:
    """The working folder after the set-up cell, where cl_course was found, and what pip was asked."""
    command = [sys.executable, "-c", KERNEL, *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        input=build.SETUP,
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()


def test_the_setup_cell_on_colab(tmp_path):
    """With a git that only makes folders and a pip that takes notes."""
    tools, content = tmp_path / "tools", tmp_path / "content"
    tools.mkdir(), content.mkdir()
    git = tools / "git"
    git.write_text(
        f'#!/bin/sh\nmkdir -p cl-course/cl_course/running && touch cl-course/cl_course/__init__.py cl-course/cl_course/running/settings.py\necho "$@" >> {tmp_path}/log\n'
    )
    git.chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "IPYTHONDIR": str(tmp_path / "ipython")}
    course = content / "cl-course"
    expected = [
        str(course),
        str(course / "cl_course" / "__init__.py"),
        "install --quiet --no-deps -e .",
        "install --quiet jaxtyping",
    ]
    assert run_setup("colab", cwd=content, **environment) == expected
    assert run_setup("colab", cwd=content, **environment) == expected, "after a restart"
    assert (tmp_path / "log").read_text() == f"clone --quiet --depth 1 {build.REPOSITORY} cl-course\n", "fetched once"


def test_the_setup_cell_elsewhere(tmp_path):
    """From the notebooks' folder it finds the checkout, and asks pip for nothing."""
    assert run_setup(cwd=build.HERE, IPYTHONDIR=str(tmp_path)) == [
        str(build.HERE),
        str(build.ROOT / "cl_course" / "__init__.py"),
    ]
