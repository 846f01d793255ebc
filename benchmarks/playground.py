"""The playground of lesson 00 in headless Chromium on one core: how fast it trains, and what each preset comes to.

    python benchmarks/playground.py                60 seconds of steps at the speed that is measured here, three seeds
    python benchmarks/playground.py --steps 1200   as many as 60 seconds hold at the bar of 20 a second
    python benchmarks/playground.py --seeds 1 --steps 300 --preset BYOL

The speed is that of the page as a reader has it, drawing included. The runs are the same steps without the drawing.
What a machine does beside this shows in the speed, and in nothing else: a run depends on preset, seed and steps alone.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tests", "notebooks")]  # its headless browser

from browser import headless_browser

from cl_course.lessons.shared.lab_page import STYLE, page_lab
from cl_course.lessons.start_here import lab_playground

PACE, KNN, SHORTCUT, COLLAPSED = 20, 0.8, 0.5, 0.1  # the bars: steps a second, and what must come out
MINUTE, WARM_UP, WINDOW = 60, 4, 10  # seconds
PAGE = f'<!doctype html><html lang="en"><style>{STYLE}</style><body><main id="lab"></main></body></html>'
MOUNT = """async ([code, data]) => {
    window.lab = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))
    window.lab.default.render({ model: { get: () => data }, el: document.getElementById("lab") })
}"""
RUN = """([preset, seed, steps]) => {
    const news = [], runner = new lab.Runner((one) => news.push(one), 0)
    const { settings } = lab.PRESETS.find(({ name }) => name === preset)
    runner.receive({ kind: "restart", settings: { ...lab.HEALTHY, ...settings, seed } })
    runner.receive({ kind: "advance", steps })
    return [news[0].measured[0], { ...runner.trainer.measure(), loss: news.at(-1).losses.at(-1) }]
}"""


def pace(page) -> float:
    """Steps a second of the healthy preset, while the page draws."""

    def steps() -> int:
        return int(re.search(r"step ([\d,]+)", page.locator(".lab-report").text_content())[1].replace(",", ""))

    page.get_by_role("button", name="Train").click()
    time.sleep(WARM_UP)
    before, start = steps(), time.monotonic()
    time.sleep(WINDOW)
    found = (steps() - before) / (time.monotonic() - start)
    page.get_by_role("button", name="Pause").click()
    return found


def misses(preset: str, knn: float, spread: float) -> list[str]:
    """The bars that a run has missed."""
    if preset in ("BYOL, no predictor", "BYOL, no stop-gradient"):
        return [] if spread < COLLAPSED else [f"spread {spread:.2f}, expected below {COLLAPSED}"]
    found = [] if spread >= COLLAPSED else [f"spread {spread:.2f}, expected at least {COLLAPSED}"]  # NaN misses as well
    if preset == "Healthy SimCLR" and not knn >= KNN:
        found.append(f"kNN {knn:.2f}, expected at least {KNN}")
    if preset == "Colours unchanged" and not knn < SHORTCUT:
        found.append(f"kNN {knn:.2f}, expected below {SHORTCUT}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--steps", type=int, help="of each run; without it, 60 seconds of them")
    parser.add_argument("--preset", help="this one alone")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the browser inherits it
    missed = []
    with tempfile.TemporaryDirectory() as home, headless_browser(Path(home)) as browser:
        page = browser.new_page(viewport={"width": 960, "height": 900})
        page.set_content(PAGE)
        widget = page_lab(lab_playground.__file__, "lab_playground", seed=0, posed=0)
        page.evaluate(MOUNT, [widget._esm, widget.data])
        speed = pace(page)
        steps = chosen.steps or round(MINUTE * speed)
        print(f"{speed:.1f} steps a second (bar: {PACE}) on one core, load of the machine {os.getloadavg()[0]:.1f}")
        if speed < PACE:
            missed.append(f"{speed:.1f} steps a second, expected at least {PACE}")
        print(f"after {steps} steps, on 240 drawings held out (at the start in brackets)")
        names = page.evaluate("lab.PRESETS.map(({ name }) => name)")
        for preset in [name for name in names if chosen.preset in (None, name)]:
            for seed in range(chosen.seeds):
                start, end = page.evaluate(RUN, [preset, seed, steps])
                said = misses(preset, end["knn"], end["spread"])
                missed += [f"{preset}, seed {seed}: {miss}" for miss in said]
                print(
                    f"{preset:<24} seed {seed}  kNN {end['knn']:.2f} ({start['knn']:.2f})  "
                    f"spread {end['spread']:.3f} ({start['spread']:.2f})  effective rank {end['rank']:4.1f}  "
                    f"loss {end['loss']:.2f}  {'missed' if said else ''}",
                    flush=True,
                )
    print("\n".join(missed) if missed else "all bars are met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
