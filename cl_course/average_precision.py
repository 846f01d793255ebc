"""Average precision of boxes, as COCO measures it, by COCO's own code (pycocotools)."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchvision.ops import box_convert

from cl_course.data import ImageSet
from cl_course.images.objects import refuse_exchanged_corners
from cl_course.values import instance

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))  # of IoU, over which AP is a mean


@dataclass(frozen=True, eq=False)
class Found:
    """k boxes found in one image: boxes float (k, 4), (x1, y1, x2, y2) in pixels; scores (k,); labels int64 (k,)."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def average_precision(found: Sequence[Found], images: ImageSet) -> dict[str, float]:
    """How well boxes were found: "AP", "AP50" and "AP75", each in [0, 1].

    For one class and one threshold of IoU: the boxes found in all images, of each image the 100 of the highest scores,
    are put in the order of their scores. One is right if it overlaps a box of its class, that no box of a higher score
    has taken, by at least the threshold. Average precision is the area under the curve of precision against recall,
    precision never rising to the right, read at 101 recalls. AP50 is the mean over the classes at 0.5, AP75 at 0.75,
    and AP the mean over `THRESHOLDS` as well. Classes that no image shows are left out.

    Args:
        found: one for each image.
        images: with objects.

    Raises:
        ValueError: another number of images; no object in any; boxes, scores and labels that do not fit each other, are
            not finite, or name a class that there is not.
    """
    instance("images", images, ImageSet, "load them with cl_course.data.load")
    if len(found) != len(images.objects):
        has = f"got {len(found)} for {len(images.objects)} images with objects"
        raise ValueError(f"found must have one entry for each image, {has}; pass what `find` gives for these images")
    if not any(map(len, images.objects)):
        raise ValueError("average precision needs an object in at least one image, found none; take images with boxes")
    for one in found:
        _check(one, len(images.class_names))
    precision = evaluated(found, images).eval["precision"][..., 0, -1]  # (threshold, recall, class), -1: no object
    means = np.where((precision < 0).all(axis=(0, 1)), np.nan, precision.mean(axis=1))  # (threshold, class)
    at = {"AP50": THRESHOLDS.index(0.5), "AP75": THRESHOLDS.index(0.75)}
    return {"AP": float(np.nanmean(means))} | {name: float(np.nanmean(means[t])) for name, t in at.items()}


def evaluated(found: Sequence[Found], images: ImageSet) -> COCOeval:
    """COCO's evaluation after `accumulate`, with all it has measured."""
    height, width = images.images.shape[2:]
    truth, boxes = [], []
    for i, (right, one) in enumerate(zip(images.objects, found)):
        for box, label in zip(_xywh(right.boxes), right.labels.tolist()):
            # Numbers from 1: COCO's code takes a matched box of number 0 for no match.
            truth.append(_entry(i, label, box) | {"id": len(truth) + 1, "area": box[2] * box[3], "iscrowd": 0})
        for box, label, score in zip(_xywh(one.boxes), one.labels.tolist(), one.scores.tolist()):
            boxes.append(_entry(i, label, box) | {"score": score})
    classes = range(len(images.class_names))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "height": height, "width": width} for i in range(len(found))],
            "categories": [{"id": c} for c in classes],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(boxes) if boxes else _nothing(coco), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _check(one: Found, classes: int) -> None:
    """Raise a ValueError unless these can be the boxes found in an image; COCO's code would pass over what is wrong."""
    given = [getattr(one, name, None) for name in ("boxes", "scores", "labels")]
    found = [f"{part.dtype} {tuple(part.shape)}".removeprefix("torch.") if isinstance(part, Tensor)
             else type(part).__name__ for part in given]  # fmt: skip
    k = given[0].shape[:1] if isinstance(given[0], Tensor) else None
    fits = k is not None and [getattr(part, "shape", None) for part in given] == [(*k, 4), k, k]
    if not fits or given[2].dtype != torch.int64:
        raise ValueError("what was found in an image is tensors boxes (k, 4), scores (k,) and int64 labels (k,), got "
                         f"{', '.join(found)}; give each box one score and one label")
    if not all(part.isfinite().all() for part in given):
        raise ValueError("boxes and scores must be finite numbers, got NaN or infinity; see where they come from, such "
                         "as a training that diverged, or leave them out")
    refuse_exchanged_corners(given[0])
    for label in given[2][(given[2] < 0) | (given[2] >= classes)].tolist():
        raise ValueError(f"the label of a box must be from 0 to {classes - 1}, as there are {classes} class_names, got "
                         f"{label}; count the classes from 0")


def _entry(image: int, label: int, box: list[float]) -> dict:
    return {"image_id": image, "category_id": label, "bbox": box}


def _xywh(boxes: Tensor) -> list[list[float]]:
    return box_convert(boxes.double(), "xyxy", "xywh").tolist()


def _nothing(coco: COCO) -> COCO:
    """No boxes, which `loadRes` refuses."""
    empty = COCO()
    empty.dataset = coco.dataset | {"annotations": []}
    empty.createIndex()
    return empty
