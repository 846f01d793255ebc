"""The pages for instructors: every command on them is one, and every lesson has a rubric that adds up."""

import re
import shlex
from pathlib import Path

import pytest

from cl_course.running import cli
from cl_course.running.lesson_files import lesson_id, lessons

SITE = Path(__file__).parents[2] / "site"
LESSONS = [lesson_id(path.stem) for path in lessons()]
PAGES = [SITE / "coursework.md", SITE / "rubrics.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one_that_is_there(page):
    text = page.read_text()
    commands = re.findall(
        r"cl-course [^\n`#&]+", "\n".join(re.findall(r"```\n(.*?)```|`(cl-course [^`]*)`", text, re.DOTALL)[0])
    )
    commands += re.findall(r"^(?:.*?&& )?(cl-course [^\n#&]+)", text, re.MULTILINE)
    commands += [c for c in re.findall(r"`(cl-course [a-z]+ [^`]*)`", text)]
    assert len(commands) >= 3
    for command in commands:
        cli._parser().parse_args(shlex.split(command)[1:])


def test_every_lesson_has_an_open_task_of_ten_points():
    sections = re.split(r"^## ", (SITE / "rubrics.md").read_text(), flags=re.MULTILINE)[1:]
    of_lessons = {section.split(":")[0]: section for section in sections if section[:2].isdigit()}
    assert sorted(of_lessons) == LESSONS
    for section in sections:
        points = [int(number) for number in re.findall(r"\| (\d+) \|$", section, re.MULTILINE)]
        assert len(points) >= 3 and sum(points) == 10, section[:40]
