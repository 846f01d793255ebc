"""The whole site: built once, then looked at in a browser that can reach no other host.

Skipped where there is no Chromium or no Sphinx. Screenshots lie in build/browser/.
"""

import functools
import http.server
import importlib.util
import itertools
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser import SCREENSHOTS
from lab_pages import in_browser

ROOT = Path(__file__).parents[1]
pytestmark = [
    *in_browser,
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}: pip install -e '.[dev]'")
        for name in ("sphinx", "axe_playwright_python")
    ),
]
MAX_BYTES = 1_500_000  # a page without the scripts and pictures that it shares or loads when they come into sight
JUDGED = ("index", "lessons/02_infonce", "instructors", "library/cl_course.losses")
NOT_MOUNTED = """[...document.querySelectorAll("[data-lab]")]
    .filter(e => !e.querySelector(".cl-lab") || e.querySelector(".lab-broken")).map(e => e.dataset.lab)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, durations) -> Path:
    """Built as `make site` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sources").mkdir()
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", ROOT / "site"]
    command += ["-d", folder / "doctrees", folder / "sources", folder / "html"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    durations["the site, built"] = time.monotonic() - start
    assert done.returncode == 0, done.stderr[-5000:]
    return folder / "html"


@pytest.fixture(scope="module")
def address(site):
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@contextmanager
def opened(browser, home: str, **options):
    """A page of a new window; asking another host, or a word on the console, fails the test."""
    context = browser.new_context(**options)
    page, asked, said = context.new_page(), [], []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))

    def only_home(route):
        asked.append(route.request.url)
        route.continue_() if asked[-1].startswith(home) else route.abort()

    context.route("**/*", only_home)
    yield page
    context.close()
    assert [url for url in asked if not url.startswith((home, "data:"))] == [] and said == []


def pages_of(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


@pytest.mark.parametrize("width, theme", [(480, "dark"), (1320, "light")])  # 1320: just wide enough for both menus
def test_every_page_loads_fits_and_its_labs_are_alive(site, address, browser, width, theme):
    labs = 0
    with opened(browser, address, viewport={"width": width, "height": 1000}, color_scheme=theme) as page:
        for name in pages_of(site):
            page.goto(address + name)
            assert page.evaluate(NOT_MOUNTED) == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} scrolls sideways"
            labs += page.locator(".cl-lab").count()
    assert labs >= 1


@pytest.mark.parametrize("width, theme", [(480, "dark"), (1400, "light")])
@pytest.mark.parametrize("name", JUDGED)
def test_no_serious_fault_of_access(address, browser, name, width, theme):
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, address, viewport={"width": width, "height": 1000}, color_scheme=theme) as page:
        page.goto(f"{address}{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"site {name.replace('/', ' ')} {width} {theme}.png")
        faults = Axe().run(page).response["violations"]
    serious = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
    assert not [(fault["id"], fault["nodes"][0]["html"][:200], len(fault["nodes"])) for fault in serious]


def test_no_page_is_heavy(site):
    assert not {name: size for name in pages_of(site) if (size := (site / name).stat().st_size) >= MAX_BYTES}


def test_every_file_that_a_page_names_is_there(site):
    for name in pages_of(site):
        page = site / name
        named = set(re.findall(r'\s(?:href|src)="(?!https?:|mailto:|data:|#)([^"#?]+)', page.read_text()))
        assert not [file for file in named if not (page.parent / unquote(file)).is_file()], name


def test_no_page_loads_anything_from_another_host(site):
    """Links may lead there; scripts, styles and pictures may not."""
    for name in pages_of(site):
        loaded = re.findall(r"<(?:script|img|iframe|source|link)\b[^>]*>", (site / name).read_text())
        foreign = [tag for tag in loaded if re.search(r'\s(?:src|href)="(?:https?:)?//', tag)]
        assert not [tag for tag in foreign if 'rel="canonical"' not in tag], name
    for path in site.rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//|@import", path.read_text()), path.name


def test_lessons_are_folded_as_in_their_notebooks(site, address, browser):
    with opened(browser, address) as page:
        page.goto(f"{address}lessons/02_infonce.html")
        for label in ("Set-up: finds the course", "Parameters: what", "Imports", "Hint 1"):
            details = page.locator("details", has=page.locator(f'summary:has-text("{label}")')).first
            assert details.get_attribute("open") is None
        deeper = page.locator('section:has(> :is(h2, h3):has-text("Going deeper")) > details.deeper')
        assert deeper.count() == 3 and not deeper.first.locator("p").first.is_visible()
        deeper.first.locator("summary").first.press("Enter")
        assert deeper.first.locator("p").first.is_visible()
        assert page.locator("math").count() > 30 and "$" not in page.locator("article p").all_text_contents()


def test_lessons_come_in_order(site):
    lessons = sorted(path.stem for path in (site / "lessons").glob("*.html"))
    for name, after in itertools.pairwise(lessons):
        assert f'class="next-page" href="{after}.html"' in (site / "lessons" / f"{name}.html").read_text()


def test_the_search_finds_a_word_of_a_lesson(address, browser):
    with opened(browser, address) as page:
        page.goto(f"{address}search.html?q=temperature")
        page.locator("#search-results li a", has_text="02 InfoNCE and temperature").first.wait_for()


def test_the_lab_works_from_a_folder(site, browser):
    home = site.as_uri()
    with opened(browser, home) as page:
        page.goto(f"{home}/index.html")
        assert page.evaluate(NOT_MOUNTED) == [] and page.locator(".cl-lab").count() == 1
        words = page.locator(".lab-report").text_content()
        page.get_by_role("button", name="One step").click()
        page.wait_for_function("before => document.querySelector('.lab-report').textContent !== before", arg=words)


def test_every_bundle_works_as_a_plain_script(site, browser):
    scripts = sorted((site / "_static" / "labs").glob("*.js"))
    assert {path.stem for path in scripts} == {path.name[:-10] for path in ROOT.glob("cl_course/**/*.bundle.js")}
    with opened(browser, site.as_uri()) as page:
        page.goto(f"{site.as_uri()}/instructors.html")
        for path in scripts:
            page.add_script_tag(path=path)
            assert page.evaluate("name => typeof window.courseLabs[name].render", path.stem) == "function"


def test_without_javascript_the_place_of_a_lab_says_so(address, browser):
    with opened(browser, address, java_script_enabled=False) as page:
        page.goto(f"{address}index.html")
        assert page.get_by_text("It needs JavaScript").is_visible()
