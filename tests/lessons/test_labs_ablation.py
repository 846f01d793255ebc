"""The ablation lab: what is covered stays covered, a guess is scored once, and every setting can be drawn."""

from itertools import product

import pytest

from cl_course.lessons.shared.ablation_figure import ablation_figure
from cl_course.lessons.shared.tables import runs_table
from cl_course.lessons.simclr.lab_ablation import AblationLab

TEMPERATURES, AUGMENTS, BATCHES = (0.05, 0.3), ("crop", "all"), (32, 128)


@pytest.fixture
def runs():
    """Invented: what a run scores can be read off its setting."""
    settings = product(TEMPERATURES, AUGMENTS, BATCHES, range(3))
    return [
        {
            "temperature": t,
            "augment": a,
            "batch_size": b,
            "seed": s,
            "knn": t + 0.4 * (a == "all") + b / 1000 + 0.01 * s,
        }
        for t, a, b, s in settings
    ]


@pytest.fixture
def lab(runs):
    return AblationLab(
        runs, start={"temperature": 0.3, "augment": "all", "batch_size": 128}, revealed=[(0.3, "all", 128)]
    )


def words_in(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_it_starts_where_it_should(lab):
    assert lab.chosen == {"temperature": 0.3, "augment": "all", "batch_size": 128}
    assert lab.sentence == "temperature 0.3, augmentation all, batch size 128: mean 0.838 (seeds 0.828, 0.838, 0.848)."
    assert words_in(lab.figure()).count("?") == 3, (
        "of the four settings in sight, one is known (it stands in all three panels)"
    )


def test_a_covered_setting_shows_nothing_until_it_is_guessed(lab):
    lab.controls["temperature"].value = 0.05
    assert "covered" in lab.sentence and "0.5" not in lab.sentence
    assert any("your guess 0.50" in word for word in words_in(lab.figure()))
    lab.guess.value = 0.7
    lab.reveal.click()
    assert (
        lab.sentence == "temperature 0.05, augmentation all, batch size 128: mean 0.588 (seeds 0.578, 0.588, 0.598). "
        "1 guessed so far, off by 0.11 on average."
    )
    assert not any("guess" in word for word in words_in(lab.figure()))
    assert lab.revealed == {(0.3, "all", 128), (0.05, "all", 128)}, "one guess opens one setting"
    assert lab.guess.disabled and lab.reveal.disabled, "nothing is left to guess here"


def test_a_guess_counts_once(lab):
    lab.controls["augment"].value = "crop"
    lab.guess.value = 0.438
    for _ in range(3):
        lab.reveal.click()
    assert len(lab.errors) == 1 and lab.errors[0] == pytest.approx(0)
    lab.controls["augment"].value = "all"
    lab.reveal.click()
    assert len(lab.errors) == 1, "a setting known from the start is no guess"


def test_reveal_all_scores_nothing(lab):
    lab.reveal_all.click()
    assert not lab.errors and lab.revealed == set(product(TEMPERATURES, AUGMENTS, BATCHES))
    assert "?" not in words_in(lab.figure())


def test_the_picture_follows_every_slider(lab):
    lab.reveal_all.click()
    seen = {lab.picture.value}
    for t, a, b in product(TEMPERATURES, AUGMENTS, BATCHES):
        lab.controls["temperature"].value, lab.controls["augment"].value, lab.controls["batch_size"].value = t, a, b
        seen.add(lab.picture.value)
        assert f"mean {t + 0.4 * (a == 'all') + b / 1000 + 0.01:.3f}" in lab.sentence
    assert len(seen) == 8


def test_a_setting_that_was_not_run_is_said_to_be_missing(runs):
    lab = AblationLab(
        [run for run in runs if (run["temperature"], run["augment"]) != (0.05, "crop")],
        start={"temperature": 0.05, "augment": "all", "batch_size": 32},
    )
    lab.controls["augment"].value = "crop"
    assert "not among the recorded runs" in lab.sentence
    lab.reveal.click()
    assert not lab.errors


def test_the_figure_shows_every_seed_and_the_mean(runs):
    figure = ablation_figure(runs, {"temperature": 0.3, "augment": "all", "batch_size": 128})
    panel = figure.axes[0]
    heights = sorted(float(y) for dots in panel.collections for y in dots.get_offsets()[:, 1])
    assert heights == pytest.approx([0.578, 0.588, 0.598, 0.828, 0.838, 0.848])
    assert list(panel.lines[1].get_ydata()) == pytest.approx([0.588, 0.838])
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["crop", "all"]


def test_the_table_has_every_setting(runs):
    rows, columns = runs_table(runs, rows=("augment", "batch_size"), column="temperature")
    assert columns == ["augmentation", "batch size", "temperature 0.05", "temperature 0.3"]
    assert rows[:2] == [
        ["crop", "32", "0.092 ± 0.010", "0.342 ± 0.010"],
        ["crop", "128", "0.188 ± 0.010", "0.438 ± 0.010"],
    ]
    assert len(rows) == 4
    assert len(runs_table(runs[:1], rows=("augment",), column="temperature")[0][0][1]) == 5, "one seed has no spread"
    assert runs_table([runs[0], runs[-1]], ("augment",), "temperature")[0][0][2] == "–"
