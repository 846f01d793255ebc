"""What students have handed in: notebooks in a folder, as learning platforms give them, also inside of zip files.

Nothing is unpacked to the disk. An archive that leads out of itself, or grows beyond what notebooks need, is refused.
"""

import io
import lzma
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cl_course.coursework.submission import MOST_BYTES
from cl_course.running.lesson_files import lessons

MOST_ENTRIES, MOST_IN_ALL, MOST_RATIO, DEEPEST = 5_000, 2_000_000_000, 200, 2
SKIPPED = re.compile(r"(^|/)(\.|__MACOSX/|~)|-checkpoint\.ipynb$")
# How platforms name what they give: Moodle "Name_1234567_assignsubmission_file_...", Canvas "name_LATE_123_456_...".
MOODLE = re.compile(r"^(?P<student>.+?)_\d+_assignsubmission_\w+?(_|/|$)")
CANVAS = re.compile(r"^(?P<student>[^_/]+?)(_LATE)?_\d{2,}_\d{2,}_")
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
    """

    student: str
    where: str
    content: bytes | None
    problem: str = ""
    when: float = 0.0


class _Refused(ValueError):
    """One sentence about an archive."""


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
    """Who handed in a file at this path: by a platform's pattern, else by the outermost folder, else by the name."""
    where = where.encode("utf-8", "backslashreplace").decode()  # on Linux a name may have bytes that are no UTF-8
    *folders, name = PurePosixPath(where).parts
    for part in (*folders, name):
        for pattern in (MOODLE, CANVAS):
            if match := pattern.match(part):
                return match["student"].strip()
    if folders:
        first = folders[0].removesuffix(".zip").removesuffix(".ZIP")
        return _without_lesson(first) or first
    stem = PurePosixPath(name).stem
    return _without_lesson(stem) or stem


def _without_lesson(name: str) -> str:
    left = LESSON.sub("", name).strip(" _-")
    return "" if re.fullmatch(r"\(\d+\)", left) else left  # a browser's second copy


def _read(path: Path) -> tuple[bytes | None, str]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return None, f"the file is larger than {MOST_BYTES / 1e6:.0f} MB: clear the notebook's outputs"
        return path.read_bytes(), ""
    except OSError as error:
        return None, f"the file cannot be read ({error.strerror})"


def _in_archive(content: bytes, where: str, depth: int = 1) -> list[Handed]:
    try:
        found = list(_entries(content, where, depth))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, OSError, EOFError, ValueError) as error:
        damaged = "the archive is damaged or locked by a password"
        return [Handed(student_of(where), where, None, str(error) if isinstance(error, _Refused) else damaged)]
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
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise _Refused("the archive is refused: it holds a link")
        notebooks = [name for name in names if name.lower().endswith((".ipynb", ".zip")) and not SKIPPED.search(name)]
        of_one = len({_first(name) for name in notebooks}) == 1 and not _by_platform(notebooks[0])
        for entry, name in zip(entries, names):
            if name not in notebooks:
                continue
            if entry.file_size > MOST_BYTES or entry.file_size > MOST_RATIO * max(entry.compress_size, 10_000):
                raise _Refused("the archive is refused: unpacked, it would be far larger than notebooks are")
            student = student_of(where if of_one or depth > 1 or _by_platform(where) else name)
            with archive.open(entry) as file:
                data = file.read(MOST_BYTES + 1)  # whatever the head says of its size
            if len(data) > MOST_BYTES:
                raise _Refused("the archive is refused: unpacked, it would be far larger than notebooks are")
            if not name.lower().endswith(".zip"):
                yield Handed(student, f"{where}/{name}", data, "", _seconds(entry))
            elif depth >= DEEPEST:
                raise _Refused("the archive is refused: it holds archives in archives")
            else:
                inside = _in_archive(data, f"{where}/{name}", depth + 1)
                yield from (replace(handed, student=student) for handed in inside)


def _first(name: str) -> str:
    """What tells students' work apart in an archive: the outermost folder, or a file's name without the lesson's."""
    folder, _, rest = name.partition("/")
    return folder if rest else _without_lesson(PurePosixPath(name).stem)


def _by_platform(where: str) -> bool:
    return any(MOODLE.match(part) or CANVAS.match(part) for part in PurePosixPath(where).parts)


def _name(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    if not entry.flag_bits & 0x800:  # not marked as UTF-8, and often UTF-8 all the same
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            pass
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _seconds(entry: zipfile.ZipInfo) -> float:
    year, month, day, hour, minute, second = entry.date_time
    return (((year * 12 + month) * 31 + day) * 24 + hour) * 3600.0 + minute * 60 + second
