"""Where features are judged: dead dimensions, ties, what is not finite, and what is chosen on which split."""

import inspect
import math

import numpy as np
import pytest
import torch
from test_evaluate import numbered, three_splits
from torch import nn

from cl_course.data import ImageSet, load
from cl_course.evaluate import (
    embed,
    factor_probe,
    few_labels,
    knn_accuracy,
    linear_probe,
    mean_average_precision,
    precision_at_k,
    retrieve,
)
from cl_course.models import small_resnet


def noise(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_two_near_classes_at_a_tiny_temperature():
    """Counted from the farthest, both votes would be e^200, that is infinite in float32, and a draw."""
    train_h, train_y = torch.tensor([[1, 0.1], [1, 0.01], [0.0, 1.0]]), torch.tensor([0, 1, 0])
    assert knn_accuracy(train_h, train_y, torch.tensor([[1.0, 0.0]]), torch.tensor([1]), k=3, temperature=0.005) == 1


def test_a_vector_of_zeros_is_like_nothing():
    nearest, similarity = retrieve(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]), 2)
    assert nearest.tolist() == [[1, 0]] and similarity.tolist() == [[1.0, 0.0]]


def test_a_share_is_rounded_to_the_nearest_number():
    assert few_labels(numbered([0] * 14 + [1] * 16), 0.1).labels.bincount().tolist() == [1, 2]


def test_among_equals_the_strongest_penalty_is_taken():
    result = linear_probe(*three_splits(noise=0.1))
    assert result.validation == 1 and "C = 0.01 " in result.trained


def test_factor_probe_bears_a_dead_dimension():
    h = [noise(200, 6, s) for s in (0, 1)]
    for part in h:
        part[:, 0] = 3.0
    assert factor_probe(h[0], {"x": h[0][:, 1]}, h[1], {"x": h[1][:, 1]})["x"] > 0.99


def test_factor_probe_does_not_care_for_the_features_scale():
    h = [noise(200, 6, s) for s in (0, 1)]
    assert factor_probe(1e-3 * h[0] + 5, {"x": h[0][:, 1]}, 1e-3 * h[1] + 5, {"x": h[1][:, 1]})["x"] > 0.99


def test_one_class_is_refused():
    h, y = torch.rand(6, 3), torch.zeros(6, dtype=torch.int64)
    with pytest.raises(ValueError, match="at least two classes, got 6 of one"):
        linear_probe(h, y, h, y, h, y)


def test_factor_probe_learns_on_train_and_is_judged_on_test():
    """40 images, 30 dimensions of noise: learnt by heart, and worth less than the mean on others."""
    train_h, test_h, target = noise(40, 30, 0), noise(40, 30, 1), noise(80, 1, 2)
    assert factor_probe(train_h, {"x": target[:40]}, test_h, {"x": target[40:]})["x"] < 0
    assert factor_probe(train_h, {"x": target[:40]}, train_h, {"x": target[:40]})["x"] > 0.5


def test_the_defaults_are_those_of_the_documentation():
    defaults = {
        name: p.default for name, p in inspect.signature(knn_accuracy).parameters.items() if p.default is not p.empty
    }
    assert defaults == {"k": 20, "temperature": 0.1}


def test_labels_are_those_of_training_and_time_runs_forward():
    train_h, train_y, *others = three_splits()
    result = linear_probe(train_h[:120], train_y[:120], *others)
    assert result.labels == 120 and 0 < result.seconds < 60


def test_features_are_float32_whatever_the_encoder_computes_in():
    images = load("shapes", "val", limit=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert embed(small_resnet(4), images).dtype == torch.float32


def test_linear_probe_bears_a_dimension_that_is_dead_in_training_alone():
    train_h, *others = three_splits(noise=0.1)
    train_h[:, 0] = 0.1
    assert linear_probe(train_h, *others).accuracy > 0.95


def scores(gallery, gallery_y, query, query_y):
    """Each score, not yet asked for."""
    yield lambda: knn_accuracy(gallery, gallery_y, query, query_y, k=1)
    yield lambda: precision_at_k(query, query_y, gallery, gallery_y, 1)
    yield lambda: mean_average_precision(query, query_y, gallery, gallery_y)


def test_what_is_not_finite_or_not_there_gets_no_score():
    h, y = noise(4, 3, 0), torch.tensor([0, 0, 1, 1])
    bad = torch.cat([h[:3], h[3:] * math.nan])
    for score in [*scores(bad, y, h, y), *scores(h, y, bad, y)]:
        with pytest.raises(ValueError, match="features must be finite"):
            score()
    for score in scores(h, y, h[:0], y[:0]):
        with pytest.raises(ValueError, match="no query was given"):
            score()


def test_a_frozen_part_of_a_training_encoder_stays_frozen():
    encoder = small_resnet(4).train()
    encoder.stem.eval()
    embed(encoder, load("shapes", "val", limit=4))
    assert encoder.training and not encoder.stem.training and encoder.stages.training


def test_a_class_without_training_images_costs_its_images_and_nothing_else():
    train_h, train_y, val_h, val_y, test_h, test_y = three_splits(noise=0.1, classes=2)
    test_y[:50] = 5
    assert linear_probe(train_h, train_y, val_h, val_y, test_h, test_y).accuracy == 0.75
    assert knn_accuracy(train_h, train_y, test_h, test_y) == 0.75
    assert precision_at_k(test_h, test_y, train_h, train_y, 1) == 0.75


def test_what_is_not_there_is_named_with_what_to_do():
    h, y = noise(4, 3, 0), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"gallery_h is empty, of shape \(0, 3\); give it at least one row"):
        retrieve(h, h[:0], 1)
    with pytest.raises(ValueError, match="class 1, which a query has; take a gallery with images of every class, or"):
        mean_average_precision(h, y, h[:2], y[:2])
    assert mean_average_precision(h[:2], y[:2], h[:2], y[:2]) == 1, "such queries left out"


def test_numbers_of_numpy_are_numbers():
    h, y = noise(6, 3, 0), torch.arange(6) % 2
    assert retrieve(h, h, np.int64(2))[0].shape == (6, 2)
    assert knn_accuracy(h, y, h, y, k=np.int32(1), temperature=np.float32(0.1)) == 1
    assert len(few_labels(numbered([0, 1] * 10), np.float32(0.5), np.int64(1))) == 10
    for k in (2.0, "2", None, True):
        with pytest.raises(ValueError, match="k must be a whole number from 1 to 6, got"):
            retrieve(h, h, k)
    for share in ("half", None, torch.tensor(0.5)):
        with pytest.raises(ValueError, match="share must be a finite number above 0 and at most 1, got"):
            few_labels(numbered([0, 1]), share)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        few_labels(numbered([0, 1]), 0.5, -1)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_probes_refuse_features_that_are_not_finite(wrong):
    h, y = torch.randn(12, 4), torch.arange(12) % 2
    bad = h.index_fill(0, torch.tensor([3]), wrong)
    for sets in ((bad, h, h), (h, bad, h), (h, h, bad)):
        with pytest.raises(ValueError, match="^features must be finite.*has diverged"):
            linear_probe(sets[0], y, sets[1], y, sets[2], y)
    with pytest.raises(ValueError, match="^features must be finite"):
        factor_probe(bad, {"scale": y.float()}, h, {"scale": y.float()})


def test_embed_takes_an_image_set_and_any_module():
    images = ImageSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(TypeError, match=r"images must be of class ImageSet, got one of class Tensor; wrap a uint8"):
        embed(small_resnet(4), images.images)
    with pytest.raises(TypeError, match="encoder must be of class Module, got one of class NoneType"):
        embed(None, images)
    assert embed(nn.Flatten(), images).shape == (2, 192)


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_a_probe_without_images_to_judge_by_is_refused_before_it_is_trained(empty):
    h, y = noise(4, 3, 0), torch.tensor([0, 0, 1, 1])
    val, test = (h[:0], h) if empty == "validation" else (h, h[:0])
    with pytest.raises(ValueError, match="needs images of validation and of test, got (0 and 4|4 and 0);"):
        linear_probe(h, y, val, y[: len(val)], test, y[: len(test)])


def test_a_batch_has_an_image():
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        embed(small_resnet(4), load("shapes", "val", limit=4), batch_size=0)
