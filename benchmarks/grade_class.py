"""A class of 30 hands in lesson 02: how long marking takes, and whether a class that was cut ends in the same marks.

    nice -n 19 python benchmarks/grade_class.py [--students 30] [--jobs 2]

A third of the notebooks are right, a third hostile, the rest empty or wrong in one exercise; each student has a
variant. The class is marked in one go, and once more with a kill in the middle. The bar is missed where the first takes
longer than six minutes on two cores, a right one has less than all points, an empty or hostile one has any, or the CSVs
differ.
Seconds of the processor are printed beside those of the clock, since the clock means little on a machine that is busy.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import nbformat

from cl_course.coursework.assignment import Assignment, assignments
from cl_course.coursework.export import plain
from cl_course.coursework.variants import Variant

BAR = 360.0  # seconds
HOSTILE = (
    "import sys\nsys.exit()",
    "import os\nos._exit(0)",
    "import os\nos.kill(os.getpid(), 9)",
    "while True:\n    pass",
    "from cl_course import checks\nchecks.nt_xent = lambda attempt: print('✔')",
    "from cl_course.lessons.shared.exercise import Exercise\nExercise.judge = print",
    "import torch\ntorch.allclose = lambda *a, **k: True",
    "import builtins\nbuiltins.len = lambda _: 3",
    "raise SystemExit",
    "import os\nos.abort()",
)


def hand_in(folder: Path, assignment: Assignment, students: int) -> dict[str, str]:
    """Write the class; student -> right, empty, wrong or hostile."""
    solved = [c.source for c in assignment.solved().cells if "exercise" in c.metadata.get("tags", [])]
    kinds = {}
    for number in range(students):
        student = f"student {number:02}"
        kind = ("right", "hostile", "right", "empty", "hostile", "wrong")[number % 6]
        variant = Variant(student, assignment.lesson)
        notebook = plain(assignment, variant)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in code:
            if kind != "empty":
                head = cell.source.partition("(")[0]
                cell.source = next((source for source in solved if source.partition("(")[0] == head), cell.source)
        if kind != "empty":
            code[-1].source = f"my_number = {variant.answer}"
        exercises = [cell for cell in code if cell.source.startswith("def my_")]
        if kind == "wrong":
            one = exercises[number % len(exercises)]
            one.source = f"{one.source.partition('(')[0]}(*given):\n    return 0"
        if kind == "hostile":
            place = notebook.cells.index(exercises[0])
            notebook.cells.insert(place, nbformat.v4.new_code_cell(HOSTILE[number % len(HOSTILE)]))
        path = folder / student / f"{assignment.lesson}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
        kinds[student] = kind
    return kinds


def grade(folder: Path, out: Path, jobs: int, kill_after: int | None = None) -> float:
    """Seconds that the command takes; with `kill_after` it is killed after so many notebooks, and run again."""
    command = [sys.executable, "-m", "cl_course", "grade", str(folder), "-o", str(out), "--lesson", "02"]
    start = time.monotonic()
    with subprocess.Popen([*command, "--jobs", str(jobs)], stdout=subprocess.PIPE, text=True) as process:
        for done, line in enumerate(process.stdout):
            print("   ", line, end="", flush=True)
            if done == kill_after:
                process.kill()
                break
    if kill_after is not None:
        grade(folder, out, jobs)
    return time.monotonic() - start


def points_of(out: Path) -> dict[str, tuple[float, float]]:
    totals = defaultdict(lambda: (0.0, 0.0))
    with out.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            points, possible = totals[row["student"]]
            totals[row["student"]] = points + float(row["points"]), possible + float(row["possible"])
    return totals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    (assignment,) = assignments("02")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "submissions"
        kinds = hand_in(folder, assignment, chosen.students)
        whole, cut = Path(place) / "whole.csv", Path(place) / "cut.csv"
        seconds = grade(folder, whole, chosen.jobs)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{chosen.students} notebooks in {seconds:.0f} s of the clock with {chosen.jobs} side by side, "
              f"{used.ru_utime + used.ru_stime:.0f} s of the processor; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        grade(folder, cut, chosen.jobs, kill_after=chosen.students // 2)
        same = whole.read_bytes() == cut.read_bytes()
        missed = [] if same else ["the class that was cut has other marks"]
        for student, (points, possible) in points_of(whole).items():
            kind = kinds[student]
            if (kind == "right" and points < possible) or (kind in ("empty", "hostile") and points > 0):
                missed.append(f"{student}, {kind}: {points:g} of {possible:g}")
        if seconds > BAR:
            missed.append(f"{seconds:.0f} s, more than {BAR:.0f}")
        print("; ".join(missed) or "all as it must be; a class that was cut ends in the same marks")
        return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
