"""One source, two notebooks: what the build cuts, inserts, refuses and leaves alone."""

from pathlib import Path

import nbformat
import pytest

import build

SAMPLE = Path(__file__).parent / "lessons" / "00_sample.py"
PARAMETERS = "cell 3: the parameters cell must set profile, dataset, seed, device, in this order"


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
    solution = 'def my_double(x):\n    """Twice x."""\n    twice = x + x\n    return twice'
    assert hints.source.endswith(f"<details><summary>Solution</summary>\n\n```python\n{solution}\n```\n\n</details>")
    assert not [cell for cell in notebook.cells if "SOLUTION" in cell.source]


def test_the_solved_notebook_differs_in_its_exercises_alone():
    learner, solved = build.learner(SAMPLE), build.solved(SAMPLE)
    different = [(a, b) for a, b in zip(learner.cells, solved.cells, strict=True) if a != b]
    ((stub, done),) = different
    assert done.source.endswith("    twice = x + x\n    return twice") and stub.id == done.id


def test_a_solution_may_stand_in_several_blocks():
    text = """\
def f(x):
    ### BEGIN SOLUTION
    y = x
    ### END SOLUTION
    for i in x:
        ### BEGIN SOLUTION one line
        y += i
        ### END SOLUTION
    return y"""
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
    (parameters,) = with_tag(notebook, "parameters")
    assert parameters.source.splitlines()[-4:] == [
        'profile = "auto"  #@param ["auto", "quick", "full"]',
        'dataset = "auto"  #@param ["auto", "shapes", "cifar10", "stl10"] {allow-input: true}',
        'seed = 0  #@param {type: "integer"}',
        'device = "auto"  #@param ["auto", "cpu", "cuda", "mps"] {allow-input: true}',
    ]
    assert notebook.metadata.pop("colab")
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_what_a_lesson_sets_its_parameters_to_stays(sample):
    change(sample, "seed = 0", "seed = 3  # another")
    (parameters,) = with_tag(build.learner(sample), "parameters")
    assert 'seed = 3  #@param {type: "integer"}' in parameters.source.splitlines()


def test_setup_parameters_and_folded_code_are_collapsed():
    """In JupyterLab by `source_hidden`, in Colab as forms, whose title is all that is seen."""
    folded = [cell for cell in build.learner(SAMPLE).cells if "jupyter" in cell.metadata]
    assert [cell.metadata.tags for cell in folded] == [["setup"], ["parameters"], ["folded"]]
    for cell in folded:
        assert cell.metadata.jupyter == {"source_hidden": True} and cell.metadata.cellView == "form"
        assert cell.source.startswith("#@title ")
    assert folded[-1].source == "#@title Prints 3x\nprint(3 * torch.ones(1))"


def test_a_section_going_deeper_is_folded_under_its_heading():
    notebook = build.learner(SAMPLE)
    (heading,) = [cell for cell in notebook.cells if "jp-MarkdownHeadingCollapsed" in cell.metadata]
    place = notebook.cells.index(heading)
    assert heading.source == "## Going deeper: thrice (1 min)"
    assert heading.metadata == {"jp-MarkdownHeadingCollapsed": True, "id": heading.id}
    assert notebook.metadata.colab == {"collapsed_sections": [heading.id]}
    # A notebook folds cells, not the rest of the heading's own cell; the next heading of its level ends the fold.
    assert notebook.cells[place + 1].source.startswith("What is 3x") and notebook.cells[-1].source == "## The end"


def test_the_head_states_the_counted_minutes(sample):
    assert "Time: 10 minutes, 5 for the rest." in build.learner(sample).cells[0].source
    change(sample, "(10 min, easy)", "(24 min, easy)")
    assert "Time: 25 minutes, 5 for the rest." in build.learner(sample).cells[0].source


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
            f"{PARAMETERS}; it sets profile, dataset, device",
        ),
        (
            "seed = 0\n",
            "seed = 0\nepochs = 2\n",
            f"{PARAMETERS}; it sets profile, dataset, seed, epochs, device",
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
        (
            "# Prints 3x\n",
            "",
            "cell 12: a folded cell must be code, and its first line a comment that says what it does",
        ),
        (
            "# ## Going deeper: thrice",
            "# An introduction.\n#\n# ## Going deeper: thrice",
            "cell 11: the heading 'Going deeper: thrice' must open its cell: a folded section begins or ends there",
        ),
        (
            "# ## The end",
            "# A last word.\n#\n# ## The end",
            "cell 13: the heading 'The end' must open its cell: a folded section begins or ends there",
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
    assert "14 cells in 00_sample.ipynb, 15 from its source" in capsys.readouterr().err
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
    assert code[-3].outputs[0].text.startswith("✘ double: not attempted yet")
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
