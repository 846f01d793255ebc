"""Every lesson as it is shipped, and run: the learner's notebook by nbval, the solved one by papermill.

All runs are started together, two at a time with one thread each, and each test waits for its own.
A lesson's second run may reuse what its first one trained (CL_COURSE_REUSE), in a folder that is
empty at the start: so everything is trained live once.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

import build

SAMPLE = Path(__file__).parent / "lessons" / "00_sample.py"
LESSONS = build.sources()
LIMIT = 900  # seconds for a whole notebook
CELL_LIMIT = 300

each_lesson = pytest.mark.parametrize("source", LESSONS, ids=lambda source: source.stem)


def notebook_of(source: Path) -> Path:
    return build.HERE / f"{source.stem}.ipynb"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


def run(command: list, workspace: Path, strict: bool) -> tuple[int, str, float]:
    """Exit code, output, seconds; a kernel that hangs is ended with its parent."""
    environment = os.environ | {
        "CL_COURSE_STRICT": str(int(strict)),
        "CL_COURSE_REUSE": str(workspace / "trained"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(build.ROOT),
    }
    start = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        output = f"{process.communicate()[0]}\nstopped after {LIMIT} s"
    return process.returncode, output, time.monotonic() - start


def nbval(*notebooks: Path, workspace: Path) -> tuple[int, str, float]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval-lax",
        "--nbval-cell-timeout",
        CELL_LIMIT,
        *notebooks,
    ]
    return run(list(map(str, command)), workspace, strict=False)


def papermill(notebook: Path, *parameters: str, workspace: Path) -> tuple[int, str, float]:
    command = [
        sys.executable,
        "-m",
        "papermill",
        notebook,
        workspace / f"{notebook.stem}.out.ipynb",
        "--kernel",
        "python3",
        "--no-progress-bar",
    ]
    command += ["--execution-timeout", CELL_LIMIT, "--cwd", build.HERE, *parameters]
    return run(list(map(str, command)), workspace, strict=True)


@pytest.fixture(scope="session")
def lesson_runs(request, workspace, durations) -> Iterator[dict[Path, Future]]:
    """Lesson -> its runs in the making: {test's name: what `run` gives}, for the tests of this session."""

    def run_lesson(source: Path, tests: list[str]) -> dict[str, tuple]:
        results = {}
        if "test_learner_runs" in tests:
            results["test_learner_runs"] = nbval(notebook_of(source), workspace=workspace)
            durations[f"{source.stem}, learner"] = results["test_learner_runs"][2]
        if "test_solved_runs" in tests:
            solved = workspace / f"{source.stem}.ipynb"
            build.write(solved, nbformat.writes(build.solved(source)))
            results["test_solved_runs"] = papermill(solved, "-p", "profile", "quick", workspace=workspace)
            durations[f"{source.stem}, solved (trained weights reused)"] = results["test_solved_runs"][2]
        return results

    selected = [item for item in request.session.items if "lesson_runs" in getattr(item, "fixturenames", ())]
    with ThreadPoolExecutor(max_workers=2) as pool:
        tests_of = {
            source: [item.originalname for item in selected if item.callspec.params["source"] == source]
            for source in LESSONS
        }
        yield {source: pool.submit(run_lesson, source, tests) for source, tests in tests_of.items() if tests}
        pool.shutdown(cancel_futures=True)


@each_lesson
def test_learner_runs(source, lesson_runs):
    code, output, _ = lesson_runs[source].result()["test_learner_runs"]
    assert code == 0, output[-5000:]


@each_lesson
def test_solved_runs(source, lesson_runs):
    code, output, _ = lesson_runs[source].result()["test_solved_runs"]
    assert code == 0, output[-5000:]


@each_lesson
def test_is_what_its_source_makes(source):
    assert build.stale(source, notebook_of(source)) is None


@each_lesson
def test_was_executed_in_order_without_errors(source):
    code = [cell for cell in nbformat.read(notebook_of(source), as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not [output for cell in code for output in cell.outputs if output.get("name") == "stderr"], (
        "a learner would take it for a mistake"
    )


@each_lesson
def test_can_be_drawn_anywhere(source):
    text = notebook_of(source).read_text()
    assert len(text.encode()) < 1_000_000
    assert "widgets" not in nbformat.reads(text, as_version=4).metadata
    assert "widget-view" not in text
    assert str(build.ROOT) not in text and str(Path.home()) + os.sep not in text


def test_every_notebook_has_a_source():
    assert {path.stem for path in build.HERE.glob("*.ipynb")} == {source.stem for source in LESSONS}


@pytest.fixture(scope="module")
def sample() -> nbformat.NotebookNode:
    notebook = build.learner(SAMPLE)
    build.execute(notebook, SAMPLE.stem)
    return notebook


def write(notebook, path: Path) -> Path:
    nbformat.write(notebook, path)
    return path


def plant(notebook, index: int):
    """The same notebook with an error at the end of one cell."""
    broken = nbformat.from_dict(notebook)
    broken.cells[index].source += "\nraise RuntimeError('planted')"
    return broken


def test_the_sample_passes_both(sample, tmp_path):
    for code, output, _ in (
        nbval(write(sample, tmp_path / "learner.ipynb"), workspace=tmp_path),
        papermill(write(build.solved(SAMPLE), tmp_path / "solved.ipynb"), "-p", "seed", "3", workspace=tmp_path),
    ):
        assert code == 0, output


def test_nbval_sees_an_error_in_any_cell_and_a_changed_output(sample, tmp_path):
    code_cells = [index for index, cell in enumerate(sample.cells) if cell.cell_type == "code"]
    broken = [
        write(plant(sample, index), tmp_path / f"broken{number}.ipynb") for number, index in enumerate(code_cells)
    ]
    changed = nbformat.from_dict(sample)
    (number,) = [n for n, index in enumerate(code_cells) if "NBVAL_CHECK_OUTPUT" in changed.cells[index].source]
    changed.cells[code_cells[number]].source += "\nprint(5)"
    _, output, _ = nbval(*broken, write(changed, tmp_path / "changed.ipynb"), workspace=tmp_path)
    failed = re.findall(r"^FAILED .*?(\w+\.ipynb::Cell \d+)", output, re.MULTILINE)
    assert failed == [f"broken{n}.ipynb::Cell {n}" for n in range(len(code_cells))] + [
        f"changed.ipynb::Cell {number}"
    ], output


@pytest.mark.parametrize("index", [1, 8, 12])  # set-up, a check, and folded code under "Going deeper"
def test_papermill_sees_an_error_in_a_cell(index, tmp_path):
    code, output, _ = papermill(
        write(plant(build.solved(SAMPLE), index), tmp_path / "broken.ipynb"), workspace=tmp_path
    )
    assert code != 0 and "RuntimeError: planted" in output


def test_papermill_stops_at_an_unknown_parameter(tmp_path):
    code, output, _ = papermill(
        write(build.solved(SAMPLE), tmp_path / "solved.ipynb"), "-p", "profle", "full", workspace=tmp_path
    )
    assert code != 0 and "unknown parameter 'profle'" in output


def test_a_missing_exercise_is_an_error_where_it_is_graded(tmp_path):
    code, output, _ = papermill(write(build.learner(SAMPLE), tmp_path / "unsolved.ipynb"), workspace=tmp_path)
    assert code != 0 and "ExerciseError: double: not attempted yet" in output
