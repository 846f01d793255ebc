"""The table's check in lesson 06: it passes every right form, and names every planted mistake."""

import statistics
from importlib import import_module

import numpy as np
import pytest
import torch

from cl_course import checks
from cl_course.lessons.shared.exercise import ExerciseError

module = import_module("cl_course.lessons.what_did_it_learn.check_fair_table")  # as an attribute it is the function


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
    runs.sort(key=lambda run: run["val"])  # the check hands out copies
    chosen = {(run["method"], run["seed"]): run["test"] for run in runs}
    seeds = {method: {s for m, s in chosen if m == method} for method, _ in chosen}
    answer = {}
    for method in seeds:
        tests = torch.tensor([chosen[method, seed] for seed in set.intersection(*seeds.values())])
        answer[method] = [tests.mean(), tests.std()]
    return answer


@pytest.mark.parametrize("solution", [with_dicts, with_tensors])
def test_right_tables_pass(solution, capsys, monkeypatch):
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    checks.fair_table(solution)
    assert capsys.readouterr().out.startswith("✔ my_table")


# Wrong, written out by hand: no code shared with the check's own mistakes. `line` is what a learner changes.
TEMPLATE = """
def attempt(runs):
    methods = {{run["method"] for run in runs}}
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
RIGHT = {
    "seeds": "seeds = sorted(set.intersection(*seeds_of.values()))",
    "pick": 'tests.append(max(tried, key=lambda run: run["val"])["test"])',
    "summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=1))",
    "answer": "rows",
}


def write(**lines):
    scope = {"np": np}
    exec(TEMPLATE.format(**RIGHT | lines), scope)  # noqa: S102 - lines of this file
    return scope["attempt"]


PLANTED = [
    ({"pick": 'tests.append(max(run["test"] for run in tried))'}, "chosen on test"),
    ({"pick": 'tests.append(max(run["val"] for run in tried))'}, "validation accuracy is reported"),
    ({"pick": 'tests.append(np.mean([run["test"] for run in tried]))'}, "nothing is chosen"),
    ({"pick": 'tests += [run["test"] for run in tried]'}, "thrown together"),
    ({"pick": 'tests.append(min(tried, key=lambda run: run["val"])["test"])'}, "worst"),
    ({"seeds": "seeds = sorted(set.union(*seeds_of.values()))"}, "different seeds"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests))"}, "divisor is n"),
    ({"summary": "rows[m] = (np.mean(tests), np.std(tests, ddof=1) / len(tests) ** 0.5)"}, "standard error"),
    ({"summary": "rows[m] = (np.mean(tests), np.var(tests, ddof=1))"}, "variance"),
    ({"summary": "rows[m] = (np.mean(tests), np.ptp(tests))"}, "range"),
    ({"summary": "rows[m] = (np.max(tests), np.std(tests, ddof=1))"}, "best seed"),
    ({"summary": "rows[m] = (np.median(tests), np.std(tests, ddof=1))"}, "median"),
    (
        {
            "pick": 'tests.append(max(run["test"] for run in tried))',
            "summary": "rows[m] = (np.max(tests), np.std(tests, ddof=1))",
        },
        "two things at once. First, chosen on test",
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
    ({"summary": "rows[m] = np.mean(tests)"}, "(mean, deviation) as values"),
    ({"summary": "rows[m] = (np.mean(tests) + 1, np.std(tests, ddof=1))"}, "none of the mistakes known"),
    ({"pick": "tests.append(tried[9])"}, "your code stopped with IndexError"),
]


@pytest.mark.parametrize("lines, named", PLANTED, ids=lambda x: x if isinstance(x, str) else " ".join(x.values())[:60])
def test_planted_tables_are_named(lines, named, capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
    checks.fair_table(write(**lines))
    said = capsys.readouterr().out
    assert said.startswith("✘ my_table: ") and said.count("\n") == 1
    assert named in said and ("two things" in said) == ("two things" in named)
    monkeypatch.setenv("CL_COURSE_STRICT", "1")
    with pytest.raises(ExerciseError, match="my_table"):
        checks.fair_table(write(**lines))


def test_one_rate_for_all_seeds_is_said_to_be_fair_too(capsys, monkeypatch):
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)

    def attempt(runs):
        seeds = set.intersection(
            *({run["seed"] for run in runs if run["method"] == m} for m in {run["method"] for run in runs})
        )
        rows = {}
        for method in {run["method"] for run in runs}:
            of_rate = {}
            for run in runs:
                if run["method"] == method and run["seed"] in seeds:
                    of_rate.setdefault(run["rate"], []).append(run)
            tests = [run["test"] for run in max(of_rate.values(), key=lambda all: sum(run["val"] for run in all))]
            rows[method] = statistics.mean(tests), statistics.stdev(tests)
        return rows

    checks.fair_table(attempt)
    assert "That is fair too" in capsys.readouterr().out


def test_no_two_tables_look_alike_on_the_hidden_inputs():
    answers = [
        (sentence, [module._values(module.table(runs, **parts), runs) for runs in module.INPUTS])
        for sentence, parts in [("right", {}), *module.MISTAKES]
    ]
    for i, (sentence, wrong) in enumerate(answers):
        for other, right in answers[:i]:
            assert sentence == other or any(not np.allclose(a, b, atol=2e-4) for a, b in zip(wrong, right)), (
                sentence,
                other,
            )
