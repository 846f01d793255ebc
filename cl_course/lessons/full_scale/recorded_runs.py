"""Lesson 08: the recorded runs on photos and their encoders, as its tables and figures need them."""

from collections.abc import Mapping, Sequence

from cl_course.running import checkpoints, records


def recorded_runs(name: str) -> list[dict]:
    """The runs of a record; none, and a sentence that says so, where it has not been made."""
    try:
        return records.read(name)["runs"]
    except ValueError:
        print(f"there is no record {name!r} here yet, so there is nothing to show")
        return []


def by_name(runs: Sequence[Mapping], *fields: str) -> dict:
    """Runs grouped by one field ("run", unless another is named), or by several together, in their order."""
    fields = fields or ("run",)
    groups: dict = {}
    for run in runs:
        key = tuple(run[field] for field in fields)
        groups.setdefault(key[0] if len(fields) == 1 else key, []).append(run)
    return groups


def shipped_encoders(dataset: str) -> list[str]:
    """Names of the encoders that come with the course and were trained on a data set, such as "cifar10"."""
    return sorted(path.stem for path in checkpoints.SHIPPED.glob(f"*_{dataset}*.safetensors"))
