"""What this machine has for the course, and how long each lesson will take on it."""

import os
import shutil
import statistics
from importlib import metadata

from cl_course import data
from cl_course.images.download import ARCHIVES, cache_folder
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.machine import describe_machine
from cl_course.train import TrainConfig, step_times

PACKAGES = ("torchvision", "matplotlib", "ipywidgets", "anywidget", "umap-learn", "scikit-learn", "jupyterlab")
BUSY = 1.5  # times as long as at rest; a quiet machine stays under it


def step_seconds(steps: int = 16) -> float:
    """Seconds of one SimCLR step here at rest, on the CPU: the small encoder, 128 drawn images."""
    return _timed(steps)[0]


def _timed(steps: int = 16) -> tuple[float, float]:
    """Seconds of a step: at rest, and as it is now, which is longer where other programs take processor time.

    At rest is the fastest of `steps`; it cannot be longer than the processor time of all threads together.
    """
    encoder, config = small_resnet(), TrainConfig(epochs=1)
    images = data.load("shapes", "train", limit=config.batch_size)
    times = step_times(SimCLR(encoder, projector(encoder.dim)), images, config, steps)
    return min(map(min, times)), statistics.median(clock for clock, _ in times)


def lesson_minutes() -> tuple[dict[str, float], float, float] | None:
    """Minutes of each lesson here at rest, quick profile; a step's time here by that of the record; and now by at rest.

    An estimate, as if a lesson only trained. None where no record is shipped.
    """
    try:
        record = records.read("lessons")
    except ValueError:
        return None
    at_rest, now = _timed()
    ratio = at_rest / record["config"]["step_seconds"]
    return {run["lesson"]: run["minutes"] * ratio for run in record["runs"]}, ratio, now / at_rest


def data_in_reach() -> dict[str, str]:
    """For each data set, where it is or what getting it takes; names no folder of this machine."""
    found = {"shapes": "drawn here in seconds"}
    for name, archive in ARCHIVES.items():
        path = data.find(name)
        if path is None:
            found[name] = f"not here; the first use downloads {archive.size / 1e9:.1f} GB"
        else:
            found[name] = f"here: {path.name} in {'the cache' if path.parent == cache_folder() else 'CL_COURSE_DATA'}"
    return found


def report() -> str:
    """All of the above as text: one line a fact."""
    machine = describe_machine()
    memory = f"{machine['memory']} GB of memory" if machine["memory"] else "memory unknown"
    gpu = f", {machine['gpu']} with {machine['gpu_memory']} GB" if machine["gpu"] else ""
    lines = [
        ("system", f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}"),
        ("device", f"{machine['device']} ({machine['cores']} cores, {memory}{gpu})"),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)),
        ("disk", f"{_free_bytes() / 1e9:.0f} GB free where data is cached"),
        *((f"data {name}", where) for name, where in data_in_reach().items()),
    ]
    if estimated := lesson_minutes():
        minutes, ratio, busy = estimated
        lines += [(lesson, f"about {max(0.1, value):.1f} minutes of computing") for lesson, value in minutes.items()]
        where = f"a training step takes {ratio:.1f} times as long here as where the minutes were recorded"
        lines.append(("", f"(an estimate, quick profile, at rest: {where})"))
        if busy > BUSY:
            lines.append(("", f"(the machine is busy now: a step takes {busy:.1f} times as long as at rest)"))
    return "\n".join(f"{name:<24} {text}" for name, text in lines)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _free_bytes() -> int:
    folder = cache_folder()
    while not os.path.exists(folder):
        folder = folder.parent
    return shutil.disk_usage(folder).free
