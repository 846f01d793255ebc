"""The README says what the repository holds: files, commands, and numbers from the record."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
sys.path.insert(0, str(ROOT / "benchmarks"))
from figures import readme_tables


def test_every_link_into_the_repository_leads_somewhere():
    links = re.findall(r"\]\(((?!https?:)[^)]+)\)", README)
    links += [f"notebooks/{name}" for name in re.findall(r"blob/main/notebooks/([\w.]+)\)", README)]
    assert len(links) > 10
    assert not [link for link in links if not (ROOT / link).exists()]


@pytest.mark.parametrize("name", readme_tables())
def test_each_table_is_the_records(name):
    shown = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", README, re.DOTALL).group(1)
    assert shown == readme_tables()[name]


def test_every_make_target_it_names_exists():
    targets = set(re.findall(r"(?:`|\n)make (\w+)", README + CONTRIBUTING))
    makefile = (ROOT / "Makefile").read_text()
    assert {"lab", "check", "test", "minutes", "lines"} <= targets
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_every_picture_has_alt_text():
    assert all(len(alt) > 30 for alt in re.findall(r"!\[([^\]]*)\]\(figures/", README))
