"""The fair table of lesson 06 in parts, and the parts done in the wrong ways that are known."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cl_course.lessons.shared.exercise import Mistake

Runs = Sequence[Mapping]


# The right way, in parts that can each be done in a wrong way.
def seeds_of(runs: Runs, method: str) -> set[int]:
    return {run["seed"] for run in runs if run["method"] == method}


def methods_of(runs: Runs) -> list[str]:
    return list(dict.fromkeys(run["method"] for run in runs))


def shared_seeds(runs: Runs) -> set[int]:
    return set.intersection(*(seeds_of(runs, method) for method in methods_of(runs)))


def best_on_validation(of_seed: Runs) -> Mapping:
    return max(of_seed, key=lambda run: run["val"])


def chosen_on_validation(of_seed: Runs) -> float:
    return best_on_validation(of_seed)["test"]


def mean_of(values: Sequence[float]) -> float:
    return float(np.mean(values))


def deviation_of(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def make(
    seeds: Callable[[Runs], set[int]] = shared_seeds,
    pick: Callable[[Runs], float] = chosen_on_validation,
    centre: Callable[[Sequence[float]], float] = mean_of,
    spread: Callable[[Sequence[float]], float] = deviation_of,
    pool: Callable[[Runs], list[float]] | None = None,
) -> Callable[[Runs], dict[str, tuple[float, float]]]:
    """`pool`, where given, takes the place of `pick`: the values of a method's runs, seed by seed or not."""

    def attempt(runs: Runs) -> dict[str, tuple[float, float]]:
        counted, table = seeds(runs), {}
        for method in methods_of(runs):
            mine = [run for run in runs if run["method"] == method and run["seed"] in counted]
            own = sorted({run["seed"] for run in mine})
            values = pool(mine) if pool else [pick([run for run in mine if run["seed"] == seed]) for seed in own]
            table[method] = centre(values), spread(values)
        return table

    return attempt


right = make()


# The parts done in wrong ways.
def _every_seed(runs: Runs) -> set[int]:
    return {run["seed"] for run in runs}


def _one_rate_for_all(mine: Runs) -> list[float]:
    by_rate = {rate: [run for run in mine if run["rate"] == rate] for rate in {run["rate"] for run in mine}}
    return [run["test"] for run in max(by_rate.values(), key=lambda of_rate: np.mean([run["val"] for run in of_rate]))]


def _one_rate_on_test(mine: Runs) -> list[float]:
    by_rate = {rate: [run for run in mine if run["rate"] == rate] for rate in {run["rate"] for run in mine}}
    return [run["test"] for run in max(by_rate.values(), key=lambda of_rate: np.mean([run["test"] for run in of_rate]))]


_BEST_SEED = (
    "the best seed is reported: luck is counted as skill. Report the mean over the seeds; the best of five coins is no "
    "better a coin."
)
_SHARED = "Keep the seeds that all methods have."
_TEST = "The test accuracies may not help to choose: take the run with the best `val`, and report its `test`."

MISTAKES = (
    Mistake(
        "chosen on test: of each seed's runs you take the one with the best *test* accuracy. Take the one with the "
        "best `val`, and report its `test`.",
        {"pick": lambda of_seed: max(run["test"] for run in of_seed)},
    ),
    Mistake(
        "the validation accuracy is reported: it was used to choose, so it is too good on average. Choose by `val`, "
        "report `test`.",
        {"pick": lambda of_seed: max(run["val"] for run in of_seed)},
    ),
    Mistake(
        "chosen on test, and the validation accuracy reported: it should be the other way round.",
        {"pick": lambda of_seed: max(of_seed, key=lambda run: run["test"])["val"]},
    ),
    Mistake(
        f"the run is chosen by the mean of `val` and `test`. {_TEST}",
        {"pick": lambda of_seed: max(of_seed, key=lambda run: run["val"] + run["test"])["test"]},
    ),
    Mistake(
        "the mean of `val` and `test` of the chosen run is reported: `val` was used to choose, so report `test` alone.",
        {"pick": lambda of_seed: (best_on_validation(of_seed)["val"] + best_on_validation(of_seed)["test"]) / 2},
    ),
    Mistake(
        "nothing is chosen: the runs with bad learning rates are averaged in. For each seed take the one run with the "
        "best `val`.",
        {"pick": lambda of_seed: mean_of([run["test"] for run in of_seed])},
    ),
    Mistake(
        "nothing is chosen: the middle one of each seed's test accuracies is taken. For each seed take the run with "
        "the best `val`.",
        {"pick": lambda of_seed: float(np.median([run["test"] for run in of_seed]))},
    ),
    Mistake(
        "all runs are used together: a seed's several learning rates are no repetitions. For each seed take the one "
        "run with the best `val` first.",
        {"pool": lambda mine: [run["test"] for run in mine]},
    ),
    Mistake(
        "the *worst* run on validation is taken: use max, not min.",
        {"pick": lambda of_seed: min(of_seed, key=lambda run: run["val"])["test"]},
    ),
    Mistake(
        "of each seed's runs the last in the list is taken, as when one entry of a dict overwrites another. Take the "
        "run with the best `val`.",
        {"pick": lambda of_seed: of_seed[-1]["test"]},
    ),
    Mistake(
        "of each seed's runs the first in the list is taken. Take the run with the best `val`.",
        {"pick": lambda of_seed: of_seed[0]["test"]},
    ),
    Mistake(
        "of each seed's runs the one with the largest learning rate is taken. Take the run with the best `val`.",
        {"pick": lambda of_seed: max(of_seed, key=lambda run: run["rate"])["test"]},
    ),
    Mistake(
        "one learning rate is chosen for all seeds of a method. That is fair too, but here each seed chooses its "
        "own, as its user would.",
        {"pool": _one_rate_for_all},
    ),
    Mistake(
        f"one learning rate is chosen for all seeds of a method, and on test. {_TEST}", {"pool": _one_rate_on_test}
    ),
    Mistake(
        "the methods are compared over different seeds: one of them has seeds that another does not have, and these "
        f"may be easy ones. {_SHARED}",
        {"seeds": _every_seed},
    ),
    Mistake(
        f"the seeds of the first method in the list are taken for all, and another one may not have them. {_SHARED}",
        {"seeds": lambda runs: seeds_of(runs, methods_of(runs)[0])},
    ),
    Mistake(
        f"the seeds of the last method in the list are taken for all, and another one may not have them. {_SHARED}",
        {"seeds": lambda runs: seeds_of(runs, methods_of(runs)[-1])},
    ),
    Mistake(
        "the divisor is n: that is the deviation of these very seeds, and on average too small for all the seeds there "
        "could be. Divide by n - 1: ddof=1 in numpy, the default of torch's std and of statistics.stdev.",
        {"spread": lambda values: float(np.std(values))},
    ),
    Mistake(
        "the standard error came back, the deviation divided by the root of n: it says how well the mean is known, not "
        "how far seeds lie apart. Say which one you show; here it is the deviation.",
        {"spread": lambda values: deviation_of(values) / len(values) ** 0.5},
    ),
    Mistake(
        "the deviation with divisor n, divided by the root of n, came back: here it is the deviation of a sample, "
        "ddof=1, and not the standard error.",
        {"spread": lambda values: float(np.std(values)) / len(values) ** 0.5},
    ),
    Mistake("the variance came back: take its root.", {"spread": lambda values: float(np.var(values, ddof=1))}),
    Mistake(
        "the variance with divisor n came back: take the root, and divide by n - 1.",
        {"spread": lambda values: float(np.var(values))},
    ),
    Mistake(
        "the range came back: it grows with the number of seeds. Use the standard deviation, with n - 1.",
        {"spread": lambda values: max(values) - min(values)},
    ),
    Mistake(
        "half the range came back: use the standard deviation, with n - 1.",
        {"spread": lambda values: (max(values) - min(values)) / 2},
    ),
    Mistake(
        "twice the deviation came back: the table's ± is one standard deviation.",
        {"spread": lambda values: 2 * deviation_of(values)},
    ),
    Mistake(
        "the mean distance from the mean came back: the standard deviation squares the distances, takes their mean "
        "(divisor n - 1) and the root of that.",
        {"spread": lambda values: float(np.mean(np.abs(np.subtract(values, np.mean(values)))))},
    ),
    Mistake(_BEST_SEED, {"centre": max}),
    Mistake(_BEST_SEED, {"pool": lambda mine: [chosen_on_validation(mine)], "spread": lambda values: 0.0}),
    Mistake(
        "the deviation is missing, there is 0 in its place: np.std(tests, ddof=1).", {"spread": lambda values: 0.0}
    ),
    Mistake(
        "the deviation is that of a single value, and not a number: collect the test accuracies of all seeds first, "
        "and then take their mean and deviation.",
        {"pool": lambda mine: [chosen_on_validation(mine)], "spread": lambda values: float("nan")},
    ),
    Mistake(
        "the median came back: with three seeds it is one of them. The table says the mean.",
        {"centre": lambda values: float(np.median(values))},
    ),
    Mistake(
        "the values are rounded to three digits: round where you print them, and compare the full numbers.",
        {"centre": lambda values: round(mean_of(values), 3), "spread": lambda values: round(deviation_of(values), 3)},
    ),
    Mistake(
        "the values are rounded to two digits: round where you print them, and compare the full numbers.",
        {"centre": lambda values: round(mean_of(values), 2), "spread": lambda values: round(deviation_of(values), 2)},
    ),
    Mistake(
        "the values are in per cent: leave them as they are in `test`, between 0 and 1.",
        {"centre": lambda values: 100 * mean_of(values), "spread": lambda values: 100 * deviation_of(values)},
    ),
)
