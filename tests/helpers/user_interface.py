"""Dagster's UI of a root: starting it, stopping it, and asking its GraphQL interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.commands import environment

FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}

RUNS = """query Runs {
  runsOrError { ... on Runs { results { runId status assetSelection { path } tags { key value } } } }
}"""


LAUNCH = """mutation Launch($job: String!, $config: RunConfigData!) {
  launchRun(executionParams: {runConfigData: $config, selector: {
    repositoryLocationName: "dynvision", repositoryName: "__repository__", jobName: $job}}) {
    __typename ... on LaunchRunSuccess { run { runId } }
  }
}"""

TERMINATE = """mutation Terminate($run: String!) { terminateRun(runId: $run) { __typename } }"""

EVENTS = """query Events($run: ID!) {
  logsForRun(runId: $run) { ... on EventConnection { events {
    ... on MessageEvent { message }
    ... on ExecutionStepFailureEvent { error { message } }
  } } }
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

    def query(self, text: str, **variables: Any) -> Any:
        """Send a GraphQL query to the server."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.loads(answer.read())
        assert "errors" not in content, content["errors"]
        return content["data"]

    def runs(self) -> dict[str, dict[str, Any]]:
        """All runs by their id."""
        return {run["runId"]: run for run in self.query(RUNS)["runsOrError"]["results"]}

    def launch(self, job: str, config: dict[str, Any]) -> str:
        """Launch a run of a job, as the Launchpad does; return its id."""
        found = self.query(LAUNCH, job=job, config=config)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def terminate(self, run: str) -> None:
        """Terminate a run, as its page does."""
        assert self.query(TERMINATE, run=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def messages(self, run: str) -> list[str]:
        """Everything that a run has said, and with what its steps have failed."""
        events = self.query(EVENTS, run=run)["logsForRun"]["events"]
        return [text for e in events for text in (e.get("message"), (e.get("error") or {}).get("message")) if text]

    def backfills(self) -> list[str]:
        """The ids of all backfills."""
        found = self.query("{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }")
        return [backfill["id"] for backfill in found["partitionBackfillsOrError"]["results"]]

    def config_of(self, key: str) -> dict[str, str]:
        """Return the descriptions of an asset's settings, by name."""
        path = json.dumps(key.split("/"))
        fields = "... on CompositeConfigType { fields { name description } }"
        found = self.query(
            f"{{ assetNodeOrError(assetKey: {{path: {path}}}) {{ ... on AssetNode {{ configField {{ configType {{ "
            f"{fields} recursiveConfigTypes {{ {fields} }} }} }} }} }} }}"
        )["assetNodeOrError"]["configField"]["configType"]
        known = [field for one in (found, *found["recursiveConfigTypes"]) for field in one.get("fields", [])]
        return {field["name"]: field["description"] for field in known if field["description"]}

    def wait_for_runs(self, known: set[str], timeout: float = 180) -> list[dict[str, Any]]:
        """Wait until there are new runs, not in `known`, and all of them have finished."""
        return wait_for(lambda: self._finished(known), timeout, f"a finished run in the UI; see {self.log}")

    def _finished(self, known: set[str]) -> list[dict[str, Any]]:
        new = [run for name, run in self.runs().items() if name not in known]
        return new if all(run["status"] in FINISHED for run in new) else []


def wait_for(look: Callable[[], Any], timeout: float, goal: str) -> Any:
    """Wait until `look` returns something true, and return it."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {timeout:.0f} s for {goal}")


UI = (sys.executable, "-m", "dynvision_assets.command_line", "ui")
"""The command `dynvision ui`."""


@contextmanager
def serve(root: Path, command: Sequence[str] = UI) -> Iterator[Dagster]:
    """Run `dynvision ui`, or another command that takes a port, on a root; stop it as a user stops it."""
    url = f"http://127.0.0.1:{_free_port()}"
    server = Dagster(root, url, root / "ui.log")
    with server.log.open("w") as log:
        process = subprocess.Popen(
            [*command, "--port", url.rpartition(":")[2]],
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
        """Wait until this many of its runs have finished. The daemon marks the backfill itself much later."""

        def look() -> list[dict[str, Any]]:
            tag = {"key": "dagster/backfill", "value": self.name}
            found = [run for run in self.dagster.runs().values() if tag in run["tags"]]
            assert not [run for run in found if run["status"] in ("FAILURE", "CANCELED")], found
            done = [run for run in found if run["status"] == "SUCCESS"]
            return done if len(done) == len(found) >= runs else []

        return wait_for(look, timeout, f"{runs} runs of the backfill {self.name}; see {self.dagster.log}")


def launch_backfill(dagster: Dagster, dialog: Any) -> Backfill:
    """Press the button and return the new backfill."""
    known = set(dagster.backfills())
    dialog.get_by_role("button", name="Launch backfill").click()
    (name,) = wait_for(lambda: set(dagster.backfills()) - known, 60, "a backfill")
    return Backfill(dagster, name)


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
    """Stop the server with SIGINT. Kill and report the processes of its session that outlive it."""
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
    """Return the ids of the processes in the session that the server leads."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses can contain spaces: state, parent, group and session follow it.
            state, _, _, session, *_ = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found
