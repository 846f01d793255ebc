"""A lab on a page of its own, in headless Chromium without a network; the fixture `browser` is in conftest.py."""

import importlib.util
import json

import pytest
from browser import SCREENSHOTS, find_browser, wait_until

from cl_course.lessons.shared.lab_page import STYLE

in_browser = [
    pytest.mark.skipif(find_browser() is None, reason="no chromium on the PATH: apt-get install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="no playwright: pip install playwright"),
]
PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><title>lab</title>
<meta name="viewport" content="width=device-width"><style>{style}</style></head>
<body><main id="lab"></main></body></html>"""
MOUNT = """async ([code, data]) => {
    const file = URL.createObjectURL(new Blob([code], { type: "text/javascript" }))
    window.lab = await import(file)
    const el = document.getElementById("lab")
    window.lab.default.render({ model: { get: () => data }, el })
}"""


# Controls without a name that a screen reader could say.
NAMELESS = """area => [...area.querySelectorAll("input, button, select, [tabindex='0'], [role=option]")].filter(e => !(
    e.ariaLabel || e.getAttribute("aria-labelledby") || e.title || e.textContent.trim() || (e.labels ?? []).length
)).map(e => e.outerHTML.slice(0, 100))"""


class LabPage:
    """One lab on a page of its own; nothing may reach the network, and nothing may be written to the console."""

    def __init__(self, browser, widget, width=960, theme="light", touch=False):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, has_touch=touch)
        self.page = self.context.new_page()
        self.asked, self.said = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.set_content(PAGE.format(theme=theme, style=STYLE))
        self.page.evaluate(MOUNT, [widget._esm, json.loads(json.dumps(widget.data))])

    @property
    def words(self) -> str:
        return self.page.locator(".lab-report").text_content()

    @property
    def alt(self) -> str:
        return self.page.evaluate("document.getElementById('lab').labAlt()")

    def rest(self) -> None:
        """Wait until the lab no longer says that it is busy, and has said what is seen."""
        wait_until(lambda: self.page.locator(".cl-lab[aria-busy=true]").count() == 0, "the lab has done its work")
        wait_until(lambda: self.words, "the picture in words")

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def close(self, name: str) -> None:
        self.screenshot(name)
        self.context.close()
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("blob:", "about:", "data:"))] == []


def shown_by(module, make, **settings):
    """The widget that a lab displays."""
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "display", shown.append)
        make(**settings)
    return shown[0]
