"""What students have handed in: notebooks in a folder, as learning platforms give them, also inside of zip files.

Nothing is unpacked to the disk. An archive that leads out of itself, or grows beyond what notebooks need, is refused.
"""

import io
import lzma
import re
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cl_course.coursework.submission import MOST_BYTES
from cl_course.running.lesson_files import lessons

MOST_ENTRIES, MOST_IN_ALL, MOST_RATIO, DEEPEST = 5_000, 2_000_000_000, 200, 2
LARGE = f"the file is larger than {MOST_BYTES / 1e6:.0f} MB: clear the notebook's outputs"
DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError, OverflowError,
           MemoryError)  # what broken bytes raise
SKIPPED = re.compile(r"(^|/)(\.|__MACOSX/|~)|-checkpoint\.ipynb$")
# How platforms name what they give: Moodle "Name_1234567_assignsubmission_file_...", Canvas "name_LATE_123_456_...".
MOODLE = re.compile(r"^(?P<student>.+?)_(?P<number>\d+)_assignsubmission_\w+?(_|/|$)")
CANVAS = re.compile(r"^(?P<student>[^_/]+?)(_LATE)?_(?P<number>\d{2,})_\d{2,}_")
LESSONS = "|".join(path.stem for path in lessons())
LESSON = re.compile(rf"[ _-]*(?<!\d)({LESSONS})(?![a-z])[ _-]*(-\d{{1,2}}(?=\.|$))?", re.IGNORECASE)


@dataclass(frozen=True)
class Handed:
    """One file that was handed in.

    Attributes:
        student: as the platform's or the instructor's names of folders and files say.
        where: its path in the folder, with that inside of an archive.
        content: its bytes; None where it could not be read.
        problem: why, in one sentence.
        when: for the order of several by one student; the last counts.
        number: the platform's own for whoever handed it in, which tells two of one name apart; "" where it gives none.
    """

    student: str
    where: str
    content: bytes | None
    problem: str = ""
    when: float = 0.0

    @property
    def number(self) -> str:
        found = _of_platform(self.where)
        return found["number"] if found else ""


class _Refused(ValueError):
    """One sentence about an archive, or about a file in it."""


def collect(folder: Path) -> list[Handed]:
    """Every notebook in a folder, in the order of students and files.

    Raises:
        ValueError: there is no such folder, or nothing to mark in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder} with submissions; give the one in which the notebooks lie")
    found = []
    for path in sorted(folder.rglob("*")):
        where = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        if path.is_symlink() or not path.is_file() or SKIPPED.search(where):
            continue
        if path.suffix.lower() == ".ipynb":
            content, problem = _read(path)
            found.append(Handed(student_of(where), where, content, problem, path.stat().st_mtime))
        elif path.suffix.lower() == ".zip":
            try:
                found += _in_archive(path.read_bytes(), where)
            except OSError as error:  # of reading the file: what is in it is looked at by _in_archive
                found.append(Handed(student_of(where), where, None, f"the file cannot be read ({error.strerror})"))
    if not found:
        raise ValueError(f"{folder} holds no .ipynb and no .zip; give the folder in which the submissions lie")
    return sorted(found, key=lambda handed: (handed.student.casefold(), handed.when, handed.where))


def student_of(where: str) -> str:
    """Who handed in a file at this path.

    A platform's pattern says it, else the outermost folder that is not a lesson's, else the file's name.
    """
    where = where.encode("utf-8", "backslashreplace").decode()  # on Linux a name may have bytes that are no UTF-8
    if match := _of_platform(where):
        return match["student"].strip()
    return _first(where) or re.sub(r"\.(zip|ipynb)$", "", PurePosixPath(where).parts[0], flags=re.IGNORECASE)


def _without_lesson(name: str) -> str:
    left = LESSON.sub("", name).strip(" _-")
    return "" if re.fullmatch(r"\(\d+\)", left) else left  # a browser's second copy


def _read(path: Path) -> tuple[bytes | None, str]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None, LARGE
        return path.read_bytes(), ""
    except OSError as error:
        return None, f"the file cannot be read ({error.strerror})"


def _in_archive(content: bytes, where: str, depth: int = 1) -> list[Handed]:
    try:
        found = list(_entries(content, where, depth))
    except DAMAGES as error:
        return [Handed(student_of(where), where, None, _problem(error, "the archive"))]
    return found or [Handed(student_of(where), where, None, "there is no notebook in the archive")]


def _entries(content: bytes, where: str, depth: int) -> Iterator[Handed]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        names = [_name(entry) for entry in entries]
        if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_IN_ALL:
            raise _Refused("the archive is refused: unpacked, it would be far larger than notebooks are")
        for entry, name in zip(entries, names):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", name):
                raise _Refused("the archive is refused: one of its paths leads out of it")
        notebooks = [name for name in names if name.lower().endswith((".ipynb", ".zip")) and not SKIPPED.search(name)]
        of_one = len({_first(name) for name in notebooks}) == 1 and not _of_platform(notebooks[0])
        for entry, name in zip(entries, names):
            if name not in notebooks:
                continue
            student = student_of(where if of_one or depth > 1 or _of_platform(where) else name)
            try:
                data = _content(archive, entry)
            except DAMAGES as error:  # one student's file costs the others nothing
                problem = _problem(error, "the file in the archive")
                yield Handed(student, f"{where}/{name}", None, problem, _seconds(entry))
                continue
            if not name.lower().endswith(".zip"):
                yield Handed(student, f"{where}/{name}", data, "", _seconds(entry))
            elif depth >= DEEPEST:
                problem = "the file is refused: it is an archive in an archive in an archive"
                yield Handed(student, f"{where}/{name}", None, problem, _seconds(entry))
            else:
                inside = _in_archive(data, f"{where}/{name}", depth + 1)
                yield from (replace(handed, student=student) for handed in inside)


def _problem(error: BaseException, what: str) -> str:
    return str(error) if isinstance(error, _Refused) else f"{what} is damaged or locked by a password"


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _Refused("the file is refused: it is a link")
    if entry.file_size > MOST_BYTES:
        raise _Refused(LARGE)
    if entry.file_size > MOST_RATIO * max(entry.compress_size, 10_000):
        raise _Refused("the file is refused: unpacked, it would be far larger than notebooks are")
    with archive.open(entry) as file:
        data = file.read(MOST_BYTES + 1)  # whatever the head says of its size
    if len(data) > MOST_BYTES:
        raise _Refused(LARGE)
    return data


def _first(where: str) -> str:
    """What tells students' work apart: the outermost part of the path that says more than the lesson."""
    parts = [re.sub(r"\.zip$", "", part, flags=re.IGNORECASE) for part in PurePosixPath(where).with_suffix("").parts]
    return next((left for part in parts if (left := _without_lesson(part))), "")


def _of_platform(where: str) -> re.Match | None:
    """How a platform names whoever handed in the file at this path."""
    parts = PurePosixPath(where).parts
    return next((match for part in parts for pattern in (MOODLE, CANVAS) if (match := pattern.match(part))), None)


def _name(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if not entry.flag_bits & 0x800:  # not marked as UTF-8, and often UTF-8 all the same
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            pass
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _seconds(entry: zipfile.ZipInfo) -> float:
    """When it was written, in the seconds of a file's `st_mtime`; 0 where the archive has no date."""
    try:
        return time.mktime((*entry.date_time, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0.0
