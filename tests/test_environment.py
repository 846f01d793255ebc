"""pip, conda and Colab get the same packages: one list, the same floors, and every import is on it."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from conftest import SLOW
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge's name differs
FROM_PIP = {"axe-playwright-python", "playwright"}  # not on conda-forge, or another package there
DISTRIBUTIONS = {
    "IPython": "ipython",
    "otter": "otter-grader",
    "PIL": "pillow",
    "axe_playwright_python": "axe-playwright-python",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
OF_MODELS = {"timm", "huggingface_hub", "onnxscript", "onnxruntime", "pyarrow"}  # of the extra `models`
HEADLESS = {"papermill", "nbclient", "nbformat"}  # of extras; cl-course run says so where they are missing


def named(*groups: list[str]) -> set[str]:
    return {Requirement(line).name for group in groups for line in group} - {PROJECT["name"]}


def conda_name(requirement: str) -> str:
    name, floor = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
    return CONDA_NAMES.get(name, name) + floor


def test_conda_environment_matches_the_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    groups = (PROJECT["dependencies"], EXTRAS["lab"], EXTRAS["site"], EXTRAS["coursework"], EXTRAS["dev"])
    requirements = [line for group in groups for line in group if "[" not in line]
    wanted = [f"python{PROJECT['requires-python']}", "pip"]
    wanted += [conda_name(line) for line in requirements if line not in FROM_PIP]
    *given, from_pip = environment["dependencies"]
    assert sorted(given) == sorted(wanted)
    assert from_pip == {"pip": [*sorted(FROM_PIP), "-e ."]}
    assert environment["name"] == PROJECT["name"] and environment["channels"] == ["conda-forge"]


def test_a_dependency_is_named_once():
    lines = [line for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group if "[" not in line]
    assert len(named(lines)) == len(lines)


def test_no_floor_is_above_what_colab_has():
    """Colab's own torch, numpy and widgets must satisfy the package, so that pip replaces none of them."""
    lines = (ROOT / ".github" / "colab-constraints.txt").read_text().splitlines()
    pins = dict(line.removesuffix(".*").split("==") for line in lines if not line.startswith("#"))
    floors = {Requirement(line).name: Requirement(line).specifier for line in PROJECT["dependencies"]}
    assert len(pins) >= 6 and pins.keys() <= floors.keys()
    assert not [name for name, version in pins.items() if not floors[name].contains(Version(version))]


@cache
def third_party(folder: str) -> dict[str, set[str]]:
    """Top-level name -> the files of a folder that import it, the standard library and our own modules left out."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    rooms = ("benchmarks", "notebooks", "site", "tests")
    ours = {path.stem for room in rooms for path in (ROOT / room).rglob("*.py")}
    found: dict[str, set[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours - {"cl_course"}:
                found.setdefault(DISTRIBUTIONS.get(name, name), set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize(
    "folder, allowed",
    [
        ("cl_course", named(PROJECT["dependencies"], EXTRAS["coursework"], EXTRAS["models"]) | HEADLESS),
        ("notebooks/src", named(PROJECT["dependencies"])),
        ("notebooks", named(PROJECT["dependencies"], EXTRAS["coursework"], EXTRAS["dev"])),
        ("benchmarks", named(PROJECT["dependencies"], EXTRAS["coursework"], EXTRAS["dev"], EXTRAS["bench"])),
        ("site", named(PROJECT["dependencies"], EXTRAS["site"], ["nbformat"])),  # what myst-nb reads notebooks as
        ("tests", named(PROJECT["dependencies"], *EXTRAS.values())),
    ],
)
def test_every_import_is_a_declared_dependency(folder, allowed):
    """Also what another package happens to bring along: that one may stop to."""
    found = third_party(folder)
    assert found
    assert not {name: sorted(files) for name, files in found.items() if name not in allowed}


def test_every_declared_dependency_is_imported():
    """By the library or by a lesson: what nothing imports any more need not be installed."""
    used = third_party("cl_course").keys() | third_party("notebooks/src").keys()
    # What we do is tested against torch's companion, and tqdm's bar in a notebook is a widget.
    assert named(PROJECT["dependencies"]) - used <= {"torchvision", "ipywidgets"}


def test_only_running_lessons_needs_the_headless_packages():
    users = {file for name, files in third_party("cl_course").items() if name in HEADLESS for file in files}
    assert {file for file in users if "/coursework/" not in file} == {"cl_course/running/headless.py"}


def test_only_two_files_need_the_extra_for_models():
    """And onnx itself, which torch's exporter asks for."""
    users = {file for name, files in third_party("cl_course").items() if name in OF_MODELS for file in files}
    assert users == {"cl_course/running/encoders.py", "cl_course/running/export.py"}
    assert named(EXTRAS["models"]) == OF_MODELS | {"onnx"}


def test_every_test_called_slow_is_there():
    """A renamed test would come back into `make check` unseen."""
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    assert not SLOW.keys() - files.keys()
    shared = (ROOT / "tests" / "lessons" / "right_and_wrong.py").read_text()
    texts = {file: text + shared * ("RightAndWrong" in text) for file, text in files.items()}
    named = [(file, name) for file, names in SLOW.items() for name in names or ()]
    assert not [(file, name) for file, name in named if not re.search(rf"def {name}\b", texts[file])]
