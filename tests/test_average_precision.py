"""Average precision of boxes: cases counted by hand, a loop beside COCO's code, and what it refuses."""

import pytest
import torch
from torchvision.ops import box_iou

from cl_course.average_precision import THRESHOLDS, Found, average_precision
from cl_course.data import ImageSet, load
from cl_course.images.objects import Objects

SIDE = 40


def images(*each: list[tuple[list[float], int]], classes=3) -> ImageSet:
    """Images with objects, each (box, class)."""
    objects = tuple(
        Objects(torch.tensor([box for box, _ in one]).float().reshape(-1, 4), torch.tensor([c for _, c in one]).long())
        for one in each
    )
    names = tuple(map(str, range(classes)))
    return ImageSet(torch.zeros(len(each), 3, SIDE, SIDE, dtype=torch.uint8), None, names, objects=objects)


def found(*each: tuple[list[float], float, int]) -> Found:
    """Boxes found in one image, each (box, score, class)."""
    boxes = torch.tensor([box for box, _, _ in each]).float().reshape(-1, 4)
    return Found(boxes, torch.tensor([s for _, s, _ in each]), torch.tensor([c for _, _, c in each]).long())


A, B, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [30, 0, 38, 8]
SHIFTED = [0, 2, 10, 12]  # IoU with A: 80 / 120


def test_all_found_and_nothing_found():
    one = images([(A, 0), (B, 1)])
    assert average_precision([found((A, 0.2, 0), (B, 0.9, 1))], one) == pytest.approx({"AP": 1, "AP50": 1, "AP75": 1})
    assert average_precision([found()], one)["AP"] == average_precision([found((A, 0.9, 1))], one)["AP"] == 0


def test_an_overlap_of_two_thirds_is_right_at_half_and_wrong_at_three_quarters():
    measured = average_precision([found((SHIFTED, 0.9, 0))], images([(A, 0)]))
    assert (measured["AP50"], measured["AP75"]) == (pytest.approx(1), 0)
    assert measured["AP"] == pytest.approx(4 / 10), "right at 0.50, 0.55, 0.60 and 0.65"


def test_a_wrong_box_before_the_right_one_halves_the_precision_and_one_behind_it_does_nothing():
    one = images([(A, 0)])
    assert average_precision([found((FAR, 0.9, 0), (A, 0.5, 0))], one)["AP50"] == pytest.approx(0.5)
    assert average_precision([found((FAR, 0.3, 0), (A, 0.5, 0))], one)["AP50"] == pytest.approx(1)


def test_an_object_is_taken_once():
    one = images([(A, 0), (B, 0)])
    twice = average_precision([found((A, 0.9, 0), (SHIFTED, 0.8, 0), (B, 0.7, 0))], one)["AP50"]
    # Recall 1/2 at precision 1 (51 of COCO's 101 recalls), then 1 at 2/3.
    assert twice == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_object_never_found_counts():
    assert average_precision([found((A, 0.9, 0))], images([(A, 0), (B, 0)]))["AP50"] == pytest.approx(51 / 101)


def test_the_first_box_of_the_first_image_counts():
    """COCO's code takes a match with the object of number 0 for none."""
    assert average_precision([found((A, 0.9, 0)), found()], images([(A, 0)], []))["AP50"] == pytest.approx(1)


def test_classes_are_averaged_and_those_without_objects_left_out():
    one = images([(A, 0), (B, 2)])
    assert average_precision([found((A, 0.9, 0), (FAR, 0.9, 1))], one)["AP50"] == pytest.approx(1 / 2)


def ap_by_loops(each: list[Found], truth: ImageSet, threshold: float) -> float:
    """No code shared: one class after another, one box after another."""
    per_class = []
    for c in range(len(truth.class_names)):
        objects = sum(int((one.labels == c).sum()) for one in truth.objects)
        if not objects:
            continue
        all_found = [
            (float(s), i, box)
            for i, one in enumerate(each)
            for box, s, label in zip(one.boxes, one.scores, one.labels)
            if label == c
        ]
        taken, right = set(), []
        for _, i, box in sorted(all_found, key=lambda one: -one[0]):
            best, choice = threshold, None
            for j, (true, label) in enumerate(zip(truth.objects[i].boxes, truth.objects[i].labels)):
                overlap = float(box_iou(box[None], true[None]))
                if label == c and (i, j) not in taken and overlap >= best:
                    best, choice = overlap, j
            taken.add((i, choice))
            right.append(choice is not None)
        points = [(sum(right[: k + 1]) / objects, sum(right[: k + 1]) / (k + 1)) for k in range(len(right))]
        best_from = [max((p for r, p in points if r >= 0.01 * step), default=0) for step in range(101)]
        per_class.append(sum(best_from) / 101)
    return sum(per_class) / len(per_class)


def test_against_loops_on_noisy_boxes():
    truth = load("scenes", "val", limit=40)
    generator = torch.Generator().manual_seed(0)
    each = []
    for one in truth.objects:
        boxes = one.boxes.repeat(3, 1) + 2 * torch.randn(3 * len(one), 4, generator=generator)
        wrong = torch.rand(3 * len(one), generator=generator) < 0.3
        labels = torch.where(wrong, torch.randint(10, (3 * len(one),), generator=generator), one.labels.repeat(3))
        each.append(Found(boxes, torch.rand(3 * len(one), generator=generator), labels))
    measured = average_precision(each, truth)
    assert 0.1 < measured["AP75"] < measured["AP50"] < 0.9
    assert measured["AP50"] == pytest.approx(ap_by_loops(each, truth, 0.5), abs=1e-6)
    assert measured["AP75"] == pytest.approx(ap_by_loops(each, truth, 0.75), abs=1e-6)
    assert measured["AP"] == pytest.approx(sum(ap_by_loops(each, truth, t) for t in THRESHOLDS) / 10, abs=1e-6)


def test_it_prints_nothing(capsys):
    average_precision([found((A, 0.9, 0))], images([(A, 0)]))
    assert capsys.readouterr() == ("", "")


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="needs an object in at least one image, found none; take images with boxes"):
        average_precision([found()], images([]))
    with pytest.raises(ValueError, match="one entry for each image, got 2 for 1 images with objects; pass what `find`"):
        average_precision([found(), found()], images([(A, 0)]))
    with pytest.raises(ValueError, match="one entry for each image, got 1 for 0 images with objects"):
        average_precision([found()], load("shapes", "val", limit=1))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Found(torch.full((1, 4), torch.nan), torch.ones(1), torch.zeros(1).long()), "must be finite numbers, got NaN"),
        (Found(torch.ones(1, 4), torch.tensor([torch.nan]), torch.zeros(1).long()), "must be finite numbers, got NaN"),
        (Found(torch.ones(2, 4), torch.ones(1), torch.zeros(2).long()), r"got float32 \(2, 4\), float32 \(1,\), int64"),
        (Found(torch.ones(2, 4), torch.ones(2), torch.zeros(1).long()), "give each box one score and one label"),
        (Found(torch.ones(1, 4), torch.ones(1), torch.zeros(1)), r"got float32 \(1, 4\), float32 \(1,\), float32"),
        (Found(torch.ones(1, 4), torch.ones(1), torch.tensor([3])), "must be from 0 to 2, as .*, got 3"),
        (Found([[0, 0, 1, 1]], [1.0], [0]), "got list, list, list"),
    ],
)
def test_what_cannot_have_been_found_is_refused(one, said):
    with pytest.raises(ValueError, match=said):
        average_precision([one], images([(A, 0)]))


def test_found_boxes_with_swapped_corners_are_refused():
    swapped = Found(torch.tensor([[10.0, 10, 0, 0]]), torch.tensor([0.9]), torch.tensor([0]))
    with pytest.raises(ValueError, match="x1 < x2 and y1 < y2, got .*; if it is .x, y, width, height., pass"):
        average_precision([swapped], images([(A, 0)]))
