"""The table's check in lesson 06: every right form passes; wrong ones are named, or shown with what was observed."""

import functools
import statistics
from collections import defaultdict
from importlib import import_module

import numpy as np
import pytest
import torch

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError

module = import_module("cl_course.lessons.what_did_it_learn.check_fair_table")  # as an attribute it is the exercise


def with_dicts(runs):
    best = {}
    for run in runs:
        key = run["method"], run["seed"]
        if key not in best or run["val"] > best[key]["val"]:
            best[key] = run
    methods = {method for method, _ in best}
    shared = [seed for seed in {seed for _, seed in best} if all((method, seed) in best for method in methods)]
    values = {method: [best[method, seed]["test"] for seed in shared] for method in methods}
    return {method: (statistics.mean(tests), statistics.stdev(tests)) for method, tests in values.items()}


def with_tensors(runs):
    runs.sort(key=lambda run: run["val"])  # in place: right, and a remark
    chosen = {(run["method"], run["seed"]): run["test"] for run in runs}
    seeds = {method: {s for m, s in chosen if m == method} for method, _ in chosen}
    answer = {}
    for method in seeds:
        tests = torch.tensor([chosen[method, seed] for seed in set.intersection(*seeds.values())])
        answer[method] = [tests.mean(), tests.std()]
    return answer


def with_arrays(runs):
    return {method: np.array(pair) for method, pair in with_dicts(runs).items()}


def with_one_tensor(runs):
    return {method: torch.stack(pair) for method, pair in with_tensors(sorted(runs, key=str)).items()}


def with_a_defaultdict(runs):
    table = defaultdict(tuple)
    table.update(with_dicts(runs))
    return table


def by_counting(runs):
    """A seed is shared when as many methods have it as there are."""
    methods = sorted({run["method"] for run in runs})
    having = defaultdict(set)
    for run in runs:
        having[run["seed"]].add(run["method"])
    table = {}
    for method in methods:
        tests = []
        for seed in [seed for seed, names in having.items() if len(names) == len(methods)]:
            best = min((r for r in runs if (r["method"], r["seed"]) == (method, seed)), key=lambda r: -r["val"])
            tests.append(best["test"])
        mean = sum(tests) / len(tests)
        table[method] = mean, (sum((t - mean) ** 2 for t in tests) / (len(tests) - 1)) ** 0.5
    return table


def with_a_grid(runs):
    """Methods by seeds, NaN where a seed is missing; columns with NaN are dropped."""
    methods, seeds = sorted({r["method"] for r in runs}), sorted({r["seed"] for r in runs})
    grid = np.full((len(methods), len(seeds)), np.nan)
    for r in sorted(runs, key=lambda r: r["val"]):  # the best on validation comes last and stays
        grid[methods.index(r["method"]), seeds.index(r["seed"])] = r["test"]
    grid = grid[:, ~np.isnan(grid).any(axis=0)]
    return dict(zip(methods, zip(grid.mean(axis=1), grid.std(axis=1, ddof=1))))


class Maker:
    def __call__(self, runs):
        return with_dicts(runs)


RIGHT = (
    with_dicts,
    with_tensors,
    with_arrays,
    with_one_tensor,
    with_a_defaultdict,
    by_counting,
    with_a_grid,
    Maker(),
    functools.partial(with_dicts),
)


@pytest.mark.parametrize("attempt", RIGHT)
def test_right_tables_pass(attempt):
    verdict = checks.fair_table.judge(attempt)
    assert verdict.passed, verdict.sentence
    assert bool(verdict.notes) == (attempt is with_tensors)


# Wrong, written out by hand: no code shared with the check's own mistakes. `line` is what a learner changes.
TEMPLATE = """
def attempt(runs):
    {first}
    methods = sorted({{run["method"] for run in runs}})
    seeds_of = {{m: {{run["seed"] for run in runs if run["method"] == m}} for m in methods}}
    {seeds}
    rows = {{}}
    for m in methods:
        tests = []
        for seed in seeds:
            tried = [run for run in runs if run["method"] == m and run["seed"] == seed]
            if tried:
                {pick}
        {summary}
    return {answer}
"""
LINES = {
    "first": "pass",
    "seeds": "seeds = sorted(set.intersection(*seeds_of.values()))",
    "pick": 'tests.append(max(tried, key=lambda run: run["val"])["test"])',
    "summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=1))",
    "answer": "rows",
}


def write(**lines):
    scope = {"np": np}
    exec(TEMPLATE.format(**LINES | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


NAMED = [
    ({"pick": 'tests.append(max(run["test"] for run in tried))'}, "chosen on test"),
    ({"pick": 'tests.append(max(run["val"] for run in tried))'}, "validation accuracy is reported"),
    ({"pick": 'tests.append(np.mean([run["test"] for run in tried]))'}, "nothing is chosen"),
    ({"pick": 'tests += [run["test"] for run in tried]'}, "used together"),
    ({"pick": 'tests.append(min(tried, key=lambda run: run["val"])["test"])'}, "worst"),
    ({"seeds": "seeds = sorted(set.union(*seeds_of.values()))"}, "different seeds"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests))"}, "divisor is n"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=1) / len(tests) ** 0.5)"}, "standard error"),
    ({"summary": "rows[m] = (np.mean(tests), np.var(tests, ddof=1))"}, "variance"),
    ({"summary": "rows[m] = (np.mean(tests), np.ptp(tests))"}, "range"),
    ({"summary": "rows[m] = (np.max(tests), np.std(tests, ddof=1))"}, "best seed"),
    ({"summary": "rows[m] = (np.median(tests), np.std(tests, ddof=1))"}, "median"),
    ({"summary": "rows[m] = (round(np.mean(tests), 3), round(np.std(tests, ddof=1), 3))"}, "rounded to three"),
    (
        {
            "pick": 'tests.append(max(run["test"] for run in tried))',
            "summary": "rows[m] = (np.max(tests), np.std(tests, ddof=1))",
        },
        "two things at once. First: chosen on test",
    ),
    (
        {
            "seeds": "seeds = sorted(set.union(*seeds_of.values()))",
            "summary": "rows[m] = (np.mean(tests), np.std(tests))",
        },
        "two things at once",
    ),
    ({"answer": "None"}, "not attempted"),
    ({"answer": "{}"}, "an empty dict came back"),
    ({"answer": "list(rows)"}, "a list came back"),
    ({"summary": "rows[m] = np.mean(tests)"}, "for A of one set 1 number came back"),
    ({"pick": "tests.append(tried[9])"}, "your code stopped with IndexError"),
]

ONE_RATE = """pass
    best_rate = {{}}
    for m in {{run["method"] for run in runs}}:
        of_rate = {{}}
        for run in runs:
            if run["method"] == m: of_rate.setdefault(run["rate"], []).append(run["{by}"])
        best_rate[m] = max(of_rate, key=lambda r: sum(of_rate[r]) / len(of_rate[r]))"""
# On no list of known mistakes.
UNLISTED = [
    (
        {"summary": "rows[m] = (np.mean(tests) + 1, np.std(tests, ddof=1))"},
        "the mean should be 0.7333; yours is 1.7333",
    ),
    ({"summary": "rows[m] = (np.std(tests, ddof=1), np.mean(tests))"}, "the mean should be 0.7333"),
    ({"summary": "rows[m] = (np.mean(tests), 1.96 * np.std(tests, ddof=1))"}, "the deviation should be 0.1528"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=2))"}, "the deviation should be 0.1528"),
    ({"summary": "rows[m] = (np.exp(np.mean(np.log(tests))), np.std(tests, ddof=1))"}, "the mean should be 0.7333"),
    ({"summary": "rows[m] = (np.min(tests), np.std(tests, ddof=1))"}, "the mean should be 0.7333; yours is 0.6000"),
    ({"summary": "rows[m] = (np.mean(tests), 2 * np.std(tests))"}, "the deviation should be 0.1528"),
    ({"summary": "rows[m] = f'{np.mean(tests):.3f} ± {np.std(tests, ddof=1):.3f}'"}, "a str came back"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=1), len(tests))"}, "3 numbers came back"),
    ({"pick": 'tests.append(min(run["test"] for run in tried))'}, "Validation chooses the tests 0.5 and 0.7"),
    (
        {"pick": 'tests.append(sorted(tried, key=lambda run: run["val"])[-2 % len(tried)]["test"])'},
        "Validation chooses",
    ),
    ({"pick": 'tests.append(min(tried, key=lambda run: run["rate"])["test"])'}, "Validation chooses"),
    (
        {"pick": 'tests += [r["test"] for r in sorted(tried, key=lambda r: -r["val"])[:2]]'},
        "Validation chooses",
    ),
    ({"seeds": "seeds = range(1, 4)"}, "Both have the seeds 1 and 2"),
    ({"seeds": "seeds = sorted(set.intersection(*seeds_of.values()))[:3]"}, "one set"),
    ({"seeds": "seeds = sorted(seeds_of[methods[0]] & seeds_of[methods[-1]])"}, "three methods"),
    ({"seeds": "seeds = sorted(seeds_of[methods[0]] & seeds_of[methods[1]])"}, "three methods"),
    (
        {
            "first": ONE_RATE.format(by="val"),
            "pick": 'tests += [r["test"] for r in tried if r["rate"] == best_rate[m]]',
        },
        "",
    ),
    (
        {
            "first": ONE_RATE.format(by="test"),
            "pick": 'tests += [r["test"] for r in tried if r["rate"] == best_rate[m]]',
        },
        "",
    ),
    ({"first": "runs.pop()"}, "changed the runs"),
    ({"first": "runs = [run for run in runs if run['rate'] == 0.003]"}, "stopped with"),
    ({"first": "runs = [run for run in runs if run['val'] > 0.5]"}, "stopped with"),
    ({"answer": "sorted(rows.items())"}, "a list came back"),
    ({"answer": "{m.lower(): row for m, row in rows.items()}"}, "a dict with the keys a, b"),
    ({"answer": "rows['A'], rows['B']"}, "a tuple came back"),
    ({"answer": "{m: (100 * a, 100 * b) for m, (a, b) in rows.items()}"}, "per cent"),
]


def named(lines):
    return " ".join(lines.values())[:60]


@pytest.mark.parametrize(("lines", "phrase"), NAMED + UNLISTED, ids=lambda x: x if isinstance(x, str) else named(x))
def test_wrong_tables_are_explained(lines, phrase):
    verdict = checks.fair_table.judge(write(**lines))
    assert not verdict.passed
    assert phrase in verdict.sentence
    assert ("two things" in verdict.sentence) == ("two things" in phrase)


def test_strict_mode_raises(monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_table"):
        checks.fair_table(write(answer="{}"))
