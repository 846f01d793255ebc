"""The belt lab: ages and lags as the arithmetic says, sliders that move the picture, and figures of recorded runs."""

import math

import numpy as np
import pytest
import torch
from test_moco import Flat
from torch import nn

from cl_course.lessons.moco import lab_queue as lab
from cl_course.lessons.moco.figures import ages_figure, epochs_figure, moco_figure
from cl_course.lessons.moco.lab_queue import (
    BATCHES,
    MOMENTA,
    QUEUES,
    Belt,
    across,
    behind,
    lag,
    queue_lab,
)
from cl_course.methods import MoCo


@pytest.mark.parametrize(
    "length, batch, steps", [(8, 4, 0), (8, 4, 1), (8, 4, 5), (7, 3, 2), (7, 3, 3), (7, 3, 10), (5, 5, 4), (6, 1, 20)]
)
def test_ages_and_oldest_are_those_of_mocos_queue(length, batch, steps):
    """Keys that carry their step's number, put in by the method itself."""
    method = MoCo(Flat(), nn.Linear(6, 1), queue_size=length, dim=1)
    method.queue.fill_(math.nan)
    for step in range(steps):
        method.enqueue(torch.full((batch, 1), float(step)))
    belt = Belt(length, batch, step=steps)
    np.testing.assert_array_equal(belt.ages(), steps - method.queue[:, 0].numpy())
    assert belt.oldest == int(method.oldest)
    if steps * batch >= length:
        assert np.nanmax(belt.ages()) == belt.longest


def test_the_lag_is_the_mean_age_of_an_average_over_all_past_encoders():
    for momentum in (0.0, 0.5, 0.9):
        shares = (1 - momentum) * momentum ** np.arange(1000)
        assert shares.sum() == pytest.approx(1)
        assert lag(momentum) == pytest.approx(shares @ np.arange(1000))
    assert lag(1) == math.inf
    with pytest.raises(ValueError, match="momentum must"):
        lag(1.5)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("age", [1, 3, 20])
def test_distances_are_those_of_an_encoder_that_wanders(momentum, age):
    """Each step in a dimension of its own, so that nothing is random: eq. 2 run for 300 steps, then measured."""
    steps = 300
    query, key, keys = np.zeros(steps), np.zeros(steps), []
    for step in range(steps):
        query[step] += 1
        key = momentum * key + (1 - momentum) * query
        keys.append(key)
    assert behind(momentum) == pytest.approx(np.linalg.norm(query - key))
    assert across(momentum, age) == pytest.approx(np.linalg.norm(keys[-1] - keys[-1 - age]))


def test_a_slow_key_encoder_lies_further_behind_and_its_keys_closer_together():
    momenta = np.array(MOMENTA)
    assert (np.diff(behind(momenta)) > 0).all()
    for age in (1, 32, 512):
        assert (np.diff(across(momenta, age)) < 0).all()


class TestWords:
    def test_they_say_what_is_shown(self):
        said = Belt(queue_size=1024, batch_size=256, momentum=0.9, step=40).sentence
        assert said.startswith("Step 40: 1,024 keys, 256 a step, so the oldest is 4 steps old")
        assert "query encoders 9 steps old on average, the oldest key of some 13 steps old" in said
        assert "random start" not in said and "own earlier keys" not in said

    def test_a_belt_that_is_not_full_yet_and_one_that_is_longer_than_the_data(self):
        assert (
            "640 of them have been made so far, the rest are still the random start"
            in Belt(batch_size=128, step=5).sentence
        )
        assert "every image also meets its own earlier keys, as negatives" in Belt(queue_size=16384).sentence


class TestLab:
    def test_it_hands_its_start_to_the_page(self, monkeypatch):
        shown = []
        monkeypatch.setattr(lab, "display", shown.append)
        queue_lab(Belt(queue_size=512, batch_size=32, momentum=0.9, step=3))
        data = shown[0].data
        assert (data["queue_size"], data["batch_size"], data["momentum"], data["step"]) == (512, 32, 0.9, 3)
        assert list(data["momenta"]) == list(MOMENTA) and list(data["queues"]) == list(QUEUES)

    def test_every_place_of_every_slider_can_be_drawn(self):
        for momentum in MOMENTA:
            for length in (QUEUES[0], QUEUES[-1]):
                for batch in (BATCHES[0], BATCHES[-1]):
                    belt = Belt(length, batch, momentum, step=0)
                    assert np.isfinite(behind(momentum)) and np.isfinite(across(momentum, belt.longest))
                    assert np.isnan(belt.ages()).all() and "random start" in belt.sentence


class TestRecordedRuns:
    def test_ages_show_every_seed_the_mean_and_what_the_newest_costs_as_zero(self):
        runs = [{"drift": [0.9, 0.8], "cost": [2.0 + s, 1.0 + s, 0.5 + s]} for s in range(3)]
        figure = ages_figure({"one": runs, "two": runs[:1]}, ages=(1, 2, 4))
        alike, cost = figure.axes
        assert list(alike.lines[0].get_xdata()) == [1, 2] and list(alike.lines[0].get_ydata()) == pytest.approx(
            [0.9, 0.8]
        )
        assert list(cost.lines[0].get_ydata()) == pytest.approx([0, -1, -1.5])
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]

    def test_epochs_have_a_panel_for_each_measure(self):
        runs = [{"loss": [2.0, 1.0 + s], "knn": [0.1, 0.2]} for s in range(3)]
        figure = epochs_figure({"one": runs}, {"loss": "Loss", "knn": "kNN"})
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "kNN"]
        assert [float(line.get_ydata()[-1]) for line in figure.axes[0].lines] == [2, 1, 2, 3]

    def test_the_diagram_has_a_card_for_every_earlier_view(self):
        card = np.full((4, 4, 3), 0.5)
        assert len(moco_figure(card, card, card, np.stack([card] * 5)).axes[0].images) == 8
