"""Lines of the library, room by room, and those of lessons/ apart.

python benchmarks/lines.py
"""

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "cl_course"


def lines(folder: Path) -> dict[str, int]:
    """Room -> lines of its Python files, blank ones and comments too; files beside the rooms are the shelf."""
    counted: dict[str, int] = {}
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).parts
        room = f"{inside[0]}/" if len(inside) > 1 else "the shelf"
        counted[room] = counted.get(room, 0) + len(path.read_text().splitlines())
    return counted


def main() -> int:
    counted = lines(PACKAGE)
    lessons = counted.pop("lessons/")
    for room, number in sorted(counted.items(), key=lambda item: -item[1]):
        print(f"{room:<12}{number:>7,}")
    total = sum(counted.values())
    print(f"{'library':<12}{total:>7,}\n\n{'lessons/':<12}{lessons:>7,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
