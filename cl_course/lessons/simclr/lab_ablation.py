"""Ablation lab: choose a setting, say what you expect, and let the recorded runs answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from IPython.display import display

from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.tables import LABELS
from cl_course.values import real, shown

FACTORS = ("temperature", "augment", "batch_size")


def ablation_lab(
    runs: Sequence[Mapping],
    factors: Sequence[str] = FACTORS,
    *,
    measure: str = "knn",
    chance: float = 0.1,
    start: Mapping[str, object] | None = None,
    revealed: Sequence[tuple] = (),
) -> None:
    """Recorded runs around a chosen setting, whose accuracy is covered until it has been guessed; see lab_ablation.js.

    Args:
        runs: one dict a run, with a value for each of `factors`, and an accuracy in [0, 1] under `measure`.
        factors: what was varied; a choice and a panel each, for all values that were run.
        chance: accuracy of guessing, drawn as a line.
        start: the setting that is chosen at first; the middle value of a factor that is not given.
        revealed: settings (values in the order of `factors`) that are known from the start.

    Raises:
        ValueError: a run lacks a factor or the measure, or its accuracy lies outside [0, 1]; `start` or `revealed`
            names what was not run; there are no runs.
    """
    display(page_lab(__file__, "lab_ablation", **atlas(runs, factors, measure, chance, start or {}, revealed)))


def atlas(
    runs: Sequence[Mapping],
    factors: Sequence[str],
    measure: str,
    chance: float,
    start: Mapping[str, object],
    revealed: Sequence[tuple],
) -> dict[str, Any]:
    """What the page needs: settings as places in the factors' lists of values, each with one accuracy a seed."""
    if not runs:
        raise ValueError("runs must have at least one run, got none; read them with records.read(...)['runs']")
    for run in runs:
        if missing := [name for name in (*factors, measure) if name not in run]:
            raise ValueError(f"every run needs {missing[0]!r}, one has only {', '.join(run)}; name what the runs have")
        real(measure, run[measure], least=0, most=1, advice="the lab shows accuracies")
    values = {factor: _values(runs, factor) for factor in factors}
    settings: dict[tuple[int, ...], list[float]] = {}
    for run in runs:
        at = tuple(values[factor].index(run[factor]) for factor in factors)
        settings.setdefault(at, []).append(run[measure])
    middle = {factor: of_it[len(of_it) // 2] for factor, of_it in values.items()}
    known = [_place(dict(zip(factors, setting, strict=True)), values) for setting in revealed]
    if unknown := [at for at in known if tuple(at) not in settings]:
        raise ValueError(f"a revealed setting must have been run, and {revealed[known.index(unknown[0])]} was not")
    return {
        "measure": "kNN" if measure == "knn" else measure,
        "chance": real("chance", chance, least=0, most=1),
        "factors": [
            {"label": LABELS.get(factor, factor), "values": [str(value) for value in of_it]}
            for factor, of_it in values.items()
        ],
        "settings": [{"at": list(at), "scores": scores} for at, scores in settings.items()],
        "start": _place(middle | start, values),
        "revealed": known,
    }


def _place(setting: Mapping[str, object], values: Mapping[str, list]) -> list[int]:
    """Where each of a setting's values stands in the list of its factor."""
    for factor, value in setting.items():
        if value not in values.get(factor, ()):
            allowed = ", ".join(map(str, values.get(factor, ()))) or f"nothing; the factors are {', '.join(values)}"
            raise ValueError(f"{factor} was run with {allowed}, got {shown(value)}")
    return [values[factor].index(value) for factor, value in setting.items()]


def _values(runs: Sequence[Mapping], factor: str) -> list:
    """What a factor was set to: numbers in their order, names as they come."""
    values = list(dict.fromkeys(run[factor] for run in runs))
    return values if any(isinstance(value, str) for value in values) else sorted(values)
