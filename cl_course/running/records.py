"""Recorded runs: what a script in `benchmarks/` measured, as data that lessons and README plot.

It lies in the `recorded` folder of the room it belongs to, with seeds, versions, and the script that makes it again.
"""

import json
import platform
from pathlib import Path

import torch

from cl_course.files import write_atomically

PACKAGE = Path(__file__).parents[1]


def names() -> list[str]:
    """The records that there are."""
    return sorted(_there())


def read(name: str) -> dict:
    """A record by name, such as "results"; a ValueError lists the names there are."""
    there = _there()
    if name not in there:
        raise ValueError(f"no record {name!r}; there are {', '.join(sorted(there))}")
    return json.loads(there[name].read_text())


def _there() -> dict[str, Path]:
    return {path.stem: path for path in PACKAGE.rglob("recorded/*.json")}


def write(name: str, *, room: str, script: str, about: str, config: dict, runs: list[dict], minutes: float) -> Path:
    """Write a record.

    Args:
        room: where it belongs, such as "lessons/moco"; "running" for what several lessons and the README show.
        script: the file that makes it again, from the repository's root.
        about: one sentence on what was measured.
        config: the settings that all runs share.
        runs: one dict a run, each with its "seed" and what it measured.
        minutes: of processor time, summed over cores, that all runs took together.
    """
    record = {
        "about": about,
        "script": script,
        "config": config,
        "seeds": sorted({run["seed"] for run in runs if "seed" in run}),
        "cpu_minutes": round(minutes, 1),
        "versions": {"python": platform.python_version(), "torch": torch.__version__.split("+")[0],
                     "machine": platform.machine()},
        "runs": runs,
    }
    path = PACKAGE / room / "recorded" / f"{name}.json"
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(record, indent=1) + "\n"))
    return path
