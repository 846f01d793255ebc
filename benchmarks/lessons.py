"""Seconds that each lesson takes headless: quick profile, solved, in a kernel of its own, with its start.

python benchmarks/lessons.py
"""

import sys

from record_lessons import lessons, minutes

BAR = 120

if __name__ == "__main__":
    slow = 0
    for lesson in lessons():
        seconds = 60 * minutes(lesson)
        slow += seconds >= BAR
        print(f"{lesson:<24} {seconds:6.1f} s  (bar: under {BAR} s)", flush=True)
    sys.exit(slow > 0)
