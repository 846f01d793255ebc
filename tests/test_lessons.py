"""What every lesson promises its reader, read from the sources: time, exercises, lines that fit. Nothing is run."""

import re
from pathlib import Path

import jupytext
import pytest

import build
import minutes

LESSONS = build.sources()
CORE_LIMIT, WITHOUT_DOING, EXERCISES, WIDTH = 60, 10, 4, 100
README = (build.ROOT / "README.md").read_text()

each_lesson = pytest.mark.parametrize("source", LESSONS, ids=lambda source: source.stem)


@each_lesson
def test_the_time_it_states_is_the_counted_one(source):
    """The build fills in what is counted, so that the two cannot differ."""
    _, deeper = minutes.minutes_of(source)
    head = jupytext.read(source, fmt="py:percent").cells[0].source
    assert head.count("{minutes}") == 1 and re.search(r"^\*\*Time\*\*: \{minutes\} minutes", head, re.MULTILINE)
    assert head.count("{deeper_minutes}") == (1 if deeper else 0)
    assert not re.search(r"\{\w*minutes\}", build.learner(source).cells[0].source)


@each_lesson
def test_the_readme_states_the_same_time(source):
    assert minutes.with_minutes(README, [source]) == README, "run python notebooks/minutes.py --readme"


@each_lesson
def test_its_core_path_fits_into_an_hour(source):
    assert minutes.minutes_of(source)[0] <= CORE_LIMIT


@each_lesson
def test_there_is_something_to_do_every_ten_minutes(source):
    assert minutes.count_of(source).longest <= WITHOUT_DOING


@each_lesson
def test_it_has_enough_checked_exercises_with_minutes_and_difficulty(source):
    counted = minutes.count_of(source)
    every = counted.core.exercises + counted.deeper.exercises
    assert all(exercise.minutes and exercise.difficulty for exercise in every), every
    assert sorted(exercise.number for exercise in every) == list(range(1, len(every) + 1))
    checked = [exercise for exercise in counted.core.exercises if exercise.checked]
    assert len(checked) >= (1 if source.stem.startswith("00") else EXERCISES)


@each_lesson
def test_no_code_line_scrolls_sideways(source):
    cells = [cell for cell in build.learner(source).cells if cell.cell_type == "code"]
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert not [line for line in lines if len(line) > WIDTH]


@each_lesson
def test_nothing_is_called_optional_in_its_heading(source):
    """What may be left out is a section "Going deeper", which is folded and not counted."""
    cells = jupytext.read(source, fmt="py:percent").cells
    found = [text for cell in cells if cell.cell_type == "markdown" for _, text in minutes.headings(cell.source)]
    assert not [text for text in found if "optional" in text.lower()]


def test_every_lesson_is_in_the_readme():
    assert {Path(name).stem for name in re.findall(r"\(notebooks/(\w+\.ipynb)\)", README)} == {s.stem for s in LESSONS}
