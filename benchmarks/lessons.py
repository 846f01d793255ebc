"""Seconds that each lesson takes headless, quick profile, solved, in a kernel of its own.

    python benchmarks/lessons.py [LESSON ...]
"""

import sys
import tempfile
import time
from pathlib import Path

import papermill

ROOT = Path(__file__).parent.parent
BAR = 120


def main() -> int:
    wanted = sys.argv[1:]
    slow = 0
    for notebook in sorted((ROOT / "build" / "solved").glob("*.ipynb")):
        if wanted and not any(notebook.stem.startswith(name) for name in wanted):
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            papermill.execute_notebook(notebook, Path(folder) / notebook.name, {"profile": "quick"}, cwd=ROOT / "notebooks", progress_bar=False)
        seconds = time.perf_counter() - start
        slow += seconds >= BAR
        print(f"{notebook.stem:<24} {seconds:6.1f} s  (bar: under {BAR} s)", flush=True)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
