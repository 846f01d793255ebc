"""Plan lab: choose a run, and see what it takes on the machine whose steps were timed, beside published runs."""

from collections.abc import Mapping
from typing import Any

from IPython.display import display

from cl_course.lessons.full_scale.planner import OPTIONS, costs
from cl_course.lessons.full_scale.published import LIGHTLY
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.values import shown

BATCHES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
EPOCHS = (1, 2, 5, 10, 20, 50, 100, 200, 400, 800)
IMAGES = (1_000, 5_000, 10_000, 50_000, 105_000, 1_281_167)
PROCESSES = (1, 2, 4, 8)


def plan_lab(record: Mapping[str, Any]) -> None:
    """A run planner: encoder, image side, batch, epochs, images, processes and options; see lab_plan.js.

    Args:
        record: `full_scale`, or one of the same form made on another machine.

    Raises:
        ValueError: the record holds no timed step.
    """
    display(page_lab(__file__, "lab_plan", **planned(record)))


def planned(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the page needs, plain data."""
    runs = record.get("runs")
    if not runs:
        raise ValueError(f"the record must hold timed steps in 'runs', got {shown(runs)}; make it with "
                         "benchmarks/record_full_scale.py")  # fmt: skip
    return {
        "costs": costs(runs),
        "options": {name: words for name, (_, words) in OPTIONS.items() if name != "channels_last"},
        "machine": machine_of(record["config"]),
        "memory": (record["config"]["machine"]["gpu_memory"] or record["config"]["machine"]["memory"] or 0) * 1000,
        "published": list(LIGHTLY),
        "batches": list(BATCHES),
        "epochs": list(EPOCHS),
        "images": list(IMAGES),
        "processes": list(PROCESSES),
        "start": {"encoder": "resnet18", "side": "32", "batch": 512, "epochs": 200, "images": 50_000, "processes": 1},
    }


def machine_of(config: Mapping[str, Any]) -> str:
    """The machine of a record in words."""
    machine, threads = config["machine"], config["threads"]
    if machine["gpu"]:
        return machine["gpu"]
    return f"{threads} core{'s' if threads > 1 else ''} of {config['processor']}"
