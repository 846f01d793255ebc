"""The box lab in a browser: its overlaps, its right boxes and its AP are torchvision's and COCO's.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

import re

import pytest
import torch
from browser import wait_until
from lab_examples import boxes
from lab_pages import LabPage, in_browser
from torchvision.ops import box_iou

from cl_course.average_precision import Found, average_precision, evaluated
from cl_course.data import ImageSet, load
from cl_course.images.objects import Objects
from cl_course.lessons.where_is_it.lab_boxes import box_lab, read

pytestmark = in_browser


@pytest.fixture(scope="module")
def page(browser):
    page = LabPage(browser, boxes())
    page.rest()
    yield page
    page.close("boxes")


@pytest.fixture(scope="module")
def noisy() -> tuple[ImageSet, list[Found]]:
    """Scenes whose objects all have one class, so that one list is the list of that class, and boxes near them."""
    some = load("scenes", "val", limit=30)
    alike = tuple(Objects(one.boxes, torch.zeros_like(one.labels)) for one in some.objects)
    generator = torch.Generator().manual_seed(0)
    found = [
        Found(
            one.boxes.repeat(3, 1) + 2 * torch.randn(3 * len(one), 4, generator=generator),
            torch.rand(3 * len(one), generator=generator),
            one.labels.repeat(3),
        )
        for one in alike
    ]
    return ImageSet(some.images, None, some.class_names, objects=alike), found


def as_in_the_page(images, found) -> list:
    truth = [[[*b, c] for b, c in zip(o.boxes.tolist(), o.labels.tolist())] for o in images.objects]
    boxes = [[[*b, s, c] for b, s, c in zip(f.boxes.tolist(), f.scores.tolist(), f.labels.tolist())] for f in found]
    return [boxes, truth, sum(map(len, truth))]


def test_overlaps_are_those_of_torchvision(page):
    generator = torch.Generator().manual_seed(1)
    corner = 20 * torch.rand(40, 2, generator=generator)
    some = torch.cat([corner, corner + 1 + 9 * torch.rand(40, 2, generator=generator)], dim=1)
    script = "boxes => boxes.map(a => boxes.map(b => lab.iou(a, b)))"
    found = torch.tensor(page.page.evaluate(script, some.tolist()))
    assert torch.allclose(found, box_iou(some, some), atol=1e-5) and (found == 0).any()


@pytest.mark.parametrize("threshold, index", [(0.5, 0), (0.7, 4), (0.9, 8)])
def test_average_precision_is_that_of_coco(page, noisy, threshold, index):
    script = """([found, truth, objects, threshold]) =>
        lab.averagePrecision(lab.curve(lab.ranked(found, truth, threshold), objects))"""
    mine = page.page.evaluate(script, [*as_in_the_page(*noisy), threshold])
    precision = evaluated(noisy[1], noisy[0]).eval["precision"][index, :, 0, 0, -1]
    assert mine == pytest.approx(precision.mean(), abs=1e-9) and 0 < mine < 0.99


def test_a_box_of_another_class_is_wrong_and_an_object_is_taken_once(page):
    found = [[0, 0, 10, 10, 0.5, 1], [0, 0, 10, 10, 0.9, 2], [0, 0, 9, 10, 0.8, 1], [0, 2, 10, 12, 0.7, 1]]
    right = page.page.evaluate("([f, t]) => lab.matched(f, t, 0.5)", [found, [[0, 0, 10, 10, 1]]])
    assert right == [False, False, True, False]
    assert page.page.evaluate("lab.averagePrecision(lab.curve([], 3))") == 0


def numbers(page) -> dict[str, float]:
    words = page.words
    return {
        "boxes": int(re.search(r": (\d+) boxes", words)[1]),
        "recall": float(re.search(r"recall ([\d.]+)", words)[1]),
        "ap": float(re.search(r"AP ([\d.]+)\.$", words)[1]),
    }


def slide(page, label: str, value: float) -> None:
    before = page.words
    control = page.page.get_by_label(label)
    control.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })) }", str(value))
    wait_until(lambda: page.words != before, "the words follow")


def test_the_thresholds_do_what_the_lesson_says(page):
    slide(page, "Least score", 0.1)
    low = numbers(page)
    slide(page, "Least score", 0.4)
    high = numbers(page)
    assert high["recall"] < low["recall"] and high["boxes"] <= low["boxes"] and high["ap"] == low["ap"]
    slide(page, "Right from IoU", 0.9)
    assert numbers(page)["ap"] < high["ap"]
    slide(page, "Right from IoU", 0.5)
    shown = page.page.locator(".box-sheet text:visible").all_text_contents()
    assert len(shown) == numbers(page)["boxes"] and all(float(text.split()[-1]) >= 0.4 for text in shown)


def test_the_other_detector_has_other_boxes(page):
    slide(page, "Least score", 0.15)
    before = numbers(page)["ap"]
    page.page.get_by_label("from scratch").check()
    wait_until(lambda: "from scratch" in page.words, "the other detector is named")
    assert numbers(page)["ap"] < before


def test_lines_of_the_record_and_a_wrong_number_of_scenes():
    assert read(["1 2 3.5 4 0.9 7"]) == [[1, 2, 3.5, 4, 0.9, 7]]
    with pytest.raises(
        ValueError, match="'mine' has boxes of 1 scenes, and there are 2 images with objects; load as many"
    ):
        box_lab(load("scenes", "val", limit=2), [{"detector": "mine", "scenes": [[]]}])


def test_the_record_is_judged_alike_in_the_page_and_by_coco():
    """Not the same measure: the page makes one list of all classes. But near."""
    data = boxes().data
    images = load("scenes", "val", limit=len(data["pictures"]))
    for detector in data["detectors"]:
        found = [
            Found(
                torch.tensor([b[:4] for b in scene]).reshape(-1, 4),
                torch.tensor([b[4] for b in scene]),
                torch.tensor([int(b[5]) for b in scene], dtype=torch.int64),
            )
            for scene in detector["found"]
        ]
        assert 0.05 < average_precision(found, images)["AP50"] < 1
