"""Lesson 06: the learner's `my_table(runs)`, method -> (mean, deviation) of what may be reported.

The table is made in three steps, each of which can go wrong: which seeds count, which of a seed's runs is taken, and
what is said of the values that are left. The known mistakes are tried alone and in pairs.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cl_course.lessons.shared.old_exercise import (
    NOT_ATTEMPTED,
    NotAttempted,
    call,
    failed,
    one_or_two,
    passed,
    same,
    stopped,
)

EXERCISE = "my_table"
PRAISE = "chosen on validation, reported on test, over the seeds that all methods have, with the deviation of a sample."
Runs = Sequence[Mapping]
Table = dict[str, tuple[float, float]]

NO_TABLE = "a dict is expected, with the names {names} as keys and (mean, deviation) as values; {got} came back."


def fair_table(attempt: Callable[[Runs], Table]) -> None:
    """Check the table of three sets of runs; name the mistake, or two of them, if there are any."""
    answers = []
    for runs in INPUTS:
        try:
            answer = call(attempt, copy.deepcopy(runs))
        except NotAttempted:
            return failed(EXERCISE, NOT_ATTEMPTED)
        except Exception as error:
            return failed(EXERCISE, stopped(error))
        if (values := _values(answer, runs)) is None:
            return failed(EXERCISE, NO_TABLE.format(names=", ".join(_methods(runs)), got=_described(answer)))
        answers.append(values)
    if same(answers, [_values(table(runs), runs) for runs in INPUTS]):
        return passed(EXERCISE, PRAISE)
    for sentence, parts in one_or_two(MISTAKES):
        if same(answers, [_values(table(runs, **parts), runs) for runs in INPUTS]):
            return failed(EXERCISE, sentence)
    mine, right = answers[0][0], _values(table(INPUTS[0]), INPUTS[0])[0]
    return failed(
        EXERCISE,
        f"for method {_methods(INPUTS[0])[0]} of one set you get {mine[0]:.4f} ± {mine[1]:.4f}, expected {right[0]:.4f} ± {right[1]:.4f}; it is none of the mistakes known here.",
    )


# The right way, each step of which a mistake replaces.
def shared_seeds(runs: Runs) -> set[int]:
    return set.intersection(*({run["seed"] for run in runs if run["method"] == method} for method in _methods(runs)))


def chosen_on_validation(of_seed: Runs) -> float:
    return max(of_seed, key=lambda run: run["val"])["test"]


def mean_of(values: Sequence[float]) -> float:
    return float(np.mean(values))


def deviation_of(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def table(
    runs: Runs,
    seeds: Callable[[Runs], set[int]] = shared_seeds,
    pick: Callable[[Runs], float] = chosen_on_validation,
    centre: Callable[[Sequence[float]], float] = mean_of,
    spread: Callable[[Sequence[float]], float] = deviation_of,
    pool: Callable[[Runs], list[float]] | None = None,
) -> Table:
    """method -> (mean, deviation). `pool` takes the place of `pick`: the values of a method's runs, seed by seed or not."""
    counted = seeds(runs)
    rows = {}
    for method in _methods(runs):
        mine = [run for run in runs if run["method"] == method and run["seed"] in counted]
        own = sorted({run["seed"] for run in mine})
        values = pool(mine) if pool else [pick([run for run in mine if run["seed"] == seed]) for seed in own]
        rows[method] = centre(values), spread(values)
    return rows


def _methods(runs: Runs) -> list[str]:
    return list(dict.fromkeys(run["method"] for run in runs))


def _values(answer: object, runs: Runs) -> list[tuple[float, float]] | None:
    """The table's pairs in the order of the methods; None if it is none."""
    if not isinstance(answer, Mapping) or set(answer) != set(_methods(runs)):
        return None
    try:
        pairs = [tuple(float(value) for value in answer[method]) for method in _methods(runs)]
    except (TypeError, ValueError):
        return None
    return pairs if all(len(pair) == 2 for pair in pairs) else None


def _described(answer: object) -> str:
    if isinstance(answer, Mapping):
        return f"a dict with the keys {', '.join(map(str, answer))}" if answer else "an empty dict"
    return f"a {type(answer).__name__}"


# The steps done in wrong ways.
def _every_seed(runs: Runs) -> set[int]:
    return {run["seed"] for run in runs}


def _one_rate_for_all(mine: Runs) -> list[float]:
    by_rate = {rate: [run for run in mine if run["rate"] == rate] for rate in {run["rate"] for run in mine}}
    return [run["test"] for run in max(by_rate.values(), key=lambda of_rate: np.mean([run["val"] for run in of_rate]))]


def _best_run(mine: Runs) -> list[float]:
    return [chosen_on_validation(mine)]


_BEST_SEED = "the best seed is reported: luck is counted as skill. Report the mean over the seeds; the best of five coins is no better a coin."
_CHOSEN_ON_TEST = "chosen on test: of each seed's runs you take the one with the best *test* accuracy. Take the one with the best `val`, and report its `test`."

# Sentence, {name of a step: the step done wrongly}.
MISTAKES = (
    (_CHOSEN_ON_TEST, {"pick": lambda of_seed: max(run["test"] for run in of_seed)}),
    (
        "the validation accuracy is reported: it was used to choose, so it flatters. Choose by `val`, report `test`.",
        {"pick": lambda of_seed: max(run["val"] for run in of_seed)},
    ),
    (
        "nothing is chosen: the runs with bad learning rates are averaged in. For each seed take the one run with the best `val`.",
        {"pick": lambda of_seed: mean_of([run["test"] for run in of_seed])},
    ),
    (
        "all runs are thrown together: a seed's several learning rates are no repetitions. For each seed take the one run with the best `val` first.",
        {"pool": lambda mine: [run["test"] for run in mine]},
    ),
    (
        "the *worst* run on validation is taken: use max, not min.",
        {"pick": lambda of_seed: min(of_seed, key=lambda run: run["val"])["test"]},
    ),
    (
        "one learning rate is chosen for all seeds of a method. That is fair too, but here each seed chooses its own, as its user would.",
        {"pool": _one_rate_for_all},
    ),
    (
        "the methods are compared over different seeds: one of them has seeds that another lacks, and these may be easy ones. Keep the seeds that all methods have.",
        {"seeds": _every_seed},
    ),
    (
        "the divisor is n: that is the deviation of these very seeds, too small for all the seeds there could be. Divide by n - 1: ddof=1 in numpy, torch's and statistics.stdev's default.",
        {"spread": lambda values: float(np.std(values))},
    ),
    (
        "the standard error came back, the deviation divided by the root of n: it says how well the mean is known, not how far seeds lie apart. Say which one you show; here it is the deviation.",
        {"spread": lambda values: deviation_of(values) / len(values) ** 0.5},
    ),
    ("the variance came back: take its root.", {"spread": lambda values: float(np.var(values, ddof=1))}),
    (
        "the range came back: it grows with the number of seeds. Use the standard deviation, with n - 1.",
        {"spread": lambda values: max(values) - min(values)},
    ),
    (_BEST_SEED, {"centre": max}),
    (_BEST_SEED, {"pool": _best_run, "spread": lambda values: 0.0}),
    (
        "the median came back: with three seeds it is one of them. The table says the mean.",
        {"centre": lambda values: float(np.median(values))},
    ),
)


def _runs(seed: int, seeds_of: Mapping[str, Sequence[int]]) -> list[dict]:
    """Three learning rates a seed; validation and test agree in the main, but not on which run is best."""
    rng = np.random.default_rng(seed)
    runs = []
    for place, (method, seeds) in enumerate(seeds_of.items()):
        for number in seeds:
            for rate in (0.001, 0.003, 0.01):
                skill = 0.6 + 0.05 * place + 0.05 * rng.normal()
                val, test = skill + 0.06 * rng.normal(size=2)
                runs.append(
                    {
                        "method": method,
                        "seed": number,
                        "rate": rate,
                        "val": round(float(val), 4),
                        "test": round(float(test), 4),
                    }
                )
    return [runs[place] for place in rng.permutation(len(runs))]  # in no order that helps


INPUTS = [
    _runs(1, {"A": range(5), "B": range(1, 5)}),
    _runs(2, {"A": range(4), "B": range(4), "C": range(1, 6)}),
    _runs(3, {"probe": (7, 1, 4), "fine-tuned": (1, 4, 7, 9)}),
]
