"""The three commands: what they refuse, in one sentence, and what a class looks like from the command line."""

import json
from pathlib import Path

import pytest

from cl_course.coursework.commands import _students
from cl_course.running import cli


def fails(capsys, *arguments) -> str:
    assert cli.main(list(map(str, arguments))) == 1
    error = capsys.readouterr().err
    assert error.startswith("cl-course: ") and error.count("\n") == 1, error
    return error


def test_what_grade_refuses(capsys, tmp_path):
    assert "there is no folder" in fails(capsys, "grade", tmp_path / "none")
    assert "holds no .ipynb and no .zip" in fails(capsys, "grade", tmp_path)
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": []}))
    assert "must end in .csv" in fails(capsys, "grade", tmp_path, "-o", tmp_path / "marks.xlsx")
    assert "there is no lesson '99'" in fails(capsys, "grade", tmp_path, "--lesson", "99")
    for option, value in (("--jobs", "0"), ("--seed", "-1"), ("--memory", "0"), ("--cell-seconds", "0")):
        assert option in fails(capsys, "grade", tmp_path, option, value)


def test_what_export_refuses(capsys, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("ann\nben\nANN\n")
    out = ("--out", tmp_path / "out")
    assert "each once" in fails(capsys, "export", "00", "--to", "plain", "--students", ids, *out)
    assert "for --to plain alone" in fails(capsys, "export", "00", "--to", "otter", "--students", ids, *out)
    assert "there is no lesson '42'" in fails(capsys, "export", "42", "--to", "plain", *out)
    points = tmp_path / "points.csv"
    points.write_text("lesson,exercise,points\n00,1,-2\n")
    assert "line 2" in fails(capsys, "export", "00", "--to", "plain", "--points", points, *out)
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        cli.main(["export", "00", "--to", "word"])


def test_what_the_leaderboard_refuses(capsys, tmp_path):
    assert "there is no folder" in fails(capsys, "leaderboard", tmp_path / "none", "--seed", 1)
    assert "--most-parameters" in fails(capsys, "leaderboard", tmp_path, "--seed", 1, "--most-parameters", 0)
    assert "holds no .safetensors" in fails(capsys, "leaderboard", tmp_path, "--seed", 1, "--limit", 20)


def test_export_from_the_command_line(capsys, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("\ufeffs01\ns02,Zoë\n\n")
    assert cli.main(["export", "0", "--to", "plain", "--students", str(ids), "--out", str(tmp_path / "out")]) == 0
    assert "00_start_here: 4 points, 2 variants" in capsys.readouterr().out
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.ipynb")) == [
        Path(f"out/{student}/00_start_here.ipynb") for student in ("s01", "s02")
    ]


def test_the_leaderboard_asks_for_its_file_before_it_judges(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("cl_course.coursework.project.board", lambda *_: pytest.fail("judged"))
    assert "is a folder" in fails(capsys, "leaderboard", tmp_path, "-o", tmp_path, "--seed", 1, "--limit", 20)


@pytest.mark.parametrize("option", ["--students", "--points"])
def test_a_list_in_another_encoding_is_told_by_its_name(capsys, tmp_path, option):
    (tmp_path / "list.csv").write_bytes("lesson,exercise,points\nJürgen,1,2\n".encode("cp1252"))
    said = fails(capsys, "export", "02", "--to", "plain", "--out", tmp_path / "out", option, tmp_path / "list.csv")
    assert "list.csv is not written in UTF-8; save it again as UTF-8" in said


def test_memory_that_no_machine_has_is_refused(capsys, tmp_path):
    said = fails(capsys, "grade", tmp_path, "-o", tmp_path / "x.csv", "--memory", "1e300")
    assert "--memory must be a finite number at least 1 and at most 1e+06" in said


def test_ids_are_read_as_a_spreadsheet_writes_them(tmp_path):
    (tmp_path / "ids.csv").write_text('"Doe, Jane",x\n\nann\n ben ,y\n')
    assert _students(tmp_path / "ids.csv") == ["Doe, Jane", "ann", "ben"]
