"""Takes figures/site.png, the picture with which README opens: the site's first page while its network has learned.

    make site && python benchmarks/site_picture.py
"""

import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "notebooks")]
from browser import headless_browser, wait_until

STEPS = 900
SIZE = {"width": 1400, "height": 1000}


def step_of(page) -> int:
    found = re.search(r"step ([\d,]+)", page.locator(".lab-report").first.text_content())
    return int(found[1].replace(",", "")) if found else 0


if __name__ == "__main__":
    start = ROOT / "build" / "site" / "index.html"
    if not start.is_file():
        sys.exit(f"{start.relative_to(ROOT)} is missing: run make site first")
    with tempfile.TemporaryDirectory() as home, headless_browser(Path(home)) as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto(start.as_uri())
        page.get_by_role("button", name="Train").click()
        wait_until(lambda: step_of(page) >= STEPS, f"{STEPS} steps", seconds=600)
        page.get_by_role("button", name="Pause").click()
        page.mouse.move(SIZE["width"] - 5, 5)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.save(ROOT / "figures" / "site.png", optimize=True)
