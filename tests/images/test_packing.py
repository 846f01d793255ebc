"""However a set of pictures is packed, each has the same split; what was found, and what gave nothing, is said."""

import logging
import shutil
import subprocess
import unicodedata
import warnings
import zipfile

import pytest
from picture_files import encoded, flowers, folder_of, picture, zip_of

from cl_course import data
from cl_course.data import load


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    data._say_once.cache_clear()
    data._warn_once.cache_clear()


def rows(images) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def splits(source) -> dict[str, list[bytes]]:
    """split -> its pictures, in their order, and a limited choice of them."""
    return {s: rows(load(source, s).images) + rows(load(source, s, limit=5).images) for s in ("train", "val", "test")}


def named(*names) -> dict[str, bytes]:
    """Twenty pictures with names of cameras, under each of the given folders."""
    pictures = {(c, i): encoded(picture(1000 * c + i, (8, 8))) for c in range(len(names)) for i in range(20)}
    return {f"{names[c]}IMG_{7 * i:04}.png": content for (c, i), content in pictures.items()}


SETS = {
    "classes": named("rose/", "tulip/"),
    "one class": named("rose/"),
    "no classes": named(""),
    "folders in classes": named("rose/2024/", "rose/2025/", "tulip/"),
    "split folders": named("train/rose/", "train/tulip/", "test/rose/", "test/tulip/"),
    "split folders, no classes": named("Train/", "TEST/"),
    "accents": named("café/", "mañana/", "été/"),
}


def ways_to_pack(tmp_path, files):
    """The same files in every way that users pack them."""
    folder = folder_of(tmp_path / "a", files)  # a/pics
    (tmp_path / "a" / "readme.txt").write_text("beside the set")
    yield "folder", folder
    yield "trailing slash", f"{folder}/"
    yield "parent folder", tmp_path / "a"
    shutil.copytree(folder, tmp_path / "b" / "x" / "y" / "renamed")
    yield "folder in folders", tmp_path / "b"
    (tmp_path / "link").symlink_to(folder)
    yield "link", tmp_path / "link"
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "inside").symlink_to(folder)
    yield "link in a folder", tmp_path / "c"
    for way, written in {
        "zip": lambda name: name,
        "zip with a top folder": lambda name: f"pics/{name}",
        "zip with ./": lambda name: f"./{name}",
        "zip with backslashes": lambda name: f"top\\{name}".replace("/", "\\"),
        "zip of macOS": lambda name: unicodedata.normalize("NFD", f"pics/{name}"),
    }.items():
        (tmp_path / way).mkdir()
        junk = {"__MACOSX/pics/._a.png": b"", ".DS_Store": b""} if way == "zip of macOS" else {}
        yield way, zip_of(tmp_path / way, {written(name): content for name, content in (files | junk).items()})


@pytest.mark.parametrize("files", SETS.values(), ids=SETS)
@pytest.mark.filterwarnings("ignore:.*nothing was taken from readme.txt")
def test_a_pictures_split_does_not_depend_on_the_packing(tmp_path, files):
    expected = None
    for way, source in ways_to_pack(tmp_path, files):
        found = splits(source)
        expected = expected or found
        for train, test in ((expected, found), (found, expected)):
            assert not set(train["train"]) & set(test["test"] + test["val"]), way
        assert found == expected, way  # in the same order as well


def test_a_zip_of_the_zip_command_is_as_its_folder(tmp_path):
    """It writes names in UTF-8, without the flag that says so."""
    if not shutil.which("zip"):
        pytest.skip("no zip command")
    folder = folder_of(tmp_path, SETS["accents"])
    subprocess.run(["zip", "-qr", tmp_path / "command.zip", "pics"], cwd=tmp_path, check=True)
    assert splits(tmp_path / "command.zip") == splits(folder)
    assert load(tmp_path / "command.zip", "test").class_names == ("café", "mañana", "été")


def test_a_zip_in_another_encoding_can_be_read(tmp_path):
    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in flowers(10, classes=("caf#", "rose")).items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"caf#", b"caf\x82"))  # cp437
    assert load(path, "train").class_names == ("café", "rose")


def test_a_class_has_one_name_in_either_spelling_of_its_accents(tmp_path):
    other = {unicodedata.normalize("NFD", f"test/{name}"): content for name, content in named("café/", "rose/").items()}
    source = folder_of(tmp_path, named("train/café/", "train/rose/") | other)
    assert load(source, "train").class_names == load(source, "test").class_names == ("café", "rose")
    assert load(source, "test").labels.bincount().tolist() == [20, 20]


@pytest.mark.parametrize("more", [named("tulip/"), named("tulip/", "lily/")], ids=["one more", "two more"])
def test_another_class_moves_no_picture(tmp_path, more):
    source = folder_of(tmp_path, SETS["one class"])
    alone = splits(source)
    together = splits(folder_of(tmp_path, {f"x{name}": content for name, content in more.items()}))
    assert all(set(alone[split]) <= set(together[split]) for split in ("train", "val", "test"))


def test_the_name_of_a_split_folder_does_not_matter(tmp_path):
    train, test = named("rose/", "tulip/"), named("test/rose/", "test/tulip/")
    found = []
    for name in ("train", "Train", "TRAIN"):
        (tmp_path / name).mkdir()
        found.append(splits(folder_of(tmp_path / name, test | {f"{name}/{key}": x for key, x in train.items()})))
    assert found[0] == found[1] == found[2]
    # The folder of the training images alone, cut anew: its test images are no training images of the whole.
    inside = splits(tmp_path / "train" / "pics" / "train" / "rose")
    assert not set(found[0]["train"]) & set(inside["test"])


def said(source, caplog, split="train"):
    """The set, what is logged and what is warned of."""
    caplog.clear()
    with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        images = load(source, split)
    return images, [record.message for record in caplog.records], [str(warning.message) for warning in seen]


@pytest.mark.parametrize(
    "files, found",
    [
        (flowers(20), "40 images of 2 classes (rose 20, tulip 20), cut 80 / 10 / 10 into train, val and test"),
        (flowers(20, classes=("rose",)), "20 images without classes, cut 80 / 10 / 10 into train, val and test"),
        (
            flowers(20, "Train/") | flowers(2, "test/") | flowers(2, "unlabelled/", [""]),
            "train 40 images of 2 classes (rose 20, tulip 20); test 4 images of 2 classes (rose 2, tulip 2); unlabeled "
            + "2 images without classes; val is a tenth of train",
        ),
        (
            flowers(10, classes=[f"c{i:02}" for i in range(15)]),
            f"150 images of 15 classes ({', '.join(f'c{i:02} 10' for i in range(12))} and 3 more), "
            + "cut 80 / 10 / 10 into train, val and test",
        ),
    ],
    ids=["classes", "one folder", "split folders", "many"],
)
@pytest.mark.parametrize("pack", [folder_of, zip_of])
def test_what_was_found_is_said_once(tmp_path, caplog, pack, files, found):
    source = pack(tmp_path, files)
    _, logged, warned = said(source, caplog)
    assert logged == [f"{source}: {found}"] and not warned
    assert said(source, caplog)[1:] == said(source, caplog, "val")[1:] == ([], [])
    assert len(said(f"{source}", caplog)[0]) and not caplog.records


JUNK = (
    ".DS_Store", "Thumbs.db", "rose/desktop.ini", "rose/.000.png", "__MACOSX/rose/000.png", ".ipynb_checkpoints/a.png",
    "rose/@eaDir/000.png", "$RECYCLE.BIN/a.png", "__pycache__/a.png", ".git/config", "System Volume Information/a.png",
)  # fmt: skip


@pytest.mark.parametrize("pack", [folder_of, zip_of])
def test_junk_is_left_out_and_not_mentioned(tmp_path, caplog, pack):
    images, logged, warned = said(pack(tmp_path, flowers(20) | dict.fromkeys(JUNK, b"junk")), caplog)
    assert len(images) == 32 and "40 images of 2 classes (rose 20, tulip 20)" in logged[0] and not warned


@pytest.mark.parametrize("pack", [folder_of, zip_of])
def test_every_folder_and_file_that_gave_nothing_is_named(tmp_path, caplog, pack):
    others = ("notes.txt", "rose/x.heic", "docs/a.md", "docs/more/b.md", "tulip/raw/a.cr2")
    source = pack(tmp_path, flowers(20) | dict.fromkeys(others, b"?"))
    images, _, (warning,) = said(source, caplog)
    assert len(images) == 32 and images.class_names == ("rose", "tulip")
    assert warning.startswith(
        f"{source}: nothing was taken from docs/ (2 other files), tulip/raw/ (1 other file), notes.txt, rose/x.heic; "
        "images are files that end in .png, "
    )
    assert not said(source, caplog)[2]  # once
    folder_of(tmp_path, {"new.txt": b""})
    if pack is folder_of:
        assert "new.txt" in said(source, caplog)[2][0]  # and again when there is something else to say


def test_a_long_list_is_cut(tmp_path, caplog):
    source = folder_of(tmp_path, flowers(20) | {f"{i:02}.txt": b"" for i in range(20)} | {"zzz/a.txt": b""})
    warning = said(source, caplog)[2][0]
    assert "from zzz/ (1 other file), 00.txt, " in warning and "06.txt and 13 more; " in warning  # folders come first


def test_the_warning_is_at_the_line_of_the_caller(tmp_path):
    with pytest.warns(UserWarning, match="nothing was taken") as seen:
        load(folder_of(tmp_path, flowers(10) | {"a.txt": b""}), "train")
    assert seen[0].filename == __file__


def emptied(source, *folders):
    for folder in folders:
        (source / folder).mkdir(parents=True)
    return source


def zipped(folder):
    """With an entry for each folder, as most tools write it."""
    return shutil.make_archive(str(folder), "zip", folder)


@pytest.mark.parametrize("pack", [lambda folder: folder, zipped], ids=["folder", "zip"])
def test_an_empty_class_beside_a_full_one_is_a_class(tmp_path, caplog, pack):
    source = pack(emptied(folder_of(tmp_path, flowers(20, classes=("rose",))), "tulip", ".git", "__MACOSX", "test"))
    images, (logged,), (warning,) = said(source, caplog)
    assert images.labels.tolist() == [0] * 16 and images.class_names == ("rose", "tulip")
    assert "20 images of 2 classes (rose 20, tulip 0)" in logged
    assert "nothing was taken from test/ (empty), tulip/ (empty); images" in warning


def test_an_empty_class_in_a_split_is_a_class(tmp_path, caplog):
    files = flowers(20, "train/", ["rose"]) | flowers(5, "test/", ["rose"])
    source = emptied(folder_of(tmp_path, files), "train/tulip", "test/tulip", "val")
    images, (logged,), (warning,) = said(source, caplog)
    assert images.class_names == ("rose", "tulip") and images.labels.tolist() == [0] * 18
    assert "train 20 images of 2 classes (rose 20, tulip 0)" in logged and "val is a tenth of train" in logged
    assert "test/tulip/ (empty), train/tulip/ (empty), val/ (empty)" in warning


@pytest.mark.parametrize(
    "files, empty, class_names",
    [
        (flowers(20), ["lily"], ("lily", "rose", "tulip")),
        (flowers(20), ["rose/more"], ("rose", "tulip")),  # not a class folder
        (flowers(20, "all/"), ["notes"], ("rose", "tulip")),  # beside the set
        (flowers(20, "all/"), ["all/lily", "notes"], ("lily", "rose", "tulip")),
        ({f"{i}.png": encoded(picture(i)) for i in range(20)}, ["later"], ()),  # loose pictures have no class
    ],
)
def test_which_empty_folders_are_classes(tmp_path, caplog, files, empty, class_names):
    images, _, (warning,) = said(emptied(folder_of(tmp_path, files), *empty), caplog)
    assert images.class_names == class_names and all(f"{folder}/ (empty)" in warning for folder in empty)


def test_text_beside_the_only_folder_makes_no_classes(tmp_path, caplog):
    source = folder_of(tmp_path, {f"images/{i}.png": encoded(picture(i)) for i in range(20)} | {"src/a.py": b""})
    images, (logged,), (warning,) = said(source, caplog)
    assert images.labels is None and "20 images without classes" in logged and "src/ (1 other file)" in warning


def test_a_data_set_by_its_name_says_no_more_than_before(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CL_COURSE_DATA", str(tmp_path))
    zip_of(tmp_path, named("train/cat/", "train/dog/", "test/cat/", "test/dog/")).rename(tmp_path / "cifar10-jpeg.zip")
    _, (logged,), _ = said("cifar10", caplog)
    assert logged.startswith("cifar10: reading cifar10-jpeg.zip, a JPEG copy")
