"""Lesson 06: the learner's `my_table(runs)`, method -> (mean, deviation) of what may be reported.

The table is made in three steps, each of which can go wrong: which seeds count, which of a seed's runs is taken, and
what is said of the values that are left.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from cl_course.lessons.shared.exercise import Exercise, Fault, call, kind_of, same
from cl_course.lessons.what_did_it_learn.mistakes_fair_table import (
    MISTAKES,
    Runs,
    deviation_of,
    make,
    mean_of,
    methods_of,
    right,
)

NAME = "my_table"


# Inputs: validation and test agree in the main, but not on which run is best.
def _runs(
    seed: int, of_method: Mapping[str, Sequence[int]], rates: Sequence[float] = (0.001, 0.003, 0.01), skill: float = 0.6
) -> list:
    rng = np.random.default_rng(seed)
    runs = []
    for place, (method, seeds) in enumerate(of_method.items()):
        for number in seeds:
            for rate in rates:
                level = skill + 0.05 * place + 0.05 * rng.normal()
                val, test = (round(float(level + noise), 4) for noise in 0.06 * rng.normal(size=2))
                runs.append({"method": method, "seed": number, "rate": rate, "val": val, "test": test})
    return [runs[place] for place in rng.permutation(len(runs))]  # in no order that helps


ORDINARY = (
    _runs(1, {"A": range(5), "B": range(1, 5)}),
    _runs(2, {"A": range(5), "B": (0, 1, 3, 4, 5), "C": range(1, 6)}),
    _runs(3, {"probe": (7, 1, 4), "fine-tuned": (1, 4, 7, 9)}, (0.1, 0.3, 0.03, 1.0), skill=0.2),
)


def pairs(attempt: Callable, runs: Runs) -> list[tuple[float, float]]:
    """The table's (mean, deviation) in the order of the methods."""
    given = copy.deepcopy(list(runs))
    table = call(lambda: attempt(given))
    if sorted(map(str, given)) != sorted(map(str, runs)):
        raise Fault("you changed the runs that you were given, and the next table is made of them: work on copies.")
    names = methods_of(runs)
    expected = f"a dict is expected, with the names {', '.join(names)} as keys and (mean, deviation) as values"
    if not isinstance(table, Mapping):
        raise Fault(f"{expected}; {kind_of(table)} came back.")
    if set(table) != set(names):
        keys = ", ".join(map(str, table))
        raise Fault(f"{expected}; {f'a dict with the keys {keys}' if table else 'an empty dict'} came back.")
    found = []
    for name in names:
        try:
            values = torch.as_tensor(table[name]).detach().double().flatten().tolist()
        except (TypeError, ValueError, RuntimeError):
            values = _floats(table[name])
        if len(values) != 2:
            got = f"{len(values)} number{'s' * (len(values) != 1)}" if values else f"a {type(table[name]).__name__}"
            raise Fault(f"{expected}; for {name} of one set {got} came back.")
        found.append(tuple(values))
    return found


def _floats(values: object) -> list[float]:
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        return []


def observe(attempt: Callable) -> list:
    return [pairs(attempt, runs) for runs in ORDINARY]


def is_the_same_in_any_order(attempt: Callable) -> str | None:
    for runs in ORDINARY:
        if not same(list(reversed(pairs(attempt, list(reversed(runs))))), _in_reverse(attempt, runs)):
            return "your table changes when the same runs come in another order, and it should not."
    return None


def _in_reverse(attempt: Callable, runs: Runs) -> list:
    """The pairs in the reverse of the order in which the methods first stand in the reversed list."""
    of_method = dict(zip(methods_of(runs), pairs(attempt, runs)))
    return [of_method[method] for method in reversed(methods_of(list(reversed(runs))))]


# Wrong, and no known mistake: one step after the other, in sets so small that they can be followed by hand.
def run(method: str, seed: int, val: float, test: float, rate: float = 0.01) -> dict:
    return {"method": method, "seed": seed, "rate": rate, "val": val, "test": test}


def _pair(values: tuple[float, float]) -> str:
    return f"({values[0]:.4g}, {values[1]:.4g})"


def one_run_a_seed(attempt: Callable) -> str | None:
    """Nothing to choose, all seeds shared: only mean and deviation are left."""
    tests = (0.6, 0.7, 0.9)
    runs = [run("A", seed, val, test) for seed, val, test in zip((1, 2, 3), (0.7, 0.6, 0.8), tests)]
    ((mean, deviation),) = pairs(attempt, runs)
    right_mean, right_deviation = mean_of(tests), deviation_of(tests)
    given = "one method with one run a seed, val 0.7, 0.6, 0.8 and test 0.6, 0.7, 0.9"
    if not same(mean, right_mean):
        return f"for {given}, the mean should be {right_mean:.4f}; yours is {mean:.4f}."
    if not same(deviation, right_deviation):
        return f"for {given}, the deviation should be {right_deviation:.4f} (divisor n - 1); yours is {deviation:.4f}."
    return None


def two_rates_a_seed(attempt: Callable) -> str | None:
    """Whatever is chosen shows in the mean."""
    of_seed = {1: ((0.8, 0.5), (0.6, 0.9)), 2: ((0.5, 0.4), (0.7, 0.7))}
    runs = [run("A", s, *tried, rate) for s, both in of_seed.items() for tried, rate in zip(both, (0.001, 0.01))]
    ((mean, deviation),) = pairs(attempt, runs)
    if same((mean, deviation), (0.6, deviation_of((0.5, 0.7)))):
        return None
    return (
        "for one method with seed 1: (val, test) = (0.8, 0.5) and (0.6, 0.9), seed 2: (0.5, 0.4) and (0.7, 0.7), you "
        f"get {_pair((mean, deviation))}. Validation chooses the tests 0.5 and 0.7: "
        f"{_pair((0.6, deviation_of((0.5, 0.7))))}."
    )


def some_seeds_shared(attempt: Callable) -> str | None:
    """One run a seed; the mean says whose seeds were taken."""
    a, b = {0: 0.9, 1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.6, 3: 0.1}
    runs = [run(name, seed, 0.5, test) for name, tests in (("A", a), ("B", b)) for seed, test in tests.items()]
    mine, expected = pairs(attempt, runs), pairs(right, runs)
    for name, m, e in zip("AB", mine, expected):
        if not same(m, e):
            return (
                "with one run a seed, method A with seeds 0, 1, 2 and test 0.9, 0.5, 0.6, method B with seeds 1, 2, 3 "
                f"and test 0.4, 0.6, 0.1, you get {_pair(m)} for {name}. Both have the seeds 1 and 2: {_pair(e)}."
            )
    return None


def three_methods(attempt: Callable) -> str | None:
    tests = {"A": (0, 1, 2, 3), "B": (0, 1, 2, 4), "C": (4, 3, 2, 1)}
    runs = [run(name, seed, 0.5, 0.1 * seed + 0.2) for name, seeds in tests.items() for seed in seeds]
    for name, m, e in zip("ABC", pairs(attempt, runs), pairs(right, runs)):
        if not same(m, e):
            return (
                "with three methods, A with the seeds 0, 1, 2, 3, B with 0, 1, 2, 4, C with 1, 2, 3, 4, one run each, "
                f"test = 0.2 + seed / 10, you get {_pair(m)} for {name}. All three have the seeds 1 and 2: {_pair(e)}."
            )
    return None


def first_wrong(attempt: Callable) -> str | None:
    for runs in ORDINARY:
        for name, m, e in zip(methods_of(runs), pairs(attempt, runs), pairs(right, runs)):
            if not same(m, e):
                return f"for method {name} of one set you get {_pair(m)}, expected {_pair(e)}."
    return None


def leaves_the_order(attempt: Callable) -> str | None:
    given = copy.deepcopy(list(ORDINARY[0]))
    attempt(given)
    if given == list(ORDINARY[0]):
        return None
    return "your function sorts the list that it was given; sorted(runs) makes a new one."


fair_table = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="chosen on validation, reported on test, over the seeds that all methods have, with a sample's deviation.",
    demands=(is_the_same_in_any_order,),
    ladder=(one_run_a_seed, two_rates_a_seed, some_seeds_shared, three_methods, is_the_same_in_any_order, first_wrong),
    notes=(leaves_the_order,),
)
