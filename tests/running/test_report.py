"""The report: its numbers against plain loops, every kind of folder, and what it advises."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from picture_files import encoded, flowers, folder_of, picture
from PIL import Image

from cl_course.data import ImageSet, load, load_splits
from cl_course.diagnose import map_places
from cl_course.running import checkpoints, cli
from cl_course.running.encoders import open_encoder
from cl_course.running.report import measure, scores
from cl_course.running.report.advice import across_splits, advice
from cl_course.running.report.page import page


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_umap(monkeypatch):
    """Its first import takes ten seconds."""
    monkeypatch.setattr(measure, "map_places", lambda h, seed: torch.rand(len(h), 2))


def measured(source, own_test=False, encoder="simclr_shapes"):
    pictures = measure.gathered(load_splits(source))
    shipped = open_encoder("simclr_shapes")
    return measure.measure(open_encoder(encoder), shipped, str(source), pictures, own_test, seed=0)


class Tags(HTMLParser):
    """Checks that tags nest, and keeps addresses and alternative texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.alts = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        self.alts += [found.get("alt")] if tag == "img" else []
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def headings(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def test_splits_take_each_class_in_its_share_and_no_picture_twice():
    labels = torch.arange(3).repeat_interleave(torch.tensor([10, 20, 70]))
    is_test = torch.arange(100) % 5 == 0
    for own_test in (None, is_test):
        splits = scores.random_splits(labels, own_test)
        for split in splits:
            every = torch.cat([split.train, split.val, split.test])
            assert every.sort().values.tolist() == list(range(100))
            if own_test is None:
                assert labels[split.train].bincount().tolist() == [6, 12, 42]
                assert labels[split.test].bincount().tolist() == [2, 4, 14]
            else:
                assert is_test[split.test].all() and not is_test[split.train].any() and not is_test[split.val].any()
        assert len({tuple(split.train.tolist()) for split in splits}) == scores.SPLITS
    many = torch.arange(4).repeat(5000)
    assert sum(map(len, vars(scores.random_splits(many, None)[0]).values())) == scores.MOST


def test_scores_are_those_of_features_that_tell_all_or_nothing():
    labels = torch.arange(2).repeat(50)
    right = torch.nn.functional.one_hot(labels, 3).float()
    features = {"right": lambda index: right[index], "nothing": lambda index: torch.ones(len(index), 3)}
    found = scores.judge(features, labels, scores.random_splits(labels, None), own_test=False)
    assert found.rows[0].knn == found.rows[0].probe == (1.0,) * scores.SPLITS
    assert found.rows[1].knn == (0.5,) * scores.SPLITS and found.largest == 0.5
    assert found.numbers == (60, 20, 20) and found.k == 20
    with pytest.raises(ValueError, match="3 labelled pictures are too few to be split"):
        scores.judge(features, labels[:3], scores.random_splits(labels[:3], None), own_test=False)


def test_doubts_are_the_votes_of_other_pictures():
    images = ImageSet(torch.zeros(6, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 0, 1, 1, 1, 1]), ("a", "b"))
    nearest = torch.tensor([[1, 2], [0, 2], [3, 4], [2, 0], [0, 1], [2, 3]])
    same = torch.ones(6, 2)
    found = measure._doubts(images, nearest, torch.where(nearest == 0, same, 0.5))
    assert [(doubt.picture, doubt.votes_for) for doubt in found] == [(4, 0), (3, 0)]
    assert found[0].share == 1.0 and 0.99 < found[1].share < 1.0, "the nearer one decides, the surest comes first"


@pytest.mark.parametrize(
    "files, classes",
    [
        (flowers(30), 2),
        ({f"{i}.png": encoded(picture(i)) for i in range(20)}, 0),
        (flowers(20, classes=("rose",)), 0),
        ({f"{i // 8}/{i}.png": encoded(picture(i, (28, 28), "L")) for i in range(24)}, 3),
        ({f"{i % 2}/{i}.jpg": encoded(picture(i, (224, 224)), "JPEG") for i in range(12)}, 2),
        ({f"{i % 2}/{i}.png": encoded(picture(i, (150, 40))) for i in range(12)}, 2),
        ({f"{i % 2}/{i}.png": encoded(picture(i, (30 + i, 40))) for i in range(4)}, 2),
    ],
    ids=["two classes", "no labels", "one class", "grey 28", "photos 224", "wide", "four of mixed sizes"],
)
@pytest.mark.filterwarnings("ignore:.*has no image of")
def test_every_kind_of_folder_gives_a_whole_page(tmp_path, no_umap, files, classes):
    found = measured(folder_of(tmp_path, files))
    text = page(found)
    tags = Tags(text)
    assert all(address.startswith("data:image/jpeg;base64,") for address in tags.addresses) and all(tags.alts)
    assert "http" not in text.replace("http-equiv", "")
    always = {"What to try next", "Nearest neighbours", "Map", "Health", "Duplicates across splits"}
    assert always <= set(headings(text))
    assert ("Labels that the neighbours doubt" in text) == bool(classes) == (found.pictures.images.labels is not None)
    assert text.count("<circle cx") >= len(files) and sorted(found.pictures.names) == sorted(files)
    if not classes:
        assert "have no labels, or are all of one class" in text and "Label ten pictures of each class" in text
    if len(files) == 4:
        assert "Accuracy is left out: 4 labelled pictures are too few" in text
    assert len(advice(found)) >= 1


def test_names_are_shown_and_never_run(tmp_path, no_umap):
    files = {f"<b>{i % 2}/<img src=x onerror=alert({i})>\udce9.png": encoded(picture(i)) for i in range(8)}
    text = page(measured(folder_of(tmp_path, files)))
    assert "<img src=x" not in text and "&lt;img src=x onerror=alert(" in text and "\\udce9" in text
    text.encode("utf-8")


def test_copies_across_splits_are_shown_and_come_first_in_the_advice(tmp_path, no_umap):
    files = flowers(20, before="train/") | flowers(10, before="test/", classes=("tulip", "rose"))
    files["test/rose/copy.png"] = files["train/rose/003.png"]
    found = measured(folder_of(tmp_path, files), own_test=True)
    names = found.pictures.names
    pairs = {(names[later], names[earlier]) for later, earlier in across_splits(found)}
    assert ("test/rose/copy.png", "train/rose/003.png") in pairs
    assert advice(found)[0].startswith(f"Take the copies out of one split first: {len(pairs)} pictures")
    assert "test: test/rose/copy.png<br>train: train/rose/003.png" in page(found)


def test_a_collapsed_encoder_is_told_and_still_gets_a_page(tmp_path):
    encoder = open_encoder("simclr_shapes")
    for parameter in encoder.network.parameters():
        torch.nn.init.zeros_(parameter)
    encoder.network.stages[-1].norm2.bias.data.fill_(1.0)
    pictures = measure.gathered(load_splits(folder_of(tmp_path, flowers(20))))
    found = measure.measure(encoder, open_encoder("simclr_shapes"), "pics", pictures, False, seed=0)
    assert "The encoder has collapsed" in advice(found)[0] and found.views.spread < 0.01
    Tags(page(found))


def test_a_trained_encoder_is_better_than_what_costs_nothing(no_umap, monkeypatch):
    monkeypatch.setattr(scores, "MOST", 600)
    pictures = measure.gathered(load_splits("shapes", limit=400))
    encoder = open_encoder("simclr_shapes")
    found = measure.measure(encoder, encoder, "shapes", pictures, True, seed=0)
    this, random, shipped, pixels = (scores.spread(row.knn)[0] for row in found.scores.rows)
    assert this == shipped > 0.7 > max(random, pixels)
    assert not [sentence for sentence in advice(found) if "not clearly better" in sentence]
    worse = open_encoder("random_shapes")
    found = measure.measure(worse, encoder, "shapes", pictures, True, seed=0)
    assert [sentence for sentence in advice(found) if "not clearly better" in sentence]
    assert [sentence for sentence in advice(found) if "The shipped encoder is better here" in sentence]


def call(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_commands_on_a_folder(tmp_path, capsys, no_umap):
    source = folder_of(tmp_path, flowers(12))
    code, out, _ = call(capsys, "report", "simclr_shapes", source, "-o", "new/report.html", "--device", "cpu")
    assert code == 0 and "new/report.html: 24 pictures" in out and "try next: " in out
    assert Path("new/report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    code, out, _ = call(capsys, "embed", "simclr_shapes", source, "-o", "h.npz")
    assert code == 0 and out == "h.npz: 128 features of each picture; 20 train, 2 val, 2 test\n"
    code, out, _ = call(capsys, "search", "simclr_shapes", source, source / "tulip" / "005.png", "-k", 3)
    first, *others = out.splitlines()[1:]
    assert code == 0 and first.split() == ["1.000", "tulip/005.png", "(tulip)"] and len(others) == 2
    query = source / "rose" / "001.png"
    code, out, _ = call(capsys, "search", "simclr_shapes", "shapes", query, "--limit", 9, "-k", 50)
    assert code == 0 and len(out.splitlines()) == 1 + 27 and re.search(r"(train|val|test)/\d+   \(", out)
    code, out, _ = call(capsys, "export-encoder", "simclr_shapes", "-o", "encoder.pt")
    assert code == 0 and "encoder.pt: takes uint8 pictures" in out and Path("encoder.pt").exists()


def test_search_finds_what_the_features_say(tmp_path, capsys):
    source = folder_of(tmp_path, {f"{i}.png": encoded(picture(i)) for i in range(20)})
    encoder = open_encoder("simclr_shapes")
    images = [images for images in load_splits(source).values()]
    names = [name for part in images for name in part.names]
    h = torch.nn.functional.normalize(torch.cat([encoder.features(part) for part in images]), dim=1)
    own = names.index("7.png")
    expected = [names[place] for place in (h @ h[own]).argsort(descending=True)[:5]]
    _, out, _ = call(capsys, "search", "simclr_shapes", source, source / "7.png", "-k", 5)
    assert [line.split()[1] for line in out.splitlines()[1:]] == expected and expected[0] == "7.png"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["report", "simclr_shapes", "pics", "-o", "x.pdf"], "--out must end in .html, got x.pdf"),
        (["report", "simclr_shapes", "pics", "-o", "folder.html"], "folder.html is a folder"),
        (["report", "simclr_shapes", "pics", "-o", "/proc/new/x.html"], "nothing can be written to /proc/new"),
        (["report", "simclr_shapes", "nowhere"], "there is no data set and no file 'nowhere'"),
        (["report", "simclr_shapes", "empty"], "holds no images"),
        (["report", "simclr_shapes", "single"], "single has one picture only; a report needs at least two"),
        (["report", "simclr_shapes", "pics", "--size", "0"], "size must be a whole number of at least 1, got 0"),
        (["report", "simclr_shapes", "pics", "--seed", "-1"], "seed must be a whole number from 0"),
        (["report", "nothing", "pics"], "no shipped checkpoint 'nothing'"),
        (["evaluate", "simclr_shapes", "one"], "one has no labels to judge by"),
        (["embed", "simclr_shapes", "pics", "-o", "h.csv"], "--out must end in .npz or .parquet, got h.csv"),
        (["search", "simclr_shapes", "pics", "no.jpg"], "there is no image file no.jpg"),
        (["search", "simclr_shapes", "pics", "text.jpg"], "text.jpg cannot be read as an image (not an image)"),
        (["search", "simclr_shapes", "pics", "pics/0/0.png", "-k", "0"], "k must be a whole number of at least 1"),
        (["search", "simclr_shapes", "pics", "secret.png"], "secret.png cannot be read (Permission denied)"),
        (["export-encoder", "simclr_shapes", "-o", "x.h5"], "--out must end in .pt or .onnx"),
        (["export-encoder", "text.jpg", "-o", "x.pt"], "text.jpg is not the .safetensors file of a checkpoint"),
        (["export-encoder", "foreign.safetensors", "-o", "x.pt"], "no card foreign.json beside foreign.safetensors"),
    ],
)
def test_each_mistake_is_one_sentence_and_nothing_is_left(tmp_path, capsys, monkeypatch, arguments, sentence):
    folder_of(tmp_path, {f"{i % 2}/{i}.png": encoded(picture(i)) for i in range(24)})
    for folder in ("folder.html", "empty", "single", "one/only"):
        Path(folder).mkdir(parents=True)
    Image.new("RGB", (9, 9)).save("single/a.png")
    for i in range(20):
        picture(i).save(f"one/only/{i}.png")
    Path("text.jpg").write_text("no image")
    Path("secret.png").write_bytes(encoded(picture(1)))
    Path("foreign.safetensors").write_bytes((checkpoints.SHIPPED / "simclr_shapes.safetensors").read_bytes())
    read = Path.read_bytes

    def refusing(path):  # root may read all
        if path.name == "secret.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    before = {path for path in Path().rglob("*") if "cache" not in path.parts}
    code, _, error = call(capsys, *arguments)
    last = error.splitlines()[-1]
    assert code == 1 and last.startswith("cl-course: ") and sentence in last and "Traceback" not in error
    assert {path for path in Path().rglob("*") if "cache" not in path.parts} == before


def test_a_folder_that_changes_while_it_is_read_is_named(tmp_path, capsys, monkeypatch, no_umap):
    from cl_course.images.pictures import Pictures

    source, read = folder_of(tmp_path, flowers(20)), Pictures.read

    def changing(self, part):
        (source / "rose" / "003.png").unlink(missing_ok=True)
        folder_of(tmp_path, {"rose/late.png": encoded(picture(3))})
        return read(self, part)

    monkeypatch.setattr(Pictures, "read", changing)
    code, _, error = call(capsys, "embed", "simclr_shapes", source, "-o", "h.npz")
    assert code == 0 and "1 images cannot be read and are left out: rose/003.png: removed while it was read" in error


def test_the_real_map_lays_one_class_together():
    test = load("shapes", "test", limit=300)
    points = map_places(open_encoder("simclr_shapes").features(test), seed=0)
    assert points.min() == 0 and points.max() == 1 and points.shape == (300, 2)
    distance = torch.cdist(points, points).fill_diagonal_(torch.inf)
    assert (test.labels[distance.argmin(dim=1)] == test.labels).float().mean() > 0.7


def test_the_map_shows_the_picture_that_is_pointed_at(tmp_path, no_umap, browser):
    found = measured(folder_of(tmp_path, flowers(40)))
    Path("report.html").write_text(page(found), encoding="utf-8")
    seen = []  # what goes wrong, and all that is asked for
    for width in (480, 1280):
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("pageerror", lambda error: seen.append(f"error: {error}"))
        tab.on("request", lambda request: seen.append(request.url))
        tab.goto(Path("report.html").absolute().as_uri())
        name = tab.locator(".map aside p")
        circle = tab.locator(".map circle").nth(17)
        circle.hover(force=True)
        assert name.inner_text() == circle.get_attribute("data-name")
        tab.locator(".map svg").focus()
        tab.keyboard.press("ArrowRight")
        assert name.inner_text() == tab.locator(".map circle").nth(18).get_attribute("data-name")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.close()
    assert not [one for one in seen if not one.startswith(("file:", "data:"))]
