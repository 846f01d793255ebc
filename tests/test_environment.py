"""pip and conda get the same packages with the same floors."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge's name differs


def conda_name(requirement: str) -> str:
    name, floor = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
    return CONDA_NAMES.get(name, name) + floor


def test_conda_environment_matches_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    wanted = [
        f"python{project['requires-python']}",
        *map(conda_name, project["dependencies"] + project["optional-dependencies"]["lab"]),
    ]
    given = [item for item in environment["dependencies"] if isinstance(item, str) and item != "pip"]
    assert sorted(given) == sorted(wanted)
    assert environment["name"] == project["name"] and environment["channels"] == ["conda-forge"]
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def test_a_dependency_is_named_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = [
        re.match(r"[\w-]+", requirement).group()
        for group in groups
        for requirement in group
        if not requirement.startswith("cl-course")
    ]
    assert len(names) == len(set(names))
