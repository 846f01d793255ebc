"""The leaderboard: hidden images, a budget that is counted, and files that cannot be judged come last."""

import csv
import shutil

import pytest
import torch

from cl_course.coursework.project import Budget, Entry, board, hidden_split, judge, write_board
from cl_course.data import load
from cl_course.running.checkpoints import SHIPPED, save, shipped


@pytest.fixture(scope="module")
def parts():
    return hidden_split(None, 7, 200)


def test_the_hidden_split_is_new_and_follows_from_its_seed(parts):
    train, val, test = parts
    assert len(train) == len(val) == len(test) == 200 and train.labels is not None
    assert not torch.equal(train.images, load("shapes", "train", limit=200).images)
    again, other = hidden_split(None, 7, 200)[0], hidden_split(None, 8, 200)[0]
    assert torch.equal(train.images, again.images) and not torch.equal(train.images, other.images)
    assert len(hidden_split("shapes", 0, 50)[2]) == 50


def test_the_board(tmp_path, parts):
    for student, name in (("Zoë Ünal", "simclr_shapes"), ("ben", "random_shapes")):
        (tmp_path / student).mkdir()
        encoder, card = shipped(name)
        save(tmp_path / student / "encoder.safetensors", encoder, card | {"minutes": 1.5})
    (tmp_path / "cy").mkdir()
    shutil.copy(SHIPPED / "simclr_shapes.safetensors", tmp_path / "cy" / "encoder.safetensors")  # without its card
    (tmp_path / "dan").mkdir()
    encoder, card = shipped("simclr_shapes")
    save(tmp_path / "dan" / "encoder.safetensors", encoder, card | {"minutes": 60})
    entries = board(tmp_path, parts, 0, Budget(400_000, 5.0), lambda said: None)
    assert [entry.student for entry in entries][:2] == ["Zoë Ünal", "ben"]
    assert entries[0].linear > entries[1].linear + 0.1 and entries[0].parameters > 1000
    notes = {entry.student: entry.note for entry in entries[2:]}
    assert "no card" in notes["cy"] and "within 5 minutes" in notes["dan"]
    write_board(tmp_path / "board.csv", entries)
    rows = list(csv.DictReader((tmp_path / "board.csv").open(encoding="utf-8-sig")))
    assert [row["rank"] for row in rows] == ["1", "2", "", ""]
    over = judge(tmp_path / "ben" / "encoder.safetensors", "ben", parts, 0, Budget(1000, 5.0))
    assert "over the budget of 1,000 parameters" in over.note and over.linear == 0


def test_a_folder_without_encoders_is_said(tmp_path, parts):
    with pytest.raises(ValueError, match="holds no .safetensors"):
        board(tmp_path, parts, 0, Budget(1, 1), print)


def test_no_cell_of_the_board_is_a_formula(tmp_path):
    write_board(tmp_path / "b.csv", [Entry("=1+1", 0, 0, 0, 0), Entry("-1+cmd|' /C calc'!A0", 0, 0, 0, 0, "@note")])
    rows = list(csv.reader((tmp_path / "b.csv").open(encoding="utf-8-sig")))[1:]
    assert [row[1][0] for row in rows] == ["'", "'"] and rows[1][-1] == "'@note"
