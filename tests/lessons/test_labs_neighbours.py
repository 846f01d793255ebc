"""Neighbours and maps: codes find what features find, and the results figure draws what the runs say."""

import base64
import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from PIL import Image
from torch import Generator

from cl_course.data import ImageSet, load
from cl_course.evaluate import embed, retrieve
from cl_course.lessons.shared.neighbour_cards import DIMENSIONS, GALLERY, QUERIES, evenly, neighbour_cards, quantised
from cl_course.lessons.shared.neighbours import embedding_map, neighbour_grid
from cl_course.lessons.shared.pictures import sprite
from cl_course.lessons.shared.results import results_figure, summarise
from cl_course.running import checkpoints


@pytest.fixture(scope="module")
def shapes():
    return load("shapes", "train", limit=1500), load("shapes", "val", limit=400)


@pytest.fixture(scope="module", params=["random_shapes", "simclr_shapes", "supervised_shapes"])
def features(request, shapes):
    """Of all gallery cards and all queries."""
    encoder, _ = checkpoints.shipped(request.param)
    return tuple(embed(encoder, images) for images in shapes)


def test_codes_find_the_neighbours_that_features_find(shapes, features):
    gallery, queries = shapes
    gallery_h, query_h = features[0][evenly(gallery.labels, GALLERY)], features[1][evenly(queries.labels, QUERIES)]
    codes, step = quantised(torch.cat([query_h, gallery_h]))
    assert codes.shape == (QUERIES + GALLERY, DIMENSIONS) and codes.dtype == torch.int8
    squared = torch.cdist(codes[:QUERIES].double(), codes[QUERIES:].double()).square()
    for k in (6, 10):
        expected, similarity = retrieve(query_h, gallery_h, k)
        found = squared.topk(k, largest=False).indices
        both = sum(len(set(a) & set(b)) for a, b in zip(expected.tolist(), found.tolist()))
        assert both / expected.numel() > 0.95
        of_codes = 1 - step**2 * squared.gather(1, expected) / 2
        assert torch.allclose(of_codes.float(), similarity, atol=0.006)


def test_codes_keep_cosine_similarities_whatever_the_length():
    h = torch.rand(30, 8, generator=Generator().manual_seed(0)) * torch.logspace(-3, 3, 30)[:, None]
    codes, step = quantised(h)
    for a, b in ((0, 1), (5, 29), (12, 7)):
        squared = sum((int(x) - int(y)) ** 2 for x, y in zip(codes[a], codes[b]))
        assert 1 - step**2 * squared / 2 == pytest.approx(float(torch.cosine_similarity(h[a], h[b], dim=0)), abs=0.01)
    assert int(codes.abs().max()) == 127


def test_features_that_are_all_alike_have_a_code():
    codes, step = quantised(torch.ones(5, 4))
    assert not codes.any() and step == 1


def test_cards_are_drawn_evenly_and_sorted_by_class():
    labels = torch.tensor([2, 0, 0, 0, 1, 0, 2, 1])
    assert evenly(labels, 5).tolist() == [1, 2, 4, 0, 6]
    assert evenly(labels, 100).tolist() == [1, 2, 3, 5, 4, 7, 0, 6]


def flat(levels, labels):
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    return ImageSet(images.contiguous(), torch.tensor(labels), ("dark", "light"))


def test_the_data_hold_queries_then_gallery():
    gallery, queries = flat([0, 200, 50], [0, 1, 0]), flat([255, 10], [1, 0])
    angle = (torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0.1]]), torch.tensor([[0, 2.0], [3.0, 0]]))
    data, cards = neighbour_cards(gallery, queries, {"angle": angle}, k=2)
    assert data["queries"] == 2 and data["labels"] == [0, 1, 0, 0, 1] and data["classes"] == ["dark", "light"]
    assert cards.images[:, 0, 0, 0].tolist() == [10, 255, 0, 50, 200]
    codes = np.frombuffer(base64.b64decode(data["encoders"][0]["codes"]), np.int8).reshape(5, 2)
    assert (codes[0] == codes[2]).all() and (codes[1] == codes[4]).all(), "the same direction"
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(data["image"].partition(",")[2]))))
    assert sheet.shape == (32, 5 * 32, 3), "five cards in one row"
    assert np.abs(sheet[16, 16::32].mean(axis=1) - [10, 255, 0, 50, 200]).max() < 3


def test_a_sheet_has_rows_and_no_card_bleeds_into_the_next():
    black_and_white = torch.tensor([0.0, 1.0] * 12)[:, None, None, None].expand(-1, 3, 96, 96)
    packed = sprite(black_and_white)
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(packed["image"].partition(",")[2])))).mean(axis=2)
    assert (packed["columns"], packed["rows"], sheet.shape) == (20, 2, (96, 960))
    assert sheet[:48, :48].max() < 3 and sheet[:48, 48:96].min() > 252


def test_all_that_three_encoders_need_is_small(shapes):
    gallery, queries = shapes
    some = Generator().manual_seed(0)
    features = {
        f"encoder {i}": (torch.rand(1500, 128, generator=some), torch.rand(400, 128, generator=some)) for i in "ABC"
    }
    data, _ = neighbour_cards(gallery, queries, features, k=10)
    assert len(json.dumps(data)) < 350_000


@pytest.mark.parametrize(
    "change, said",
    [
        ({"features": {}}, "features is empty; give at least one"),
        (
            {"features": {"a": (torch.rand(3, 2), torch.rand(3, 2))}},
            "'a' must be 3 of the gallery and 2 of the queries, got 3",
        ),
        ({"features": {"a": (torch.full((3, 2), torch.nan), torch.rand(2, 2))}}, "features must be finite"),
        ({"k": 3}, "k must be a whole number from 1 to 2, got 3; a gallery card"),
        ({"queries": replace(flat([255, 10], [1, 0]), labels=None)}, "gallery and queries must have labels"),
    ],
)
def test_what_cannot_be_shown_is_said(change, said):
    asked = {
        "gallery": flat([0, 200, 50], [0, 1, 0]),
        "queries": flat([255, 10], [1, 0]),
        "features": {"a": (torch.rand(3, 2), torch.rand(2, 2))},
        "k": 2,
    }
    with pytest.raises(ValueError, match=said):
        neighbour_cards(**(asked | change))


def test_the_grid_and_the_map_can_be_drawn():
    pictures, right = np.random.rand(2, 3, 4, 4, 3), np.array([[True, True, False], [False, False, False]])
    figure = neighbour_grid(pictures[:, 0], {"before": (pictures, right), "after": (pictures, right)})
    assert len(figure.axes[0].images) == 2 + 2 * 6
    assert figure.axes[0].texts[1].get_text() == "before: 33% of these right"
    points = {"left": np.random.rand(6, 2), "right": np.random.rand(6, 2)}
    drawn = embedding_map(points, np.array([0, 1, 0, 1, 0, 1]), ("dark", "light"))
    assert [len(axes.collections) for axes in drawn.axes] == [2, 2]


RUNS = [
    *(
        {"row": "pixels", "seed": s, "knn": 0.3 + 0.01 * s, "linear": 0.4, "cpu_minutes": 0.0, "labels": 0}
        for s in range(3)
    ),
    *({"row": "SimCLR", "seed": s, "knn": 0.9, "linear": None, "cpu_minutes": 1.0 + s, "labels": 0} for s in range(3)),
]


def test_a_summary_is_mean_and_sample_deviation():
    assert summarise(RUNS[:3], "knn") == (pytest.approx(0.31), pytest.approx(0.01))
    assert summarise(RUNS[:1], "knn") == (0.3, 0.0)
    assert summarise(RUNS[3:], "linear") is None


def test_the_results_figure_shows_every_row_seed_and_measure():
    figure = results_figure(RUNS, live={"row": "SimCLR", "knn": 0.88})
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["pixels", "SimCLR"]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(names) == ["kNN", "linear probe", "your run"], "a measure only where it was measured"
    scattered = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    dots = sorted(float(x) for drawn in scattered for x in drawn.get_offsets()[:, 0])
    assert dots == pytest.approx([0.30, 0.31, 0.32, 0.4, 0.4, 0.4, 0.88, 0.9, 0.9, 0.9])
