"""Neighbours and maps: the right cards are found and framed, and the results figure draws what the runs say."""

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection

from cl_course.data import ImageSet
from cl_course.lessons.shared.neighbours import embedding_map
from cl_course.lessons.shared.results import results_figure, summarise
from cl_course.lessons.simclr import lab_neighbours as lab


def flat(levels, labels):
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    return ImageSet(images.contiguous(), torch.tensor(labels), ("dark", "light"))


def test_the_nearest_come_first_and_are_marked_right_or_wrong(monkeypatch):
    gallery, queries = flat([0, 50, 200, 250], [0, 0, 1, 1]), flat([255, 10], [1, 0])
    features = {
        "angle": (torch.tensor([[1.0, 0], [1.0, 0.2], [0.1, 1.0], [0, 9.0]]), torch.tensor([[0, 2.0], [3.0, 0.5]]))
    }
    drawn = {}
    monkeypatch.setattr(lab, "neighbour_grid", lambda pictures, found: drawn.update(queries=pictures, **found))
    lab.neighbours(gallery, queries, features, torch.tensor([1, 0]), k=3)
    pictures, right = drawn["angle"]
    assert (255 * drawn["queries"][:, 0, 0, 0]).round().tolist() == [10, 255]
    assert (255 * pictures[:, :, 0, 0, 0]).round().tolist() == [[50, 0, 200], [250, 200, 50]]
    assert right.tolist() == [[True, True, False], [True, True, False]]


def test_the_grid_and_the_map_can_be_drawn():
    gallery, queries = flat([0, 50, 200, 250], [0, 0, 1, 1]), flat([255, 10], [1, 0])
    features = {name: (torch.rand(4, 3), torch.rand(2, 3)) for name in ("before", "after")}
    figure = lab.neighbours(gallery, queries, features, torch.tensor([0, 1]), k=2)
    assert len(figure.axes[0].images) == 2 + 2 * 4 and "before" in figure.axes[0].texts[1].get_text()
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
