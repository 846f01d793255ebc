"""The recipes of both profiles: what they say, and on the CPU all that a GPU would do, in a few steps of each."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cl_course import train
from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet, load, pretraining_images
from cl_course.losses import (
    barlow_twins_loss,
    byol_loss,
    dino_loss,
    info_nce,
    nt_xent,
    supcon_loss,
    vicreg_loss,
)
from cl_course.methods import METHODS, SimCLR
from cl_course.models import projector, small_resnet
from cl_course.running import plans, recipes, records
from cl_course.running.plans import Plan, duration, plan
from cl_course.running.recipes import Recipe, recipe
from cl_course.running.settings import PROFILES
from cl_course.train import TrainConfig, pretrain


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "train", limit=40)


def weights(module: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in module.state_dict().values()]


def same(a: list, b: list) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b))


def shortened(full: Recipe, epochs: int = 1, encoder: dict | None = None, **changes) -> Recipe:
    """A recipe with the same settings but of steps of 8 images, and a queue for one of them."""
    settings = full.settings | ({"queue_size": 16, "norm_groups": 2} if full.method == "moco" else {})
    return replace(
        full,
        settings=settings,
        encoder=encoder or full.encoder,
        config=replace(full.config, epochs=epochs, batch_size=8, **changes),
    )


TINY = {"name": "small", "width": 4}


# What they say.
def test_the_quick_simclr_is_what_lesson_03_has_always_trained(images):
    chosen = recipe("simclr", seed=3)
    assert chosen.config == TrainConfig(seed=3)
    torch.manual_seed(3)
    encoder = small_resnet()
    assert same(weights(chosen.build(images)), weights(SimCLR(encoder, projector(encoder.dim), 0.3)))


@pytest.mark.parametrize("method", METHODS)
def test_building_draws_from_the_recipes_seed_and_from_nothing_else(images, method):
    before = torch.get_rng_state()
    first, other = (recipe(method, seed=seed).build(images) for seed in (0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert same(weights(first), weights(recipe(method).build(images)))
    assert not same(weights(first.encoder), weights(other.encoder))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("method", METHODS)
def test_colours_may_turn_right_round_only_where_they_mean_nothing(method, profile):
    assert recipe(method, profile, "shapes").config.augment == AugmentConfig()
    assert (
        recipe(method, profile, "cifar10").config.augment.hue
        == recipe(method, profile, "holiday.zip").config.augment.hue
        == 0.1
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_full_profile(method):
    cifar, stl = (recipe(method, "full", dataset, seed=2) for dataset in ("cifar10", "stl10"))
    assert cifar.encoder == {"name": "resnet18", "stem": "cifar"} and stl.encoder == {"name": "resnet18", "stem": "stl"}
    assert (cifar.config.epochs, stl.config.epochs) == (200, 100)
    assert cifar.config.augment.blur == 0 and stl.config.augment.blur == 0.5
    assert cifar.config.precision == "bfloat16" and cifar.config.seed == 2
    assert replace(stl, encoder=cifar.encoder, config=cifar.config, expected=cifar.expected) == cifar


@pytest.mark.parametrize(
    "dataset, side, stem",
    [
        ("shapes", None, "cifar"),
        ("my.zip", None, "stl"),
        ("my.zip", 32, "cifar"),
        ("my.zip", 64, "cifar"),
        ("my.zip", 128, "stl"),
        ("my.zip", (48, 160), "stl"),
        ("my.zip", (160, 48), "stl"),
        ("my.zip", (48, 64), "cifar"),
        ("shapes", (96, 32), "stl"),
    ],
)
def test_the_stem_suits_the_images(dataset, side, stem):
    assert recipe("simclr", "full", dataset, side=side).encoder["stem"] == stem


def test_byols_momentum_rises_over_the_run_where_the_recipe_says_so(images):
    full, quick = (shortened(recipe("byol", profile), epochs=3, encoder=TINY) for profile in ("full", "quick"))
    assert full.build(images).total_steps == 3 * 5 and quick.build(images).total_steps is None
    method = full.build(images)
    pretrain(method, images, full.config)
    assert method.momentum == 1.0


def test_byols_full_steps_are_lightlys():
    """A quarter of the rate and four times the decay, since the loss is four times as steep."""
    ours = recipe("byol", "full", "cifar10").config
    assert (ours.learning_rate, ours.weight_decay) == (0.24 / 4, 4 * 5e-4)
    z = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    ends = []
    for theirs in (False, True):
        torch.manual_seed(1)
        predict = nn.Linear(5, 5)
        rate, decay = (0.24, 5e-4) if theirs else (ours.learning_rate, ours.weight_decay)
        optimizer = torch.optim.SGD(predict.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=decay)
        for _ in range(5):
            pairs = ((predict(z[0]), z[1]), (predict(z[1]), z[0]))
            if theirs:
                loss = sum(-nn.functional.cosine_similarity(p, target).mean() for p, target in pairs) / 2
            else:
                loss = sum(byol_loss(p, target) for p, target in pairs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        ends.append(predict.weight.detach())
    torch.testing.assert_close(*ends)


def test_what_to_expect_is_read_from_the_record_or_from_what_is_published(monkeypatch):
    runs = [{"row": "SimCLR", "knn": knn, "linear": knn + 0.02} for knn in (0.95, 0.97)]

    def read(name):
        if name != "results":
            raise ValueError
        return {"runs": runs, "config": {"images": 8000}, "script": "benchmarks/record_results.py"}

    monkeypatch.setattr(records, "read", read)
    assert (
        recipe("simclr").expected
        == "kNN 0.95 to 0.97, linear 0.97 to 0.99 (8,000 images, 2 seeds, benchmarks/record_results.py)"
    )
    assert (
        recipe("moco").expected
        == recipe("simclr", "quick", "cifar10").expected
        == recipe("byol", "full", "my.zip").expected
        == recipes.UNMEASURED
    )
    assert (
        recipe("byol", "full", "cifar10").expected
        == "kNN 0.85 to 0.87 (lightly's benchmark: 0.872 in 2022, 0.868 in 2023)"
    )
    assert "Spijkervet" in recipe("simclr", "full", "stl10").expected


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (("barlow",), "method must be 'simclr', .* or 'dino', got 'barlow'; did you mean 'barlow_twins'"),
        (("moco", "fast"), "profile must be 'quick' or 'full', got 'fast'"),
    ],
)
def test_what_does_not_exist_is_named(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipe(*wrong)


# What they do.
@pytest.mark.parametrize("dataset, side, precision", [("cifar10", 32, "bfloat16"), ("stl10", 96, "float32")])
@pytest.mark.parametrize("method", METHODS)
def test_a_few_steps_of_every_method_on_each_format_and_in_each_precision(root, method, dataset, side, precision):
    labelled = METHODS[method].uses_labels
    images = load(dataset, "train", limit=16) if labelled else pretraining_images(dataset, limit=16)
    assert images.images.shape == (16, 3, side, side) and (images.labels is not None) == labelled
    short = shortened(recipe(method, "full", dataset), precision=precision)
    trained = short.build(images)
    before = weights(trained.encoder)
    history = pretrain(trained, images, short.config)
    assert all(torch.tensor(history.column("loss")).isfinite()) and not same(weights(trained.encoder), before)
    assert all(
        tensor.dtype == torch.float32 and tensor.isfinite().all()
        for tensor in trained.state_dict().values()
        if tensor.is_floating_point()
    )


def in_full(method, z1, z2):
    """The loss of embeddings that came in half precision, computed in float32 throughout."""
    if isinstance(method, METHODS["byol"] | METHODS["simsiam"]):
        p1, p2 = method.predictor(torch.cat([z1, z2])).chunk(2)
        target1, target2 = method.targets(*VIEWS) if isinstance(method, METHODS["byol"]) else (z1, z2)
        return byol_loss(p1.float(), target2.float()) + byol_loss(p2.float(), target1.float())
    if isinstance(method, METHODS["dino"]):
        student1, student2 = method.prototypes(torch.cat([z1, z2])).float().chunk(2)
        teacher1, teacher2 = method.teach(*VIEWS).float().chunk(2)
        pairs = ((student1, teacher2), (student2, teacher1))
        return sum(dino_loss(student, teacher, method.center) for student, teacher in pairs) / 2
    z1, z2 = z1.float(), z2.float()
    name = next(name for name, kind in METHODS.items() if type(method) is kind)
    return {
        "simclr": lambda: nt_xent(z1, z2, method.temperature),
        "moco": lambda: info_nce(z1, z2, method.queue, method.temperature),
        "supcon": lambda: supcon_loss(z1, z2, CLASSES, method.temperature),
        "barlow_twins": lambda: barlow_twins_loss(z1, z2, method.redundancy_weight),
        "vicreg": lambda: vicreg_loss(z1, z2, variance_weight=method.variance_weight),
    }[name]()


VIEWS, CLASSES = torch.rand(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_taken_in_float32_whatever_the_networks_compute_in(images, method):
    short = shortened(recipe(method, "full"), encoder=TINY)
    trained, (view1, view2) = short.build(images), VIEWS
    with torch.autocast("cpu", torch.bfloat16):
        loss = trained.loss(view1, view2, *([CLASSES] if trained.uses_labels else []))
        if method == "moco":
            view1, view2 = torch.cat([view1, view2]), torch.cat([view2, view1])
        z1, z2 = trained.embeddings(view1, view2)
        expected = in_full(trained, z1, z2)
    assert z1.dtype == torch.bfloat16 and loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    loss.backward()
    trained.after_step()
    assert all(p.grad.isfinite().all() for p in trained.encoder.parameters())
    buffers = (tensor for name, tensor in trained.named_buffers() if name in ("queue", "center"))
    assert all(tensor.dtype == torch.float32 for tensor in buffers)


def test_the_softmax_stays_finite_where_bfloat16_would_lose_it():
    z = torch.full((6, 4), 30.0, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        losses = [nt_xent(z, z, 1e-3), info_nce(z, z, z, 1e-3)]
    assert [float(loss) for loss in losses] == pytest.approx([math.log(11), math.log(7)], rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_run_gives_the_same_numbers_and_leaves_the_method_as_it_was(images, monkeypatch, method):
    made = []
    monkeypatch.setattr(
        torch,
        "compile",
        lambda forward, compile=torch.compile: made.append(forward) or compile(forward, backend="eager"),
    )
    short = shortened(recipe(method), epochs=2, encoder=TINY, learning_rate=1e-4)
    plain, compiled = short.build(images), short.build(images)
    expected = pretrain(plain, images, short.config).column("loss")
    modes = []
    history = pretrain(
        compiled,
        images,
        replace(short.config, compile=True),
        on_epoch=lambda row, trained: modes.append("forward" in vars(trained.encoder)),
    )
    assert history.column("loss") == pytest.approx(expected, rel=1e-3)
    slow = method in ("moco", "byol", "dino")
    assert len(made) == 2 * (2 if slow else 1), "the encoder, and its slow copy, in each epoch"
    assert modes == [False, False] and "forward" not in vars(compiled.encoder)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_full_run_that_was_cut_goes_on_to_the_same_numbers(images, tmp_path, method):
    short = shortened(recipe(method, "full"), epochs=3, encoder=TINY)
    whole, cut, resumed = (short.build(images) for _ in range(3))
    unbroken = pretrain(whole, images, short.config)

    def dies(row, trained):
        if row["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        pretrain(cut, images, short.config, on_epoch=dies, resume=tmp_path / "run.pt")
    history = pretrain(resumed, images, short.config, resume=tmp_path / "run.pt")
    assert history.column("loss") == unbroken.column("loss") and same(weights(resumed), weights(whole))


# What they say of a run.
@pytest.mark.parametrize("method", METHODS)
def test_a_plan_names_data_model_training_precision_time_and_expectation(images, method):
    short = shortened(recipe(method, "full", "cifar10"), epochs=3, encoder=TINY)
    before = torch.get_rng_state()
    said = plan(short, images)
    lines = {line.split()[0]: line for line in str(said).splitlines()}
    assert list(lines) == ["data", "model", "training", "precision", "takes", "expect"]
    labels = "with" if METHODS[method].uses_labels else "without"
    assert f"40 images of 32 x 32 pixels {labels} labels, 0 MB as one tensor" in lines["data"]
    assert METHODS[method].__name__ in lines["model"] and "encoder small width 4, 0.0 M weights" in lines["model"]
    assert f"3 epochs of 5 steps of 8 images; {short.config.optimizer} at" in lines["training"]
    assert "bfloat16, on cpu" in lines["precision"]
    published = method in recipes.PUBLISHED_KNN
    assert duration(said.seconds) in lines["takes"] and ("lightly" if published else "not measured") in lines["expect"]
    assert said.seconds > 0 and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sides, words", [((48, 160), "48 x 160 pixels (h x w) wi"), ((8, 8), "8 x 8 pixels wi")])
def test_a_plan_says_which_side_is_which(sides, words):
    images = ImageSet(torch.zeros(4, 3, *sides, dtype=torch.uint8))
    assert words in str(Plan(recipe("simclr"), images, "cpu", weights=1, seconds=1.0))


def test_a_plan_refuses_what_training_would_refuse(images, monkeypatch):
    monkeypatch.setattr(train, "train_step", lambda *step: pytest.fail("a step was timed"))
    with pytest.raises(ValueError, match="40 images are fewer than batch_size 128: pass batch_size=40 or less"):
        plan(recipe("simclr"), images)
    with pytest.raises(ValueError, match="does not fit into a queue"):
        plan(replace(recipe("moco"), settings={"queue_size": 8}, config=TrainConfig(batch_size=16)), images)


def test_a_plan_names_the_checkpoint_that_the_run_keeps(images):
    said = plan(shortened(recipe("simclr"), epochs=1, encoder=TINY), images, resume=Path("runs/mine.pt"))
    assert str(said).splitlines()[-1].split()[:2] == ["keeps", str(Path("runs/mine.pt"))]


def test_a_plan_counts_all_steps_of_the_run(images, monkeypatch):
    monkeypatch.setattr(plans, "estimate", lambda method, images, config: float(config.epochs * len(images)))
    said = plan(replace(recipe("simclr"), config=TrainConfig(compile=True)), images)
    assert (
        said.seconds == 20 * 40 and "about 13.3 minutes here" in str(said) and "float32, compiled, on cpu" in str(said)
    )


@pytest.mark.parametrize(
    "free, said", [(10**6, "MB as one tensor"), (10**5, "but cuda:1 has only 0 MB free: take fewer images")]
)
def test_a_plan_says_when_the_images_do_not_fit(images, monkeypatch, free, said):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    lines = str(Plan(recipe("simclr"), images, "cuda:1", weights=10**6, seconds=1.0)).splitlines()
    assert lines[0].endswith(said)


@pytest.mark.parametrize(
    "seconds, text",
    [(3, "3 seconds"), (89, "89 seconds"), (90, "1.5 minutes"), (5399, "90.0 minutes"), (9000, "2.5 hours")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_recipe_is_plain_data_that_a_card_can_hold():
    for profile in PROFILES:
        for method in METHODS:
            chosen = recipe(method, profile, "cifar10")
            assert json.loads(json.dumps(asdict(chosen)))["settings"] == chosen.settings
