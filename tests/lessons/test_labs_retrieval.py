"""Retrieval lab and the figures of lesson 06: the right cards, differences known on paper, and every number drawn."""

import numpy as np
import pytest
import torch

from cl_course.data import ImageSet, load
from cl_course.lessons.what_did_it_learn import figures as plots
from cl_course.lessons.what_did_it_learn import lab_retrieval
from cl_course.lessons.what_did_it_learn.lab_retrieval import by_chance, differences, retrieval_lab


def cards(hues, labels) -> ImageSet:
    n = len(hues)
    factors = {
        "object_hue": torch.tensor(hues),
        "background_hue": torch.zeros(n),
        "position": torch.tensor([[0.3, 0.4]] * n),
        "scale": torch.full((n,), 0.5),
    }
    return ImageSet(torch.zeros(n, 3, 4, 4, dtype=torch.uint8), torch.tensor(labels), ("disc", "star"), factors)


def test_differences_go_round_the_circle_and_are_distances_in_the_plane():
    gallery, query = cards([0.1, 0.5], [0, 1]), cards([0.9], [0])
    query.factors["position"][:] = 0
    apart = differences(gallery, query, torch.tensor([[0, 1]]))
    assert apart == {
        "object_hue": pytest.approx(0.3),
        "background_hue": 0.0,
        "position": pytest.approx(0.5),
        "scale": 0.0,
    }


def test_by_chance_hues_lie_a_quarter_turn_apart():
    images = load("shapes", "val", limit=400)
    assert by_chance(images, images)["object_hue"] == pytest.approx(0.25, abs=0.01)


def test_the_page_gets_every_factor(monkeypatch):
    shown = []
    monkeypatch.setattr(lab_retrieval, "display", shown.append)
    gallery, queries = cards([0.0, 0.2, 0.4], [0, 1, 0]), cards([0.05, 0.9], [1, 0])
    retrieval_lab(gallery, queries, {"angle": (torch.rand(3, 2), torch.rand(2, 2))}, k=2)
    factors = {factor["name"]: factor for factor in shown[0].data["factors"]}
    # Queries first, then the gallery, each sorted by class.
    assert factors["hue of the object"]["values"] == [[0.9], [0.05], [0.0], [0.4], [0.2]]
    assert factors["place"]["values"] == [[0.3, 0.4]] * 5
    assert [factor["circular"] for factor in factors.values()] == [True, True, False, False]


def test_cards_without_factors_are_refused():
    photos = ImageSet(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), ("disc", "star"))
    with pytest.raises(ValueError, match="must have the factor 'object_hue'; take the set 'shapes'"):
        retrieval_lab(photos, photos, {"angle": (torch.rand(2, 2), torch.rand(2, 2))}, k=1)


def runs(row="SimCLR", **more):
    return [{"row": row, "seed": seed, "accuracy": 0.5 + 0.1 * seed, **more} for seed in range(3)]


def test_accuracy_by_share_of_labels():
    made = [
        run
        for how in plots.WAYS
        for share in (0.01, 1.0)
        for run in runs(how=how, share=share, labels=int(100 * share))
    ]
    figure = plots.few_labels_figure({"shapes": made, "photos": made})
    left = figure.axes[0]
    assert [line.get_ydata().tolist() for line in left.lines[:5]] == [pytest.approx([0.6, 0.6])] * 5
    assert [label.get_text() for label in left.get_xticklabels()] == ["1%\n1 labels", "100%\n100 labels"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [name for name, *_ in plots.WAYS.values()]


def test_transfer_names_its_rows_and_ways():
    made = [
        ("random", "kNN", 0.1),
        ("random", "kNN", 0.2),
        ("old", "all", 0.7),
        ("old", "kNN", 0.5),
        ("old", "scratch", 0.4),
        ("old", "scratch", 0.6),
    ]
    figure = plots.transfer_figure(
        {"new": [{"start": start, "how": how, "accuracy": accuracy} for start, how, accuracy in made]}, chance=0.2
    )
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["random", "old"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "kNN",
        "all layers fine-tuned",
        "from scratch",
        "its mean",
        "chance",
    ]
    assert any(
        list(line.get_xdata()) == pytest.approx([0.5, 0.5]) and line.get_linestyle() == ":"
        for line in figure.axes[0].lines
    )
    assert any(list(line.get_xdata()) == [0.2, 0.2] and line.get_linestyle() == "--" for line in figure.axes[0].lines)


def test_the_other_figures_draw_what_they_are_given():
    made = [
        run
        for row in plots.SOURCES
        for stage in (1, 2)
        for run in runs(row, stage=stage, iou=0.4, everything=0.2, scale=0.3)
    ]
    assert plots.iou_figure(made, [0.9, 0.8]).axes[0].lines[0].get_ydata().tolist() == [0.9, 0.8]
    assert [t.get_text() for t in plots.factors_figure(made, ["scale"]).axes[0].get_yticklabels()] == ["scale"]
    curves = plots.precision_figure({"raw pixels": [0.4, 0.3], "SimCLR": [0.9, 0.8]}, (1, 10), 0.1)
    assert [t.get_text() for t in curves.legends[0].get_texts()] == ["raw pixels", "SimCLR"]
    masks = np.zeros((2, 4, 4), bool)
    drawn = plots.masks_figure(np.ones((2, 4, 4, 3)), {"none": masks})
    assert [axes.get_title() for axes in drawn.axes[:2]] == ["card", "none"]
    assert drawn.axes[1].images[0].get_array().max() == pytest.approx(0.18), "what is not the object is dark"
    assert len(plots.ways_figure().axes[0].patches) == 30
