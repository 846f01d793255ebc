"""Seconds that `import cl_course` and its parts add to `import torch`, each in fresh processes.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

REPEATS, BAR = 7, 0.5
IMPORTS = {
    "torch": "import torch",
    "cl_course": "import torch, cl_course",
    "cl_course.train": "import torch, cl_course.train",
    "cl_course.evaluate": "import torch, cl_course.evaluate",
}


def seconds(statement: str) -> float:
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> int:
    taken = {name: [] for name in IMPORTS}
    for repeat in range(REPEATS + 1):  # the first fills the file cache
        for name, statement in IMPORTS.items():
            value = seconds(statement)
            if repeat:
                taken[name].append(value)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, value in medians.items():
        print(f"{name:<20} {value:5.2f} s   {value - medians['torch']:+5.2f} s over torch")
    print(f"bar: cl_course less than {BAR} s over torch")
    return int(medians["cl_course"] - medians["torch"] >= BAR)


if __name__ == "__main__":
    sys.exit(main())
