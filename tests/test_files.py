"""Files that are whole or untouched, and what may be put into them."""

import collections
from pathlib import Path

import pytest
import torch

from cl_course.files import plain, read_state, write_atomically, write_state
from cl_course.values import path_of


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "large").mkdir()
    link = tmp_path / "run.pt"
    link.symlink_to(tmp_path / "large" / "run.pt")  # leads nowhere yet
    for text in ("first", "second"):
        write_atomically(link, lambda temporary, text=text: temporary.write_text(text))
        assert link.is_symlink() and (tmp_path / "large" / "run.pt").read_text() == text
    assert [path.name for path in (tmp_path / "large").iterdir()] == ["run.pt"]


Pair = collections.namedtuple("Pair", ["a", "b"])


@pytest.mark.parametrize("value", [torch.ones(2, 2).max(dim=0), collections.defaultdict(list), Pair(1, 2)])
def test_what_only_its_class_could_give_back_is_not_plain(value):
    with pytest.raises(TypeError, match="the result must be plain data .*, got a .*; give what it holds"):
        plain({"best": [value]}, "the result")


def test_what_is_plain_comes_back(tmp_path):
    state = {"a": [1, 2.0, (True, None)], 3: torch.ones(2), "ordered": collections.OrderedDict(a=1),
             "counted": collections.Counter("aab")}  # fmt: skip
    write_state(tmp_path / "state", plain(state, "the state"))
    back = read_state(tmp_path / "state")
    assert torch.equal(back.pop(3), state.pop(3)) and back == state


def test_a_name_that_only_looks_like_a_home_folder_stays(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert path_of("~/photos") == Path("/home/me/photos")
    assert path_of("~nobody-of-this-name/photos") == Path("~nobody-of-this-name/photos")
