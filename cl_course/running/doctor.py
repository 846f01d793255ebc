"""What this machine has for the course, and how long each lesson will take on it."""

import os
import shutil
from importlib import metadata

from cl_course import data
from cl_course.images.download import ARCHIVES, cache_folder
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import records
from cl_course.running.machine import describe_machine
from cl_course.train import TrainConfig, estimate

PACKAGES = ("torchvision", "matplotlib", "ipywidgets", "anywidget", "umap-learn", "scikit-learn", "jupyterlab")


def step_seconds(steps: int = 8) -> float:
    """Seconds of one SimCLR step here, on the CPU: the small encoder, 128 drawn images, the median of `steps`."""
    encoder = small_resnet()
    config = TrainConfig(epochs=1)
    images = data.load("shapes", "train", limit=config.batch_size)
    return estimate(SimCLR(encoder, projector(encoder.dim)), images, config, steps=steps)


def lesson_minutes() -> tuple[dict[str, float], float] | None:
    """Minutes each lesson takes here in the quick profile, and how much slower than where they were recorded.

    An estimate: the recorded minutes times the ratio of a training step here and there, as if a
    lesson did nothing but train. None where no record is shipped.
    """
    try:
        record = records.read("lessons")
    except ValueError:
        return None
    ratio = step_seconds() / record["config"]["step_seconds"]
    return {run["lesson"]: run["minutes"] * ratio for run in record["runs"]}, ratio


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
        minutes, ratio = estimated
        lines += [(lesson, f"about {max(0.1, value):.1f} minutes of computing") for lesson, value in minutes.items()]
        lines += [("", f"(an estimate, quick profile: a training step takes {ratio:.1f} times as long here as where the minutes were recorded)")]
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
