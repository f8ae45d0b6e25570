"""`dynvision ui --read-only`, as somebody else on the network meets it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.commands import environment
from tests.helpers.user_interface import wait_for

LAUNCH = """mutation {
  launchPartitionBackfill(backfillParams: {assetSelection: [{path: ["raw", "gratings"]}], partitionNames: ["test"]}) {
    __typename
  }
}"""


@pytest.fixture
def read_only(empty_root: Path) -> Iterator[tuple[int, subprocess.Popen[bytes], Path]]:
    """A server that listens on every address, its port, and what it printed."""
    with socket.socket() as found, socket.socket() as above:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
        above.bind(("127.0.0.1", port + 100))  # raises if the reports could not be served there
    printed = empty_root / "printed"
    command = [sys.executable, "-m", "dynvision_assets.command_line", "ui", "--read-only"]
    with printed.open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "0.0.0.0", "--port", str(port)],
            cwd=empty_root,
            env=environment(empty_root),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as for a job in a script's background
        )
    yield port, process, printed
    if process.poll() is None:
        process.kill()
        process.wait(timeout=30)


def ask(port: int, text: str) -> Any:
    body = json.dumps({"query": text}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def test_a_read_only_page_shows_and_runs_nothing_and_stops_with_an_interruption(
    read_only: tuple[int, subprocess.Popen[bytes], Path],
) -> None:
    port, process, printed = read_only
    end = time.monotonic() + 120
    shown: list[Any] = []
    while not shown and time.monotonic() < end:
        assert process.poll() is None, printed.read_text()
        try:
            shown = ask(port, "{ assetNodes { assetKey { path } } }")["assetNodes"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    assert {"assetKey": {"path": ["raw", "gratings"]}} in shown, printed.read_text()
    assert ask(port, LAUNCH) == {"launchPartitionBackfill": {"__typename": "UnauthorizedError"}}
    said = printed.read_text()
    assert "warning: 0.0.0.0 can be reached from other machines" in said
    assert "whoever reaches it can look at everything" in said
    assert "(read-only)" in said
    check_companion(port, printed)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    wait_for(lambda: is_closed(port + 100), 20, "the end of the reports' server")


def check_companion(port: int, printed: Path) -> None:
    """Look whether the process beside the server has said that it is up, and serves the reports."""
    wait_for(lambda: "Dagster is up" in printed.read_text(), 20, "the line that says so")
    said = printed.read_text()
    assert f"Dagster is up: http://127.0.0.1:{port}\n  lineage         http://127.0.0.1:{port}/asset-groups\n" in said
    assert "no summary has been made: press 'Materialize all' in the lineage, or make one: dynvision demo" in said
    assert f"  reports         http://127.0.0.1:{port + 100}/ (none has been written yet)" in said
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port + 100}/", timeout=10)
    reports = printed.parent / "data" / "reports"
    reports.mkdir(parents=True)
    (reports / "index.html").write_text("<p>all reports")
    with urllib.request.urlopen(f"http://127.0.0.1:{port + 100}/", timeout=10) as answer:
        assert answer.read() == b"<p>all reports"


def is_closed(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) != 0
