"""JupyterLab in a headless browser, used as a learner uses it: what can be pressed, and what is seen.

Nothing of the user's is touched: Jupyter's settings and runtime files, the notebooks and the
browser's profile lie in folders of the test's own, and no news is fetched.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from lab_pictures import FLAGS, find_browser

if TYPE_CHECKING:  # the tests are skipped where it is not installed
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
SCREENSHOTS = ROOT / "build/browser"
START = 120  # seconds for the server, for opening a notebook and for running it: the machine may be busy
ANSWER = 30  # seconds from a key to what it changes
WINDOW = {"width": 1280, "height": 900}


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, path)


@dataclass(frozen=True)
class Server:
    """JupyterLab at loopback; `notebooks` is the folder that it shows."""

    port: int
    token: str
    notebooks: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[Server]:
    """JupyterLab over `folder`/notebooks; it ends with its kernels, however the tests end."""
    overrides = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}
    }  # the question would cover the page
    for name in ("notebooks", "config/labconfig"):
        (folder / name).mkdir(parents=True)
    (folder / "config/labconfig/default_setting_overrides.json").write_text(json.dumps(overrides))
    server = Server(_free_port(), secrets.token_hex(16), folder / "notebooks")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        f"--port={server.port}",
        "--ServerApp.port_retries=0",
    ]
    command += [f"--ServerApp.root_dir={server.notebooks}", f"--IdentityProvider.token={server.token}"]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    own = {f"JUPYTER_{name.upper()}_DIR": str(folder / name) for name in ("config", "data", "runtime")}
    environment = os.environ | own | {"IPYTHONDIR": str(folder / "ipython"), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(ROOT), "CL_COURSE_STRICT": "0"}  # as a learner starts, whatever a test has set
    log = folder / "jupyter.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=server.notebooks,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_answer(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)  # it shuts its kernels down first
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # a kernel whose server is gone ends by itself
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_answer(server: Server, process: subprocess.Popen, log: Path) -> None:
    last = time.monotonic() + START
    while time.monotonic() < last and process.poll() is None:
        try:
            with urllib.request.urlopen(server.url("api/status"), timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"jupyter lab did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def headless_browser(folder: Path) -> Iterator["Browser"]:
    """Chromium whose home is `folder`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=FLAGS, env=os.environ | {"HOME": str(folder)}
        )
        yield browser
        browser.close()


def wait_until(done: Callable[[], bool], what: str, seconds: float = ANSWER) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.03)


class Notebook:
    """A notebook open in JupyterLab, in a window and a workspace of its own.

    Cells out of sight are not laid out: they have `textContent`, but no `innerText` and no size.
    """

    def __init__(self, browser: "Browser", server: Server, name: str):
        self.name = name
        self.page: Page = browser.new_page(viewport=WINDOW)
        self.page.set_default_timeout(1000 * ANSWER)
        self.page.goto(f"{server.url(f'lab/workspaces/{Path(name).stem}/tree/{name}')}&reset", timeout=1000 * START)
        # The kernel's own sign says "idle" even before there is a kernel; what is run then is lost.
        self.page.get_by_text(re.compile(r"\| Idle$")).wait_for(timeout=1000 * START)
        self.cells = self.page.locator(".jp-CodeCell")

    def run_all(self) -> None:
        self.page.locator('.lm-MenuBar-item:has-text("Run")').click()
        self.page.locator('.lm-Menu-itemLabel:text-is("Run All Cells")').click()
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt")
        sign = self.page.locator(".jp-Notebook-ExecutionIndicator")

        def have_run() -> bool:  # the prompt of a folded cell is empty, before and after
            numbered = [bool(re.search(r"\[\d+\]", prompt)) for prompt in prompts.all_text_contents() if prompt]
            return any(numbered) and all(numbered) and sign.get_attribute("data-status") == "idle"

        wait_until(have_run, "all cells have run", START)

    def errors(self) -> list[str]:
        """Everything that a learner would take for a mistake."""
        return self.page.locator(
            ", ".join(
                f'.jp-OutputArea [data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr")
            )
        ).all_text_contents()

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{re.sub(r'[^0-9A-Za-z]+', '-', name).strip('-')}.png")
