"""What all tests share: the order in which they run, and what they report at the end."""

import pytest

pytest_plugins = ["archive_files"]  # fixtures that several rooms use
DURATIONS = pytest.StashKey[dict[str, float]]()


def pytest_configure(config):
    config.stash[DURATIONS] = {}


def pytest_collection_modifyitems(items):
    """Whole lessons come last: they keep every core busy, and other tests hold to times."""
    items.sort(key=lambda item: item.path.name == "test_notebooks.py")


@pytest.fixture(scope="session")
def durations(request) -> dict[str, float]:
    """Label -> seconds; what is put here is printed under the results."""
    return request.config.stash[DURATIONS]


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[DURATIONS]:
        terminalreporter.section("seconds a lesson takes headless, on one core, two side by side")
        for label, seconds in sorted(config.stash[DURATIONS].items()):
            terminalreporter.write_line(f"{seconds:6.0f}  {label}")


@pytest.fixture(autouse=True)
def not_strict(monkeypatch):
    """Every test starts as a learner does, whatever a test before it has set."""
    monkeypatch.delenv("CL_COURSE_STRICT", raising=False)
