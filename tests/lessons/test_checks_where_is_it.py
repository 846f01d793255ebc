"""Lesson 06b's exercises: right forms pass, known mistakes are named, others get a sentence that leads on."""

import numpy as np
import torch
from right_and_wrong import RightAndWrong
from torchvision import ops


# box_iou(a, b)
def iou_by_loops(a, b):
    table = torch.zeros(len(a), len(b))
    for i, (x1, y1, x2, y2) in enumerate(a.tolist()):
        for j, (u1, v1, u2, v2) in enumerate(b.tolist()):
            both = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
            table[i, j] = both / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - both)
    return table


def iou_in_numpy(a, b):
    a, b = a.numpy()[:, None], b.numpy()[None]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    both = sides[..., 0] * sides[..., 1]
    areas = [np.prod(c[..., 2:] - c[..., :2], axis=-1) for c in (a, b)]
    return both / (areas[0] + areas[1] - both)


# centreness(points, boxes)
def centreness_by_loops(points, boxes):
    found = []
    for (x, y), (x1, y1, x2, y2) in zip(points.tolist(), boxes.tolist()):
        left, top, right, bottom = x - x1, y - y1, x2 - x, y2 - y
        inside = min(left, top, right, bottom) > 0
        ratio = min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
        found.append(ratio**0.5 if inside else 0.0)
    return found


def centreness(points, boxes, outside=0.0):
    d = torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], dim=1)
    low, high = torch.minimum(d[:, :2], d[:, 2:]), torch.maximum(d[:, :2], d[:, 2:])
    return torch.where((low > 0).all(dim=1), (low / high).prod(dim=1).abs().sqrt(), outside)


# nms(boxes, scores, threshold)
def nms_by_masks(boxes, scores, threshold):
    left, kept = scores.argsort(descending=True), []
    while len(left):
        kept.append(left[0])
        iou = ops.box_iou(boxes[left[:1]], boxes[left])[0]
        left = left[iou <= threshold]
        left = left[left != kept[-1]]
    return torch.stack(kept)


# detection_ap(right, objects)
def ap_by_loops(right, objects):
    right = right.tolist()
    precision = [sum(right[: k + 1]) / (k + 1) for k in range(len(right))]
    return sum(max(precision[k:]) for k in range(len(right)) if right[k]) / objects


def ap_by_recall(right, objects):
    if not len(right):
        return 0.0
    recall = torch.cat([torch.zeros(1), right.cumsum(0) / objects])
    best = (right.cumsum(0) / torch.arange(1, len(right) + 1)).flip(0).cummax(0).values.flip(0)
    return (recall.diff() * best).sum()


# receptive_field(kernels, strides)
def field_from_the_end(kernels, strides):
    seen = 1
    for kernel, stride in list(zip(kernels, strides))[::-1]:
        seen = (seen - 1) * stride + kernel
    return seen


def field(kernels, strides):
    return 1 + sum((k - 1) * int(np.prod(strides[:i])) for i, k in enumerate(kernels))


RIGHT = {
    "box_iou": [ops.box_iou, iou_by_loops, iou_in_numpy, lambda a, b: ops.box_iou(a.double(), b.double())],
    "centreness": [centreness, centreness_by_loops, lambda p, b: np.array(centreness_by_loops(p, b))],
    "nms": [ops.nms, nms_by_masks, lambda b, s, t: ops.nms(b, s, t).tolist(), lambda b, s, t: ops.nms(b, s, t).numpy()],
    "detection_ap": [ap_by_loops, ap_by_recall, lambda r, n: torch.tensor([ap_by_loops(r, n)])],
    "receptive_field": [
        field,
        field_from_the_end,
        lambda k, s: torch.tensor(field(k, s)),
        lambda k, s: float(field(k, s)),
    ],
}
WRONG = {
    "box_iou": [
        (lambda a, b: 2 * ops.box_iou(a, b), "on every input tried your IoU is the right one times 2"),
        (lambda a, b: ops.generalized_box_iou(a, b), "for a = [[0, 0, 4, 2]], b = "),
        (
            lambda a, b: ops.box_iou(a, b).diagonal(),
            "for 5 boxes against 7 your answer has the shape (5,), expected (5, 7)",
        ),
        (lambda a, b: a.clamp_(max=1) @ b.T, "in place"),
        (lambda a, b: ops.box_iou(a, b).round(), "your IoU is 0 on every input tried"),
        (lambda a, b: a @ b, "stopped with RuntimeError"),
    ],
    "centreness": [
        (lambda p, b: centreness(p, b, torch.inf), "centre-ness lies between 0 and 1"),
        (lambda p, b: centreness(p, b) / 2, "your centre-ness is the right one times 0.5"),
        (lambda p, b: centreness(p, b) ** 3, "for points = "),
        (lambda p, b: centreness(p, b)[:, None].expand(-1, 2), "for 9 points your answer has the shape (9, 2)"),
        (lambda p, b: centreness(p, b, torch.nan).sqrt(), "some of your values are NaN"),
    ],
    "nms": [
        (lambda b, s, t: b[ops.nms(b, s, t)], "return the numbers of the boxes that stay, one list"),
        (lambda b, s, t: s[ops.nms(b, s, t)], "which is the number of no box"),
        (lambda b, s, t: ops.nms(b, s, t).repeat(2), "the same box stands in your answer twice"),
        (lambda b, s, t: ops.nms(b, s, t / 2), "your answer is"),
        (lambda b, s, t: ops.nms(b, s, t)[:2], "your answer"),
    ],
    "detection_ap": [
        (lambda r, n: ap_by_loops(r, n) / 3, "times 0.3333"),
        (lambda r, n: ap_by_loops(r, n) + 1, "the right one plus 1.0000"),
        (lambda r, n: ap_by_loops(r, n) ** 2, "your answer is"),
        (lambda r, n: r.float(), "has the shape (9,): return one number"),
        (lambda r, n: ap_by_loops(r, n) if r.any() else 1.0, "3 objects the answer must be 0"),
    ],
    "receptive_field": [
        (lambda k, s: 2 * field(k, s), "times 2"),
        (lambda k, s: field(k, s) - 3, "plus -3.0000"),
        (lambda k, s: field(k, s) ** 3, "for kernels = "),
        (lambda k, s: list(k), "return one number"),
    ],
}


class TestChecks(RightAndWrong):
    lesson = "06b_where_is_it"
    right, wrong = RIGHT, WRONG
