"""The mini-project: an encoder within a budget, ranked by what it is worth on images that no student has seen.

The hidden images are the embedded set drawn from a seed of the instructor's, or any labelled images that
`cl-course evaluate` takes; both judge alike. An encoder's size is counted here. How long it was trained is what its
card says, and a card can be written by hand: have the first ones of the board train theirs once more.
"""

import csv
import io
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from cl_course.coursework import sandbox
from cl_course.coursework.collect import student_of
from cl_course.coursework.grade import harmless
from cl_course.data import ImageSet, load
from cl_course.evaluate import embed, knn_accuracy, linear_probe
from cl_course.files import write_atomically
from cl_course.images import shapes
from cl_course.running import checkpoints

SPLITS = ("train", "val", "test")
COLUMNS = ("rank", "student", "knn", "linear", "parameters", "minutes", "note")
SECONDS, MEMORY = 900, 8 << 30  # that one encoder may take


@dataclass(frozen=True)
class Budget:
    """What an encoder may have cost: weights, and minutes of training by its card."""

    parameters: int
    minutes: float


@dataclass(frozen=True)
class Entry:
    """One encoder's line; `note` says why it is not ranked."""

    student: str
    knn: float = 0.0
    linear: float = 0.0
    parameters: int = 0
    minutes: float = 0.0
    note: str = ""


def hidden_split(source: str | None, seed: int, limit: int | None) -> tuple[ImageSet, ...]:
    """Train, val and test images with labels: of a source, or the embedded set drawn anew from the seed."""
    if source is not None:
        return tuple(load(source, split, limit=limit, seed=seed) for split in SPLITS)
    drawn = (shapes.draw(split, seed, limit) for split in SPLITS)
    return tuple(ImageSet(torch.from_numpy(d.images), torch.from_numpy(d.labels), shapes.CLASS_NAMES) for d in drawn)


def board(
    folder: Path, parts: Sequence[ImageSet], seed: int, budget: Budget, tell: Callable[[str], None]
) -> list[Entry]:
    """Every .safetensors in a folder, the best first; those that cannot be ranked come last.

    Raises:
        ValueError: there is none.
    """
    paths = [path for path in sorted(folder.rglob("*.safetensors")) if not path.is_symlink()]
    if not paths:
        raise ValueError(f"{folder} holds no .safetensors; give the folder in which the encoders and their cards lie")
    entries = []
    for path in paths:
        entries.append(_isolated(path, student_of(path.relative_to(folder).as_posix()), parts, seed, budget))
        tell(f"{entries[-1].student}: {entries[-1].note or f'linear probe {entries[-1].linear:.3f}'}")
    return sorted(entries, key=lambda entry: (bool(entry.note), -entry.linear, -entry.knn, entry.student))


def judge(path: Path, student: str, parts: Sequence[ImageSet], seed: int, budget: Budget) -> Entry:
    """What one encoder is worth."""
    encoder, card = checkpoints.restore(path)
    parameters = sum(weight.numel() for weight in encoder.parameters())
    stated = card.get("minutes")
    minutes = float(stated) if isinstance(stated, int | float) else float("nan")
    if parameters > budget.parameters:
        return Entry(student, 0, 0, parameters, minutes, f"over the budget of {budget.parameters:,} parameters")
    if not minutes <= budget.minutes:
        return Entry(
            student, 0, 0, parameters, minutes, f"its card states no training within {budget.minutes:g} minutes"
        )
    train_h, val_h, test_h = (embed(encoder, part) for part in parts)
    train_y, val_y, test_y = (part.labels for part in parts)
    knn = knn_accuracy(train_h, train_y, test_h, test_y, k=min(20, len(train_y)))
    linear = linear_probe(train_h, train_y, val_h, val_y, test_h, test_y, seed=seed).accuracy
    return Entry(student, float(knn), float(linear), parameters, minutes)


def write_board(out: Path, entries: Sequence[Entry]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, entry in enumerate(entries, 1):
        numbers = (f"{entry.knn:.4f}", f"{entry.linear:.4f}", entry.parameters, f"{entry.minutes:g}")
        writer.writerow(("" if entry.note else place, harmless(entry.student), *numbers, harmless(entry.note)))
    write_atomically(out, lambda path: path.write_text(text.getvalue(), encoding="utf-8-sig", newline=""))


def _isolated(path: Path, student: str, *what: object) -> Entry:
    """Judged in a process of its own, so that a file that asks for too much costs nobody else."""
    context = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, path, student, *what), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else Entry(student, note=f"not done after {SECONDS} seconds")
    except EOFError:
        return Entry(student, note="its process ended, as it does when memory runs out")
    finally:
        process.kill()
        process.join()


def _answer(channel: Connection, path: Path, student: str, *what: object) -> None:
    sandbox.limit(MEMORY)
    sandbox.end_with_parent()
    try:
        channel.send(judge(path, student, *what))
    except Exception as error:  # a damaged file, a card of another encoder, too much memory
        channel.send(Entry(student, note=" ".join(str(error).split())[:300] or type(error).__name__))
