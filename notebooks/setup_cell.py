"""What every lesson starts with: a cell that finds the course or fetches it, and the form of its parameters."""

import re

REPOSITORY = "https://github.com/cl-course/cl_course"

# It runs before anything of the course is there, so it imports the standard library alone. IPython shows an
# exception as its `_render_traceback_` says: a learner reads one sentence.
SETUP = f"""\
#@title Set-up: finds the course, and fetches it on Colab and Kaggle
import importlib.util, os, subprocess, sys
from pathlib import Path

class SetUpError(Exception):
    def _render_traceback_(self):
        return [f"Set-up: {{self}}"]

_REPOSITORY = "{REPOSITORY}"
_NEEDED = {{"jaxtyping": "jaxtyping", "safetensors": "safetensors",
           "pooch": "pooch", "anywidget": "anywidget", "umap": "umap-learn"}}

def _missing():
    importlib.invalidate_caches()
    return [_NEEDED[name] for name in _NEEDED if not importlib.util.find_spec(name)]

def _holds_the_course(folder):
    return (folder / "cl_course/running/settings.py").exists()

_here = [folder for folder in (Path.cwd(), *Path.cwd().parents) if _holds_the_course(folder)]
if not _here and not importlib.util.find_spec("cl_course"):
    if "google.colab" not in sys.modules and "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
        raise SetUpError("cl_course is not installed, and this notebook is in no checkout of it: "
                         f"run git clone {{_REPOSITORY}}, then make lab there, and open it there.")
    if not _holds_the_course(Path("cl-course")):
        _git = subprocess.run(["git", "clone", "--quiet", "--depth", "1", _REPOSITORY, "cl-course"],
                              capture_output=True, text=True)
        if _git.returncode:
            _why = (_git.stderr.strip().splitlines() or ["git gave no reason"])[-1]
            raise SetUpError(f"the course could not be fetched ({{_why}}): on Kaggle switch Internet "
                             "on under Settings, on Colab wait a minute; then run this cell again.")
    os.chdir("cl-course")
    _here = [Path.cwd()]
    %pip install --quiet --no-deps -e .
    if _missing():  # the torch that is there stays
        %pip install --quiet {{" ".join(_missing())}}
    if _missing():
        raise SetUpError(f"pip could not install {{', '.join(_missing())}}: read its message above, "
                         "then run this cell again.")
sys.path[:0] = [str(folder) for folder in _here[:1]]"""

PARAMETERS = {  # name -> its field in Colab's form
    "profile": '["auto", "quick", "full"]',
    "dataset": '["auto", "shapes", "cifar10", "stl10"] {allow-input: true}',
    "seed": '{type: "integer"}',
    "device": '["auto", "cpu", "cuda", "mps"] {allow-input: true}',
}
ABOUT_PARAMETERS = """\
#@title Parameters: what this lesson runs with
# "auto" looks at the machine: the full profile on a GPU, the quick one elsewhere.
# dataset may also be the path of a folder or a .zip of images.
"""


def as_form(source: str) -> str:
    """The parameters with a field for each in Colab's form; what they are set to stays."""
    lines = re.findall(r"^(\w+) *= *([^#\n]*?) *(?:#.*)?$", source, re.MULTILINE)
    return ABOUT_PARAMETERS + "\n".join(f"{name} = {value}  #@param {PARAMETERS[name]}" for name, value in lines)
