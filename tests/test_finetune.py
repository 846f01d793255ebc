"""Fine-tuning: which weights move and how fast, what stays untouched, and that validation alone chooses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from cl_course import finetune
from cl_course.augment import AugmentConfig
from cl_course.data import ImageSet, load, shuffled_steps
from cl_course.detect import fine_tune_detector
from cl_course.finetune import (
    DENSE,
    LAYERS,
    FineTuneConfig,
    accuracy,
    dense_views,
    fine_tune,
    learning_parts,
    train_classifier,
)
from cl_course.models import resnet18, small_resnet
from cl_course.segment import fine_tune_segmenter, segmentation_head

QUICK = FineTuneConfig(steps=3, batch_size=8, learning_rates=(1e-2,))


def dark_and_bright(n: int, seed: int = 0) -> ImageSet:
    """Noise of two brightnesses, the class: any encoder tells them apart."""
    labels = torch.arange(n) % 2
    noise = torch.randint(100, (n, 3, 16, 16), generator=torch.Generator().manual_seed(seed))
    return ImageSet((noise + 150 * labels[:, None, None, None]).to(torch.uint8), labels, ("dark", "bright"))


def fresh(seed: int):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return small_resnet(4)


@pytest.fixture
def encoder():
    """As pre-training leaves one: its BatchNorm knows the images."""
    encoder, images = fresh(5), dark_and_bright(16).images.float() / 255
    with torch.no_grad():
        for _ in range(40):
            encoder(images)
    return encoder.eval()


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("layers", LAYERS)
def test_the_encoder_and_torchs_random_numbers_stay_as_they_are(encoder, layers):
    before, random = state(encoder), torch.get_rng_state()
    train_classifier(encoder.train(), dark_and_bright(16), 1e-2, layers=layers, config=QUICK)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert encoder.training and all(p.requires_grad and p.grad is None for p in encoder.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_the_last_of_three_stages_is_the_third():
    classifier = nn.Sequential(small_resnet(4, stages=3), nn.Linear(16, 2))
    assert learning_parts(classifier, "last")[1][0] is classifier[0].stages[2]
    assert len(learning_parts(classifier, "all")) == 5


@pytest.mark.parametrize("layers, learns", [("head", ()), ("last", ("stages.3.",)), ("all", ("stem.", "stages."))])
def test_what_learns_and_what_stays(encoder, layers, learns):
    """Weights and BatchNorm's statistics alike: a frozen BatchNorm in training mode would show here."""
    classifier = train_classifier(encoder, dark_and_bright(16), 1e-2, layers=layers, config=QUICK)
    for name, tensor in classifier[0].state_dict().items():
        assert torch.equal(tensor, encoder.state_dict()[name]) != name.startswith(learns), name
    assert not classifier.training


def test_the_last_stage_of_a_deeper_encoder_is_two_blocks():
    classifier = torch.nn.Sequential(resnet18(), torch.nn.Linear(512, 2))
    head, last = learning_parts(classifier, "last")
    assert head is classifier[1] and list(last) == [classifier[0].stages[6], classifier[0].stages[7]]
    in_all = [id(p) for part in learning_parts(classifier, "all") for p in part.parameters()]
    assert sorted(in_all) == sorted(id(p) for p in classifier.parameters()), "every weight learns, and once"


@pytest.mark.parametrize(
    "layers, factors",
    [("head", [1]), ("last", [1, 1 / 2]), ("all", [1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]), ("scratch", [1] * 6)],
)
def test_an_earlier_stage_learns_slower_and_all_rates_fall_along_a_cosine(encoder, layers, factors, monkeypatch):
    rates = []

    class Watched(torch.optim.AdamW):
        def step(self):
            rates.append([group["lr"] for group in self.param_groups])
            super().step()

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    train_classifier(encoder, dark_and_bright(16), 0.01, layers=layers, config=replace(QUICK, stage_factor=0.5))
    cosine = [1, 0.75, 0.25]  # (1 + cos(pi step / 3)) / 2
    assert rates == [pytest.approx([0.01 * factor * share for factor in factors]) for share in cosine]


def test_each_rate_moves_its_own_stage(encoder):
    """AdamW's first step has the length of the rate, whatever the gradient: a part's largest change is its rate."""
    config = replace(QUICK, steps=1, stage_factor=0.5)
    tuned = train_classifier(encoder, dark_and_bright(16), 1e-3, config=config)[0]
    for depth, part in enumerate(("stages.3.", "stages.2.", "stages.1.", "stages.0.", "stem."), start=1):
        moved = max(
            float((p.detach() - encoder.state_dict()[name]).abs().max())
            for name, p in tuned.named_parameters()
            if name.startswith(part)
        )
        assert moved == pytest.approx(1e-3 * 0.5**depth, rel=0.05), part


def test_from_scratch_is_a_fresh_encoder_of_the_seed(encoder):
    barely = train_classifier(
        encoder, dark_and_bright(16), 1e-9, layers="scratch", seed=3, config=replace(QUICK, steps=1)
    )[0]
    for (name, p), expected in zip(barely.named_parameters(), fresh(3).parameters()):
        torch.testing.assert_close(p, expected, msg=name)


def test_from_scratch_forgets_the_encoder(encoder):
    one, other = (
        train_classifier(start, dark_and_bright(16), 1e-2, layers="scratch", config=QUICK)
        for start in (encoder, fresh(8))
    )
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("layers", ["head", "all"])
def test_it_learns_what_any_encoder_can_tell(encoder, layers):
    config = FineTuneConfig(steps=30, batch_size=16, learning_rates=(0.03,))
    result = fine_tune(
        encoder, dark_and_bright(32), dark_and_bright(20, 1), dark_and_bright(20, 2), layers=layers, config=config
    )
    assert result.accuracy == result.validation == 1
    assert (result.split, result.labels, result.measure) == ("test", 32, "accuracy")


def three_sets(n: int = 24):
    """Labels that have nothing to do with the images, so that classifiers disagree."""
    sets = [dark_and_bright(n, seed) for seed in range(3)]
    return [
        replace(
            images,
            labels=torch.randint(3, (n,), generator=torch.Generator().manual_seed(seed)),
            class_names=("a", "b", "c"),
        )
        for seed, images in enumerate(sets)
    ]


def test_it_takes_the_rate_that_is_best_on_validation_and_asks_test_once(encoder, monkeypatch):
    """Validation is labelled by one of the classifiers itself, so that this one must win."""
    train, val, test = three_sets()
    rates = (1e-4, 3e-1)
    config = replace(QUICK, learning_rates=rates)
    classifiers = [train_classifier(encoder, train, rate, config=config) for rate in rates]
    answers = [finetune.embed(classifier, val).argmax(dim=1) for classifier in classifiers]
    assert not torch.equal(*answers), "a case that tells something"
    asked = []
    monkeypatch.setattr(
        finetune, "accuracy", lambda classifier, images: asked.append(images) or accuracy(classifier, images)
    )
    for rate, classifier, its_own in zip(rates, classifiers, answers):
        asked.clear()
        labelled = replace(val, labels=its_own)
        result = fine_tune(encoder, train, labelled, test, config=config)
        assert f"all layers, rate {rate:g} chosen on validation" == result.trained and result.validation == 1
        assert result.score == accuracy(classifier, test)
        assert [images is test for images in asked] == [False, False, True]


def test_the_seed_decides(encoder):
    train = three_sets()[0]
    one, same, other = (train_classifier(encoder, train, 1e-2, seed=seed, config=QUICK) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), same.state_dict().values()))
    assert not torch.equal(one[1].weight, other[1].weight)


@pytest.mark.parametrize(
    "layers, words",
    [
        ("head", "the head"),
        ("last", "the last stage and the head"),
        ("all", "all layers"),
        ("scratch", "all layers from scratch"),
    ],
)
def test_a_result_says_what_was_trained(encoder, layers, words):
    train, val, test = three_sets()
    result = fine_tune(encoder, train, val, test, layers=layers, seed=4, config=QUICK)
    assert result.method == ("from scratch" if layers == "scratch" else "fine-tuning")
    assert result.trained == f"{words}, rate 0.01 chosen on validation"
    assert (result.seed, result.labels, result.split) == (4, 24, "test") and result.seconds > 0
    assert words in str(result) and words in result.row()


def test_few_images_are_seen_more_often(encoder):
    """Ten images in fours: two batches an epoch, and as many epochs as the steps take."""
    config = FineTuneConfig(steps=5, batch_size=4)
    batches = list(shuffled_steps(10, config.batch_size, config.steps, torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == [4] * 5
    assert all(len(set(torch.cat(batches[i : i + 2]).tolist())) == 8 for i in (0, 2)), "an epoch sees an image once"
    assert [len(batch) for batch in shuffled_steps(3, config.batch_size, config.steps, torch.Generator())] == [3] * 5
    train_classifier(encoder, dark_and_bright(3), 1e-2, config=QUICK)


def test_the_default_augmentation_keeps_colours():
    assert FineTuneConfig().augment == AugmentConfig(jitter=0, grey=0)


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"learning_rates": 0}, "learning_rates must be a finite number above 0, got 0"),
        ({"steps": 1.5}, "steps must be a whole number of at least 1, got 1.5"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2, got 1"),
        ({"learning_rates": ()}, "learning_rates must be"),
        ({"learning_rates": (0.1, 0)}, "learning_rates must be"),
        ({"learning_rates": (math.inf,)}, "learning_rates must be"),
        ({"stage_factor": 0}, "stage_factor must be a finite number above 0 and at most 1, got 0"),
        ({"stage_factor": 1.1}, "stage_factor must be a finite number above 0 and at most 1, got 1.1"),
    ],
)
def test_an_impossible_setting_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        FineTuneConfig(**wrong)


def test_numbers_of_numpy_are_numbers():
    config = FineTuneConfig(steps=np.int64(3), learning_rates=[np.float32(0.5)], stage_factor=1)
    assert config == FineTuneConfig(steps=3, learning_rates=(0.5,), stage_factor=1.0)
    assert type(config.steps) is int and type(config.learning_rates[0]) is float


def test_a_class_without_training_images_costs_its_images_and_nothing_else(encoder):
    train, test = dark_and_bright(16), dark_and_bright(9, 2)
    other = replace(test, labels=test.labels.clone().index_fill_(0, torch.tensor([8]), 2), class_names=("a", "b", "c"))
    classifier = train_classifier(encoder, train, 0.03, config=replace(QUICK, steps=30))
    assert accuracy(classifier, test) == 1 and accuracy(classifier, other) == pytest.approx(8 / 9)


def test_what_cannot_be_trained_is_refused(encoder):
    images = dark_and_bright(16)
    with pytest.raises(ValueError, match="layers must be 'head', 'last', 'all' or 'scratch', got 'first'"):
        fine_tune(encoder, images, images, images, layers="first", config=QUICK)
    with pytest.raises(ValueError, match="at least two classes, got 8 of one"):
        fine_tune(encoder, images.subset(images.labels == 0), images, images, config=QUICK)
    with pytest.raises(ValueError, match="needs labels and val has none"):
        fine_tune(encoder, images, replace(images, labels=None), images, config=QUICK)
    with pytest.raises(ValueError, match="got 16 without labels; take more labelled images"):
        train_classifier(encoder, replace(images, labels=None), 0.1)


@pytest.mark.parametrize("layers", ["head", "last", "all"])
def test_an_encoder_that_diverged_is_named_and_not_the_rate(encoder, layers):
    list(encoder.parameters())[-1].data[0] = math.nan
    with pytest.raises(ValueError, match="the encoder's weights must be finite.*the run that made the encoder has"):
        train_classifier(encoder, dark_and_bright(8), 0.01, layers=layers, config=QUICK)
    assert train_classifier(encoder, dark_and_bright(8), 0.01, layers="scratch", config=QUICK)  # forgets them


def test_dense_views_are_mirrored_where_they_say_so_and_nothing_else_moves():
    images = torch.rand(40, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    plain = AugmentConfig(crop=(1, 1), jitter=0, grey=0)
    views, mirrored = dense_views(images, plain, torch.Generator().manual_seed(1))
    assert torch.allclose(views[mirrored], images[mirrored].flip(3))
    assert torch.equal(views[~mirrored], images[~mirrored])
    assert 8 < mirrored.sum() < 32
    never = dense_views(images, replace(plain, flip=0.0), torch.Generator().manual_seed(1))
    assert not never[1].any() and torch.equal(never[0], images)


def test_dense_views_change_colours_and_refuse_a_crop():
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    views, _ = dense_views(images, replace(DENSE.augment, flip=0.0, jitter=1.0), torch.Generator().manual_seed(1))
    assert not torch.allclose(views, images) and views.shape == images.shape
    with pytest.raises(ValueError, match=r"got \(0.5, 1.0\); pass crop=\(1, 1\)"):
        dense_views(images, AugmentConfig(crop=(0.5, 1)), torch.Generator())


def test_an_encoder_of_another_library_is_refused_by_every_task():
    theirs, images, scenes = torchvision.models.resnet18(), dark_and_bright(8), load("scenes", "val", limit=4)
    sentence = "must be a ResNet of cl_course.models.*got a torchvision.models.resnet.ResNet; make one"
    for task, data in (
        (fine_tune, images),
        (fine_tune_detector, scenes),
        (fine_tune_segmenter, scenes),
        (segmentation_head, scenes),
    ):
        with pytest.raises(TypeError, match=sentence):
            task(theirs, data, data, data)


def test_sets_of_other_classes_or_without_labels_are_refused(encoder):
    images = dark_and_bright(8)
    turned = replace(images, class_names=images.class_names[::-1])
    sentence = "the class_names of test are .'bright', 'dark'. and those of train are .*; give all sets the same ones"
    with pytest.raises(ValueError, match=sentence):
        fine_tune(encoder, images, images, turned, config=QUICK)
    with pytest.raises(ValueError, match="the class_names of val are"):
        finetune.choose_classifier(encoder, images, turned, config=QUICK)
    with pytest.raises(ValueError, match="needs labels and val has none"):
        finetune.choose_classifier(encoder, images, ImageSet(images.images), config=QUICK)
    with pytest.raises(TypeError, match="val must be of class ImageSet, got one of class NoneType; load it"):
        fine_tune(encoder, images, None, images, config=QUICK)
    assert fine_tune(encoder, images, replace(images, class_names=()), images, config=QUICK).labels == len(images)


@pytest.mark.parametrize("empty", ["train", "val", "test"])
@pytest.mark.parametrize("tune", [fine_tune, fine_tune_segmenter])
def test_an_empty_set_is_refused_before_training(encoder, monkeypatch, tune, empty):
    monkeypatch.setattr(finetune, "train_layers", lambda *_, **__: pytest.fail("trained first"))
    images = load("shapes", "train", limit=20)
    sets = {name: images for name in ("train", "val", "test")}
    sets[empty] = images.subset(torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match=f"{empty} has no images; take a split with at least one"):
        tune(encoder, *sets.values())
