"""Lesson 08: what a run takes, from the steps that were timed here (record `full_scale`). The lab computes the same."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cl_course.values import one_of, whole

OPTIONS = {  # a recorded step's field -> (the value that is measured beside the base, its name)
    "precision": ("bfloat16", "bfloat16"),
    "channels_last": (False, "rows of pixels in place of channels last"),
    "compiled": (True, "compiled"),
    "checkpointing": (True, "activation checkpointing"),
}
USUAL = {"precision": "float32", "channels_last": True, "compiled": False, "checkpointing": False}


@dataclass(frozen=True)
class Estimate:
    """What a run takes.

    Attributes:
        steps: of the whole run.
        seconds: of the whole run.
        megabytes: of each process, at the peak of a step.
        views_per_second: of all processes together.
        negatives: of one view, with SimCLR whose embeddings are gathered.
        measured: whether a step like this one lies within what was timed; elsewhere it is extrapolated.
    """

    steps: int
    seconds: float
    megabytes: float
    views_per_second: float
    negatives: int
    measured: bool


def costs(runs: Sequence[Mapping]) -> dict:
    """The recorded steps, as plain data for the planner and the lab.

    Returns:
        {encoder: {"steps": {side: [[batch, seconds, megabytes], ...]}, "factors": {option: [time, memory]}}}; sides are
        strings, as JSON has them. A factor is against the same step without the option; that of memory is None where it
        was not measured.
    """
    table: dict = {}
    for run in runs:
        of_it = table.setdefault(run["encoder"], {"steps": {}, "factors": {}})
        if all(run[name] == value for name, value in USUAL.items()):
            rows = of_it["steps"].setdefault(str(run["side"]), [])
            rows.append([run["batch"], run["seconds"], run["megabytes"]])
    for of_it in table.values():
        for rows in of_it["steps"].values():
            rows.sort()
    for run in runs:
        changed = [name for name, value in USUAL.items() if run[name] != value]
        if len(changed) == 1:
            (base,) = [row for row in table[run["encoder"]]["steps"][str(run["side"])] if row[0] == run["batch"]]
            memory = None if run["megabytes"] is None else run["megabytes"] / base[2]
            table[run["encoder"]]["factors"][changed[0]] = [run["seconds"] / base[1], memory]
    return table


def step_cost(rows: Sequence[Sequence[float]], batch: float) -> tuple[float, float]:
    """(seconds, megabytes) of a step: between two measured batches on a line of logarithms, else in proportion."""
    first, last = rows[0], rows[-1]
    if batch <= first[0] or batch >= last[0]:
        near = first if batch <= first[0] else last
        return near[1] * batch / near[0], near[2] * batch / near[0]
    above = next(i for i, row in enumerate(rows) if row[0] >= batch)
    a, b = rows[above - 1], rows[above]
    at = math.log(batch / a[0]) / math.log(b[0] / a[0])
    return tuple(a[i] * (b[i] / a[i]) ** at for i in (1, 2))


def estimate(
    table: Mapping, encoder: str, side: int, batch: int, epochs: int, images: int, processes: int = 1,
    options: Collection[str] = (),
) -> Estimate:  # fmt: skip
    """What a run takes; processes share each batch, and what they exchange is not counted.

    Args:
        table: from `costs`.
        side: one of those that were timed for this encoder.
        options: names of OPTIONS, each with its factor from one batch and 32 pixels.

    Raises:
        ValueError: an unknown encoder or side, a batch above `images`, or one that processes cannot share.
    """
    of_it = table[one_of("encoder", encoder, tuple(table))]
    rows = of_it["steps"][one_of("side", str(side), tuple(of_it["steps"]))]
    whole("batch", batch, 2, images, "it is at most the number of images")
    whole("epochs", epochs, 1), whole("processes", processes, 1)
    if batch % processes:
        raise ValueError(f"{processes} processes cannot share a batch of {batch}; take a multiple of {processes}")
    share = batch / processes
    seconds, megabytes = step_cost(rows, share)
    for name in options:
        time, memory = of_it["factors"][one_of("option", name, tuple(of_it["factors"]))]
        seconds, megabytes = seconds * time, megabytes * (1 if memory is None else memory)
    steps = epochs * (images // batch)
    inside = rows[0][0] <= share <= rows[-1][0]
    return Estimate(
        steps, steps * seconds, megabytes, 2 * batch / seconds, 2 * batch - 2,
        inside and processes == 1 and not options,
    )  # fmt: skip
