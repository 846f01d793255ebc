"""The target lab in the page: its mathematics is the package's, and its sliders show both collapses."""

import re

import pytest
import torch
from browser import wait_until
from lab_examples import targets
from lab_pages import LabPage, in_browser

from cl_course.lessons.family.lab_targets import CARDS, EVERY, packed, unpacked
from cl_course.lessons.family.small_runs import PROTOTYPES, STEPS, entropies
from cl_course.running import records

RUN = records.read("family_targets")["runs"][0]


def recorded() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (looks, CARDS, PROTOTYPES), and the mean scores of each step's batch."""
    return unpacked(RUN["scores"]).view(-1, CARDS, PROTOTYPES), unpacked(RUN["means"]).view(-1, PROTOTYPES)


def test_packing_keeps_four_digits():
    values = torch.randn(50) * 3
    assert torch.allclose(unpacked(packed(values)), values.double(), atol=3e-4)
    scores, means = recorded()
    assert len(scores) == STEPS // EVERY + 1 and len(means) == STEPS
    assert scores.abs().max() <= 1.0001  # cosines


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"temperature": 0}, "temperature must be a finite number at least 0.01 and at most 1"),
        ({"momentum": 1.5}, "momentum must be a finite number at least 0 and at most 1"),
        ({"step": 3}, f"step must be a multiple of {EVERY}"),
        ({"step": STEPS + EVERY}, "step must be a whole number from 0"),
    ],
)
def test_refuses_settings_out_of_range(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        targets(**wrong)


class TestInThePage:
    pytestmark = in_browser

    @pytest.fixture
    def page(self, browser):
        page = LabPage(browser, targets())
        yield page
        page.close("targets")

    @pytest.mark.parametrize("temperature, momentum, look", [(0.04, 0.9, 12), (0.5, 0.0, 7), (0.02, 1.0, 3)])
    def test_targets_and_entropies_are_python_s(self, page, temperature, momentum, look):
        scores, means = recorded()
        center = torch.zeros(PROTOTYPES, dtype=torch.double)
        for now in means[: look * EVERY]:
            center = momentum * center + (1 - momentum) * now
        expected = ((scores[look] - center) / temperature).softmax(dim=1)
        found, measured = page.page.evaluate(
            """([data, temperature, momentum, look]) => {
                const means = lab.rows(lab.unpack(data.means), data.prototypes)
                const looks = lab.rows(lab.rows(lab.unpack(data.scores), data.prototypes), data.cards)
                const centre = lab.centreAt(means, momentum, look * data.every)
                const targets = lab.targetsOf(looks[look], centre, temperature)
                return [targets, lab.measure(targets)]
            }""",
            [targets().data, temperature, momentum, look],
        )
        assert torch.allclose(torch.tensor(found, dtype=torch.double), expected, atol=1e-6)
        assert (measured["own"], measured["all"]) == pytest.approx(entropies(expected), abs=1e-5)
        assert measured["tells"] == pytest.approx(measured["all"] - measured["own"])

    def test_both_collapses_are_named(self, page):
        temperature = page.page.get_by_role("slider", name="teacher's temperature")
        momentum = page.page.get_by_role("slider", name="centre's momentum")
        assert "Different cards have different targets." in page.words
        momentum.press("End")
        temperature.press("Home")
        wait_until(lambda: "no centre" in page.words, "no centre")
        told = float(re.search(r"tells ([\d.]+) nats", page.words)[1])
        temperature.press("End")
        wait_until(lambda: "nearly uniform" in page.words, "uniform targets")
        assert told > float(re.search(r"tells ([\d.]+) nats", page.words)[1])

    def test_the_step_moves_by_the_keyboard_and_plays_to_the_end(self, page):
        step = page.page.get_by_role("slider", name="step", exact=True)
        step.press("Home")
        wait_until(lambda: "Step 0," in page.words, "step 0")
        page.page.get_by_role("button", name="Play").press("Enter")
        wait_until(lambda: f"Step {STEPS}," in page.words, "the last step")
