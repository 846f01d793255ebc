"""What students hand in: names of learning platforms, archives in archives, and archives that mean harm."""

import io
import os
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pytest

from cl_course.coursework import collect as module
from cl_course.coursework.collect import collect, student_of
from cl_course.coursework.grade import Journal, Row, write_marks
from cl_course.coursework.variants import Variant

NOTEBOOK = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def archive(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "where, student",
    [
        ("Zoë Müller_1234567_assignsubmission_file_/02_infonce.ipynb", "Zoë Müller"),  # Moodle
        ("Zoë Müller_1234567_assignsubmission_file_02_infonce.ipynb", "Zoë Müller"),
        ("mullerzoe_123456_7890123_02_infonce-1.ipynb", "mullerzoe"),  # Canvas
        ("mullerzoe_LATE_123456_7890123_02_infonce.ipynb", "mullerzoe"),
        ("zoe-m/02_infonce.ipynb", "zoe-m"),  # a folder each
        ("02-infonce-zoe/notebooks/02_infonce.ipynb", "02-infonce-zoe"),  # GitHub Classroom
        ("zoe_02_infonce.ipynb", "zoe"),
        ("02_infonce_zoe.ipynb", "zoe"),
        ("02_infonce (3).ipynb", "02_infonce (3)"),
        ("Zoë van der Müller.ipynb", "Zoë van der Müller"),
        ("s1.zip/02_infonce.ipynb", "s1"),
        ("02_infonce/ana.ipynb", "ana"),  # a folder for the lesson
        ("02_infonce/ben/02_infonce.ipynb", "ben"),
        ("02_infonce/02_infonce.ipynb", "02_infonce"),
    ],
)
def test_whose_work_it_is(where, student):
    assert student_of(where) == student


def test_folders_and_archives_of_platforms(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "02_infonce.ipynb").write_bytes(NOTEBOOK)
    (tmp_path / "a b" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "a b" / ".ipynb_checkpoints" / "02_infonce-checkpoint.ipynb").write_bytes(NOTEBOOK)
    inner = archive({"deep/02_infonce.ipynb": NOTEBOOK, "__MACOSX/deep/._02_infonce.ipynb": b"x"})
    moodle = {
        "Åsa Öst_11_assignsubmission_file_/02_infonce.ipynb": NOTEBOOK,
        unicodedata.normalize("NFD", "José_12_assignsubmission_file_/02_infonce.ipynb"): NOTEBOOK,
        "Ben_13_assignsubmission_file_/homework.zip": inner,
        "Cy_14_assignsubmission_file_/notes.txt": b"sorry",
    }
    (tmp_path / "Lesson 2.zip").write_bytes(archive(moodle))
    (tmp_path / "dora.zip").write_bytes(inner)
    (tmp_path / "empty.zip").write_bytes(archive({"notes.txt": b"x"}))
    found = {one.student: one for one in collect(tmp_path)}
    assert set(found) == {"a b", "Åsa Öst", "José", "Ben", "dora", "empty"}
    assert found["empty"].problem == "there is no notebook in the archive"
    assert all(one.content == NOTEBOOK for name, one in found.items() if name != "empty")


def test_a_zip_made_without_the_utf_8_mark_keeps_its_accents(tmp_path):
    content = archive({"Zoë_1_assignsubmission_file_/02_infonce.ipynb": NOTEBOOK})
    name, unmarked = "Zoë".encode(), bytearray(content)
    for place, offset in ((content.find(b"PK\x03\x04"), 6), (content.find(b"PK\x01\x02"), 8)):
        (flags,) = struct.unpack_from("<H", unmarked, place + offset)
        struct.pack_into("<H", unmarked, place + offset, flags & ~0x800)
    assert name in unmarked
    (tmp_path / "all.zip").write_bytes(unmarked)
    assert [one.student for one in collect(tmp_path)] == ["Zoë"]


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        entry = zipfile.ZipInfo("02_infonce.ipynb")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def lying(size: int) -> bytes:
    """An archive whose head says that its entry is small."""
    content = bytearray(archive({"02_infonce.ipynb": b"\0" * size}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.find(mark) + offset, 10)
    return bytes(content)


@pytest.mark.parametrize(
    "content, said",
    [
        (archive({"../02_infonce.ipynb": NOTEBOOK}), "leads out of it"),
        (archive({"/etc/02_infonce.ipynb": NOTEBOOK}), "leads out of it"),
        (archive({"C:\\02_infonce.ipynb": NOTEBOOK}), "leads out of it"),
        (archive({"a/../../02_infonce.ipynb": NOTEBOOK}), "leads out of it"),
        (link(), "it is a link"),
        (archive({"02_infonce.ipynb": b"\0" * 30_000_000}), "far larger"),
        (lying(80_000_000), "damaged"),
        (archive({"a.zip": archive({"b.zip": archive({"c.ipynb": NOTEBOOK})})}), "an archive in an archive"),
        (archive({"02_infonce.ipynb": NOTEBOOK})[:-30], "damaged"),
        (b"PK\x03\x04 no archive", "damaged"),
        (b"", "damaged"),
    ],
)
def test_archives_that_are_broken_or_mean_harm_are_refused_alone(content, said, tmp_path):
    (tmp_path / "bad.zip").write_bytes(content)
    (tmp_path / "good.ipynb").write_bytes(NOTEBOOK)
    found = {one.student: one for one in collect(tmp_path)}
    assert said in found["bad"].problem and found["bad"].content is None
    assert found["good"].content == NOTEBOOK and not (tmp_path.parent / "02_infonce.ipynb").exists()


def test_an_archive_of_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    (tmp_path / "many.zip").write_bytes(archive({f"{i}.ipynb": NOTEBOOK for i in range(5)}))
    assert "far larger" in collect(tmp_path)[0].problem


def test_links_in_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "outside.ipynb"
    outside.write_bytes(NOTEBOOK)
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.ipynb").symlink_to(outside)
    with pytest.raises(ValueError, match="holds no .ipynb and no .zip"):
        collect(inside)
    with pytest.raises(ValueError, match="there is no folder"):
        collect(tmp_path / "none")


def test_crc_of_a_changed_entry_is_noticed(tmp_path):
    content = archive({"02_infonce.ipynb": NOTEBOOK}, zipfile.ZIP_STORED)
    (tmp_path / "x.zip").write_bytes(content.replace(b'"cells"', b'"CELLS"'))
    assert zlib.crc32(NOTEBOOK) and "damaged" in collect(tmp_path)[0].problem


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_one_damaged_archive_does_not_stop_the_class(tmp_path, how):
    name = "02_infonce.ipynb"
    content = bytearray(archive({name: NOTEBOOK * 50}, how))
    start = 30 + len(name)
    content[start : start + 20] = b"\x07" * 20
    (tmp_path / "anna.zip").write_bytes(content)
    (tmp_path / "ben.ipynb").write_bytes(NOTEBOOK)
    assert ["damaged" in one.problem for one in collect(tmp_path)] == [True, False]


def test_an_archive_that_cannot_be_read_does_not_stop_the_class(tmp_path, monkeypatch):
    (tmp_path / "anna.zip").write_bytes(archive({"02_infonce.ipynb": NOTEBOOK}))
    (tmp_path / "ben.ipynb").write_bytes(NOTEBOOK)
    read = Path.read_bytes

    def denied(path):
        if path.suffix == ".zip":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert [one.problem for one in collect(tmp_path)] == ["the file cannot be read (Permission denied)", ""]


def test_a_name_that_is_no_utf8_can_be_written_into_the_marks(tmp_path):
    student = student_of(os.fsdecode(b"M\xfcller/02_infonce.ipynb"))
    assert student == "M\\udcfcller"
    row = Row(student, "02_infonce", 1, "title", 1, 2, "a sentence", 30)
    write_marks(tmp_path / "marks.csv", [row])
    Journal(tmp_path).put("key", [row])
    assert Variant(student, "02_infonce").seed >= 0


@pytest.mark.parametrize("harm", ["large", "link", "damaged", "zeros"])
def test_one_file_in_the_archive_of_a_class_costs_nobody_else(tmp_path, harm):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        about = zipfile.ZipInfo("Ann_1_assignsubmission_file_/02_infonce.ipynb")
        about.external_attr = (0o120777 if harm == "link" else 0o100644) << 16
        about.compress_type = zipfile.ZIP_DEFLATED if harm == "zeros" else zipfile.ZIP_STORED
        content = {"large": os.urandom(1000) * 61_000, "zeros": b"\0" * 30_000_000}.get(harm, b"ANN" + NOTEBOOK)
        made.writestr(about, content)
        made.writestr("Ben_2_assignsubmission_file_/02_infonce.ipynb", NOTEBOOK)
        made.writestr("Ben_2_assignsubmission_file_/.venv/bin/python", b"")
    content = buffer.getvalue().replace(b"ANN", b"XYZ") if harm == "damaged" else buffer.getvalue()
    (tmp_path / "all.zip").write_bytes(content)
    found = {one.student: one for one in collect(tmp_path)}
    assert found.keys() == {"Ann", "Ben"} and found["Ben"].content == NOTEBOOK
    words = {"large": "larger than", "link": "a link", "damaged": "damaged", "zeros": "far larger"}
    assert words[harm] in found["Ann"].problem and found["Ann"].content is None


def test_links_beside_notebooks_in_an_archive_do_no_harm(tmp_path):
    buffer = io.BytesIO(archive({"02_infonce.ipynb": NOTEBOOK}))
    with zipfile.ZipFile(buffer, "a") as made:
        about = zipfile.ZipInfo(".venv/bin/python")
        about.external_attr = 0o120777 << 16
        made.writestr(about, "/usr/bin/python3")
    (tmp_path / "ann.zip").write_bytes(buffer.getvalue())
    assert [(one.student, one.content) for one in collect(tmp_path)] == [("ann", NOTEBOOK)]


def test_an_archive_with_a_folder_for_the_lesson_has_a_student_for_each_file(tmp_path):
    (tmp_path / "all.zip").write_bytes(archive({"02_infonce/ana.ipynb": NOTEBOOK, "02_infonce/ben.ipynb": NOTEBOOK}))
    assert [one.student for one in collect(tmp_path)] == ["ana", "ben"]


def test_the_last_counts_also_beside_an_older_archive(tmp_path):
    (tmp_path / "ann").mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(zipfile.ZipInfo("02_infonce.ipynb", (2020, 1, 1, 0, 0, 0)), NOTEBOOK)
    (tmp_path / "ann" / "first.zip").write_bytes(buffer.getvalue())
    (tmp_path / "ann" / "02_infonce.ipynb").write_bytes(NOTEBOOK)
    assert [one.where for one in collect(tmp_path)] == ["ann/first.zip/02_infonce.ipynb", "ann/02_infonce.ipynb"]


def test_an_offset_that_no_file_has_is_damage(tmp_path):
    good = bytearray(archive({"ana.ipynb": NOTEBOOK}, zipfile.ZIP_STORED))
    start = good.find(b"PK\x01\x02")
    entry, end = good[start : start + 46 + 9], good[-22:]
    struct.pack_into("<H", entry, 30, 12)
    struct.pack_into("<L", entry, 42, 0xFFFFFFFF)
    entry += struct.pack("<HHQ", 1, 8, 2**63 + 5)
    struct.pack_into("<L", end, 12, len(entry))
    (tmp_path / "bad.zip").write_bytes(good[:start] + entry + end)
    assert "damaged" in collect(tmp_path)[0].problem
