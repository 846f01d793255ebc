"""Judging a frozen encoder: neighbours and rankings by eye and against loops, probes that choose on validation only."""

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import nn

from cl_course.data import ImageSet, load
from cl_course.evaluate import (
    STRENGTHS,
    Result,
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

# Four training points on a circle: two classes, right and left.
TRAIN = torch.tensor([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
CLASSES = torch.tensor([0, 0, 1, 1])


def test_four_points_by_eye():
    queries = torch.tensor([[5.0, 0.0], [-0.2, 0.0], [1.0, 1.0]])  # lengths do not matter
    assert knn_accuracy(TRAIN, CLASSES, queries, torch.tensor([0, 1, 0]), k=2) == 1
    assert knn_accuracy(TRAIN, CLASSES, queries, torch.tensor([0, 1, 1]), k=2) == pytest.approx(2 / 3)
    assert knn_accuracy(TRAIN, CLASSES, queries, torch.tensor([1, 0, 1]), k=2) == 0


def test_near_neighbours_weigh_more_and_the_temperature_says_how_much():
    """One neighbour at similarity 1 against two at 0: e^(1/T) against 2."""
    train, classes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, 0.0]])
    even = 1 / math.log(2)
    assert knn_accuracy(train, classes, query, torch.tensor([0]), k=3, temperature=even - 0.1) == 1
    assert knn_accuracy(train, classes, query, torch.tensor([1]), k=3, temperature=even + 0.1) == 1


def knn_by_hand(train_h, train_y, test_h, test_y, k, temperature):
    """One query at a time: loops and floats, no code shared with `knn_accuracy`."""
    right = 0
    for h, y in zip(test_h, test_y):
        similarities = [float(h @ other) / float(h.norm() * other.norm()) for other in train_h]
        votes = {}
        for i in sorted(range(len(similarities)), key=lambda i: -similarities[i])[:k]:
            votes[int(train_y[i])] = votes.get(int(train_y[i]), 0) + math.exp(similarities[i] / temperature)
        right += max(votes, key=votes.get) == int(y)
    return right / len(test_y)


@pytest.mark.parametrize("k", [1, 3, 20])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_knn_against_a_plain_loop(k, temperature):
    generator = torch.Generator().manual_seed(k)
    centres = torch.randn(4, 6, generator=generator)
    train_y, test_y = torch.randint(4, (2, 60), generator=generator)
    train_h, test_h = (centres[y] + 1.5 * torch.randn(60, 6, generator=generator) for y in (train_y, test_y))
    expected = knn_by_hand(train_h, train_y, test_h, test_y, k, temperature)
    assert 0.2 < expected < 1, "a case that tells something"
    assert knn_accuracy(train_h, train_y, test_h, test_y, k, temperature) == pytest.approx(expected)


def test_knn_of_more_queries_than_one_piece():
    h = F.one_hot(torch.arange(2500) % 7, 7).float()
    y = torch.arange(2500) % 7
    assert knn_accuracy(h[:100], y[:100], h, y, k=5) == 1
    y = torch.where(torch.arange(2500) < 500, (y + 1) % 7, y)
    assert knn_accuracy(h[1000:1100], y[1000:1100], h, y, k=5) == pytest.approx(0.8)


@pytest.mark.parametrize("k", [0, 5])
def test_an_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be a whole number from 1 to 4, got {k}"):
        knn_accuracy(TRAIN, CLASSES, TRAIN, CLASSES, k=k)


def test_a_class_seen_only_in_test_costs_its_images_and_nothing_else():
    assert knn_accuracy(TRAIN, CLASSES, TRAIN, torch.tensor([0, 0, 1, 7]), k=1) == 0.75


@pytest.mark.parametrize("k", [0, 5])
def test_an_impossible_k_of_a_search_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be a whole number from 1 to 4, got {k}"):
        retrieve(TRAIN, TRAIN, k)


# Retrieval, in the gallery of the four points. By eye: from the right and a little above 0, 1, 2, 3; left 2, 3, 0, 1.
QUERIES = torch.tensor([[5.0, 1.0], [-0.2, 0.02]])


def test_the_nearest_of_four_points_by_eye():
    nearest, similarity = retrieve(QUERIES, TRAIN, 4)
    assert nearest.tolist() == [[0, 1, 2, 3], [2, 3, 0, 1]]
    assert similarity[1, 0] == pytest.approx(1) and similarity[1, 3] == pytest.approx(-1), (
        "point 2 lies in the same direction, point 1 opposite"
    )
    assert retrieve(QUERIES, TRAIN, 1)[0].tolist() == [[0], [2]]


@pytest.mark.parametrize("k, of_right, of_left", [(1, 1, 0), (2, 1, 0), (3, 2 / 3, 1 / 3), (4, 1 / 2, 1 / 2)])
def test_precision_on_four_points_by_eye(k, of_right, of_left):
    """The first query, of the class on its own side and of the other one."""
    assert precision_at_k(QUERIES[:1], torch.tensor([0]), TRAIN, CLASSES, k) == pytest.approx(of_right)
    assert precision_at_k(QUERIES[:1], torch.tensor([1]), TRAIN, CLASSES, k) == pytest.approx(of_left)
    both = precision_at_k(QUERIES, torch.tensor([0, 0]), TRAIN, CLASSES, k)
    assert both == pytest.approx((of_right + of_left) / 2), "the mean over queries"


def test_average_precision_on_four_points_by_eye():
    assert mean_average_precision(QUERIES, torch.tensor([0, 1]), TRAIN, CLASSES) == 1, "all of the class come first"
    last = (1 / 3 + 2 / 4) / 2  # they stand at ranks 3 and 4
    assert mean_average_precision(QUERIES, torch.tensor([1, 0]), TRAIN, CLASSES) == pytest.approx(last)
    assert mean_average_precision(QUERIES, torch.tensor([0, 0]), TRAIN, CLASSES) == pytest.approx((1 + last) / 2)
    between = torch.tensor([0, 1, 1, 0])  # ranks 1 and 4 for the first query
    assert mean_average_precision(QUERIES[:1], torch.tensor([0]), TRAIN, between) == pytest.approx((1 + 2 / 4) / 2)


def test_average_precision_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    query_h, gallery_h = (
        torch.randn(1100, 5, generator=generator),
        torch.randn(40, 5, generator=generator),
    )  # more queries than one piece
    query_y, gallery_y = torch.arange(1100) % 4, torch.arange(40) % 4
    similarity = F.normalize(query_h, dim=1) @ F.normalize(gallery_h, dim=1).T
    theirs = [average_precision_score((gallery_y == y).numpy(), s.numpy()) for y, s in zip(query_y, similarity)]
    assert mean_average_precision(7 * query_h, query_y, gallery_h, gallery_y) == pytest.approx(
        sum(theirs) / len(theirs), abs=1e-6
    )


def test_a_class_that_cannot_be_found_is_refused():
    with pytest.raises(ValueError, match="no gallery image has class 2"):
        mean_average_precision(QUERIES, torch.tensor([0, 2]), TRAIN, CLASSES)


# Few labels.
def numbered(labels) -> ImageSet:
    """Images that carry their own position and label in their pixels."""
    labels = torch.tensor(labels)
    place = torch.arange(len(labels))
    images = (
        torch.stack([place // 256, place % 256, labels], dim=1).to(torch.uint8)[:, :, None, None].expand(-1, 3, 2, 2)
    )
    return ImageSet(
        images, labels, ("a", "b", "c"), {"place": place.float()}, place[:, None, None] % 2 == torch.zeros(2, 2)
    )


def places(images: ImageSet) -> set[int]:
    return set(images.factors["place"].int().tolist())


def test_every_class_gives_its_share_and_at_least_one():
    images = numbered([0] * 200 + [1] * 100 + [2] * 3)
    for share, counts in ((0.01, [2, 1, 1]), (0.1, [20, 10, 1]), (0.5, [100, 50, 2]), (1.0, [200, 100, 3])):
        assert few_labels(images, share).labels.bincount().tolist() == counts
    assert torch.equal(few_labels(images, 1).images, images.images)


def test_a_greater_share_adds_to_a_smaller_one_and_the_seed_decides():
    images = numbered([0, 1, 2] * 100)
    for seed in range(3):
        kept = [places(few_labels(images, share, seed)) for share in (0.01, 0.1, 0.3, 1.0)]
        assert kept[0] < kept[1] < kept[2] < kept[3]
    assert (
        places(few_labels(images, 0.1, 0)) == places(few_labels(images, 0.1, 0)) != places(few_labels(images, 0.1, 1))
    )


def test_what_is_known_of_an_image_stays_with_it():
    few = few_labels(numbered([0, 1, 2] * 100), 0.1)
    place = few.factors["place"].int()
    assert torch.equal(few.images[:, 0, 0, 0].int() * 256 + few.images[:, 1, 0, 0].int(), place)
    assert torch.equal(few.labels.int(), place % 3) and torch.equal(few.masks[:, 0, 0], place % 2 == 0)


@pytest.mark.parametrize("share", [0, -0.1, 1.1, math.nan])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match="share must be a finite number above 0 and at most 1, got"):
        few_labels(numbered([0, 1]), share)


def test_few_of_no_labels_are_refused():
    with pytest.raises(ValueError, match="needs labelled images"):
        few_labels(ImageSet(torch.zeros(4, 3, 2, 2, dtype=torch.uint8)), 0.5)


# Probes.
def three_splits(noise=1.0, n=200, d=8, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(classes, d, generator=generator)
    splits = []
    for _ in range(3):
        y = torch.randint(classes, (n,), generator=generator)
        splits += [centres[y] + noise * torch.randn(n, d, generator=generator), y]
    return splits


def test_linear_probe_on_classes_far_apart():
    result = linear_probe(*three_splits(noise=0.1))
    assert result.accuracy == result.validation == 1
    assert (result.split, result.labels, result.method) == ("test", 200, "linear probe")


def test_linear_probe_chooses_on_validation_alone():
    *known, test_y = three_splits(noise=3.0)
    result = linear_probe(*known, test_y)
    shuffled = linear_probe(*known, test_y[torch.randperm(len(test_y), generator=torch.Generator().manual_seed(0))])
    assert (shuffled.trained, shuffled.validation) == (result.trained, result.validation)
    assert shuffled.accuracy < result.accuracy - 0.2


def test_linear_probe_takes_the_strength_that_is_best_on_validation():
    """Validation is labelled by one of the probes itself, so that this one must win."""
    train_h, train_y, val_h, _, test_h, test_y = three_splits(noise=6.0, n=60, d=50)

    def standardised(h):
        return ((h - train_h.mean(dim=0)) / train_h.std(dim=0)).numpy()

    for strength in STRENGTHS:
        probe = LogisticRegression(C=strength, max_iter=200).fit(standardised(train_h), train_y.numpy())
        its_own = torch.from_numpy(probe.predict(standardised(val_h)))
        result = linear_probe(train_h, train_y, val_h, its_own, test_h, test_y)
        assert f"C = {strength:g} " in result.trained and result.validation == 1
        assert result.accuracy == pytest.approx(probe.score(standardised(test_h), test_y.numpy()))


def test_linear_probe_bears_a_dead_dimension():
    train_h, train_y, val_h, val_y, test_h, test_y = three_splits(noise=0.1)
    for h in (train_h, val_h, test_h):
        h[:, 0] = 3.0
    assert linear_probe(train_h, train_y, val_h, val_y, test_h, test_y).accuracy > 0.95


def test_a_result_says_what_one_must_know():
    result = linear_probe(*three_splits(), seed=7)
    for text in (str(result), result.row()):
        assert f"{result.accuracy:.3f}" in text and "test" in text and "200" in text and "7" in text


def test_a_result_that_is_no_accuracy_says_what_it_is():
    result = Result(0.5, "segmentation head", "test", 3, 1200, "a head", 1.5, measure="IoU")
    assert str(result) == "segmentation head: IoU 0.500 on test (1,200 labels, trained: a head, seed 3, 1.5 s)"
    assert result.row() == "| segmentation head | IoU 0.500 | test | 1,200 | a head | 3 | 1.5 s |"
    with pytest.raises(ValueError, match="measures IoU, not accuracy"):
        float(result.accuracy)


def factors(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        "object_hue": torch.rand(n, generator=generator),
        "scale": torch.rand(n, generator=generator),
        "position": torch.rand(n, 2, generator=generator),
    }


def test_factor_probe_reads_a_factor_that_is_there_and_not_one_that_is_not():
    train, test = factors(400, 0), factors(300, 1)

    def features(f, seed):
        """Hue as a point on a circle, one coordinate of the position, and noise."""
        turn = 2 * math.pi * f["object_hue"]
        noise = torch.randn(len(turn), 5, generator=torch.Generator().manual_seed(seed))
        return torch.cat([torch.stack([turn.cos(), turn.sin(), f["position"][:, 0]], dim=1), noise], dim=1) @ mix

    mix = torch.randn(8, 8, generator=torch.Generator().manual_seed(5))
    scores = factor_probe(features(train, 2), train, features(test, 3), test)
    assert scores.keys() == train.keys()
    assert scores["object_hue"] > 0.98
    assert scores["position"] == pytest.approx(0.5, abs=0.06), "one of two coordinates"
    assert abs(scores["scale"]) < 0.1


def test_factor_probe_knows_that_a_hue_is_a_circle():
    """Hues 0.99 and 0.01 are neighbours: as plain numbers, features on the circle would not give them back."""
    train, test = factors(400, 0), factors(300, 1)
    as_number = {"plain": train["object_hue"]}, {"plain": test["object_hue"]}

    def circle(f):
        turn = 2 * math.pi * f["object_hue"]
        return torch.stack([turn.cos(), turn.sin()], dim=1)

    assert (
        factor_probe(
            circle(train), {"object_hue": train["object_hue"]}, circle(test), {"object_hue": test["object_hue"]}
        )["object_hue"]
        > 0.999
    )
    assert factor_probe(circle(train), as_number[0], circle(test), as_number[1])["plain"] < 0.8
    half = factor_probe(
        circle(train)[:, :1],
        {"object_hue": train["object_hue"]},
        circle(test)[:, :1],
        {"object_hue": test["object_hue"]},
    )
    assert half["object_hue"] == pytest.approx(0.5, abs=0.03), "the cosine alone is half of a hue"


# Features.
@pytest.fixture(scope="module")
def images() -> ImageSet:
    return load("shapes", "val", limit=50)


def test_embed_looks_at_each_image_by_itself_and_leaves_the_encoder_alone(images):
    encoder = small_resnet(4).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    h = embed(encoder, images)
    assert h.shape == (50, 32) and not h.requires_grad and encoder.training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items()), (
        "BatchNorm's statistics moved"
    )
    torch.testing.assert_close(embed(encoder, images, batch_size=7), h)
    torch.testing.assert_close(embed(encoder, images.subset(torch.tensor([3, 1])))[1], h[1])
    assert not (encoder.eval(), embed(encoder, images))[0].training


def test_embed_puts_the_mode_back_when_the_encoder_fails(images):
    class Broken(nn.Linear):
        def forward(self, x):
            raise RuntimeError

    encoder = Broken(1, 1).train()
    with pytest.raises(RuntimeError):
        embed(encoder, images)
    assert encoder.training


def test_the_vote_is_finite_at_the_smallest_temperature():
    train_h, train_y = torch.tensor([[1, 0.4], [1, 0.01]]), torch.tensor([0, 1])
    query, right = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    assert all(knn_accuracy(train_h, train_y, query, right, k=2, temperature=t) == 1.0 for t in (1e-4, 0.01, 0.02))
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, got 0"):
        knn_accuracy(train_h, train_y, query, right, k=2, temperature=0)
