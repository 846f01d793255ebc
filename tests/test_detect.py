"""The detector: targets against loops, answers that decode to the boxes they came from, and training that works."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from cl_course.augment import AugmentConfig
from cl_course.average_precision import average_precision
from cl_course.data import ImageSet, load
from cl_course.detect import (
    LEAST_SCORE,
    MOST_FOUND,
    Answers,
    Detector,
    Targets,
    choose_detector,
    decode,
    detection_loss,
    find,
    fine_tune_detector,
    mirrored,
    places,
    targets,
    train_detector,
)
from cl_course.distributed import Lost
from cl_course.finetune import DENSE, train_classifier
from cl_course.images.objects import Objects
from cl_course.models import resnet18, small_resnet
from cl_course.segment import train_segmenter

SHORT = replace(DENSE, steps=6, batch_size=4, learning_rates=(1e-2,))


@pytest.fixture(scope="module")
def scenes():
    return load("scenes", "val", limit=24)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return small_resnet(width=4)


def nothing(n: int = 1) -> tuple[Objects, ...]:
    return (Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),) * n


def as_answers(wanted: Targets, classes: int = 10) -> Answers:
    """Answers that are sure of the targets."""
    n, h, w = wanted.labels.shape
    logits = torch.full((n, classes, h, w), -20.0)
    for i, y, x in (wanted.labels >= 0).nonzero().tolist():
        logits[i, wanted.labels[i, y, x], y, x] = 20.0
    return Answers(logits, wanted.distances, wanted.centreness.logit(1e-6))


def test_places_are_the_centres_of_equal_parts():
    assert places((4, 8), (2, 2)).tolist() == [[[2, 1], [6, 1]], [[2, 3], [6, 3]]]
    assert places((64, 64), (16, 16))[3, 5].tolist() == [22, 14]


def targets_by_loops(one: Objects, size, map_size):
    h, w = map_size
    labels, distances, centreness = [], [], []
    for row in range(h):
        for column in range(w):
            x, y = (column + 0.5) * size[1] / w, (row + 0.5) * size[0] / h
            owner, least = None, math.inf
            for (x1, y1, x2, y2), label in zip(one.boxes.tolist(), one.labels.tolist()):
                if x1 < x < x2 and y1 < y < y2 and (x2 - x1) * (y2 - y1) < least:
                    least, owner = (x2 - x1) * (y2 - y1), (label, x - x1, y - y1, x2 - x, y2 - y)
            label, *sides = owner or (-1, 1, 1, 1, 1)
            left, top, right, bottom = sides
            labels.append(label)
            distances.append(sides)
            ratio = min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
            centreness.append(math.sqrt(ratio))
    return (
        torch.tensor(labels).view(h, w),
        torch.tensor(distances).float().view(h, w, 4).movedim(2, 0),
        torch.tensor(centreness).view(h, w),
    )


def test_targets_are_those_of_a_loop(scenes):
    wanted = targets(scenes.objects, (64, 64), (16, 16))
    for i, one in enumerate(scenes.objects):
        labels, distances, centreness = targets_by_loops(one, (64, 64), (16, 16))
        inside = labels >= 0
        assert torch.equal(wanted.labels[i], labels)
        assert torch.allclose(wanted.distances[i][:, inside], distances[:, inside])
        assert torch.allclose(wanted.centreness[i][inside], centreness[inside])


def test_the_smallest_box_owns_a_place_and_no_box_none():
    inner_last = Objects(torch.tensor([[0.0, 0, 32, 32], [8.0, 8, 16, 16]]), torch.tensor([1, 2]))
    labels = targets([inner_last, *nothing()], (32, 32), (8, 8)).labels
    assert labels[0, 2:4, 2:4].eq(2).all() and labels[0].eq(2).sum() == 4 and labels[0].eq(1).sum() == 60
    assert labels[1].eq(-1).all()


def test_targets_decode_to_their_boxes(scenes):
    for map_size in ((16, 16), (32, 32)):
        boxes = decode(as_answers(targets(scenes.objects, (64, 64), map_size)), (64, 64))
        assert average_precision(boxes, scenes)["AP"] == pytest.approx(1)
        for one, right in zip(boxes, scenes.objects):
            assert len(one.boxes) == len(right)
            order = [int((one.boxes - box).abs().sum(dim=1).argmin()) for box in right.boxes]
            assert torch.allclose(one.boxes[order], right.boxes, atol=1e-4) and torch.equal(
                one.labels[order], right.labels
            )


def test_mirrored_targets_are_those_of_mirrored_boxes(scenes):
    wanted = targets(scenes.objects, (64, 64), (16, 16))
    turned = [Objects(torch.stack([64 - o.boxes[:, 2], o.boxes[:, 1], 64 - o.boxes[:, 0], o.boxes[:, 3]], 1), o.labels)
              for o in scenes.objects]  # fmt: skip
    which = torch.arange(len(scenes)) % 3 == 0
    expected = targets([t if w else o for t, o, w in zip(turned, scenes.objects, which)], (64, 64), (16, 16))
    found, inside = mirrored(wanted, which), expected.labels >= 0
    assert torch.equal(found.labels, expected.labels)
    assert torch.allclose(found.distances.movedim(1, 3)[inside], expected.distances.movedim(1, 3)[inside])
    assert torch.allclose(found.centreness[inside], expected.centreness[inside])


def test_scores_are_probability_times_centreness_and_duplicates_go():
    logits, distances = torch.full((1, 2, 2, 2), -20.0), torch.full((1, 4, 2, 2), 8.0)
    logits[0, 1, 0] = torch.tensor([2.0, 1.0])  # two neighbours of class 1, 16 pixels apart
    distances[0, 0, 0, 1], distances[0, 2, 0, 1] = 22, -6  # the second says the same box
    centre = torch.tensor([[[0.5, 0.0], [0.0, 0.0]]])
    [found] = decode(Answers(logits, distances, centre), (32, 32))
    score = torch.tensor(2.0).sigmoid() * torch.tensor(0.5).sigmoid()
    assert found.labels.tolist() == [1] and found.boxes.tolist() == [[0, 0, 16, 16]]
    assert found.scores.tolist() == pytest.approx([float(score)])
    [every] = decode(Answers(logits, distances, centre), (32, 32), overlap=1.0)
    assert len(every.boxes) == 2 and every.scores[0] > every.scores[1]


def test_boxes_stay_in_the_image_and_few_are_kept():
    sure = Answers(torch.zeros(1, 10, 8, 8), torch.full((1, 4, 8, 8), 9.0), torch.zeros(1, 8, 8))
    [found] = decode(sure, (24, 16))
    assert len(found.boxes) <= MOST_FOUND and found.scores.min() >= LEAST_SCORE
    assert found.boxes.min() >= 0 and found.boxes[:, 2].max() <= 16 and found.boxes[:, 3].max() <= 24
    with pytest.raises(ValueError, match="overlap must be a finite number at least 0 and at most 1, got 2"):
        decode(sure, (24, 16), overlap=2)


def loss_by_loops(answers: Answers, wanted: Targets) -> float:
    total, inside = 0.0, 0
    for i, y, x in [index.tolist() for index in (wanted.labels > -2).nonzero()]:
        label = int(wanted.labels[i, y, x])
        for c, logit in enumerate(answers.classes[i, :, y, x].tolist()):
            p = 1 / (1 + math.exp(-logit))
            total += -0.25 * (1 - p) ** 2 * math.log(p) if c == label else -0.75 * p**2 * math.log(1 - p)
        if label < 0:
            continue
        inside += 1
        (l1, t1, r1, b1), (l2, t2, r2, b2) = (
            answers.distances[i, :, y, x].tolist(),
            wanted.distances[i, :, y, x].tolist(),
        )
        both = (min(l1, l2) + min(r1, r2)) * (min(t1, t2) + min(b1, b2))
        union = (l1 + r1) * (t1 + b1) + (l2 + r2) * (t2 + b2) - both
        around = (max(l1, l2) + max(r1, r2)) * (max(t1, t2) + max(b1, b2))
        total += 1 - (both / union - (around - union) / around)
        total += float(binary_cross_entropy_with_logits(answers.centreness[i, y, x], wanted.centreness[i, y, x]))
    return total / max(1, inside)


def test_the_loss_is_that_of_a_loop(scenes):
    generator = torch.Generator().manual_seed(0)
    wanted = targets(scenes.objects[:3], (64, 64), (8, 8))
    answers = Answers(
        torch.randn(3, 10, 8, 8, generator=generator),
        1 + 9 * torch.rand(3, 4, 8, 8, generator=generator),
        torch.randn(3, 8, 8, generator=generator),
    )
    assert detection_loss(answers, wanted).item() == pytest.approx(loss_by_loops(answers, wanted), rel=1e-4)


def test_images_without_objects_have_a_finite_loss():
    logits = torch.randn(2, 10, 4, 4, requires_grad=True)
    answers = Answers(logits, torch.ones(2, 4, 4, 4), torch.zeros(2, 4, 4))
    loss = detection_loss(answers, targets(nothing(2), (16, 16), (4, 4)))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize(
    "make, size, expected", [(small_resnet, (64, 64), 16), (small_resnet, (65, 50), 17), (resnet18, (32, 32), 16)]
)
def test_any_encoder_of_the_course_and_any_size(make, size, expected):
    answers = Detector(make(), classes=3).eval()(torch.rand(2, 3, *size))
    assert answers.classes.shape[:3] == (2, 3, expected) and answers.centreness.shape[1] == expected
    assert (answers.distances > 0).all()
    assert answers.classes.sigmoid().mean() < 0.1, "most places start as background"


def test_training_learns_one_scene(scenes):
    """One scene seen again and again is found; it needs right targets, a right loss, a right decoding."""
    torch.manual_seed(0)
    four = scenes.subset(torch.arange(4))
    config = replace(DENSE, steps=120, batch_size=4, augment=AugmentConfig(crop=(1, 1), jitter=0, grey=0))
    detector = train_detector(small_resnet(width=8), four, 1e-2, layers="scratch", config=config)
    assert average_precision(find(detector, four), four)["AP50"] > 0.8


@pytest.mark.parametrize("layers", ["head", "all", "scratch"])
def test_what_learns_and_what_stays(encoder, scenes, layers):
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    detector = train_detector(encoder, scenes, 1e-2, layers=layers, config=SHORT)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items()) and encoder.training
    same = [torch.equal(before[name], value) for name, value in detector.encoder.state_dict().items()]
    assert (
        all(same)
        if layers == "head"
        else not any(torch.equal(a, b) for a, b in zip(encoder.parameters(), detector.encoder.parameters()))
    )
    assert not detector.training


def test_a_seed_decides(encoder, scenes):
    weights = [train_detector(encoder, scenes, 1e-2, seed=seed, config=SHORT).head.answer.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_an_image_without_objects_may_be_learned_from(encoder, scenes):
    some = scenes.subset(torch.arange(4))
    empty = ImageSet(some.images, None, some.class_names, objects=(*some.objects[:3], *nothing()))
    assert find(train_detector(encoder, empty, 1e-2, config=SHORT), empty)


def test_validation_alone_chooses(encoder, scenes, monkeypatch):
    """The test scenes are looked at once, by the chosen detector."""
    seen = []
    monkeypatch.setattr("cl_course.detect.average_precision", lambda found, images: seen.append(images) or {"AP": 0.5})
    train, val, test = (scenes.subset(torch.arange(8) + 8 * i) for i in range(3))
    result = fine_tune_detector(encoder, train, val, test, config=replace(SHORT, learning_rates=(1e-3, 1e-2)), seed=4)
    assert [one is val for one in seen] == [True, True, False] and seen[-1] is test
    assert (result.seed, result.split, result.labels, result.measure) == (4, "test", 8, "AP")
    assert "all layers, rate 0.001 chosen on validation" in result.trained and result.validation == 0.5
    assert choose_detector(encoder, train, val, config=SHORT).rate == 1e-2


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_sets_without_boxes_are_refused(encoder, scenes, name):
    without, unboxed = load("shapes", "val", limit=24), replace(scenes, objects=nothing(24))
    for bad, sentence in (
        (without, f"needs the objects of each image and {name} has none; 'scenes' has them"),
        (unboxed, f"needs a box in at least one image and {name} has none; add images with them"),
    ):
        sets = dict.fromkeys(("train", "val", "test"), scenes) | {name: bad}
        with pytest.raises(ValueError, match=sentence):
            fine_tune_detector(encoder, *sets.values(), config=SHORT)


def test_a_crop_is_refused_since_boxes_do_not_move_with_it(encoder, scenes):
    config = replace(SHORT, augment=AugmentConfig())
    with pytest.raises(
        ValueError, match=r"crop moves what the boxes and masks say, got \(0.35, 1.0\); pass crop=\(1, 1\)"
    ):
        train_detector(encoder, scenes, 1e-2, config=config)


def test_sets_of_other_classes_are_refused(encoder, scenes):
    turned = replace(scenes, class_names=scenes.class_names[::-1])
    with pytest.raises(ValueError, match="the class_names of val are .* and those of train are .*; give all"):
        choose_detector(encoder, scenes, turned, config=SHORT)


def test_a_training_that_diverged_is_told(encoder, scenes):
    with pytest.warns(UserWarning, match="at rate 1e.30 the training diverged: its last loss is nan.* lower rate"):
        train_detector(encoder, scenes, 1e30, config=SHORT)


def test_an_encoder_of_one_stage_is_refused(scenes):
    with pytest.raises(ValueError, match="the encoder's stages must be a whole number of at least 2, got 1; a"):
        train_detector(small_resnet(4, stages=1), scenes, 1e-2, config=SHORT)


SHORT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("train", [train_detector, train_segmenter, train_classifier])
def test_images_that_do_not_fit_on_the_device_are_told_with_a_remedy(monkeypatch, train):
    images = load("scenes" if train is train_detector else "shapes", "train", limit=24)

    def full(tensor, *place, to=torch.Tensor.to, **how):
        if tensor.dtype == torch.uint8 and len(tensor) == len(images):
            raise SHORT_OF_MEMORY
        return to(tensor, *place, **how)

    monkeypatch.setattr(torch.Tensor, "to", full)
    with pytest.raises(ValueError, match="the images take .* has no room for them; load fewer"):
        train(small_resnet(4), images, 1e-2)


def test_a_step_of_fine_tuning_without_enough_memory_is_one_sentence(monkeypatch):
    def full(*_):
        raise SHORT_OF_MEMORY

    monkeypatch.setattr("cl_course.finetune.F.cross_entropy", full)
    with pytest.raises(Lost, match="a step needs more memory than there is; take a smaller batch_size in its config"):
        train_classifier(small_resnet(4), load("shapes", "train", limit=24), 1e-2)


def test_what_is_no_image_set_is_told_so():
    pixels = load("scenes", "train", limit=4).images
    with pytest.raises(TypeError, match="train must be of class ImageSet, got one of class Tensor"):
        train_detector(small_resnet(4), pixels, 1e-2)
    with pytest.raises(TypeError, match="images must be of class ImageSet"):
        average_precision([], pixels)
