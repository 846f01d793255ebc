"""The training loop: the numbers of a loop written out, whole or stopped and resumed; errors in one sentence."""

import errno
import json
import math
import warnings
from dataclasses import asdict, replace

import numpy
import pytest
import torch
from torch import Generator, nn

from cl_course import train
from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet, load, to_float
from cl_course.files import read_state, write_state
from cl_course.methods import BYOL, SimCLR
from cl_course.models import predictor, projector, small_resnet
from cl_course.optimizers import make_optimizer
from cl_course.train import History, NonFiniteLoss, TrainConfig, estimate, learning_rate_at, pretrain

CONFIG = TrainConfig(epochs=3, batch_size=16)


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=40)  # two batches of 16, and 8 images left over


def simclr(seed=0, width=4) -> SimCLR:
    torch.manual_seed(seed)
    encoder = small_resnet(width)
    return SimCLR(encoder, projector(encoder.dim, 16, 16), temperature=0.3)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def without_time(history: History) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


# What it does.
def test_the_same_weights_as_a_loop_written_out(images):
    # SGD, whose step grows with the gradient: AdamW turns a rounding error in a gradient near 0 into a whole step.
    config = replace(CONFIG, optimizer="sgd", learning_rate=0.05)
    ours, by_hand = simclr(), simclr()
    history = pretrain(ours, images, config)

    optimizer = torch.optim.SGD(
        by_hand.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    generator = Generator().manual_seed(config.seed)
    losses = []
    for epoch in range(3):
        order = torch.randperm(40, generator=generator)
        for step, batch in enumerate((order[:16], order[16:32])):
            view1, view2 = two_views(images.images[batch] / 255, config.augment, generator)
            loss = by_hand.loss(view1, view2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.param_groups[0]["lr"] = learning_rate_at(2 * epoch + step, 6, config)
            optimizer.step()
            losses.append(loss.item())
    assert history.column("loss") == pytest.approx([sum(losses[i : i + 2]) / 2 for i in (0, 2, 4)], rel=1e-4)
    for name, tensor in by_hand.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_labels_play_no_part(images):
    methods = simclr(), simclr()
    pretrain(methods[0], images, CONFIG)
    pretrain(methods[1], ImageSet(images.images), CONFIG)
    assert same(weights(methods[0]), weights(methods[1]))


def test_the_seed_decides_and_torchs_own_random_numbers_do_not(images):
    first, again, other = simclr(), simclr(), simclr()
    pretrain(first, images, CONFIG)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    pretrain(again, images, CONFIG)
    assert torch.equal(torch.get_rng_state(), before)
    pretrain(other, images, replace(CONFIG, seed=1))
    assert same(weights(first), weights(again)) and not same(weights(first), weights(other))


def test_it_learns_to_find_partners(images):
    method = simclr(width=8)
    history = pretrain(method, images, TrainConfig(epochs=12, batch_size=20, augment=AugmentConfig(jitter=0, grey=0)))
    losses = history.column("loss")
    assert losses[-1] < losses[0] - 0.3 and losses[-1] < method.chance(20) - 0.5


def test_the_learning_rate_warms_up_and_then_follows_a_cosine():
    config = TrainConfig(learning_rate=2.0, warmup=0.2)
    rates = [learning_rate_at(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(2 / 21) and rates[19] == pytest.approx(40 / 21) and rates[20] == 2.0
    assert rates[60] == pytest.approx(1.0) and rates[40] == pytest.approx(1 + math.cos(math.pi / 4))
    assert max(rates) == 2.0 and 0 < rates[99] < 1e-2 and rates[20:] == sorted(rates[20:], reverse=True)
    assert learning_rate_at(0, 100, replace(config, warmup=0.0)) == 2.0


def test_after_step_follows_every_step_and_frozen_weights_stay(images):
    class Counting(SimCLR):
        steps = 0

        def after_step(self):
            self.steps += 1

    base = simclr()
    method = Counting(base.encoder, base.projector)
    frozen = method.encoder.stem[0].weight.requires_grad_(False)
    before = frozen.clone()
    pretrain(method, images, CONFIG)
    assert method.steps == 6 and torch.equal(frozen, before)


def test_on_epoch_adds_to_the_row_and_may_leave_the_method_in_eval_mode(images):
    seen = []

    def on_epoch(row, method):
        assert method.training
        method.eval()
        seen.append(row)
        row["loss"] = 0  # a copy: the history's row is not the callback's to change
        return {"knn": 0.25 * row["epoch"]} if row["epoch"] > 1 else None

    modes = []
    method = simclr()
    method.encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    history = pretrain(method, images, CONFIG, on_epoch=on_epoch)
    assert [row["epoch"] for row in seen] == history.column("epoch") == [1, 2, 3]
    assert all(modes) and method.training
    assert "knn" not in history.rows[0] and [row["knn"] for row in history.rows[1:]] == [0.5, 0.75]
    assert min(history.column("loss")) > 0
    assert history.seconds == pytest.approx(sum(history.column("seconds"))) and history.seconds > 0


# Cut and resumed.
class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_resumes_to_the_same_numbers(images, tmp_path, killed_after):
    whole = simclr()
    unbroken = pretrain(whole, images, CONFIG, on_epoch=lambda row, method: {"note": row["epoch"]})

    def dies(row, method):
        if row["epoch"] == killed_after + 1:  # in the middle of that epoch's end: nothing of it is kept
            raise Killed
        return {"note": row["epoch"]}

    path = tmp_path / "runs" / "simclr.pt"
    with pytest.raises(Killed):
        pretrain(simclr(), images, CONFIG, on_epoch=dies, resume=path)
    resumed, epochs = simclr(seed=5), []  # other initial weights: all comes from the checkpoint
    history = pretrain(
        resumed,
        images,
        CONFIG,
        on_epoch=lambda row, method: epochs.append(row["epoch"]) or {"note": row["epoch"]},
        resume=path,
    )
    assert epochs == list(range(killed_after + 1, 4))
    assert without_time(history) == without_time(unbroken)
    assert same(weights(resumed), weights(whole))


def test_a_finished_run_is_only_read(images, tmp_path):
    path = tmp_path / "simclr.pt"
    method = simclr()
    history = pretrain(method, images, CONFIG, resume=path)
    other = simclr(seed=5)
    again = pretrain(other, images, CONFIG, on_epoch=lambda *_: pytest.fail("nothing is left to train"), resume=path)
    assert again.rows == history.rows and same(weights(other), weights(method))


def test_a_full_disk_is_a_warning_and_the_last_good_checkpoint_survives(images, tmp_path, monkeypatch):
    path, writes = tmp_path / "simclr.pt", []
    real_write = type(path).write_bytes

    def disk_fills_up(file, content):
        writes.append(file)
        if len(writes) >= 2:
            real_write(file, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(file, content)

    monkeypatch.setattr(type(path), "write_bytes", disk_fills_up)
    whole, method = simclr(), simclr()
    with pytest.warns(UserWarning, match="could not write .*simclr.pt.*untouched") as warned:
        history = pretrain(method, images, CONFIG, resume=path)
    assert len(warned) == 2 and len(history.rows) == 3, "the run goes on"
    assert list(tmp_path.iterdir()) == [path], "a temporary file was left"
    monkeypatch.undo()
    assert len(read_state(path)["history"]) == 1
    resumed = simclr(seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pretrain(resumed, images, CONFIG, resume=path)
        pretrain(whole, images, CONFIG)
    assert same(weights(resumed), weights(whole)) and same(weights(method), weights(whole))


# Checkpoints that do not fit.
@pytest.fixture
def checkpoint(images, tmp_path):
    path = tmp_path / "simclr.pt"
    pretrain(simclr(), images, replace(CONFIG, epochs=1), resume=path)
    return path


@pytest.mark.parametrize(
    "content", [lambda good: good[: len(good) // 2], lambda good: b"", lambda good: b"a letter, not a checkpoint"]
)
def test_a_truncated_checkpoint_is_refused(images, checkpoint, content):
    checkpoint.write_bytes(content(checkpoint.read_bytes()))
    with pytest.raises(
        ValueError, match="simclr.pt is damaged, or no checkpoint of a run .*; name another file to start again"
    ):
        pretrain(simclr(), images, replace(CONFIG, epochs=1), resume=checkpoint)


def test_a_checkpoint_of_something_else_is_refused(images, checkpoint):
    for write in (lambda path, state: torch.save(state, path), write_state):
        write(checkpoint, {"weights": torch.zeros(3)})
        with pytest.raises(ValueError, match="simclr.pt is damaged, or no checkpoint of a run"):
            pretrain(simclr(), images, replace(CONFIG, epochs=1), resume=checkpoint)


def test_a_checkpoint_of_another_configuration_is_refused(images, checkpoint):
    other = replace(CONFIG, epochs=1, learning_rate=1e-4, augment=AugmentConfig(grey=0))
    with pytest.raises(
        ValueError,
        match="simclr.pt belongs to a run with .*0.006.*grey.*this one has .*0.0001.*; use the same configuration",
    ) as error:
        pretrain(simclr(), images, other, resume=checkpoint)
    assert "batch_size" not in str(error.value), "only what differs is named"


def test_a_checkpoint_of_another_temperature_is_refused(images, checkpoint):
    method = simclr()
    method.temperature = 0.05
    with pytest.raises(ValueError, match="simclr.pt belongs to a run with .*temperature.*0.3.*this one has .*0.05"):
        pretrain(method, images, replace(CONFIG, epochs=1), resume=checkpoint)


def byol(**settings) -> BYOL:
    encoder = small_resnet(4)
    return BYOL(encoder, projector(encoder.dim, 16, 16), predictor(16, 16), **settings)


@pytest.mark.parametrize(
    "was, now",
    [({"predictor_rate": 20.0}, {"predictor_rate": 10.0}), ({"predictor_rate": 20.0}, {}), ({"total_steps": 100}, {})],
)
def test_a_checkpoint_of_other_settings_of_the_method_is_refused(images, tmp_path, was, now):
    config = replace(CONFIG, epochs=1)
    pretrain(byol(**was), images, config, resume=tmp_path / "run.pt")
    with pytest.raises(ValueError, match="run.pt belongs to a run with"):
        pretrain(byol(**now), images, config, resume=tmp_path / "run.pt")


def test_what_on_epoch_returns_must_be_readable_from_a_checkpoint(images):
    with pytest.raises(TypeError, match="what on_epoch returns must be plain data .* got a float64"):
        pretrain(simclr(), images, CONFIG, on_epoch=lambda *_: {"knn": numpy.float64(0.5)})


@pytest.mark.parametrize(
    "other", [lambda: simclr(width=8), lambda: SimCLR(simclr().encoder, nn.Identity(), 0.3)], ids=["wider", "no head"]
)
def test_a_checkpoint_of_another_architecture_is_refused(images, checkpoint, other):
    with pytest.raises(ValueError, match="simclr.pt holds another architecture: .*(stem|projector)"):
        pretrain(other(), images, replace(CONFIG, epochs=1), resume=checkpoint)


def test_a_checkpoint_that_cannot_be_read_is_not_called_damaged(images, tmp_path):
    with pytest.raises(OSError, match="cannot be read .Is a directory.; give yourself the right") as error:
        pretrain(simclr(), images, replace(CONFIG, epochs=1), resume=tmp_path)
    assert "delete" not in str(error.value)


def test_a_refused_architecture_leaves_the_method_as_it_was(images, checkpoint):
    encoder = small_resnet(4)
    method = SimCLR(encoder, projector(encoder.dim, 24, 16), temperature=0.3)  # as the checkpoint's, but for its head
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with pytest.raises(ValueError, match="holds another architecture"):
        pretrain(method, images, replace(CONFIG, epochs=1), resume=checkpoint)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


# What a user gets wrong.
def test_a_batch_larger_than_the_data_is_refused(images):
    with pytest.raises(ValueError, match="40 images are fewer than batch_size 41: pass batch_size=40 or less"):
        pretrain(simclr(), images, replace(CONFIG, batch_size=41))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": -1}, "batch_size must be a whole number of at least 2, got -1"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2, got 1; an image alone"),
        ({"batch_size": 32.0}, "batch_size must be a whole number of at least 2, got 32.0"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number above 0, got nan"),
        ({"learning_rate": torch.tensor(1e-3)}, "learning_rate must be a finite number above 0, got a Tensor of shape"),
        ({"warmup": 1.0}, "warmup must be a finite number at least 0 and below 1, got 1.0; it is a share"),
        ({"weight_decay": -0.5}, "weight_decay must be a finite number at least 0"),
        ({"weight_decay": math.inf}, "weight_decay must be a finite number at least 0"),
        ({"optimizer": "adam"}, "optimizer must be 'adamw' or 'sgd', got 'adam'; did you mean 'adamw'"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
        ({"seed": 1.5}, "seed must be a whole number .* got 1.5"),
        ({"precision": "float16"}, "precision must be 'float32' or 'bfloat16', got 'float16'"),
        ({"compile": "yes"}, "compile must be True or False, got 'yes'"),
        ({"augment": None}, "augment must be of class AugmentConfig, got one of class NoneType"),
        ({"chunk_size": 1}, "chunk_size must be a whole number from 2 to 128, got 1"),
        ({"chunk_size": 129}, "got 129"),
        ({"chunk_size": 2.5}, "got 2.5"),
        ({"chunk_size": 127}, "chunk_size 127 leaves one image of a batch of 128 alone"),
        ({"chunked": "half"}, "chunked must be 'grad_cache' or 'accumulate', got 'half'"),
    ],
)
def test_impossible_settings_are_refused(wrong, said):
    with pytest.raises((ValueError, TypeError), match=said):
        TrainConfig(**wrong)


def test_numpys_numbers_are_numbers_and_become_pythons_own():
    names = ("epochs", "batch_size", "chunk_size", "seed", "learning_rate", "weight_decay", "warmup")
    given = [numpy.int64(10)] * 3 + [numpy.uint32(7), numpy.float32(0.5), numpy.float64(0.25), numpy.float16(0)]
    config = TrainConfig(**dict(zip(names, given)))
    assert [getattr(config, name) for name in names] == [10, 10, 10, 7, 0.5, 0.25, 0.0]
    assert {type(getattr(config, name)) for name in names} == {int, float}
    assert json.loads(json.dumps(asdict(config)))["epochs"] == 10


class BreaksAt(SimCLR):
    """The loss of one step, counted from 1 over the whole run, becomes `value`."""

    def break_at(self, step: int, value: float) -> "BreaksAt":
        self.step, self.breaks, self.value = 0, step, value
        return self

    def loss(self, view1, view2):
        self.step += 1
        return super().loss(view1, view2) * (self.value if self.step == self.breaks else 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kept", [True, False])
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(images, tmp_path, value, kept):
    base = simclr()
    method = BreaksAt(base.encoder, base.projector, 0.125).break_at(4, value)
    path = tmp_path / "simclr.pt" if kept else None
    with pytest.raises(
        NonFiniteLoss, match=f"{value} at step 2 of epoch 2, with temperature 0.125 and peak learning rate 0.006"
    ) as error:
        pretrain(method, images, CONFIG, resume=path)
    assert str(error.value).endswith(
        f"last good checkpoint is {path}"
        if kept
        else "there is no checkpoint yet (resume=FILE keeps one after every epoch)"
    )
    if kept:
        state = read_state(path)
        assert len(state["history"]) == 1 and all(t.isfinite().all() for t in state["method"].values())


# What it will take.
def test_estimate_changes_nothing(images):
    method = simclr().eval()
    before, random_state = weights(method), torch.get_rng_state()
    pixels = images.images.clone()
    seconds = estimate(method, images, CONFIG)
    assert seconds > 0
    assert same(weights(method), before) and not method.training and all(p.grad is None for p in method.parameters())
    assert torch.equal(torch.get_rng_state(), random_state) and torch.equal(images.images, pixels)


def test_estimate_counts_all_steps_of_the_run(images, monkeypatch):
    clock = iter(range(1000))  # every look at the clock is a second later
    monkeypatch.setattr(train.time, "perf_counter", lambda: float(next(clock)))
    assert estimate(simclr(), images, TrainConfig(epochs=7, batch_size=10), steps=3) == 7 * 4


def test_the_optimizer_has_what_is_learned_and_nothing_else():
    method = simclr()
    method.encoder.stem.requires_grad_(False)
    optimizer = make_optimizer(method, "adamw", CONFIG.weight_decay)
    assert sum(p.numel() for g in optimizer.param_groups for p in g["params"]) == sum(
        p.numel() for p in method.parameters() if p.requires_grad
    )
    assert optimizer.defaults["weight_decay"] == asdict(CONFIG)["weight_decay"]


def test_to_float_is_what_the_network_sees(images):
    """The loop trains on [0, 1]: a step on uint8 images is the method's loss on their views."""
    method = simclr()
    optimizer = make_optimizer(method)
    view1, view2 = two_views(to_float(images.images[:16]), CONFIG.augment, Generator().manual_seed(4))
    expected = simclr().loss(view1, view2)
    got = train.train_step(method, images.images[:16], optimizer, 1e-3, CONFIG, Generator().manual_seed(4))
    torch.testing.assert_close(got, expected.detach())
    assert not got.requires_grad


def test_in_bfloat16_the_networks_compute_and_the_weights_stay_wide(images):
    method, seen = simclr(), []
    method.projector.register_forward_hook(lambda module, inputs, z: seen.append(z.dtype))
    history = pretrain(method, images, replace(CONFIG, precision="bfloat16"))
    assert set(seen) == {torch.bfloat16} and all(p.dtype == torch.float32 for p in method.parameters())
    plain = simclr()
    first = pretrain(plain, images, replace(CONFIG, epochs=1)).column("loss")
    assert history.column("loss")[0] == pytest.approx(first[0], rel=0.05) and history.column("loss")[0] != first[0]


def test_a_checkpoint_of_another_precision_is_refused(images, checkpoint):
    with pytest.raises(ValueError, match="belongs to a run with .*'precision': 'float32'.*this one has .*'bfloat16'"):
        pretrain(simclr(), images, replace(CONFIG, epochs=1, precision="bfloat16"), resume=checkpoint)


@pytest.mark.parametrize("change", ["images", "temperature", "width"])
def test_a_checkpoint_goes_on_only_with_its_own_data_and_method(tmp_path, change):
    images = load("shapes", "train", limit=64)
    config = TrainConfig(epochs=1, batch_size=32)

    def method(width=4, temperature=0.3):
        encoder = small_resnet(width)
        return SimCLR(encoder, projector(encoder.dim), temperature)

    pretrain(method(), images, config, resume=tmp_path / "run.pt")
    if change == "images":
        other, those = method(), load("shapes", "train", limit=64, seed=1)
    else:
        other, those = method(**{change: 8 if change == "width" else 0.5}), images
    with pytest.raises(ValueError, match=r"run\.pt (belongs to a run|holds another architecture)"):
        pretrain(other, those, config, resume=tmp_path / "run.pt")


def test_a_checkpoint_of_a_run_that_trained_other_weights_leaves_the_method_as_it_was(images, checkpoint):
    method = simclr(seed=1)
    method.encoder.stem.requires_grad_(False)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with pytest.raises(ValueError, match="simclr.pt is of a run that trained other weights .*; let the same weights"):
        pretrain(method, images, replace(CONFIG, epochs=1), resume=checkpoint)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())


def test_a_file_of_another_kind_is_not_to_be_deleted(images, tmp_path):
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"the finished encoder")
    with pytest.raises(ValueError, match="no checkpoint of a run .*; name another file") as refused:
        pretrain(simclr(), images, CONFIG, resume=path)
    assert "delete" not in str(refused.value) and path.read_bytes() == b"the finished encoder"
