"""The plan lab in a browser: its numbers are Python's, and what it says is what its sliders stand at.

Skipped where there is no Chromium. Screenshots lie in build/browser/.
"""

from itertools import product

import pytest
from browser import wait_until
from lab_examples import planner
from lab_pages import LabPage, in_browser

from cl_course.lessons.full_scale.planner import estimate

pytestmark = in_browser


@pytest.fixture
def page(browser):
    page = LabPage(browser, planner())
    page.rest()
    yield page
    page.close("plan")


def test_the_pages_numbers_are_pythons(page):
    costs = planner().data["costs"]
    sides, options = (32, 64, 96), ([], ["compiled"], ["precision", "checkpointing"])
    for encoder, side, batch, processes, chosen in product(costs, sides, (16, 48, 512, 4096), (1, 4), options):
        plan = {"encoder": encoder, "side": str(side), "batch": batch, "epochs": 7, "images": 10_001}
        mine = page.page.evaluate(
            "([costs, plan]) => lab.estimate(costs, plan)",
            [costs, plan | {"processes": processes, "options": chosen}],
        )
        theirs = estimate(costs, encoder, side, batch, 7, 10_001, processes, chosen)
        assert mine["steps"] == theirs.steps and mine["negatives"] == theirs.negatives
        assert mine["measured"] == theirs.measured
        found = [mine["seconds"], mine["megabytes"], mine["viewsPerSecond"]]
        assert found == pytest.approx([theirs.seconds, theirs.megabytes, theirs.views_per_second])


@pytest.mark.parametrize(
    "seconds, words",
    [(4, "4.0 seconds"), (42.4, "42 seconds"), (120, "2.0 minutes"), (9000, "2.5 hours"), (864000, "10.0 days")],
)
def test_time_in_words(page, seconds, words):
    assert page.page.evaluate("seconds => lab.duration(seconds)", seconds) == words


def test_it_starts_with_the_published_recipe_and_says_that_it_is_extrapolated(page):
    assert page.words.startswith("ResNet-18, 32 pixels, batch 512, 200 epochs of 50,000 images: 19,400 steps, ")
    assert "This is extrapolated: timed were 16 to " in page.words
    assert "Published on an A6000: SimCLR 87 minutes, MoCo 112 minutes, BYOL 108 minutes." in page.words
    assert page.alt == f"Plan lab. {page.words}"


def test_keys_move_every_slider_and_the_words_follow(page):
    page.page.get_by_role("radio", name="small ResNet").check()
    batch = page.page.get_by_role("slider", name="Batch")
    batch.press("ArrowLeft")
    assert batch.get_attribute("aria-valuetext") == "256 images"
    wait_until(lambda: "small ResNet, 32 pixels, batch 256" in page.words, "another encoder and batch")
    assert "This is measured: a step like this was timed" in page.words
    assert "A6000" not in page.words, "published runs are of ResNet-18"
    machines = page.page.get_by_role("slider", name="Machines like this")
    machines.press("ArrowRight")
    wait_until(lambda: " on 2 times " in page.words, "two machines")
    assert "what machines exchange is not counted" in page.words
    images = page.page.get_by_role("slider", name="Data set")
    for _ in range(3):
        images.press("ArrowLeft")
    for _ in range(4):
        batch.press("ArrowRight")
    wait_until(lambda: "the data set has no whole batch; take a smaller one" in page.words, "too few images")


def test_checkpointing_takes_less_memory_and_more_time(page):
    def memory() -> str:
        return page.page.locator("tr:has-text('Memory of each') td").text_content()

    before = memory()
    page.page.get_by_role("checkbox", name="activation checkpointing").check()
    wait_until(lambda: memory() != before, "another memory")
    assert "an option's factor comes from one batch of 32 pixels" in page.words
