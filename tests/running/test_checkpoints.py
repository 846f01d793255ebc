"""Weights on disk: what comes back is what was saved, and nothing that goes wrong costs the last good file."""

import errno
import json
import os

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cl_course.files import write_atomically
from cl_course.models import small_resnet
from cl_course.running import checkpoints
from cl_course.running.checkpoints import build_encoder, load, read_card, restore, save, shipped

CARD = {"encoder": {"name": "small", "width": 4}, "method": "simclr", "seed": 3, "knn": 0.5}


def encoder(seed=0):
    torch.manual_seed(seed)
    return small_resnet(4)


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "on the way" / "good.safetensors"


def test_round_trip(path):
    trained = encoder(1)
    trained.train()(torch.rand(4, 3, 32, 32))  # running statistics that are not the initial ones
    save(path, trained, CARD)
    other = encoder(2)
    assert load(path, other) == read_card(path) == CARD
    assert same(weights(other), weights(trained))
    again, card = restore(path)
    images = torch.rand(3, 3, 32, 32)
    assert card == CARD and torch.equal(again.eval()(images), trained.eval()(images))
    assert sorted(p.name for p in path.parent.iterdir()) == ["good.json", "good.safetensors"]


def test_a_truncated_file_is_refused_and_the_encoder_stays_as_it_was(path):
    save(path, encoder(1), CARD)
    path.write_bytes(path.read_bytes()[:-1000])
    into = encoder(2)
    before = weights(into)
    with pytest.raises(ValueError, match="good.safetensors is damaged, or not the weights that its card describes"):
        load(path, into)
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="good.safetensors is damaged"):
        load(path, into)
    assert same(weights(into), before)


@pytest.mark.parametrize("change", ["wider", "layer missing", "layer too many"])
def test_another_architecture_is_refused_and_the_encoder_stays_as_it_was(path, change):
    saved = small_resnet(8) if change == "wider" else encoder(1)
    if change == "layer missing":
        saved.stages[1].conv1 = torch.nn.Identity()
    if change == "layer too many":
        saved.head = torch.nn.Linear(2, 2)
    save(path, saved, CARD)
    into = encoder(2)
    before = weights(into)
    with pytest.raises(ValueError, match="holds another architecture: .* there and .* here"):
        load(path, into)
    assert same(weights(into), before)


def test_missing_files_are_named(path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at .*good.safetensors"):
        load(path, encoder())
    save(path, encoder(), CARD)
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="no card good.json"):
        load(path, encoder())


def test_a_full_disk_leaves_the_last_good_checkpoint(path, monkeypatch):
    save(path, encoder(1), CARD)
    good, good_card = path.read_bytes(), path.with_suffix(".json").read_bytes()

    real_write = type(path).write_bytes

    def half_written(file, content):
        real_write(file, content[: len(content) // 2])
        if ".safetensors." in file.name:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", half_written)
    with pytest.raises(OSError, match="could not write .*good.safetensors.*No space left.*untouched"):
        save(path, encoder(2), CARD | {"seed": 4})
    assert path.read_bytes() == good and path.with_suffix(".json").read_bytes() == good_card
    assert sorted(p.name for p in path.parent.iterdir()) == ["good.json", "good.safetensors"], (
        "a temporary file was left"
    )


def test_write_atomically_replaces_only_what_was_written_whole(tmp_path):
    path = tmp_path / "notes.txt"
    write_atomically(path, lambda temporary: temporary.write_text("first"))
    write_atomically(path, lambda temporary: temporary.write_text("second"))
    assert path.read_text() == "second"

    def broken(temporary):
        temporary.write_text("thi")
        raise RuntimeError("torch raises these when a disk is full")

    with pytest.raises(OSError, match="untouched"):
        write_atomically(path, broken)
    assert path.read_text() == "second" and list(tmp_path.iterdir()) == [path]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        save(tmp_path / "file" / "good.safetensors", encoder(), CARD)


def test_the_card_builds_the_encoder():
    assert same_shapes(build_encoder(CARD), small_resnet(4))
    assert same_shapes(build_encoder({"encoder": {"name": "small"}}), small_resnet())
    with pytest.raises(ValueError, match="unknown encoder 'vit' in the card; there are small, resnet18"):
        build_encoder({"encoder": {"name": "vit"}})
    for card in ({"encoder": "small"}, {"encoder": {}}, {}):
        with pytest.raises(
            ValueError, match=r'as in \{"name": "small", "width": 16\}, this one with (\'small\'|{}|None)$'
        ):
            build_encoder(card)


def same_shapes(a, b):
    return {n: t.shape for n, t in a.state_dict().items()} == {n: t.shape for n, t in b.state_dict().items()}


def test_shipped_encoders_come_in_eval_mode(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match="no shipped checkpoint 'right'; there are none"):
        shipped("right")
    save(tmp_path / "right.safetensors", encoder(1), CARD)
    ours, card = shipped("right")
    assert not ours.training and card == CARD and same(weights(ours), weights(encoder(1)))
    with pytest.raises(ValueError, match="no shipped checkpoint 'left'; there are right"):
        shipped("left")


def test_the_card_is_read_by_people(path):
    save(path, encoder(), CARD)
    text = path.with_suffix(".json").read_text()
    assert CARD.items() <= json.loads(text).items() and text.count("\n") > len(CARD)


@pytest.mark.parametrize(
    "card", ["{}", "[]", "xx", '{"encoder": {"name": "small", "foo": 1}}', '{"encoder": {"name": "vgg"}}']
)
def test_a_damaged_card_is_one_sentence(tmp_path, card):
    checkpoints.save(tmp_path / "e.safetensors", small_resnet(4), {"encoder": {"name": "small", "width": 4}})
    (tmp_path / "e.json").write_text(card)
    with pytest.raises(ValueError, match="card"):
        checkpoints.restore(tmp_path / "e.safetensors")


def test_a_card_that_is_no_json_costs_neither_file(tmp_path):
    path = tmp_path / "e.safetensors"
    save(path, encoder(1), CARD)
    good = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(path, encoder(2), CARD | {"knn": torch.ones(1)})
    assert path.read_bytes() == good and read_card(path) == CARD


@pytest.mark.parametrize("card", [None, "xx"])
def test_without_a_card_the_encoder_stays_as_it_was(tmp_path, card):
    path = tmp_path / "e.safetensors"
    save(path, encoder(1), CARD)
    path.with_suffix(".json").unlink()
    if card:
        path.with_suffix(".json").write_text(card)
    into = encoder(2)
    before = weights(into)
    with pytest.raises((FileNotFoundError, ValueError)):
        load(path, into)
    assert same(weights(into), before)


def test_interrupted_writing_leaves_no_temporary_file(tmp_path):
    def interrupted(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x.txt", interrupted)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_at_the_card_keeps_the_weights_too(tmp_path, monkeypatch):
    path = tmp_path / "e.safetensors"
    save(path, encoder(1), CARD)
    good = path.read_bytes()

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(OSError, match="untouched"):
        save(path, encoder(2), CARD | {"seed": 4})
    monkeypatch.undo()
    assert path.read_bytes() == good and read_card(path) == CARD


@pytest.mark.parametrize("cut", range(3))
def test_a_save_that_is_killed_between_two_writes_leaves_a_whole_pair(path, monkeypatch, cut):
    """Killed, not stopped: nothing is tidied up. The weights on disk always have their card."""
    save(path, encoder(1), CARD)
    real_replace, replaced = os.replace, []

    def killed(source, target):
        if len(replaced) == cut:
            raise SystemExit
        replaced.append(target)
        real_replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(SystemExit):
            save(path, encoder(2), CARD | {"seed": 4})
    into = encoder(5)
    assert load(path, into) == read_card(path) == (CARD if cut < 2 else CARD | {"seed": 4})
    assert same(weights(into), weights(encoder(1 if cut < 2 else 2)))
    save(path, encoder(3), CARD | {"seed": 5})
    assert load(path, into) == CARD | {"seed": 5} and same(weights(into), weights(encoder(3)))
    assert sorted(p.name for p in path.parent.iterdir()) == ["good.json", "good.safetensors"]


def test_a_first_save_that_is_killed_before_the_card_has_its_name_is_read(path, monkeypatch):
    save(path, encoder(1), CARD)
    path.with_suffix(".json").rename(path.with_suffix(".new.json"))
    assert load(path, encoder(2)) == CARD


def test_a_folder_in_the_place_of_the_card_costs_nothing(path):
    path.with_suffix(".json").mkdir(parents=True)
    with pytest.raises(OSError, match="good.json cannot be written: there is a folder of this name"):
        save(path, encoder(1), CARD)
    assert not path.exists()


def test_a_card_without_a_digest_is_refused_and_the_remedy_works(path):
    save(path, encoder(1), CARD)
    path.with_suffix(".json").write_text(json.dumps(CARD))
    with pytest.raises(ValueError, match="load_file and save encoder and card again with checkpoints.save"):
        restore(path)
    old = build_encoder(CARD)
    old.load_state_dict(load_file(path))
    save(path, old, CARD)
    assert same(weights(restore(path)[0]), weights(encoder(1)))


def test_a_card_edited_by_hand_is_refused_and_the_remedy_works(path):
    save(path, encoder(1), CARD)
    card_file = path.with_suffix(".json")
    card_file.write_text(card_file.read_text().replace('"seed": 3', '"seed": 4'))
    into = encoder(2)
    with pytest.raises(ValueError, match="was changed or damaged .* with checkpoints.save"):
        load(path, into)
    save(path, encoder(1), json.loads(card_file.read_text()))  # as read, with the digests that it had
    assert load(path, into) == CARD | {"seed": 4}


def test_weights_and_card_of_two_checkpoints_are_no_pair(path):
    save(path, encoder(1), CARD)
    card = path.with_suffix(".json").read_bytes()
    save(path, encoder(2), CARD)
    path.with_suffix(".json").write_bytes(card)
    with pytest.raises(ValueError, match="not the weights that its card describes"):
        restore(path)


def wrapped(kind, inner):
    if kind == "a part compiled":
        inner.stages[0] = torch.compile(inner.stages[0])
        inner.stem = nn.DataParallel(inner.stem)
        return inner
    for wrapper in {"compiled": [torch.compile], "parallel": [nn.DataParallel]}.get(
        kind, [torch.compile, nn.DataParallel, torch.compile]
    ):
        inner = wrapper(inner)
    return inner


@pytest.mark.parametrize("kind", ["compiled", "parallel", "nested", "a part compiled"])
def test_a_wrapped_encoder_is_saved_and_loaded_under_its_own_names(path, kind):
    save(path, wrapped(kind, encoder(1)), CARD)
    restored, _ = restore(path)
    assert same(weights(restored), weights(encoder(1)))
    into = wrapped(kind, encoder(2))
    load(path, into)
    assert all(torch.equal(a, b) for a, b in zip(into.state_dict().values(), restored.state_dict().values()))


def test_a_module_that_the_encoder_itself_calls_module_keeps_its_name(path):
    own = nn.Sequential()
    own.module = nn.Linear(2, 2)
    save(path, own, {})
    assert load_file(path).keys() == {"module.weight", "module.bias"}
    load(path, own)


def test_weights_are_not_written_where_the_card_goes(tmp_path):
    with pytest.raises(ValueError, match="the weights cannot be written to .*x.json, where the card goes; name a file"):
        checkpoints.save(tmp_path / "x.json", small_resnet(4), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("end", [".json", ".new.json"])
def test_a_json_file_that_is_no_card_is_not_written_over(path, end):
    other = path.with_suffix(end)
    other.parent.mkdir(parents=True)
    other.write_text('{"my": "annotations"}')
    with pytest.raises(ValueError, match=f"good{end} is not the card of an encoder.*; name another file, or move it"):
        save(path, encoder(1), CARD)
    assert other.read_text() == '{"my": "annotations"}' and not path.exists()


def test_a_killed_save_and_then_a_full_disk_leave_a_whole_pair(path, monkeypatch):
    save(path, encoder(1), CARD)
    real = os.replace

    def killed(source, target):
        if str(target).endswith("good.json"):
            raise SystemExit
        real(source, target)

    def full(source, target):
        if str(target).endswith(".safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    for seed, fails, error in ((4, killed, SystemExit), (5, full, OSError)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fails)
            with pytest.raises(error):
                save(path, encoder(seed), CARD | {"seed": seed})
    into = encoder(9)
    assert load(path, into) == CARD | {"seed": 4} and same(weights(into), weights(encoder(4)))
