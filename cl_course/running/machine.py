"""What this machine has: cores, memory, devices, versions."""

import os
import platform
import re
from typing import Any

import torch

from cl_course.images.pictures import machine_memory
from cl_course.values import nearest


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device called `name`; "auto" is the first GPU, or the CPU where there is none.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    name = str(name)  # of a torch.device too
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", name):
        near = nearest(name, ("auto", "cpu", "cuda", "mps"))
        raise ValueError(f"device must be 'auto', 'cpu', 'cuda' (or 'cuda:1', ...) or 'mps', got {name!r}{near}")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and int(name[5:] or 0) >= (there := torch.cuda.device_count()):
        raise ValueError(f"device {name!r} is not there: torch sees {there} CUDA GPUs on this machine; "
                         "use 'auto' or 'cpu'")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not there: torch sees no Apple GPU on this machine; use 'auto' or 'cpu'")
    return torch.device(name)


def describe_machine() -> dict[str, Any]:
    """What the course can count on here: cores, memory in GB (None if unknown), device, versions."""
    device = pick_device("auto")
    memory = machine_memory()
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": memory and round(memory / 1e9, 1),
        "device": str(device),
        "gpu": gpu and gpu.name,
        "gpu_memory": gpu and round(gpu.total_memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
