"""The labs of recorded runs in the page: the ablation lab and the clinic, by mouse, finger and keyboard."""

import itertools
import re

import numpy as np
import pytest
from browser import wait_until
from lab_examples import ABLATION, CLINIC, HELD, ablation, clinic
from lab_pages import LabPage, in_browser

from cl_course.lessons.pitfalls_and_clinic.evidence import against
from cl_course.lessons.pitfalls_and_clinic.patients import FAULTS, PATIENTS, health_of, sheet

pytestmark = in_browser


@pytest.fixture
def ablation_page(browser):
    page = LabPage(browser, ablation())
    yield page
    page.close("ablation")


def mean_at(temperature, augment, batch) -> float:
    wanted = (temperature, augment, batch)
    return float(np.mean([r["knn"] for r in ABLATION if (r["temperature"], r["augment"], r["batch_size"]) == wanted]))


def test_profiles_and_scores_are_python_s(ablation_page):
    data = ablation().data
    values = [[0.05, 0.3, 1.0], ["crop + flip", "+ jitter", "+ jitter + grey"], [32, 128]]
    for chosen in itertools.product(range(3), range(3), range(2)):
        for factor in range(3):
            means = ablation_page.page.evaluate(
                """([settings, chosen, factor, count]) => {
                    const scores = lab.byPlace(settings)
                    return lab.along(chosen, factor, count).map(at => lab.mean(scores.get(at)))
                }""",
                [data["settings"], chosen, factor, len(values[factor])],
            )
            expected = []
            for place in range(len(values[factor])):
                at = [place if i == factor else held for i, held in enumerate(chosen)]
                expected.append(mean_at(*(of_it[i] for of_it, i in zip(values, at))))
            assert means == pytest.approx(expected, abs=1e-5)
    guesses = [["0,0,0", 0.7], ["2,1,1", 0.2]]
    errors, distance = ablation_page.page.evaluate(
        """([settings, guesses]) => {
            const { errors, distance } = lab.judge(new Map(guesses), lab.byPlace(settings))
            return [[...errors], distance]
        }""",
        [data["settings"], guesses],
    )
    expected = [0.7 - mean_at(0.05, "crop + flip", 32), 0.2 - mean_at(1.0, "+ jitter", 128)]
    assert [error for _, error in errors] == pytest.approx(expected, abs=1e-5)
    assert distance == pytest.approx(np.mean(np.abs(expected)), abs=1e-5)


def test_a_setting_is_covered_until_it_is_guessed(ablation_page):
    page = ablation_page.page
    start = f"temperature 0.3, augmentation + jitter + grey, batch size 128: mean {mean_at(*HELD.values()):.3f}"
    assert start in ablation_page.words and ablation_page.alt.count("covered") == 5
    reveal, guess = page.get_by_role("button", name="Reveal", exact=True), page.get_by_role("slider", name="Your guess")
    assert reveal.get_attribute("aria-disabled") == "true" and guess.is_disabled()
    page.get_by_role("radio", name="crop + flip").check()
    wait_until(lambda: "crop + flip, batch size 128: covered" in ablation_page.words, "another setting, covered")
    truth = mean_at(0.3, "crop + flip", 128)
    assert f"{truth:.2f}" not in page.locator(".cl-lab").inner_text().replace("0.10", "")
    guess.press("ArrowRight")
    assert guess.get_attribute("aria-valuetext") == "0.51"
    reveal.press("Space")
    off = 0.51 - truth
    expected = f"mean {truth:.3f}"
    wait_until(lambda: expected in ablation_page.words, "it is revealed")
    assert f"Your guess of 0.51 was {off:.2f} too high. 1 guessed so far, off by {off:.2f}" in ablation_page.words
    assert page.evaluate("document.activeElement.textContent") == "Reveal", "the keyboard stays where it was"
    words = ablation_page.words
    for _ in range(3):
        reveal.press("Space")
    assert ablation_page.words == words, "a guess counts once"


def test_reveal_all_opens_everything_and_scores_nothing(ablation_page):
    page = ablation_page.page
    page.get_by_role("button", name="Reveal all").press("Space")
    assert "covered" not in ablation_page.alt and "guessed" not in ablation_page.words
    for value in ("0.05", "1.0"):
        page.get_by_role("radio", name=value).check()
        wait_until(lambda value=value: f"temperature {value}" in ablation_page.words, "another setting")
        assert f"mean {mean_at(float(value), '+ jitter + grey', 128):.3f}" in ablation_page.words
        assert "covered" not in ablation_page.alt


def column(page, panel: int, number: int) -> dict:
    """Where a panel's column stands on the page."""
    return page.locator("svg.lab-sheet").nth(panel).locator("rect[fill=transparent]").nth(number).bounding_box()


def test_a_press_in_the_chart_chooses_and_a_drag_guesses(ablation_page):
    page = ablation_page.page
    box = column(page, 1, 0)
    page.mouse.click(box["x"] + 30, box["y"] + 20)
    wait_until(lambda: "crop + flip" in ablation_page.words, "the pressed setting is chosen")
    guess = page.get_by_role("slider", name="Your guess")
    assert page.get_by_role("radio", name="crop + flip").is_checked()
    assert guess.get_attribute("aria-valuetext") == "0.50", "the press that chooses is no guess"
    page.mouse.move(box["x"] + 30, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + box["height"] - 1, steps=5)
    page.mouse.up()
    wait_until(lambda: float(guess.get_attribute("aria-valuetext")) <= 0.02, "the guess is at the bottom")
    page.mouse.move(box["x"] + 30, box["y"] + 20)
    assert float(guess.get_attribute("aria-valuetext")) <= 0.02, "and stays when the button is up"


def test_a_finger_guesses_too(browser):
    touched = LabPage(browser, ablation(start=HELD | {"augment": "+ jitter"}), touch=True)
    box = column(touched.page, 1, 1)
    touched.page.touchscreen.tap(box["x"] + 40, box["y"] + 0.25 * box["height"])
    guess = touched.page.get_by_role("slider", name="Your guess")
    wait_until(lambda: 0.74 <= float(guess.get_attribute("aria-valuetext")) <= 0.80, "1.03 times three quarters")
    touched.close("ablation touched")


def test_a_setting_that_was_not_run_is_said_to_be_missing(browser):
    some = [run for run in ABLATION if (run["temperature"], run["augment"]) != (0.3, "crop + flip")]
    page = LabPage(browser, ablation(runs=some))
    page.page.get_by_role("radio", name="crop + flip").check()
    wait_until(lambda: "not among the recorded runs" in page.words, "it says so")
    page.page.get_by_role("button", name="Reveal", exact=True).press("Space")
    assert "guessed" not in page.words and "crop + flip: not run" in page.alt
    page.close("ablation not run")


def test_where_all_is_revealed_there_is_nothing_to_guess(browser):
    page = LabPage(browser, ablation(revealed=[tuple(run[f] for f in HELD) for run in ABLATION]))
    assert page.page.get_by_role("button").count() == 0 and page.page.get_by_role("slider").count() == 0
    assert "covered" not in page.alt
    page.close("ablation revealed")


@pytest.fixture
def clinic_page(browser):
    page = LabPage(browser, clinic())
    yield page
    page.close("clinic")


def choose(page, name: str) -> None:
    page.page.get_by_role("radio", name=re.compile(f"^{name}")).check()
    page.page.evaluate("new Promise(requestAnimationFrame)")


def ask(page, fault: str) -> None:
    choose(page, f"{list(FAULTS).index(fault) + 1}  ?{re.escape(FAULTS[fault])}")
    page.page.get_by_role("button", name="Is that it?").press("Space")
    page.page.evaluate("new Promise(requestAnimationFrame)")


def test_every_verdict_is_python_s(clinic_page):
    for found, (letter, own) in enumerate(PATIENTS.items()):
        choose(clinic_page, letter)
        run, healthy = sheet(CLINIC, letter)
        ends = [r["rows"][-1]["knn"] for r in CLINIC if r["run"] == own]
        about = f"Patient {letter}, {run['method']}. {health_of(run).sentence} kNN {np.mean(ends):.2f} (seeds "
        assert about in clinic_page.alt and f"a healthy run's {healthy['rows'][-1]['knn']:.2f}." in clinic_page.alt
        for fault in FAULTS:
            if fault != own:
                ask(clinic_page, fault)
                number = list(FAULTS).index(fault) + 1
                assert f"Not fault {number}: {against(CLINIC, letter, fault)} {found} of 6" in clinic_page.words
        ask(clinic_page, own)
        assert clinic_page.words == f"Yes, that is it. {found + 1} of 6 named."
    assert clinic_page.page.get_by_role("radio", name=re.compile("^[A-F] ✓")).count() == 6


def test_nothing_is_told_before_it_is_asked_and_a_right_one_stays(clinic_page):
    choose(clinic_page, "A")
    button = clinic_page.page.get_by_role("button", name="Is that it?")
    assert button.get_attribute("aria-disabled") == "true"
    button.press("Space")
    assert clinic_page.words == '0 of 6 named. Choose a fault, then press "Is that it?" for a verdict.'
    choose(clinic_page, "4")
    assert clinic_page.words == '0 of 6 named. Press "Is that it?" for a verdict.'
    ask(clinic_page, PATIENTS["A"])
    ask(clinic_page, "queue")
    assert "Not fault 7: SimCLR has no queue" in clinic_page.words
    assert "You have named A already, and that stays. 1 of 6 named." in clinic_page.words
    choose(clinic_page, "B")
    assert clinic_page.page.locator("fieldset").last.locator(":checked").count() == 0
    choose(clinic_page, "A")
    assert clinic_page.page.locator("fieldset").last.locator(":checked").count() == 1, "each patient keeps its own"
    assert "Not fault 7" in clinic_page.words


def test_curves_are_read_out_by_mouse_finger_and_keys(browser):
    page = LabPage(browser, clinic("B"), touch=True)
    run, healthy = sheet(CLINIC, "B")

    def expected(epoch: int) -> str:
        here, well = run["rows"][epoch - 1]["loss"], healthy["rows"][epoch - 1]["loss"]
        return f"epoch {epoch}: patient {here:.2f}, healthy {well:.2f}, chance {run['chance']:.2f}"

    loss = page.page.get_by_role("slider", name="Patient B, Loss")
    assert loss.get_attribute("aria-valuetext") == expected(5)
    for key, epoch in (("ArrowLeft", 4), ("ArrowDown", 3), ("ArrowUp", 4), ("ArrowRight", 5), ("ArrowRight", 5)):
        loss.press(key)
        wait_until(lambda epoch=epoch: loss.get_attribute("aria-valuetext") == expected(epoch), f"{key} goes an epoch")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Patient B, Loss"
    box = loss.bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    wait_until(lambda: loss.get_attribute("aria-valuetext") == expected(3), "the mouse points at the middle")
    page.page.touchscreen.tap(box["x"] + 8, box["y"] + 30)
    wait_until(lambda: loss.get_attribute("aria-valuetext") == expected(1), "a finger taps the first")
    spread = page.page.get_by_role("slider", name="Patient B, Spread and rank").get_attribute("aria-valuetext")
    row, well = run["rows"][0], healthy["rows"][0]
    assert spread == (
        f"epoch 1: spread {row['spread']:.2f}, healthy {well['spread']:.2f}, "
        f"rank / d {row['effective_rank'] / 128:.2f}, healthy {well['effective_rank'] / 128:.2f}"
    ), "all panels are at the same epoch"
    pairs = page.page.get_by_role("slider", name="Patient B, similarity of pairs")
    pairs.press("ArrowLeft")
    share = np.mean([0.9 <= v < 0.95 for v in healthy["positive"]])
    wait_until(lambda: "0.90 to 0.95" in pairs.get_attribute("aria-valuetext"), "the bin before")
    assert f"partners 0%, healthy {100 * share:.0f}%" in pairs.get_attribute("aria-valuetext")
    page.close("clinic read out")


def test_examine_opens_a_patient_and_keeps_the_keyboard(clinic_page):
    page = clinic_page.page
    assert (
        page.locator("svg.lab-sheet:visible").count() == 24 and not page.get_by_role("group", name="Diagnosis").count()
    )
    page.get_by_role("button", name="Examine F").press("Space")
    wait_until(lambda: page.locator("svg.lab-sheet:visible").count() == 4, "one patient is left")
    assert page.evaluate("document.activeElement.value") == "F"
    choose(clinic_page, "all six")
    assert page.locator("svg.lab-sheet:visible").count() == 24 and "all patients" in clinic_page.alt
