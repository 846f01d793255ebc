"""Labels given by hand: on disk before they count, read back as they were, whatever happens in between."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from cl_course.data import ImageSet
from cl_course.labels import Entry, Labels, standing

ODD = ('a "quoted" one', "with, commas", "🐱", "=1+1", "naïve")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.csv"


def opened(path, classes=("cat", "dog"), source="photos"):
    return Labels(path, classes, source)


def test_labels_come_back_as_they_were_given(path):
    labels = opened(path)
    labels.give("b.png", "dog")
    labels.give("a.png", "cat")
    labels.give("b.png", "cat")
    labels.skip("c.png")
    before = labels.given
    labels.close()
    again = opened(path)
    assert again.given == before == {"a.png": "cat", "b.png": "cat", "c.png": ""}
    assert list(again.given) == ["a.png", "b.png", "c.png"]  # the last one last
    assert again.counts == {"cat": 2, "dog": 0}


def test_undo_goes_back_step_by_step_and_over_a_new_start(path):
    labels = opened(path)
    for picture, label in (("a", "cat"), ("b", "dog"), ("a", "dog")):
        labels.give(picture, label)
    assert labels.undo().picture == "a" and labels.given == {"a": "cat", "b": "dog"}
    labels.close()
    labels = opened(path)
    assert labels.undo().label == "dog" and labels.given == {"a": "cat"}
    labels.give("c", "cat")
    assert [labels.undo().picture for _ in range(2)] == ["c", "a"]
    assert labels.undo() is None and labels.given == {}


def test_what_stands_by_hand():
    entries = [Entry("pictures", "x"), *(Entry("label", name, "c") for name in "ab"), Entry("undo", "b", "c")]
    assert [entry.picture for entry in standing(entries)] == ["a"]
    assert [entry.picture for entry in standing([*entries, Entry("skip", "d"), Entry("undo", "d")])] == ["a"]
    assert standing([Entry("undo", "a")]) == []


def test_names_with_commas_quotes_line_breaks_and_emoji(path):
    pictures = [*ODD, "line\nbreak.png", "carriage\rreturn.png", os.fsdecode(b"caf\xe9.png")]
    labels = opened(path, ODD)
    for number, picture in enumerate(pictures):
        labels.give(picture, ODD[number % len(ODD)])
    labels.close()
    assert opened(path, ODD).given == {p: ODD[i % len(ODD)] for i, p in enumerate(pictures)}
    assert path.read_bytes().startswith(b"\xef\xbb\xbfaction,picture,class,saved\r\n")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("cat\ndog", "x"), "one line of text"),
        ((" ", "x"), "one line of text"),
        ((3, "x"), "one line of text"),
        (("cat", "cat"), "'cat' twice"),
        (("cat",), "two or more classes"),
        ("cat", "two or more classes"),
    ],
)
def test_classes_that_cannot_be_chosen_from(path, classes, said):
    with pytest.raises(ValueError, match=said):
        opened(path, classes)
    assert not path.exists()


def test_a_class_that_does_not_exist(path):
    with pytest.raises(ValueError, match="one of cat, dog, got 'cow'"):
        opened(path).give("a", "cow")
    assert opened(path).given == {}


@pytest.mark.filterwarnings("ignore:.*its last line was cut off")
def test_every_beginning_of_the_file_keeps_all_whole_lines(path):
    """However many bytes reached the disk: no label that was confirmed is lost, and none is invented."""
    labels = opened(path, ODD)
    ends = {}
    for number, picture in enumerate(("a", 'q"uo\nte', "c")):
        labels.give(picture, ODD[number])
        ends[path.stat().st_size] = labels.given
    labels.close()
    content, start = path.read_bytes(), path.read_bytes().index(b"label,")
    for size in range(start, len(content) + 1):
        path.write_bytes(content[:size])
        labels = opened(path, ODD)
        confirmed = max((given for end, given in ends.items() if end <= size), key=len, default={})
        found = labels.given
        assert confirmed.items() <= found.items() <= ends[len(content)].items(), content[:size]
        labels.give("next", ODD[0])
        labels.close()
        labels = opened(path, ODD)
        assert labels.given == found | {"next": ODD[0]}
        labels.close()


def test_a_killed_process_loses_no_label(path):
    code = f"""
        from cl_course.labels import Labels
        labels = Labels({str(path)!r}, ("cat", "dog"), "photos")
        for number in range(100_000):
            labels.give(f"{{number}}.png", "cat")
            print(number, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    for _ in range(25):
        confirmed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    confirmed = max([confirmed, *map(int, process.stdout.read().split())])
    process.wait()
    given = opened(path).given  # the lock ended with the process
    assert {f"{number}.png" for number in range(confirmed + 1)} <= given.keys()
    assert len(given) <= confirmed + 2


def test_two_processes_cannot_label_into_one_file(path):
    labels = opened(path)
    code = f"from cl_course.labels import Labels; Labels({str(path)!r}, ('cat', 'dog'), 'photos')"
    run = [sys.executable, "-c", code]
    other = subprocess.run(run, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert "another notebook or command labels into" in other.stderr
    labels.close()
    assert subprocess.run(run, check=False, cwd=Path(__file__).parents[1]).returncode == 0


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    labels = opened(path)
    labels.give("a", "cat")
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"labels.csv cannot be written \(No space left on device\); what was labelled"):
        labels.give("b", "dog")
    assert path.read_bytes() == before and labels.given == {"a": "cat"}
    monkeypatch.undo()
    labels.give("b", "dog")
    assert labels.given == {"a": "cat", "b": "dog"}


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="choose another folder"):
        opened(tmp_path / "file" / "labels.csv")
    with pytest.raises(OSError, match="cannot be written .*name another file"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("picture,class\na.png,cat\n", "is no file of labels"),
        ("", None),
        ("action,picture,class,saved\nlabel,a.png\nlabel,b.png,cat,\n", "line 2 of .* is damaged: 'label,a.png'"),
        ("action,picture,class,saved\nlabel,a.png,cow,\n", "line 2 of .*'cow'.* add it to the classes"),
        ("action,picture,class,saved\npictures,holiday,,\n", "labels of holiday, and these pictures are photos"),
        ("\x00\x01\x02", "is no file of labels"),
        ("x" * 200_000, "is no file of labels"),
        ('action,picture,class,saved\nlabel,"a.png,cat,\nlabel,b.png,cat,\n', "line 2 of .* without a second one"),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(path, content, said):
    path.write_text(content)
    if said is None:  # an empty file is a new one
        assert opened(path).given == {}
        return
    with pytest.raises(ValueError, match=said):
        opened(path)
    assert path.read_text() == content
    path.unlink()
    opened(path).give("a", "cat")  # as advised: the lock is free again


def test_a_cut_line_is_shown_when_it_is_taken_away(path):
    opened(path).close()
    with path.open("a") as file:
        file.write("label,a.png,ca")
    with pytest.warns(UserWarning, match="its last line was cut off and is taken away: 'label,a.png,ca'"):
        labels = opened(path)
    assert labels.given == {} and path.read_bytes().endswith(b"\r\n")


def test_a_line_typed_by_hand_counts_without_its_time(path):
    opened(path).close()
    with path.open("a") as file:
        file.write("label,a.png,cat,")
    labels = opened(path)
    labels.give("b.png", "dog")
    labels.close()
    assert opened(path).given == {"a.png": "cat", "b.png": "dog"}


def images(names):
    return ImageSet(torch.arange(len(names), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2), names=names)


def test_labels_stay_with_their_picture_when_pictures_come_and_go(path):
    labels = opened(path)
    for picture, label in (("b", "dog"), ("c", "cat"), ("gone", "dog")):
        labels.give(picture, label)
    labels.skip("d")
    found = labels.labelled(images(("0", "b", "bb", "c", "d")))
    assert found.names == ("b", "c") and found.labels.tolist() == [1, 0] and found.class_names == ("cat", "dog")
    assert found.images[:, 0, 0, 0].tolist() == [1, 3]


def test_pictures_without_names_or_without_labels(path):
    labels = opened(path)
    with pytest.raises(ValueError, match="no label for any of these 2 pictures"):
        labels.labelled(images(("a", "b")))
    with pytest.raises(ValueError, match="these have none"):
        labels.labelled(ImageSet(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)))


def test_what_one_process_opens_twice_is_one_journal(path):
    first, second = opened(path), opened(path)
    first.give("a", "cat")
    second.give("b", "dog")
    assert first.given == second.given == {"a": "cat", "b": "dog"}
    assert first.undo().picture == "b"
    first.close(), second.close()
    assert opened(path).given == {"a": "cat"}


def test_a_file_that_is_gone_is_not_begun_without_its_first_lines(path):
    labels = opened(path)
    labels.give("a", "cat")
    path.unlink()
    with pytest.raises(OSError, match="was deleted or moved while it was open"):
        labels.give("b", "dog")
    assert not path.exists() and labels.given == {"a": "cat"}


def test_a_source_that_is_no_text_is_refused_before_a_file_is_made(path):
    with pytest.raises(TypeError, match=r"source must be of class str, got one of class .*; pass its name: str.sou"):
        Labels(path, ("cat", "dog"), Path("photos"))
    assert not path.exists()
    Labels(path, ("cat", "dog"), str(Path("photos"))).close()


def test_what_is_closed_takes_no_more_labels(path):
    labels = opened(path)
    labels.give("a", "cat")
    labels.close()
    for change in (lambda: labels.give("b", "dog"), lambda: labels.skip("b"), labels.undo):
        with pytest.raises(ValueError, match="was closed, .* open it again"):
            change()
    assert labels.given == opened(path).given == {"a": "cat"}
