"""Labels that a person gives to pictures: a plain file in which each label lies on disk before it counts as given.

The file is a journal, as databases keep one: a line is added for each label and none is ever changed. So a process that
is killed loses nothing, and undo is one more line. It is a CSV file, which people and spreadsheets can read. A line
names its picture, so that pictures may be added or moved without shifting a label.
"""

import csv
import io
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch

from cl_course.data import ImageSet
from cl_course.files import alone
from cl_course.values import instance, path_of, shown

HEADER = ("action", "picture", "class", "saved")
ACTIONS = ("pictures", "label", "skip", "undo")
STAMP = "%Y-%m-%d %H:%M:%S"
BOM = "\ufeff"  # by which spreadsheets see that letters are UTF-8
# File -> its lines, shared by all that this process opens: a notebook's cell may run again while its old page is open.
_HERE: dict[Path, list["Entry"]] = {}


class Entry(NamedTuple):
    """One line of a journal: action "pictures" names the source, the others what was done to which picture."""

    action: str
    picture: str
    label: str = ""
    saved: str = ""


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The labels and skips that count: an undo takes back the last one before it that no undo has taken back."""
    kept: list[Entry] = []
    for entry in entries:
        if entry.action in ("label", "skip"):
            kept.append(entry)
        elif entry.action == "undo" and kept:
            kept.pop()
    return kept


class Labels:
    """The labels of one source's pictures. Each is on disk when `give` returns.

    While it is open no other process can label into the file; it closes with the process, or by `close`.

    Attributes:
        path: the .csv file.
        classes: the names to choose from, in their order.

    Args:
        path: an existing file is gone on with; otherwise it is made.
        classes: two or more different names, each in one line of text.
        source: what the pictures are called, such as the name of their folder; a file of another source is refused.

    Raises:
        ValueError: the file is no journal of labels, is damaged, or belongs to other pictures or classes, or another
            process has it open.
        OSError: nothing can be written there.
    """

    def __init__(self, path: str | Path, classes: Sequence[str], source: str):
        self.path, self.classes = path_of(path), _checked(classes)
        self._source = instance("source", source, str, "pass its name: str(source)")
        self._open, self._closed = ExitStack(), False
        try:
            self._open.enter_context(alone(self.path))
        except ValueError:
            what = f"another notebook or command labels into {self.path} now"
            raise ValueError(f"{what}; shut down its kernel, or name another file") from None
        try:
            entries = self._read()
        except BaseException:
            self.close()
            raise
        self._entries = _HERE.setdefault(self.path.resolve(), [])
        self._entries[:] = entries

    def close(self) -> None:
        """Let other processes label; what was given stays on disk, and `given` still says it."""
        self._closed = True
        self._open.close()

    @property
    def given(self) -> dict[str, str]:
        """Picture -> its class, or "" where it was skipped; the picture labelled last comes last."""
        found: dict[str, str] = {}
        for entry in standing(self._entries):
            found.pop(entry.picture, None)
            found[entry.picture] = entry.label
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Class -> how many pictures have it, for all classes."""
        counted = Counter(self.given.values())
        return {name: counted[name] for name in self.classes}

    @property
    def last(self) -> Entry | None:
        """What an undo would take back."""
        kept = standing(self._entries)
        return kept[-1] if kept else None

    def give(self, picture: str, label: str) -> None:
        """Label a picture, or label it anew; on return it is on disk.

        Raises:
            ValueError: there is no such class.
            OSError: it could not be written; the file is as it was before.
        """
        if label not in self.classes:
            raise ValueError(f"the class must be one of {', '.join(self.classes)}, got {shown(label)}")
        self._add(Entry("label", picture, label))

    def skip(self, picture: str) -> None:
        """Put a picture aside, without a class; what a label had said of it no longer counts."""
        self._add(Entry("skip", picture))

    def undo(self) -> Entry | None:
        """Take back the last label or skip; returns it, or None where nothing is left to take back."""
        last = self.last
        if last is not None:
            self._add(Entry("undo", last.picture, last.label))
        return last

    def labelled(self, images: ImageSet) -> ImageSet:
        """The images that have a label, with it; labels of pictures that are not among them are left out.

        Raises:
            ValueError: the images have no names, or none of them is labelled.
        """
        if not images.names:
            raise ValueError("labels are kept by the pictures' names, and these have none; give ImageSet(names=...)")
        numbers = {name: number for number, name in enumerate(self.classes)}
        given = self.given
        index = [i for i, name in enumerate(images.names) if given.get(name)]
        if not index:
            raise ValueError(f"{self.path} has no label for any of these {len(images):,} pictures; label some first")
        chosen = images.subset(torch.tensor(index))
        labels = torch.tensor([numbers[given[name]] for name in chosen.names])
        return ImageSet(chosen.images, labels, self.classes, chosen.factors, chosen.masks, chosen.names)

    def _read(self) -> list[Entry]:
        """What the file holds; a new file gets its first lines.

        A last line that was cut off does not count. It can be cut only while it is written, so before `give` returned.
        """
        self._append("")  # that it cannot be written is found now, and not at the first label
        if not self.path.stat().st_size:
            self._append(BOM + _line(HEADER) + _line(_stamped(Entry("pictures", self._source))))
        content = self.path.read_bytes()
        try:
            lines, rest = _lines(content.removeprefix(BOM.encode()))
        except csv.Error as problem:  # such as a line that is too long
            raise ValueError(f"{self.path} is no file of labels ({problem}); name another file") from None
        if lines[:1] != [list(HEADER)]:
            what = f"{self.path} is no file of labels, since its first line is not {','.join(HEADER)}"
            raise ValueError(f"{what}; name another file")
        entries = [self._entry(number, cells) for number, cells in enumerate(lines[1:], 2)]
        if other := sorted({entry.picture for entry in entries if entry.action == "pictures"} - {self._source}):
            what = f"{self.path} holds labels of {other[0]}, and these pictures are {self._source}"
            raise ValueError(f"{what}; name another file, or if only the name has changed, correct its second line")
        starts = tuple(f"{action},".encode() for action in ACTIONS)
        if any(line.startswith(starts) for line in rest.splitlines()[1:]):  # whole lines, which must not be taken away
            what = f"line {len(lines) + 1} of {self.path} is damaged: it has a quotation mark without a second one"
            raise ValueError(f"{what}; correct or delete this line, and open the file again")
        if rest:
            cut = rest.decode(errors="replace")
            warnings.warn(f"{self.path}: its last line was cut off and is taken away: {cut!r}", stacklevel=3)
            os.truncate(self.path, len(content) - len(rest))
        elif not content.endswith(b"\n"):  # an editor has left it out
            self._append("\r\n")
        return entries

    def _entry(self, number: int, cells: list[str]) -> Entry:
        if len(cells) != len(HEADER) or cells[0] not in ACTIONS:
            what = f"line {number} of {self.path} is damaged: {shown(','.join(cells))} is not {','.join(HEADER)}"
            raise ValueError(f"{what}; correct or delete this line, and open the file again")
        entry = Entry(*cells)
        if entry.action == "label" and entry.label not in self.classes:
            what = f"line {number} of {self.path} has the class {entry.label!r}, which is not among {self.classes}"
            raise ValueError(f"{what}; add it to the classes, or change it in the file")
        return entry

    def _add(self, entry: Entry) -> None:
        entry = _stamped(entry)
        if self._closed:
            raise ValueError(f"{self.path} was closed, and another process may label into it; to go on, open it again "
                             "with Labels(...)")
        if not self.path.exists():  # its first lines would be missing in a new one
            what = f"{self.path} was deleted or moved while it was open"
            raise OSError(f"{what}; put it back, or open the labels again to start with none")
        self._append(_line(entry))
        self._entries.append(entry)

    def _append(self, text: str) -> None:
        """Add text at the end and wait until the disk has it; where that fails the file is as long as before."""
        try:
            with self.path.open("ab", buffering=0) as file:
                before, content = file.seek(0, os.SEEK_END), text.encode(errors="surrogateescape")
                try:
                    while content:
                        content = content[file.write(content) :]
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        file.truncate(before)
                    raise
        except OSError as problem:
            what = f"{self.path} cannot be written ({problem.strerror or problem}); what was labelled before is safe"
            raise OSError(f"{what}: make room, give yourself the right to write, or name another file") from problem


def _lines(content: bytes) -> tuple[list[list[str]], bytes]:
    """The cells of each whole line, and the bytes of a last one that was cut off."""
    whole, start, quotes = [], 0, 0
    for part in content.splitlines(keepends=True):
        quotes += part.count(b'"')
        start += len(part)
        if quotes % 2 == 0 and part.endswith(b"\n"):  # a name may hold a line break, between quotes
            whole.append(start)
    rest = content[whole[-1] if whole else 0 :]
    if quotes % 2 == 0 and len(next(_cells(rest), ())) == len(HEADER):  # it lacks its line break, or part of the time
        rest = b""
    return list(_cells(content[: len(content) - len(rest)])), rest


def _cells(lines: bytes) -> Iterator[list[str]]:
    text = io.StringIO(lines.decode(errors="surrogateescape"), newline="")
    return (cells for cells in csv.reader(text) if cells)


def _stamped(entry: Entry) -> Entry:
    return entry._replace(saved=datetime.now().strftime(STAMP))


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _checked(classes: Sequence[str]) -> tuple[str, ...]:
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    for name in names:
        if not isinstance(name, str) or not name.strip() or name.splitlines() != [name]:
            raise ValueError(f"a class must be a name in one line of text, got {shown(name)}; give names such as 'cat'")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"classes must differ, got {twice!r} twice; leave one of them out")
    if len(names) < 2:
        raise ValueError(f"two or more classes are needed to label by, got {len(names)}; give their names")
    return names
