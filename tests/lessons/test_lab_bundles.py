"""The bundles of the labs in the page are those of their sources, whole and without an address of the network."""

import hashlib
import re
from pathlib import Path

import pytest

from cl_course.lessons.shared.lab_page import page_lab

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "cl_course" / "lessons"
BUNDLES = sorted(LESSONS.rglob("*.bundle.js"))


def stamp() -> str:
    """As in labs/bundle.mjs: names and texts of all sources and of the list of packages."""
    sources = sorted(path for path in LESSONS.rglob("*.js") if not path.name.endswith(".bundle.js"))
    digest = hashlib.sha256()
    for path in [*sources, ROOT / "labs" / "package.json"]:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n{path.read_text()}\n".encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_bundle_is_not_stale(bundle):
    assert bundle.read_text().startswith(f"/* {stamp()} "), "run make labs, which needs Node.js"


def test_every_lab_in_the_page_is_bundled():
    labs = [path for path in LESSONS.rglob("lab_*.js") if "export default widget(" in path.read_text()]
    assert labs
    assert {path.with_suffix("").name for path in labs} == {path.name.removesuffix(".bundle.js") for path in BUNDLES}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_bundle_asks_nothing_of_the_network(bundle):
    text = bundle.read_text()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|import\(|WebSocket", text)
    assert set(re.findall(r"https?://[\w./]+", text)) <= {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/XML/1998/namespace",
        "http://www.w3.org/2000/xmlns/",
    }


def test_a_lab_without_its_bundle_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="lab_x.bundle.js is missing: bundle the labs with `make labs`"):
        page_lab(str(tmp_path / "lab_x.py"), "lab_x")
