"""Answers of lessons 06 to 11 that are almost right, and right ones in rare forms: what is said of them is true."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import ops

from cl_course import checks, losses
from cl_course.lessons.family import check_dino_step, check_simsiam_loss
from cl_course.lessons.own_pictures import check_interval
from cl_course.lessons.two_languages import check_clip_loss, check_siglip_loss
from cl_course.lessons.what_did_it_learn import check_knn, check_standardised


def said_of(name: str, attempt) -> str:
    verdict = getattr(checks, name).judge(attempt)
    assert not verdict.passed
    return verdict.sentence


@pytest.mark.parametrize(
    "inside",
    [
        lambda p, b: (p < b[:, 2:]).all(1),
        lambda p, b: (p > b[:, :2]).all(1),
        lambda p, b: (p[:, 0] > b[:, 0]) & (p[:, 0] < b[:, 2]),
        lambda p, b: (p[:, 1] > b[:, 1]) & (p[:, 1] < b[:, 3]),
    ],
)
def test_centreness_looks_at_all_four_sides(inside):
    def attempt(p, b):
        near, far = p - b[:, :2], b[:, 2:] - p
        ratio = torch.minimum(near, far) / torch.maximum(near, far)
        return torch.where(inside(p, b), ratio.prod(1).sqrt(), 0.0)

    said_of("centreness", attempt)


def test_the_step_of_the_first_box_counts():
    def attempt(right, objects):
        precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
        return torch.trapezoid(precision.flip(0).cummax(0).values.flip(0), right.cumsum(0) / objects)

    assert "very first box" in said_of("detection_ap", attempt)


def unit(h):
    return F.normalize(h, dim=1)


def test_a_copy_of_a_copy_and_a_similarity_at_the_threshold_count():
    def greedy(h, threshold):
        z, found = unit(h), []
        for i in range(len(h)):
            found.append(bool((z[[j for j in range(i) if not found[j]]] @ z[i] >= threshold).any()))
        return found

    assert "is a copy itself" in said_of("copies", greedy)
    assert "exactly the threshold" in said_of("copies", lambda h, t: (unit(h) @ unit(h).T > t).tril(-1).any(1))


@pytest.mark.parametrize(
    "copies",
    [
        lambda h, t: (unit(h) @ unit(h).T >= t).tril(-1).any(1),
        lambda h, t: (F.cosine_similarity(h[:, None], h[None], dim=2) >= t).tril(-1).any(1),
        lambda h, t: (torch.cdist(unit(h), unit(h)) ** 2 <= 2 - 2 * t).tril(-1).any(1),
        lambda h, t: np.tril(np.inner(unit(h), unit(h)) >= t, -1).any(1),
    ],
)
def test_right_copies_of_every_form_pass_at_the_threshold_too(copies):
    assert checks.copies.judge(copies).passed, checks.copies.judge(copies).sentence


def test_no_picture_marked_is_not_two_mistakes():
    said = said_of("copies", lambda h, t: (unit(h) @ unit(h).T >= t).tril(-1).all(1))
    assert said.startswith("False came back for every picture")


@pytest.mark.parametrize(
    "box_iou",
    [
        lambda a, b: [ops.box_iou(row[None], b)[0] for row in a],
        lambda a, b: np.flip(ops.box_iou(a.flip(0), b).numpy(), 0),
    ],
)
def test_a_table_of_iou_may_come_in_rows_or_backwards(box_iou):
    assert checks.box_iou.judge(box_iou).passed, checks.box_iou.judge(box_iou).sentence


def test_a_shape_is_not_called_a_wrong_value():
    said = said_of("barlow_loss", lambda a, b, w: (losses.barlow_twins_loss(a, b, w) ** 1.1)[None])
    assert "your answer is [0], expected 0" not in said


@pytest.mark.parametrize(
    "name, attempt",
    [
        ("replay", lambda j: {p: c for a, p, c in j if a == "label" and ("undo", p, c) not in j}),
        ("standardised", lambda *splits: tuple(h.half() for h in check_standardised.make()(*splits))),
    ],
)
def test_a_list_is_not_said_to_be_no_list(name, attempt):
    assert "a list came back, where a list" not in said_of(name, attempt)


@pytest.mark.parametrize("name, of", [("clip_loss", check_clip_loss), ("siglip_loss", check_siglip_loss)])
def test_a_comma_behind_the_loss_is_no_lost_gradient(name, of):
    verdict = getattr(checks, name).judge(lambda *given: (of.right(*given),))
    assert verdict.passed and "of the type tuple" in verdict.notes[0], verdict.sentence


def test_a_comma_behind_simsiams_and_dinos_loss():
    assert "without a comma" in said_of("simsiam_loss", lambda *given: (check_simsiam_loss.right(*given),))

    def step(*given):
        loss, center = check_dino_step.right(*given)
        return (loss,), center

    assert "without a comma" in said_of("dino_step", step)


@pytest.mark.parametrize("std", [lambda z: z.std(0), lambda z: (z.var(0) + 1e-5).sqrt(), lambda z: z.std(0) + 1e-4])
def test_a_finite_gradient_is_not_said_to_have_no_finite_slope(std):
    def attempt(a, b):
        invariance, _, covariance = losses.vicreg_terms(a, b)
        return invariance, sum((1 - std(z)).relu().mean() for z in (a, b)), covariance

    said = said_of("vicreg_terms", attempt)
    assert "with 1e-4 under the root" in said and "no finite slope" not in said


def test_the_view_itself_among_the_positives():
    def attempt(a, b, y, t):
        z = unit(torch.cat([a, b]))
        logits = (z @ z.T / t).fill_diagonal_(-torch.inf)
        positive = y.repeat(2)[:, None] == y.repeat(2)
        return -(torch.where(positive, logits.log_softmax(1), 0).sum(1) / positive.sum(1)).mean()

    assert "all *other* views of the class" in said_of("supcon_loss", attempt)


def test_an_error_on_a_special_input_says_so():
    def attempt(right, n):
        odds = right / (n - right)
        return check_interval.right(round(n * odds / (1 + odds)), n)

    said = said_of("interval", attempt)
    assert said.startswith("right on ordinary inputs") and "ZeroDivisionError" in said


def test_an_own_copy_divided_in_place():
    def attempt(z):
        z = z.clone()
        z /= z.norm(dim=1, keepdim=True)
        return z

    assert "changed in place, as by /=" in said_of("unit_length", attempt)


def test_nms_keeps_boxes_at_the_very_threshold():
    def attempt(boxes, scores, threshold):
        iou, kept = ops.box_iou(boxes, boxes), []
        for i in scores.argsort(descending=True).tolist():
            if all(iou[i, j] < threshold for j in kept):
                kept.append(i)
        return kept

    assert "exactly the threshold" in said_of("nms", attempt)


def test_votes_of_the_wrong_sign_do_not_pass():
    said_of("knn", lambda *given: -check_knn.make()(*given))
