"""Lesson 08: every recorded run on photos is in its table and figure, and a record that is missing is said."""

import numpy as np
import pytest

from cl_course.lessons.full_scale.figures import ablation_figure, cost_figure, curves_figure, luck_figure
from cl_course.lessons.full_scale.planner import costs
from cl_course.lessons.full_scale.recorded_runs import by_name, recorded_runs, shipped_encoders
from cl_course.running import checkpoints, records

CURVE = [{"epoch": 1, "loss": 5.0, "seconds": 9.0}, {"epoch": 2, "loss": 4.0, "seconds": 9.0, "knn_val": 0.5}]
RUNS = [{"run": run, "seed": seed, "curve": CURVE} for run in ("SimCLR", "MoCo") for seed in (0, 1)]
ABLATIONS = [
    {"axis": axis, "value": value, "seed": seed, "knn": 0.5 + 0.01 * seed}
    for axis, values in {"temperature": ("0.1", "0.5"), "head": ("none", "linear", "MLP"), "labels": ("1 %",)}.items()
    for value in values
    for seed in range(3)
]


def test_a_line_for_each_run_and_a_name_for_each_method():
    loss, knn = curves_figure(RUNS).axes
    assert len(loss.lines) == len(knn.lines) == 4
    assert [line.get_label() for line in loss.lines if not line.get_label().startswith("_")] == ["SimCLR", "MoCo"]
    assert [list(line.get_xdata()) for line in knn.lines] == [[2]] * 4, "only the epochs that were judged"


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_panel_for_each_axis_and_a_dot_for_each_seed(axes):
    names = ["temperature", "head", "labels"][:axes]
    panels = ablation_figure([run for run in ABLATIONS if run["axis"] in names]).axes
    assert [panel.get_title(loc="left") or panel.get_title() for panel in panels] == names
    dots = [sum(len(dots.get_offsets()) for dots in panel.collections) for panel in panels]
    assert dots == [6, 9, 3][:axes]


def test_costs_and_luck():
    table = costs(records.read("full_scale")["runs"])
    seconds, memory = cost_figure(table).axes[:2]
    assert len(seconds.lines) == len(memory.lines) == sum(len(of_it["steps"]) for of_it in table.values())
    (axes,) = luck_figure({1: np.zeros(9), 10: np.full(9, 0.01)}).axes
    assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "o"] == [0, 1]


def test_runs_come_in_groups_in_their_order():
    assert list(by_name(RUNS)) == ["SimCLR", "MoCo"] and [run["seed"] for run in by_name(RUNS)["MoCo"]] == [0, 1]
    assert list(by_name(ABLATIONS, "axis", "value"))[:3] == [
        ("temperature", "0.1"),
        ("temperature", "0.5"),
        ("head", "none"),
    ]


def test_a_record_that_is_missing_is_said_once_in_words(capsys):
    assert recorded_runs("no such record") == []
    assert capsys.readouterr().out == "there is no record 'no such record' here yet, so there is nothing to show\n"
    assert recorded_runs("results") == records.read("results")["runs"]


def test_shipped_encoders_of_a_data_set():
    assert shipped_encoders("shapes") and shipped_encoders("imagenet") == []
    for name in shipped_encoders("shapes"):
        assert checkpoints.shipped(name)[1]["method"]
