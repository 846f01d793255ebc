"""The commands of coursework: export, grade and leaderboard. Everything heavy is imported inside of them."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cl_course.values import path_of

EXAMPLES = {
    "export": """examples:
  cl-course export 02 --to plain                                 for any learning platform, into build/coursework/
  cl-course export all --to nbgrader --points points.csv --out course
  cl-course export 02 --to otter                                 with Gradescope's zip
  cl-course export 02 --to plain --students ids.txt              a variant for each student""",
    "grade": """examples:
  cl-course grade submissions -o marks.csv                       marks, feedback and a report of the class
  cl-course grade moodle -o marks.csv --lesson 02 --seed 7341 --jobs 2
  (the same command once more goes on after a cut)""",
    "leaderboard": """example:
  cl-course leaderboard encoders -o leaderboard.csv --seed 7341 --most-minutes 5""",
}


def add(command: Callable[[str, Callable, str], argparse.ArgumentParser]) -> None:
    """Add the three to the command line."""
    one = command("export", export, "lessons to hand out, with points: plain, for nbgrader or for Otter")
    one.add_argument("lesson", help="03, 03_simclr or all")
    one.add_argument(
        "--to", required=True, choices=("nbgrader", "otter", "plain"), help="whose form the notebooks have"
    )
    one.add_argument("--out", type=path_of, default=Path("build/coursework"), help="a folder (default: %(default)s)")
    one.add_argument("--points", type=path_of, metavar="FILE", help="a CSV with the columns lesson, exercise, points")
    one.add_argument("--without-solutions", action="store_true", help="leave them out of the instructor's files too")
    one.add_argument("--students", type=path_of, metavar="FILE", help="of plain: ids, one a line; each gets a variant")

    one = command("grade", grade, "marks, feedback and a report from a folder of submitted notebooks")
    one.add_argument("folder", type=path_of, help="with notebooks, or zips of them, as a learning platform gives them")
    one.add_argument("-o", "--out", type=path_of, default=Path("marks.csv"), help="a .csv (default: %(default)s)")
    one.add_argument("--lesson", default="all", help="03, 03_simclr, or all: as each notebook says (default: all)")
    one.add_argument("--points", type=path_of, metavar="FILE", help="as for export")
    one.add_argument(
        "--seed", type=int, default=0, metavar="N", help="a number that students do not know: hidden inputs"
    )
    one.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="notebooks side by side")
    one.add_argument("--cell-seconds", type=float, default=120.0, metavar="S", help="that one cell may take")
    one.add_argument("--exercise-seconds", type=float, default=60.0, metavar="S", help="that one exercise may take")
    one.add_argument("--memory", type=float, default=4.0, metavar="GB", help="that one notebook may take")

    one = command("leaderboard", leaderboard, "rank encoders of a class on images that nobody has seen")
    one.add_argument("folder", type=path_of, help="with .safetensors files beside their .json cards")
    one.add_argument("-o", "--out", type=path_of, default=Path("leaderboard.csv"), help="a .csv (default: %(default)s)")
    one.add_argument("--source", help="labelled images as for evaluate (default: shapes, drawn from the seed)")
    one.add_argument("--seed", type=int, required=True, metavar="N", help="a number that students do not know")
    one.add_argument("--limit", type=int, metavar="N", help="take at most so many images of each split")
    one.add_argument("--most-parameters", type=int, default=400_000, metavar="N", help="(default: %(default)s)")
    one.add_argument("--most-minutes", type=float, default=5.0, metavar="M", help="of training (default: %(default)s)")


def export(chosen: argparse.Namespace) -> int:
    """Notebooks to hand out; for Otter the solution is marked first, since Gradescope has no sources to do it."""
    with _extra():
        from cl_course.coursework import export as exports
        from cl_course.coursework.assignment import assignments
        from cl_course.coursework.marking import Limits, self_tested

    if chosen.students and chosen.to != "plain":
        raise ValueError(
            "--students makes variants for --to plain alone; nbgrader and Otter hand out one notebook to all"
        )
    students = _students(chosen.students) if chosen.students else []
    found = assignments(chosen.lesson, chosen.points)
    if chosen.to == "otter":
        found = [self_tested(assignment, Limits()) for assignment in found]
    exports.export(found, chosen.to, chosen.out, not chosen.without_solutions, students, print)
    print(f"written to {chosen.out}")
    return 0


def grade(chosen: argparse.Namespace) -> int:
    """Marks of a class; a cut run goes on where it was."""
    import torch

    with _extra():
        from cl_course.coursework import grade as grading
        from cl_course.coursework.assignment import assignments
        from cl_course.coursework.collect import collect
        from cl_course.coursework.marking import NOTEBOOK_SECONDS, Limits
        from cl_course.coursework.report import write_feedback, write_report
    from cl_course.files import alone
    from cl_course.values import MAX_SEED, real, whole

    if chosen.out.suffix != ".csv":
        raise ValueError(f"--out must end in .csv, got {chosen.out}; the report and the feedback go beside it")
    jobs, seed = whole("--jobs", chosen.jobs, 1), whole("--seed", chosen.seed, 0, MAX_SEED)
    memory = int(real("--memory", chosen.memory, least=1, most=1e6) * 2**30)
    cell = real("--cell-seconds", chosen.cell_seconds, above=0)
    limits = Limits(memory, cell, real("--exercise-seconds", chosen.exercise_seconds, above=0), NOTEBOOK_SECONDS)
    torch.set_num_threads(1)  # before the processes for the notebooks are forked
    handed, lessons = collect(chosen.folder), assignments(chosen.lesson, chosen.points)
    beside = chosen.out.with_suffix("")
    if seed == 0:
        print("hidden inputs follow from --seed 0, which students can guess; give a number of your own", flush=True)
    with alone(chosen.out):
        walls = grading.missing_walls()
        for wall in walls:
            print(f"not shut off on this machine: {wall}", flush=True)
        try:
            rows = grading.grade(handed, lessons, chosen.out, limits, seed, jobs, lambda said: print(said, flush=True))
        except KeyboardInterrupt as stop:
            stop.add_note("; the same command goes on after the notebooks that are done")
            raise
        write_report(beside / "report.html", rows, walls)
        write_feedback(beside / "feedback", rows)
    print(f"marks in {chosen.out}, the class in {beside / 'report.html'}, feedback in {beside / 'feedback'}")
    return 0


def leaderboard(chosen: argparse.Namespace) -> int:
    """Encoders within a budget, the best first."""
    with _extra():
        from cl_course.coursework.project import Budget, board, hidden_split, write_board
    from cl_course.running.outputs import check_file
    from cl_course.values import MAX_SEED, real, whole

    seed = whole("--seed", chosen.seed, 0, MAX_SEED)
    most = whole("--most-parameters", chosen.most_parameters, 1), real("--most-minutes", chosen.most_minutes, above=0)
    if not chosen.folder.is_dir():
        raise ValueError(f"there is no folder {chosen.folder}; give the one in which the encoders lie")
    check_file(chosen.out)  # before the judging, which may take hours
    parts = hidden_split(chosen.source, seed, chosen.limit)
    write_board(chosen.out, board(chosen.folder, parts, seed, Budget(*most), lambda said: print(said, flush=True)))
    print(f"written to {chosen.out}")
    return 0


@contextmanager
def _extra() -> Iterator[None]:
    """Imports of packages that only coursework needs; a sentence where they are missing."""
    try:
        yield
    except ModuleNotFoundError as missing:
        raise ValueError(f"coursework needs {missing.name}: pip install -e '.[coursework]'") from None


def _students(path: Path) -> list[str]:
    """Ids, one a line; the first column of a CSV."""
    import csv
    import io

    from cl_course.coursework.assignment import text_of

    rows = csv.reader(io.StringIO(text_of(path), newline=""))
    ids = [row[0].strip() for row in rows if "".join(row).strip()]
    if not ids or len({one.casefold() for one in ids}) < len(ids):
        raise ValueError(
            f"{path} must hold one id a line, each once; it has {len(ids)}, {len(set(ids))} of them different"
        )
    return ids
