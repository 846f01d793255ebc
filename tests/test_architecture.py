"""Imports go one way. Read from the source with `ast`, so that an import inside a function counts as well."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cl_course"
MAX_LINES = 350

# Layer -> its modules and packages, and the layers they may import beside their own.
FOUNDATION = {"tensor_types", "runtime", "cache", "download"}
PARTS = {"data", "formats", "pictures", "synthetic", "augment", "models", "losses", "large_batches", "momentum", "optimizers"}
JUDGES = {"evaluate", "finetune", "segment", "diagnose", "shortcut", "checkpoints", "records"}
LAYERS = {
    "foundation": (FOUNDATION, set()),
    "parts": (PARTS, {"foundation"}),
    "methods": ({"methods"}, {"foundation", "parts"}),
    "judges": (JUDGES, {"foundation", "parts"}),
    "train": ({"train"}, {"foundation", "parts", "methods", "judges"}),
    "recipes": ({"recipes"}, {"foundation", "parts", "methods", "judges", "train"}),
    "plots": ({"plots"}, set()),
    "checks": ({"checks"}, {"foundation", "parts", "methods", "judges", "train"}),
    "labs": ({"labs"}, {"foundation", "parts", "methods", "judges", "train", "recipes", "plots", "checks"}),
    "doctor": ({"doctor"}, {"foundation", "parts", "methods", "judges", "train"}),
    "cli": ({"cli", "__main__"}, {"foundation", "parts", "methods", "judges", "train", "recipes", "plots", "checks", "labs", "doctor"}),
}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by the full name, not relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_of(path: Path) -> str:
    """The file's place in the table above: `losses`, or `plots` for plots/health.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def layer_of(module: str) -> str:
    for layer, (modules, _) in LAYERS.items():
        if module in modules:
            return layer
    pytest.fail(f"cl_course.{module} has no place in LAYERS: say what it may import")


def own_imports(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("cl_course.")}


def test_every_import_goes_down():
    wrong = []
    for path in FILES:
        module = module_of(path)
        _, allowed = LAYERS[layer_of(module)]
        wrong += [f"{path.relative_to(PACKAGE)} imports {other}" for other in own_imports(path) if layer_of(other) not in allowed | {layer_of(module)}]
    assert not wrong


def test_no_module_imports_itself_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        graph.setdefault(module_of(path), set()).update(own_imports(path) - {module_of(path)})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_labs_import_widgets():
    assert not [path.name for path in FILES if module_of(path) != "labs" and {name.split(".")[0] for name in imports(path)} & {"ipywidgets", "anywidget"}]


def test_plots_train_nothing():
    for path in FILES:
        if module_of(path) == "plots":
            assert not [name for name in imports(path) if name.startswith(("torch.nn", "torch.optim"))], path.name
            assert ".backward(" not in path.read_text() and not re.search(r"\bnn\.", path.read_text()), path.name


@pytest.mark.parametrize("path", [PACKAGE / "__init__.py", *FILES], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_short_and_keeps_its_annotations(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    assert "from __future__ import annotations" not in text, "jaxtyping cannot check annotations that are strings"


@pytest.mark.parametrize("module", ["cl_course", "cl_course.cli"])
def test_importing_the_package_loads_nothing_heavy(module):
    """So that `import cl_course` costs nothing over `import torch`, and `cl-course --help` answers at once."""
    code = f"import sys; before = set(sys.modules); import {module}; print(*sorted(m for m in set(sys.modules) - before if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "torchvision", "numpy", "sklearn", "matplotlib", "umap", "ipywidgets", "papermill"} & set(loaded)
