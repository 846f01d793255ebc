"""The objects of an image: whatever is refused comes with a remedy, and following it works."""

import re

import pytest
import torch
import torchvision
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

from cl_course.data import ImageSet
from cl_course.images.objects import Objects

BOXES = torch.tensor([[1.0, 2.0, 5.0, 6.0], [0.0, 0.0, 8.0, 4.0]])
LABELS = torch.tensor([1, 0])
MASKS = torch.zeros(2, 6, 8, dtype=torch.bool)


def of_image(*objects: Objects, names=("a", "b")) -> ImageSet:
    return ImageSet(torch.zeros(len(objects), 3, 6, 8, dtype=torch.uint8), None, names, objects=objects)


def remedy(error) -> str:
    return str(error.value).rpartition("; pass ")[2]


def test_a_subset_takes_the_objects_of_its_images():
    each = [Objects(BOXES + i / 10 * torch.tensor([1, 1, 0, 0]), LABELS, MASKS) for i in range(4)]
    for index in (torch.tensor([3, 0, 3]), torch.tensor([True, False, False, True])):
        part = of_image(*each).subset(index)
        assert [one is each[i] for one, i in zip(part.objects, torch.arange(4)[index])] == [True] * len(part)


def test_an_image_without_objects_is_allowed():
    none = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 6, 8, dtype=torch.bool))
    assert len(none) == 0 and len(of_image(none).objects) == 1
    assert ImageSet(torch.zeros(2, 3, 6, 8, dtype=torch.uint8)).objects == ()


@pytest.mark.parametrize("boxes", [BOXES.tolist(), BOXES.numpy(), BOXES.double(), BOXES.int(), BOXES.flatten(), []])
def test_following_the_refusal_of_boxes_works(boxes):
    with pytest.raises(ValueError, match=r"^boxes must be a float32 tensor \(k, 4\), got") as error:
        Objects(boxes, LABELS)
    found = eval(remedy(error), {"torch": torch, "boxes": boxes})
    k = len(found)
    assert len(Objects(found, LABELS[:k])) == k in (0, 2)


@pytest.mark.parametrize("labels", [[1, 0], LABELS.numpy(), LABELS.int(), LABELS.float(), LABELS[:, None], None])
def test_following_the_refusal_of_labels_works(labels):
    with pytest.raises(ValueError, match=r"^labels must be an? int64 tensor \(k,\), got") as error:
        Objects(BOXES, labels)
    if labels is not None:
        assert torch.equal(Objects(BOXES, eval(remedy(error), {"torch": torch, "labels": labels})).labels, LABELS)


@pytest.mark.parametrize("masks", [MASKS.int(), MASKS.numpy(), MASKS.tolist(), MASKS[:, None]])
def test_following_the_refusal_of_masks_works(masks):
    with pytest.raises(ValueError, match=r"^masks must be a bool tensor \(k, h, w\), got") as error:
        Objects(BOXES, LABELS, masks)
    assert torch.equal(Objects(BOXES, LABELS, eval(remedy(error), {"torch": torch, "masks": masks})).masks, MASKS)


def test_following_the_refusal_of_one_mask_without_its_row_works():
    with pytest.raises(ValueError, match="^masks must be a bool tensor") as error:
        Objects(BOXES[:1], LABELS[:1], MASKS[0])
    one = eval(remedy(error), {"torch": torch, "masks": MASKS[0]})
    assert torch.equal(Objects(BOXES[:1], LABELS[:1], one).masks, MASKS[:1])


@pytest.mark.parametrize("labels, masks, name", [(LABELS[:1], None, "labels"), (LABELS, MASKS[:1], "masks")])
def test_a_row_for_each_box(labels, masks, name):
    with pytest.raises(ValueError, match=f"^{name} has 1 rows for 2 boxes; give one row for each box$"):
        Objects(BOXES, labels, masks)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_none_are_refused(value):
    boxes = BOXES.clone()
    boxes[1, 2] = value
    with pytest.raises(
        ValueError, match=rf"^a box must have four finite numbers, got \(0, 0, {value}, 4\); correct it"
    ):
        Objects(boxes, LABELS)


def test_swapped_corners_and_widths_are_refused_and_the_remedy_works():
    with pytest.raises(ValueError, match=r"x1 < x2 and y1 < y2, got \(5, 2, 1, 6\); if it is \(x, y, width, height\)"):
        Objects(BOXES[:, [2, 1, 0, 3]], LABELS)
    boxes = torch.tensor([[5.0, 4.0, 3.0, 1.0]])  # x, y, width, height
    with pytest.raises(ValueError, match="pass torchvision.ops.box_convert") as error:
        Objects(boxes, LABELS[:1])
    code = re.search(r"pass (torchvision\S+ 'xywh', 'xyxy'\))", str(error.value))[1]
    turned = eval(code, {"torchvision": torchvision, "boxes": boxes})
    assert Objects(turned, LABELS[:1]).boxes.tolist() == [[5, 4, 8, 5]]


@pytest.mark.parametrize("box", [[1.0, 2.0, 1.0, 6.0], [1.0, 2.0, 5.0, 2.0], [1.0, 1.0, 1.0, 1.0]])
def test_a_box_without_area_is_refused_and_the_remedy_works(box):
    boxes = torch.cat([torch.tensor([box]), BOXES])
    with pytest.raises(ValueError, match=r"^a box must have an area, got .*remove_small_boxes\(boxes, 1e-3\)\]"):
        Objects(boxes, torch.cat([LABELS[:1], LABELS]))
    kept = remove_small_boxes(boxes, 1e-3)
    assert torch.equal(Objects(boxes[kept], torch.cat([LABELS[:1], LABELS])[kept]).boxes, BOXES)


@pytest.mark.parametrize("box", [[-1, 2, 5, 6], [1, -2, 5, 6], [1, 2, 9, 6], [1, 2, 5, 7]])
def test_a_box_outside_its_image_is_refused_and_the_remedy_works(box):
    boxes = torch.tensor([box], dtype=torch.float32)
    with pytest.raises(ValueError, match=r"reaches out of its image of 6 x 8 pixels; .*clip_boxes_to_image.*\(6, 8\)"):
        of_image(Objects(boxes, LABELS[:1]))
    of_image(Objects(clip_boxes_to_image(boxes, (6, 8)), LABELS[:1]))


@pytest.mark.parametrize("label", [-1, 2, 9])
def test_a_label_that_no_class_has_is_refused(label):
    with pytest.raises(ValueError, match=f"must be from 0 to 1, as there are 2 class_names, got {label}; count"):
        of_image(Objects(BOXES, torch.tensor([0, label])))


def test_masks_of_another_size_are_refused_and_the_remedy_works():
    with pytest.raises(ValueError, match=r"masks have 3 x 4 pixels for an image of 6 x 8; .*resize\(masks, \(6, 8\)\)"):
        of_image(Objects(BOXES, LABELS, MASKS[:, :3, :4]))
    from torchvision.transforms.v2.functional import resize

    of_image(Objects(BOXES, LABELS, resize(MASKS[:, :3, :4], (6, 8))))


def test_each_image_needs_its_objects():
    with pytest.raises(
        ValueError, match="objects has 1 rows for 2 images; give one row for each image, or leave it out"
    ):
        ImageSet(torch.zeros(2, 3, 6, 8, dtype=torch.uint8), None, ("a", "b"), objects=(Objects(BOXES, LABELS),))


@pytest.mark.parametrize("other", [None, {"boxes": BOXES, "labels": LABELS}])
def test_what_is_no_objects_is_refused(other):
    images = torch.zeros(2, 3, 6, 8, dtype=torch.uint8)
    with pytest.raises(TypeError, match="objects of an image must be of class Objects, got one of .* has Objects"):
        ImageSet(images, None, ("a", "b"), objects=(Objects(BOXES, LABELS), other))


def test_boxes_need_names_of_classes():
    images = torch.zeros(1, 3, 6, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="boxes need the names of their classes, got no class_names; pass a tuple"):
        ImageSet(images, objects=(Objects(BOXES, LABELS),))
