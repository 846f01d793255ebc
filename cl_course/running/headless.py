"""Lessons run without a browser: papermill executes them with other parameters and keeps what they print."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cl_course.running.lesson_files import named
from cl_course.running.settings import AT_HAND, DATASETS, PARAMETERS, check_names, resolve
from cl_course.values import path_of

ROOT = Path(__file__).parents[2]


def run_lessons(lesson: str, parameters: dict[str, str], out: Path, solved: bool, tell: Callable[[str], None]) -> int:
    """Run a lesson, or "all", into the folder `out`; returns how many failed.

    Args:
        lesson: such as "03", "06b", "03_simclr", "all", or the path of a notebook.
        parameters: name -> its value as text.
        solved: with the exercises done.
        tell: called with one sentence for each lesson that failed.

    Raises:
        ValueError, FileNotFoundError: before anything runs, for a lesson or parameter that does not exist.
    """
    try:
        import papermill
        from nbclient.exceptions import DeadKernelError  # papermill runs notebooks by nbclient
    except ModuleNotFoundError:
        raise ValueError("to run lessons headless, install papermill: pip install -e '.[dev]'") from None
    values = {name: value_of(text) for name, text in parameters.items()}
    if text := parameters.get("dataset"):  # a path is one from here, and the lesson runs in notebooks/
        path = path_of(text)  # a folder may be called 2024
        values["dataset"] = str(path.resolve()) if text not in ("auto", *DATASETS, *AT_HAND) and path.exists() else text
    lessons = [(path, out / path.name) for path in find_lessons(lesson, solved)]
    for path, target in lessons:
        if target.resolve() == path.resolve():
            raise ValueError(f"{path} would be written over; name another folder with --out")
        check_names(values, papermill.inspect_notebook(str(path)))
    named = {name: value for name, value in values.items() if name in PARAMETERS}
    resolve(**named, datasets=DATASETS + AT_HAND)  # each lesson knows which of them it takes
    out.mkdir(parents=True, exist_ok=True)
    how = {"kernel_name": "python3", "cwd": str(ROOT / "notebooks"), "progress_bar": sys.stderr.isatty(),
           "extra_arguments": ["--log-level=ERROR"]}  # no remarks on how the kernel is connected
    failed = 0
    for path, target in lessons:
        start, problem = time.monotonic(), ""
        try:
            papermill.execute_notebook(str(path), str(target), values, **how)
        except papermill.exceptions.PapermillExecutionError as error:
            problem = f"{path.stem}, code cell {error.exec_count}: {error.ename}: {error.evalue}; see {target}"
        except DeadKernelError:
            problem = (f"{path.stem}: its kernel died, as it does when memory runs out; close other programs, "
                       f"or run it with -p profile quick; see {target}")
        if problem:
            tell(problem)
            failed += 1
        seconds = time.monotonic() - start
        print(f"{path.stem}: {'failed' if problem else 'done'} in {seconds:.0f} s, {target}", flush=True)
    return failed


def find_lessons(name: str, solved: bool) -> list[Path]:
    """The notebooks to run; solved ones are made from their sources first."""
    if name.endswith(".ipynb"):
        return [_notebook(Path(name))]
    if not (ROOT / "notebooks" / "build.py").exists():
        raise FileNotFoundError("the lessons are not here: run this from a checkout of the course installed with -e")
    try:
        chosen = [path.stem for path in named([] if name == "all" else [name], ROOT / "notebooks" / "src")]
    except ValueError as error:
        raise ValueError(f"{error}; or take 'all', or the path of an .ipynb") from None
    if solved:
        build = [sys.executable, ROOT / "notebooks" / "build.py", "--solved-only", *chosen]
        made = subprocess.run(build, capture_output=True, text=True, check=False)
        if made.returncode:
            silent = f"building the solved lessons ended with {made.returncode} and said nothing"
            raise ValueError((made.stderr.strip().splitlines() or [silent])[-1])
    folder = ROOT / "build" / "solved" if solved else ROOT / "notebooks"
    paths = [folder / f"{stem}.ipynb" for stem in chosen]
    if missing := [path.name for path in paths if not path.exists()]:
        raise FileNotFoundError(f"{', '.join(missing)} not built yet; run make notebooks")
    return paths


def _notebook(path: Path) -> Path:
    """`path`, if it is a notebook that can be run."""
    import nbformat  # comes with papermill

    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}")
    try:
        cells = nbformat.read(path, as_version=4).get("cells")
    except Exception as error:  # nbformat raises several kinds, depending on what the file holds instead
        raise ValueError(f"{path} is not a notebook; open it in JupyterLab, or give the path of another") from error
    if not any(cell.cell_type == "code" for cell in cells or []):
        raise ValueError(f"{path} has no code cells, so there is nothing to run; give the path of another notebook")
    return path


def value_of(text: str) -> str | int | float | bool | None:
    """What a parameter's text means: a number, true, false, none, or itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
