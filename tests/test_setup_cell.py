"""The set-up cell in fresh kernels: on Colab and Kaggle, in a checkout, and where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import build

# A fresh kernel that cannot import the course: an editable install would hook in through sys.path or sys.meta_path.
# Its pip installs what it is asked for, unless it is told to fail; nothing is downloaded.
KERNEL = f"""
import os, sys, types
sys.path[:] = [p for p in sys.path if p not in ("", {str(build.ROOT)!r})]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f)]
from IPython.core.interactiveshell import InteractiveShell
sys.modules["jaxtyping"] = None  # as on a machine that does not have it
if "colab" in sys.argv:
    sys.modules |= {{"google": types.ModuleType("google"), "google.colab": types.ModuleType("google.colab")}}
asked = []
def pip(line):
    asked.append(line)
    if line.endswith("jaxtyping") and "pip-fails" not in sys.argv:
        del sys.modules["jaxtyping"]
shell = InteractiveShell.instance()
shell.register_magic_function(pip, "line", "pip")
if not shell.run_cell(sys.stdin.read()).success:
    sys.exit(3)
import cl_course
print(os.getcwd(), cl_course.__file__, *asked, sep="\\n")
"""
GIT = """#!/bin/sh
echo "$@" >> "$LOG"
if [ -n "$OFFLINE" ]; then echo "fatal: unable to access: Could not resolve host" >&2; exit 128; fi
mkdir -p cl-course/cl_course/running
touch cl-course/cl_course/__init__.py cl-course/cl_course/running/settings.py
"""


@pytest.fixture
def machine(tmp_path) -> Path:
    """An empty folder to run in, beside a git that makes folders in place of fetching any."""
    (tmp_path / "tools").mkdir(), (tmp_path / "content").mkdir()
    (tmp_path / "tools" / "git").write_text(GIT)
    (tmp_path / "tools" / "git").chmod(0o755)
    return tmp_path / "content"


def run_setup(*arguments: str, cwd: Path, **environment: str) -> tuple[int, list[str]]:
    """Exit code, and the lines of output: the working folder, where cl_course is, what pip was asked; or an error."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KAGGLE_KERNEL_RUN_TYPE")}
    own = {"IPYTHONDIR": str(cwd.parent / "ipython"), "LOG": str(cwd.parent / "log")}
    path = {"PATH": f"{cwd.parent / 'tools'}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, *arguments],
        input=build.SETUP,
        cwd=cwd,
        env=kept | own | path | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return done.returncode, done.stdout.strip().splitlines()


@pytest.mark.parametrize(
    "arguments, environment",
    [(["colab"], {}), ([], {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"})],
    ids=["colab", "kaggle"],
)
def test_the_setup_cell_fetches_the_course_once(machine, arguments, environment):
    course = machine / "cl-course"
    expected = [
        str(course),
        str(course / "cl_course" / "__init__.py"),
        "install --quiet --no-deps -e .",
        "install --quiet jaxtyping",
    ]
    assert run_setup(*arguments, cwd=machine, **environment) == (0, expected)
    assert run_setup(*arguments, cwd=machine, **environment) == (0, expected), "after a restart"
    log = (machine.parent / "log").read_text()
    assert log == f"clone --quiet --depth 1 {build.REPOSITORY} cl-course\n", "fetched once"


@pytest.mark.parametrize(
    "arguments, environment, cause, remedy",
    [
        ([], {}, "cl_course is not installed, and this notebook is in no checkout of it", "make lab"),
        (
            ["colab"],
            {"OFFLINE": "1"},
            "could not be fetched (fatal: unable to access: Could not",
            "run this cell again",
        ),
        ([], {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "OFFLINE": "1"}, "could not be fetched", "switch Internet on"),
        (["colab", "pip-fails"], {}, "pip could not install jaxtyping", "run this cell again"),
    ],
    ids=["no course", "colab offline", "kaggle offline", "pip fails"],
)
def test_the_setup_cell_fails_with_one_sentence(machine, arguments, environment, cause, remedy):
    code, output = run_setup(*arguments, cwd=machine, **environment)
    assert code == 3 and len(output) == 1, output
    assert output[0].startswith("Set-up: ") and cause in output[0] and remedy in output[0]


def test_the_setup_cell_in_a_checkout(tmp_path):
    """From the notebooks' folder it finds the checkout, and asks pip for nothing."""
    expected = [str(build.HERE), str(build.ROOT / "cl_course" / "__init__.py")]
    assert run_setup(cwd=build.HERE, IPYTHONDIR=str(tmp_path), LOG=str(tmp_path / "log")) == (0, expected)
