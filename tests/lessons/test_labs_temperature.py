"""The temperature lab: its arithmetic, its record, and a slider that moves the picture."""

import base64
import hashlib
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from cl_course.data import load
from cl_course.lessons.infonce import lab_temperature as lab
from cl_course.lessons.infonce.lab_temperature import Row, recorded_rows, shares, temperature_lab
from cl_course.running import records


def row(similarities, kinds):
    picture = np.zeros((2, 2, 3))
    return Row("test", np.array(similarities, dtype=float), tuple(kinds), picture, np.stack([picture] * len(kinds)))


class TestShares:
    def test_by_hand(self):
        two = shares(row([0.5, 0.0], ["partner", "other class"]), temperature=0.5)
        p = math.exp(1) / (math.exp(1) + 1)
        assert two.probabilities == pytest.approx([p, 1 - p])
        assert two.pull == pytest.approx([0, (1 - p) / 0.5])
        assert two.loss == pytest.approx(-math.log(p))
        assert two.entropy == pytest.approx(0) and two.effective == pytest.approx(1)
        assert two.lost == pytest.approx(1 - p)

    def test_equal_negatives_all_count(self):
        even = shares(
            row([0.9, 0.1, 0.1, 0.1, 0.1], ["partner"] + ["other class"] * 3 + ["same class"]), temperature=0.07
        )
        assert even.entropy == pytest.approx(math.log(4)) and even.effective == pytest.approx(4)
        assert even.same_class == pytest.approx(0.25)

    def test_pull_is_the_gradient(self):
        similarities = torch.tensor([0.3, 0.8, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
        (torch.nn.functional.cross_entropy(similarities / 0.2, torch.tensor(1))).backward()
        at = shares(
            row(similarities.tolist(), ["other class", "partner", "other class", "other class"]), temperature=0.2
        )
        assert at.pull[[0, 2, 3]] == pytest.approx(similarities.grad[[0, 2, 3]].numpy())
        assert at.pull[1] == 0 and at.pull.sum() == pytest.approx(-similarities.grad[1].item())

    @pytest.mark.parametrize("temperature", [1e-4, 0.01, 2, 1e4])
    def test_finite_and_within_its_range_at_every_temperature(self, temperature):
        for each in recorded_rows().values():
            at = shares(each, temperature)
            assert np.isfinite([*at.probabilities, *at.pull, at.loss]).all()
            assert 1 - 1e-9 <= at.effective <= len(each.kinds) - 1 + 1e-6
            assert at.probabilities.sum() == pytest.approx(1)

    def test_the_colder_the_fewer_negatives_count(self):
        for each in recorded_rows().values():
            counted = [shares(each, t).effective for t in (0.01, 0.05, 0.2, 1, 2)]
            assert counted == sorted(counted)

    def test_refuses_what_is_no_temperature(self):
        with pytest.raises(ValueError, match="temperature must be"):
            shares(recorded_rows()["easy"], 0)


class TestRecord:
    def test_the_images_of_the_record_are_those_drawn_now(self):
        """Otherwise the pictures under the bars would not be those whose similarities were recorded."""
        views = records.read("similarity_rows")["config"]["views"]
        images = load("shapes", views["split"], limit=views["images"]).images
        assert hashlib.sha256(images.numpy().tobytes()).hexdigest() == views["sha256"], (
            "run benchmarks/record_similarity_rows.py again"
        )

    def test_rows_are_what_their_names_say(self):
        rows = recorded_rows()
        assert list(rows) == ["easy", "hard", "false negative"]
        for each in rows.values():
            assert len(each.kinds) == 31 and each.kinds.count("partner") == 1
            assert (np.diff(each.similarities) <= 0).all() and np.abs(each.similarities).max() <= 1
            assert each.pictures.shape == (31, 32, 32, 3)
        assert [each.kinds.count("same class") for each in rows.values()] == [0, 0, 6]
        assert rows["hard"].similarities.mean() > rows["easy"].similarities.mean() + 0.2

    def test_three_seeds_at_each_temperature(self):
        record = records.read("similarity_rows")
        assert record["seeds"] == [0, 1, 2] and record["versions"]["torch"]
        by_temperature = {t: [r["seed"] for r in record["runs"] if r["temperature"] == t] for t in (0.05, 0.3, 1.0)}
        assert all(seeds == [0, 1, 2] for seeds in by_temperature.values()) and len(record["runs"]) == 9
        assert sum("sweep" in run for run in record["runs"]) == 3


class TestLab:
    def test_it_hands_the_recorded_rows_to_the_page(self, monkeypatch):
        shown = []
        monkeypatch.setattr(lab, "display", shown.append)
        temperature_lab("hard", 0.1)
        data = shown[0].data
        assert (data["row"], data["temperature"]) == ("hard", 0.1)
        assert [row["name"] for row in data["rows"]] == ["easy", "hard", "false negative"]
        for row in data["rows"]:
            recorded = recorded_rows()[row["name"]]
            assert row["similarities"] == recorded.similarities.tolist() and row["kinds"] == list(recorded.kinds)
            picture = Image.open(io.BytesIO(base64.b64decode(row["pictures"][3].split(",")[1])))
            assert np.abs(np.asarray(picture) / 255 - recorded.pictures[3]).max() < 0.5 / 255 + 1e-6

    def test_it_refuses_what_it_cannot_show(self):
        with pytest.raises(ValueError, match="row must be 'easy', 'hard' or 'false negative', got 'soft'"):
            temperature_lab("soft")
        with pytest.raises(ValueError, match="temperature must be a finite number at least 0.01 and at most 2, got 0"):
            temperature_lab(temperature=0)
