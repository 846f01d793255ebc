"""Imports go one way. Read from the source with `ast`, so that an import inside a function counts as well."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cl_course"
MAX_LINES = 350

# Floor by floor, from the ground up: a module may import those on floors below. ARCHITECTURE.md draws the same.
# A package stands for all of its files; the room `running` spans several floors, so its files stand one by one.
FLOORS = (
    {"tensor_types", "files", "values"},
    {"images", "distributed"},
    {"data", "augment", "models", "losses", "momentum"},
    {"optimizers", "large_batches", "resume", "shortcut", "diagnose", "duplicates", "captions", "labels"},
    {"methods", "evaluate", "average_precision"},
    {"train", "finetune"},
    {"clip", "segment", "detect"},
    {
        *("running.machine", "running.reuse", "running.checkpoints", "running.records", "running.outputs"),
        "running.lesson_files",
    },
    {"running.settings"},
    {"running.recipes"},
    {"running.plans", "running.doctor", "running.headless", "running.encoders"},
    {"running.export"},
    {"running.report"},
    {"running.encoder_commands"},
    {"lessons"},
    {"checks"},
    {"coursework"},
    {"running.cli"},
    {"__main__"},
)
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of all that a file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by the full name, not relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def place_of(name: str) -> str:
    """Where a dotted name stands in `FLOORS`: `losses`, `images`, `running.cli`."""
    first, _, rest = name.partition(".")
    return f"running.{rest.partition('.')[0]}" if first == "running" else first


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def floor_of(place: str) -> int:
    for number, places in enumerate(FLOORS):
        if place in places:
            return number
    pytest.fail(f"cl_course.{place} stands on no floor: say in FLOORS what it may import")


def own_imports(path: Path) -> set[str]:
    return {name.removeprefix("cl_course.") for name in imports(path) if name.startswith("cl_course.")}


@cache
def resolved(name: str) -> str:
    """The module of a name that `from module import it` spelled out."""
    parts = name.split(".")
    while parts and not (
        (PACKAGE / "/".join(parts)).with_suffix(".py").exists() or (PACKAGE / "/".join(parts)).is_dir()
    ):
        parts.pop()
    return ".".join(parts)


def is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what should hold it is no package
        return False


def test_every_import_goes_down():
    wrong = []
    for path in FILES:
        here = place_of(module_of(path))
        if here == "running":  # its empty __init__
            continue
        for name in map(resolved, own_imports(path)):
            there = place_of(name)
            if there != here and floor_of(there) >= floor_of(here):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_the_picture_of_the_rooms_is_this_list():
    picture = (ROOT / "ARCHITECTURE.md").read_text().split("```")[1]
    lines = [set(line.split()) - {"|"} for line in picture.splitlines()]
    assert [line for line in reversed(lines) if line] == list(FLOORS)


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_every_path_a_page_names_is_there(page):
    """Names in CAPITALS stand for any name, * for several, and build/ is made by the commands."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    named = re.findall(r"`([\w.*/-]+(?:/|\.(?:py|md|yml|toml|json)))`", text)
    named += [link for link in re.findall(r"\]\(([\w./-]+)\)", text)]
    real = {name for name in named if not re.search(r"[A-Z]{2,}/|[A-Z]{2,}\.(py|json)|NN_", name)}
    real = {name for name in real if not name.startswith("build/")}
    places = (ROOT, PACKAGE, ROOT / "notebooks", ROOT / "benchmarks", *sorted((PACKAGE / "lessons").iterdir()))
    assert len(real) >= 3
    assert not [name for name in real if not any(list(place.glob(name)) for place in places)]


def test_nothing_of_the_library_imports_a_lesson():
    """Only `checks`, the one name under which notebooks find every check, and the marking that looks into them."""
    users = {module_of(path) for path in FILES if any(name.startswith("lessons") for name in own_imports(path))}
    marking = {"coursework.marking", "coursework.hidden"}
    assert {name for name in users if not name.startswith("lessons.")} == {"checks"} | marking


def test_only_the_command_line_imports_coursework():
    users = {module_of(path) for path in FILES if any(name.startswith("coursework") for name in own_imports(path))}
    assert {name for name in users if not name.startswith("coursework.")} == {"running.cli"}


@pytest.mark.parametrize("module", ["evaluate", "running.checkpoints"])
def test_judging_knows_no_method(module):
    """It takes any encoder, however that was trained. Also not by way of another module."""
    graph = {module_of(path): set(map(resolved, own_imports(path))) for path in FILES}
    reached, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph.get(name, ())
    assert module in graph and not [name for name in reached if name.startswith("methods")]


@pytest.mark.parametrize("folder", ["benchmarks", "notebooks/src"])
def test_every_name_that_scripts_and_lessons_import_is_there(folder):
    """A recording script runs once in months: a name that has moved would be found after hours, or by a learner."""
    missing = []
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("cl_course"):
                module = importlib.import_module(node.module)
                names = [alias.name for alias in node.names]
                gone = [name for name in names if not hasattr(module, name) and not is_module(f"{node.module}.{name}")]
                missing += [f"{path.name}: {node.module}.{name}" for name in gone]
    assert not missing


def test_lessons_share_through_the_shared_room_only():
    """So that a lesson's room can be read, changed or taken out by itself."""
    wrong = []
    for path in FILES:
        room = module_of(path).split(".")[:2]
        if room[0] == "lessons" and len(room) == 2:
            allowed = {"shared"} | {room[1]}
            others = {name.split(".")[1] for name in own_imports(path) if name.startswith("lessons.")} - allowed
            wrong += [f"{path.relative_to(PACKAGE)} imports lessons.{other}" for other in sorted(others)]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(module_of(path), set()).update(map(resolved, own_imports(path)))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_labs_import_widgets():
    widgets = {"ipywidgets", "anywidget"}
    users = [path for path in FILES if {name.split(".")[0] for name in imports(path)} & widgets]
    assert {path.relative_to(PACKAGE).parts[0] for path in users} == {"lessons"}
    assert not [path.name for path in users if not path.stem.startswith(("lab", "show"))]


def test_figures_train_nothing():
    figures = [path for path in FILES if path.stem.endswith(("figure", "figures"))]
    assert figures
    for path in figures:
        assert not [name for name in imports(path) if name.startswith(("torch.nn", "torch.optim"))], path.name
        assert ".backward(" not in path.read_text() and not re.search(r"\bnn\.", path.read_text()), path.name


@pytest.mark.parametrize("path", [PACKAGE / "__init__.py", *FILES], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_short_and_keeps_its_annotations(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    assert "from __future__ import annotations" not in text, "jaxtyping cannot check annotations that are strings"


@pytest.mark.parametrize("module", ["cl_course", "cl_course.running.cli"])
def test_importing_the_package_loads_nothing_heavy(module):
    """So that `import cl_course` costs nothing over `import torch`, and `cl-course --help` answers at once."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "torchvision", "numpy", "sklearn", "matplotlib", "umap", "ipywidgets", "papermill"}
    assert not heavy & set(done.stdout.split())
