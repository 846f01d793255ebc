"""The run planner of lesson 08: measured steps come back, others follow a stated rule, and nonsense is refused."""

import json
import math

import pytest

from cl_course.lessons.full_scale.lab_plan import BATCHES, EPOCHS, IMAGES, PROCESSES, machine_of, planned
from cl_course.lessons.full_scale.planner import OPTIONS, USUAL, costs, estimate, step_cost
from cl_course.lessons.full_scale.published import LIGHTLY, PROTOCOLS
from cl_course.running import records


def run(encoder="small", batch=32, side=32, seconds=1.0, megabytes=100.0, **changed):
    return (
        {"encoder": encoder, "batch": batch, "side": side, "seconds": seconds, "megabytes": megabytes} | USUAL | changed
    )


RUNS = [
    run(batch=128, seconds=3.0, megabytes=160.0),
    run(),
    run(side=64, seconds=4.0),
    run(precision="bfloat16", seconds=0.5, megabytes=80.0),
    run(checkpointing=True, seconds=1.3, megabytes=50.0),
    run(compiled=True, seconds=0.9, megabytes=None),
]
TABLE = costs(RUNS)


def test_steps_are_sorted_and_options_are_factors():
    assert TABLE["small"]["steps"] == {"32": [[32, 1.0, 100.0], [128, 3.0, 160.0]], "64": [[32, 4.0, 100.0]]}
    assert TABLE["small"]["factors"] == {
        "precision": [0.5, 0.8],
        "checkpointing": [1.3, 0.5],
        "compiled": [0.9, None],
    }


@pytest.mark.parametrize(
    "batch, cost",
    [
        (32, (1.0, 100.0)),
        (128, (3.0, 160.0)),
        (64, (math.sqrt(3.0), math.sqrt(100.0 * 160.0))),  # half-way on both axes of logarithms
        (16, (0.5, 50.0)),  # outside: in proportion
        (512, (12.0, 640.0)),
    ],
)
def test_between_and_beyond_what_was_timed(batch, cost):
    assert step_cost(TABLE["small"]["steps"]["32"], batch) == pytest.approx(cost)


def test_a_run_by_hand():
    found = estimate(TABLE, "small", 32, 32, epochs=10, images=100)
    assert (found.steps, found.seconds, found.megabytes) == (30, 30.0, 100.0)
    assert (found.views_per_second, found.negatives, found.measured) == (64.0, 62, True)
    shared = estimate(TABLE, "small", 32, 128, epochs=1, images=256, processes=4, options=["checkpointing"])
    assert (shared.steps, shared.seconds, shared.megabytes) == (2, pytest.approx(2.6), 50.0)
    compiled = estimate(TABLE, "small", 32, 32, epochs=1, images=32, options=["compiled"])
    assert (compiled.seconds, compiled.megabytes) == (0.9, 100.0), "its memory was not measured"
    assert shared.negatives == 254 and not shared.measured and shared.views_per_second == pytest.approx(256 / 1.3)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"encoder": "vit"}, "encoder must be 'small', got 'vit'"),
        ({"side": 48}, "side must be '32' or '64', got '48'"),
        ({"batch": 2000}, "batch must be a whole number from 2 to 1000, got 2000"),
        ({"processes": 3}, "3 processes cannot share a batch of 32; take a multiple of 3"),
        ({"processes": 0}, "processes must be a whole number of at least 1, got 0"),
        ({"epochs": -1}, "epochs must be a whole number of at least 1, got -1"),
        ({"options": ["fast"]}, "option must be 'precision', 'checkpointing' or 'compiled', got 'fast'"),
    ],
)
def test_what_cannot_be_planned_is_named(given, said):
    usual = {"encoder": "small", "side": 32, "batch": 32, "epochs": 1, "images": 1000}
    with pytest.raises(ValueError, match=said):
        estimate(TABLE, **usual | given)


def test_a_lab_without_steps_says_what_makes_them():
    with pytest.raises(ValueError, match=r"timed steps in 'runs', got \[\]; make it with benchmarks/record_full_scale"):
        planned({"runs": []})


def test_the_shipped_record_has_all_that_the_lesson_needs():
    record = records.read("full_scale")
    data = planned(record)
    assert json.loads(json.dumps(data)) == data
    start = data["start"]
    for name, values in (("batch", BATCHES), ("epochs", EPOCHS), ("images", IMAGES), ("processes", PROCESSES)):
        assert start[name] in values
    for encoder, of_it in data["costs"].items():
        assert set(of_it["factors"]) == set(OPTIONS), encoder
        assert list(of_it["steps"]) == ["32", "64", "96"]
        for rows in of_it["steps"].values():
            memory = [row[2] for row in rows]
            assert memory == sorted(memory), "a larger batch needs more"
        assert of_it["factors"]["checkpointing"][1] < 1, "its purpose"
    assert data["memory"] > 1000 and "core" in data["machine"]


def test_the_machine_in_words():
    config = {"machine": {"gpu": None}, "threads": 2, "processor": "Some CPU"}
    assert machine_of(config) == "2 cores of Some CPU" and machine_of(config | {"threads": 1}) == "1 core of Some CPU"
    assert machine_of(config | {"machine": {"gpu": "Some GPU"}}) == "Some GPU"


def test_published_runs_and_protocols_agree():
    rows = {
        source: accuracy for source, trained, accuracy, _ in PROTOCOLS if "800 epochs" in trained and "," in accuracy
    }
    said = ", ".join(f"{run['method']} {run['knn']}" for run in LIGHTLY if run["epochs"] == 800)
    assert rows["lightly's benchmark"] == said and len(LIGHTLY) == 9
