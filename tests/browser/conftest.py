"""Dagster's UI on a small root, and a headless browser that looks at it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.commands import environment
from tests.helpers.configuration import write_config

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

FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}

RUNS = """query Runs {
  runsOrError { ... on Runs { results { runId status assetSelection { path } tags { key value } } } }
}"""


@dataclass(frozen=True)
class Dagster:
    """The UI of a root.

    Attributes:
        root: The folder that holds `data/`.
        url: Where the UI is.
        log: What the server printed.
    """

    root: Path
    url: str
    log: Path

    def query(self, text: str) -> Any:
        """Ask the server's GraphQL."""
        body = json.dumps({"query": text}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.loads(answer.read())
        assert "errors" not in content, content["errors"]
        return content["data"]

    def runs(self) -> dict[str, dict[str, Any]]:
        """All runs by their id."""
        return {run["runId"]: run for run in self.query(RUNS)["runsOrError"]["results"]}

    def backfills(self) -> list[str]:
        """The ids of all backfills."""
        found = self.query("{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }")
        return [backfill["id"] for backfill in found["partitionBackfillsOrError"]["results"]]

    def config_of(self, key: str) -> dict[str, str]:
        """The settings of an asset that have a description, with it."""
        path = json.dumps(key.split("/"))
        fields = "... on CompositeConfigType { fields { name description } }"
        found = self.query(
            f"{{ assetNodeOrError(assetKey: {{path: {path}}}) {{ ... on AssetNode {{ configField {{ configType {{ "
            f"{fields} recursiveConfigTypes {{ {fields} }} }} }} }} }} }}"
        )["assetNodeOrError"]["configField"]["configType"]
        known = [field for one in (found, *found["recursiveConfigTypes"]) for field in one.get("fields", [])]
        return {field["name"]: field["description"] for field in known if field["description"]}

    def wait_for_runs(self, known: set[str], timeout: float = 180) -> list[dict[str, Any]]:
        """Wait until there are runs that were not known, and all of them have finished."""
        return wait_for(lambda: self._finished(known), timeout, f"a finished run in the UI; see {self.log}")

    def _finished(self, known: set[str]) -> list[dict[str, Any]]:
        new = [run for name, run in self.runs().items() if name not in known]
        return new if all(run["status"] in FINISHED for run in new) else []


def wait_for(look: Callable[[], Any], timeout: float, what: str) -> Any:
    """Wait until `look` gives something, and give that."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


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


@contextmanager
def serve(root: Path) -> Iterator[Dagster]:
    """Run `dynvision ui` on a root."""
    url = f"http://127.0.0.1:{_free_port()}"
    server = Dagster(root, url, root / "ui.log")
    with server.log.open("w") as log:
        command = [sys.executable, "-m", "dynvision_assets.command_line", "ui", "--port", url.rpartition(":")[2]]
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment(root),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: process.poll() is not None or _answers(server), 120, f"the page; see {server.log}")
            assert process.poll() is None, server.log.read_text()
            yield server
        finally:
            _stop(process)


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


@dataclass(frozen=True)
class Backfill:
    """A backfill that was launched in the browser.

    Attributes:
        dagster: The server.
        name: Its id.
    """

    dagster: Dagster
    name: str

    def wait(self, runs: int, timeout: float = 500) -> list[dict[str, Any]]:
        """Wait until as many runs of it have finished; the daemon marks the backfill itself much later."""

        def look() -> list[dict[str, Any]]:
            tag = {"key": "dagster/backfill", "value": self.name}
            found = [run for run in self.dagster.runs().values() if tag in run["tags"]]
            assert not [run for run in found if run["status"] in ("FAILURE", "CANCELED")], found
            done = [run for run in found if run["status"] == "SUCCESS"]
            return done if len(done) == len(found) >= runs else []

        return wait_for(look, timeout, f"{runs} runs of the backfill {self.name}; see {self.dagster.log}")


def launch_backfill(dagster: Dagster, dialog: Any) -> Backfill:
    """Press the button, and find the backfill that it made."""
    known = set(dagster.backfills())
    dialog.get_by_role("button", name="Launch backfill").click()
    (name,) = wait_for(lambda: set(dagster.backfills()) - known, 60, "a backfill")
    return Backfill(dagster, name)


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


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(server: Dagster) -> bool:
    """Whether the page is served and the definitions are loaded."""
    try:
        found = server.query("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    entries = found["workspaceOrError"]["locationEntries"]
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server with SIGINT; whatever of its own session outlives it is ended and reported."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
    left = _session_of(process.pid)
    end = time.monotonic() + 20
    while left and time.monotonic() < end:
        time.sleep(0.5)
        left = _session_of(process.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"the server left processes behind: {left}"


def _session_of(leader: int) -> list[int]:
    """The processes of the session that the server leads, by id."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold spaces: state, parent, group and session follow it.
            state, _, _, session, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found
