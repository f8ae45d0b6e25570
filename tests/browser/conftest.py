"""Dagster's UI on a small root, and a headless browser that looks at it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.configuration import write_config
from tests.helpers.user_interface import Backfill, Dagster, launch_backfill, serve

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; without it the tests are skipped."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium (make test-browser does)")
    return found


@pytest.fixture(scope="session")
def dagster(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    """`dynvision ui` on a small root in which nothing has been made; stopped as a user stops it."""
    root = tmp_path_factory.mktemp("browser") / "root"
    write_config(root)
    with serve(root) as server:
        yield server


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """A headless browser."""
    playwright_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: the extra 'dev' has it"
    )
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page, large enough for the whole graph."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.fixture(scope="session")
def whole_graph(dagster: Dagster, browser: Any) -> Backfill:
    """Everything, from nothing, in one backfill: launched on the page of the graph, and not waited for."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.goto(f"{dagster.url}/asset-groups")
    page.locator('button:has-text("Materialize all")').first.click()
    dialog = page.locator("[role=dialog].dagster-dialog")
    dialog.get_by_role("button", name="All", exact=True).click()
    backfill = launch_backfill(dagster, dialog)
    context.close()
    return backfill


@pytest.fixture
def screenshot(page: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Path]:
    """Save a picture of the page to `$DYNVISION_SCREENSHOTS`, else to the test's own folder."""
    folder = Path(os.environ.get("DYNVISION_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    test = re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))

    def save(name: str) -> Path:
        path = folder / f"{test}-{name}.png"
        page.screenshot(path=path)
        return path

    return save
