"""Records the minutes each lesson takes headless, beside the time of one training step: what `cl-course doctor` scales.

    python benchmarks/record_lessons.py

Solved lessons, quick profile, one after the other, nothing else running.
"""

import subprocess
import sys
import time
from pathlib import Path

import torch

from cl_course.running import records
from cl_course.running.doctor import step_seconds
from cl_course.running.lesson_files import lessons

ROOT = Path(__file__).parent.parent


def minutes(lesson: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cl_course", "run", lesson, "--solved", "-p", "profile", "quick"], check=True, cwd=ROOT
    )
    return (time.perf_counter() - start) / 60


if __name__ == "__main__":
    config = {"profile": "quick", "threads": torch.get_num_threads(), "step_seconds": round(step_seconds(steps=20), 4)}
    runs = [{"lesson": lesson, "minutes": round(minutes(lesson), 2)} for lesson in (path.stem for path in lessons())]
    about = (
        "Minutes each lesson takes headless, start of its kernel included; "
        "step_seconds is one SimCLR step of 128 images on the CPU."
    )
    spent = sum(run["minutes"] for run in runs) * config["threads"]
    print(
        records.write(
            "lessons",
            room="running",
            script="benchmarks/record_lessons.py",
            about=about,
            config=config,
            runs=runs,
            minutes=spent,
        )
    )
