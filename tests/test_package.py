"""The wheel and what is said of the version: a course installed without its checkout has all that its code reads."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, as setuptools leaves a folder build/ beside what it builds."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "cl_course", copy / "cl_course", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-c", command], cwd=copy, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cl_course").rglob("*") if path.is_file()}
    there = {name for name in there if "__pycache__" not in name}
    assert {"cl_course/py.typed", "cl_course/running/shipped/simclr_shapes.safetensors"} <= packed
    assert packed == there


def test_the_wheel_works_from_another_folder(wheel, tmp_path):
    """Unpacked, as pip would: records and weights are read from it, and `run` says what it needs."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import sys
import cl_course
from cl_course.running import checkpoints, records
from cl_course.running.cli import main
print(cl_course.__file__)
print(len(records.read("results")["runs"]), checkpoints.shipped("simclr_shapes")[1]["method"])
extras = ("papermill", "nbclient", "nbformat")
sys.modules |= dict.fromkeys(extras)  # as where only the course itself is installed
main(["run", "03"])
for name in extras:
    del sys.modules[name]
raise SystemExit(main(["run", "03"]))
"""
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    where, read = done.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path / "site") and read.endswith("SimCLR")
    no_papermill, no_checkout = done.stderr.splitlines()
    assert done.returncode == 1 and "checkout" in no_checkout and "install papermill" in no_papermill


def test_version_and_changelog_and_citation_agree():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE).group(1) == PROJECT["version"] == citation["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    assert citation["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
