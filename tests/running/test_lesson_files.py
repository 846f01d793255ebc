"""A lesson is called by its id, the part of its file's name before the first `_`."""

import pytest

from cl_course.running.lesson_files import lesson_id, lessons, named


@pytest.fixture
def folder(tmp_path):
    for name in (
        "10_ten.py",
        "06b_where.py",
        "06_what_is_it.py",
        "07_next.py",
        "06_notes.txt",
        "helper.py",
        "6_six.py",
    ):
        (tmp_path / name).touch()
    return tmp_path


def test_lessons_stand_in_order_and_nothing_else_is_one(folder):
    assert [path.name for path in lessons(folder)] == ["06_what_is_it.py", "06b_where.py", "07_next.py", "10_ten.py"]


@pytest.mark.parametrize("name", ["06b_where_is_it", "06b", "6b"])
def test_an_id_is_what_stands_before_the_first_underscore(name):
    assert lesson_id(name) == "06b" and lesson_id("06_what_is_it") == lesson_id("6") == "06"


@pytest.mark.parametrize("name, found", [("06", "06_what_is_it"), ("6", "06_what_is_it"), ("06b", "06b_where")])
def test_06_is_not_06b(folder, name, found):
    assert [path.stem for path in named([name], folder)] == [found]
    assert named([found], folder) == named([f"{found}.py"], folder) == named([name], folder)


def test_all_are_meant_where_none_is_named_and_an_unknown_one_is_refused(folder):
    assert named([], folder) == lessons(folder)
    assert [path.stem for path in named(["10", "06b"], folder)] == ["10_ten", "06b_where"], "in the order of the names"
    for name in ("what", "0", "06c", "06_what"):
        with pytest.raises(
            ValueError, match=f"no lesson '{name}'; there are 06_what_is_it, 06b_where, 07_next, 10_ten"
        ):
            named([name], folder)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="none yet"):
        named(["06"], folder / "empty")
