"""Lesson 09's parts on pictures of every kind: a look, augmentations by two meters, an order, a played labeller."""

import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet, load, to_float
from cl_course.diagnose import map_places
from cl_course.duplicates import near_duplicates
from cl_course.evaluate import embed
from cl_course.labels import Labels
from cl_course.lessons.own_pictures import at_hand as hand
from cl_course.lessons.own_pictures.choose import FAR, choose, leads_out, small
from cl_course.lessons.own_pictures.lab_map import map_data
from cl_course.lessons.own_pictures.look import epochs_for, everything, look
from cl_course.lessons.own_pictures.order import labelling_order
from cl_course.lessons.own_pictures.played import enough, played
from cl_course.running.plans import plan
from cl_course.running.recipes import recipe
from cl_course.train import pretrain


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CL_COURSE_CACHE", str(tmp_path / "cache"))


def folder(path, n, width, height, mode="RGB", kind=lambda number: ""):
    draw = np.random.default_rng(0)
    for number in range(n):
        pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = path / kind(number) / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(file)
    return path


KINDS = {
    "grey": {"n": 60, "width": 32, "height": 32, "mode": "L"},
    "28 x 28": {"n": 60, "width": 28, "height": 28},
    "28 x 28, grey": {"n": 60, "width": 28, "height": 28, "mode": "L"},
    "224 x 224": {"n": 12, "width": 224, "height": 224},
    "wide": {"n": 20, "width": 300, "height": 60},
    "narrow and small": {"n": 20, "width": 20, "height": 120},
    "8 x 8": {"n": 30, "width": 8, "height": 8},
    "two classes": {"n": 40, "width": 32, "height": 32, "kind": lambda number: "ab"[number % 2]},
    "one class": {"n": 40, "width": 32, "height": 32, "kind": lambda number: "a"},
    "transparent": {"n": 10, "width": 40, "height": 30, "mode": "RGBA"},
    "a handful": {"n": 5, "width": 40, "height": 30},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_goes_all_the_way(tmp_path, kind):
    path = folder(tmp_path / "pictures", **KINDS[kind])
    seen = look(path)
    assert seen.broken == () and sum(seen.sizes.values()) == KINDS[kind]["n"] and str(seen)
    images = everything(path, seen.size)
    assert len(images) == len(set(images.names)) == KINDS[kind]["n"]
    choice = choose(to_float(images.images))
    one = recipe("simclr", side=tuple(images.images.shape[-2:]))
    epochs, batch_size = epochs_for(images, one)
    assert 2 <= epochs <= 40 and 2 <= batch_size <= 128
    config = replace(one.config, augment=choice.config, epochs=1, batch_size=batch_size)
    one, pixels = replace(one, config=config), ImageSet(images.images)
    assert "without labels" in str(plan(one, pixels))
    method = one.build(pixels)
    pretrain(method, pixels, config)
    h = embed(method.encoder, images)
    assert sorted(labelling_order(h, 20).tolist()) == list(range(len(images)))
    assert len(map_data(images, h)["points"]) == len(images)


def test_the_size_that_is_proposed(tmp_path):
    sizes = {}
    for kind in ("grey", "28 x 28", "224 x 224", "wide", "8 x 8"):
        path = tmp_path / kind
        folder(path, 2, KINDS[kind]["width"], KINDS[kind]["height"])
        sizes[kind] = look(path).size
    assert sizes == {"grey": None, "28 x 28": None, "224 x 224": 96, "wide": 64, "8 x 8": 16}
    assert look(tmp_path / "wide").lost == pytest.approx(0.8)
    assert "80% of a median picture is cut off" in str(look(tmp_path / "wide"))


def test_broken_files_are_named_and_the_rest_is_taken(tmp_path):
    path = folder(tmp_path / "pictures", 6, 32, 32)
    (path / "broken.png").write_bytes(b"no")
    (path / "empty.jpg").write_bytes(b"")
    assert len(everything(path, None)) == 6
    assert sorted(name.split(":")[0] for name in look(path).broken) == ["broken.png", "empty.jpg"]
    for file in path.glob("0*.png"):
        file.write_bytes(b"no")
    with pytest.raises(ValueError, match="none of the images of .* can be read; give another"):
        look(path)


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match="holds no images"):
        look(tmp_path)


@pytest.mark.parametrize("kind", hand.KINDS)
def test_the_sets_at_hand(kind):
    path, truth = hand.at_hand(kind)
    first = path.read_bytes()
    seen = look(path)
    assert sorted(name.split(":")[0] for name in seen.broken) == ["IMG_9998.png", "IMG_9999.jpg"]
    images = everything(path, seen.size)
    assert set(images.names) == set(truth) and images.labels is None
    pairs = near_duplicates(images.images).tolist()
    copied = {images.names[later] for later, _ in pairs} | {images.names[earlier] for _, earlier in pairs}
    assert sum(name.endswith("_edited.jpg") for name in copied) == hand.COPIES, "every copy is found"
    assert all(truth[images.names[i]] == truth[images.names[j]] for i, j in pairs)
    path.unlink()
    assert hand.at_hand(kind)[0].read_bytes() == first, "the same bytes each time"
    with zipfile.ZipFile(path) as archive:
        assert all("/" not in name for name in archive.namelist())


def test_what_a_dataset_means(tmp_path):
    assert hand.opened("cifar10") == hand.opened("digits") and hand.opened("shapes") == hand.opened("cards")
    assert hand.opened(str(tmp_path)) == (tmp_path, {})
    with pytest.raises(ValueError, match="'digits', 'cards', 'photos', or your own folder .* got 'lost'"):
        hand.opened("lost")


def by_loops(before, after):
    """`leads_out` with plain loops."""
    usual, moved = [], []
    for i in range(len(before)):
        others = [j for j in range(len(before)) if j != i]
        usual.append(min(float((before[i] - before[j]).norm()) for j in others))
        moved.append(min(float((after[i] - before[j]).norm()) for j in others))
    return np.sort(moved)[(len(moved) - 1) // 2] / np.sort(usual)[(len(usual) - 1) // 2]


def test_the_second_meter_against_loops():
    images = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    changed = images.flip(-1) * 0.7
    expected = by_loops(small(images), small(changed))
    assert leads_out(images, changed, small) == pytest.approx(expected, rel=1e-3)
    assert leads_out(images, images, small) == pytest.approx(1)


def cards(n=600):
    return to_float(load("shapes", "train", limit=n).images)


def test_the_rule_on_pictures_whose_answer_is_known():
    drawn = choose(cards())
    assert drawn.config == AugmentConfig()  # the course's own, found again
    digits, _ = hand.at_hand("digits")
    grey = choose(to_float(everything(digits, 16).images))
    assert grey.config.flip == 0 and grey.config.hue == 0 and grey.config.grey == 0 and grey.config.saturation == 0
    assert grey.moved["flip"] > FAR and "left and right may be the label" in grey.reasons[0]


def test_one_sided_and_one_coloured_pictures_are_found():
    left = cards()
    left[..., 16:] = 0.5  # nothing on the right
    assert choose(left).config.flip == 0
    red = cards() * torch.tensor([1.0, 0.15, 0.1])[:, None, None]
    chosen = choose(red)
    assert chosen.config.hue < 0.5 and "may be" in " ".join(chosen.reasons)


def test_shortcuts_that_stay_open_are_said(monkeypatch):
    flat = torch.rand(300, 3, 1, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 16, 16).contiguous()
    assert choose(flat).config.crop == (0.35, 1.0) and "look for copies" not in choose(flat).reasons[-1]
    monkeypatch.setattr("cl_course.lessons.own_pictures.choose.OPEN", 0.0)  # then no crop closes any
    chosen = choose(flat)
    assert chosen.config.crop == (0.08, 1.0) and "look for copies first" in chosen.reasons[-1]
    assert choose(flat[:1].repeat(2, 1, 1, 1)).reasons  # two pictures that are one


def test_typical_pictures_come_first():
    generator = torch.Generator().manual_seed(0)
    middle = F.normalize(torch.randn(4, 8, generator=generator), dim=1)
    kind = torch.arange(80) % 4
    h = middle[kind] + 0.05 * torch.randn(80, 8, generator=generator) * (1 + torch.arange(80)[:, None] / 40)
    order = labelling_order(h, 4)
    assert Counter(kind[order[:4]].tolist()) == {0: 1, 1: 1, 2: 1, 3: 1}, "one of each group"
    x = F.normalize(h, dim=1)
    for group in range(4):
        members = [i for i in order.tolist() if kind[i] == group]
        centre = x[kind == group].mean(dim=0)
        distances = [(x[i] - centre).norm().item() for i in members]
        assert distances == sorted(distances)
    assert torch.equal(order, labelling_order(h, 4)) and len(labelling_order(h[:3], 20)) == 3


def test_the_played_labeller_labels_enough_and_leaves_the_learners_file_alone(tmp_path):
    n = 100
    names = tuple(f"{i}.png" for i in range(n))
    truth = {name: "rare" if i % 20 == 0 else "usual" for i, name in enumerate(names)}
    images = ImageSet(torch.zeros(n, 3, 2, 2, dtype=torch.uint8), names=names)
    mine = Labels(tmp_path / "mine.csv", ("rare", "usual"), "p")
    labels = played(truth, ("rare", "usual"), images, torch.arange(n), 10)
    assert labels.counts == {"rare": 5, "usual": 19} and enough(labels)
    assert all(truth[name] == label for name, label in labels.given.items())
    assert not mine.given and not enough(mine)
    for name in names[:6]:
        mine.give(name, "usual")
    assert not enough(mine)


def test_a_map_of_few_and_of_equal_pictures():
    assert map_places(torch.ones(5, 4)).isfinite().all()
    assert map_places(torch.randn(3, 1)).shape == (3, 2)
    with pytest.raises(ValueError, match="the number of images must be a whole number of at least 3"):
        map_data(ImageSet(torch.zeros(2, 3, 2, 2, dtype=torch.uint8)), torch.zeros(2, 4))
