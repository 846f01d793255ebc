"""The ablation lab's data: every setting and seed in its place, and what cannot be shown is refused in one sentence."""

from itertools import product

import pytest

from cl_course.lessons.shared.tables import runs_table
from cl_course.lessons.simclr.lab_ablation import FACTORS, ablation_lab, atlas
from cl_course.running import records

TEMPERATURES, AUGMENTS, BATCHES = (0.3, 0.05, 1.0), ("crop", "all"), (128, 32)


@pytest.fixture
def runs():
    """Invented: what a run scores can be read off its setting."""
    settings = product(TEMPERATURES, AUGMENTS, BATCHES, range(3))
    return [
        {
            "temperature": t,
            "augment": a,
            "batch_size": b,
            "seed": s,
            "knn": t / 2 + 0.3 * (a == "all") + b / 1000 + 0.01 * s,
        }
        for t, a, b, s in settings
    ]


def made(runs, factors=FACTORS, measure="knn", chance=0.1, start=None, revealed=()):
    return atlas(runs, factors, measure, chance, start or {}, revealed)


def test_every_run_is_at_its_place(runs):
    data = made(runs)
    assert [factor["label"] for factor in data["factors"]] == ["temperature", "augmentation", "batch size"]
    # Numbers in their order, names as they come.
    assert [factor["values"] for factor in data["factors"]] == [["0.05", "0.3", "1.0"], ["crop", "all"], ["32", "128"]]
    assert len(data["settings"]) == 12
    for setting in data["settings"]:
        t, a, b = (factor["values"][place] for factor, place in zip(data["factors"], setting["at"]))
        expected = [
            run["knn"] for run in runs if (str(run["temperature"]), run["augment"], str(run["batch_size"])) == (t, a, b)
        ]
        assert setting["scores"] == expected and len(expected) == 3


def test_it_starts_where_it_should(runs):
    data = made(runs, start={"augment": "crop"}, revealed=[(1.0, "all", 32), (0.05, "crop", 128)])
    assert data["start"] == [1, 0, 1], "the middle value where none is given"
    assert data["revealed"] == [[2, 1, 0], [0, 0, 1]]


def test_another_set_of_factors_and_another_measure():
    runs = [{"queue": q, "lr": r, "linear": 0.5 + q / 1000 + r, "seed": 0} for q in (64, 8) for r in (0.1, 0.2)]
    data = made(runs, ("queue", "lr"), "linear")
    assert data["measure"] == "linear" and [factor["label"] for factor in data["factors"]] == ["queue", "lr"]
    assert {tuple(setting["at"]): setting["scores"][0] for setting in data["settings"]}[0, 1] == 0.5 + 0.008 + 0.2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"factors": ("temperature", "depth")}, "every run needs 'depth', one has only temperature, augment"),
        ({"measure": "linear"}, "every run needs 'linear'"),
        ({"start": {"augment": "none"}}, "augment was run with crop, all, got 'none'"),
        ({"start": {"depth": 3}}, "depth was run with nothing; the factors are temperature, augment, batch_size"),
        ({"revealed": [(0.05, "all", 64)]}, "batch_size was run with 32, 128, got 64"),
        ({"chance": 2}, "chance must be a finite number at least 0 and at most 1"),
    ],
)
def test_what_was_not_run_is_refused(runs, change, message):
    with pytest.raises(ValueError, match=message):
        made(runs, **change)


def test_runs_that_cannot_be_shown_are_refused(runs):
    with pytest.raises(ValueError, match="at least one run, got none"):
        ablation_lab([])
    with pytest.raises(ValueError, match=r"knn must be a finite number .* got 91.2; the lab shows accuracies"):
        made([*runs, runs[0] | {"knn": 91.2}])
    some = [run for run in runs if (run["temperature"], run["augment"]) != (0.05, "crop")]
    with pytest.raises(ValueError, match=r"must have been run, and \(0.05, 'crop', 32\) was not"):
        made(some, revealed=[(0.05, "crop", 32)])


def test_the_lessons_record_is_shown_whole():
    data = made(records.read("ablation")["runs"])
    assert len(data["settings"]) == 18 and all(len(setting["scores"]) == 3 for setting in data["settings"])


def test_the_table_has_every_setting(runs):
    rows, columns = runs_table(runs, rows=("augment", "batch_size"), column="temperature")
    assert columns == ["augmentation", "batch size", "temperature 0.3", "temperature 0.05", "temperature 1.0"]
    assert rows[1] == ["crop", "32", "0.192 ± 0.010", "0.067 ± 0.010", "0.542 ± 0.010"]
    assert len(rows) == 4
    assert len(runs_table(runs[:1], rows=("augment",), column="temperature")[0][0][1]) == 5, "one seed has no spread"
    assert runs_table([runs[0], runs[-1]], ("augment",), "temperature")[0][0][2] == "–"
