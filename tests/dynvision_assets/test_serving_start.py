"""How `dynvision ui` starts: what it says first, and what the server is given. No server is started here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click.testing
import dagster as dg
import pytest
from dagster._core.errors import DagsterError, DagsterUserCodeLoadError, user_code_error_boundary
from dagster._utils.error import serializable_error_info_from_exc_info

from dynvision.errors import ConfigError
from dynvision_assets import definitions
from dynvision_assets.command_line import main
from dynvision_assets.commands import serving
from dynvision_assets.instances.run_processes import BOOT_TAG, HOST_TAG, PID_TAG, process_tags
from dynvision_assets.serving.links import REPORTS
from dynvision_assets.serving.report_server import open_server
from tests.helpers.chains import open_workspace
from tests.helpers.instances import open_instance
from tests.helpers.user_interface import wait_for


@pytest.fixture
def start(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that calls `dynvision ui` up to where the server takes over, and returns what the server is given."""
    for name in ("DAGSTER_HOME", "TOKEN"):
        monkeypatch.setenv(name, "x")  # so that it is removed after the test
        monkeypatch.delenv(name)
    given: list[Any] = []

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        given.append((arguments, environment, Path.cwd()))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(serving, "start_companion", lambda order, environment: None)

    def call(*options: str) -> tuple[click.testing.Result, list[Any]]:
        given.clear()
        folder = Path.cwd()
        variables = {"DYNVISION_ROOT": str(empty_root), "DAGSTER_HOME": None}
        done = click.testing.CliRunner(env=variables).invoke(main, ["ui", *options], catch_exceptions=False)
        os.chdir(folder)
        return done, list(given)

    return call


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_a_port_in_use_is_said_before_anything_is_made(start: Any, empty_root: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        done, given = start("--port", str(port))
    assert done.exit_code == 1
    assert done.output.startswith(f"error: port {port} of 127.0.0.1 is in use")
    assert given == []
    assert not (empty_root / ".dagster").exists()


@pytest.mark.parametrize("url", ["https://lab.example.org/reports", "https://lab.example.org/reports/"])
def test_links_lead_to_the_reports_through_a_proxy(start: Any, url: str) -> None:
    done, ((_, environment, _),) = start("--port", free_port(), "--reports-url", url)
    assert done.exit_code == 0
    assert environment[REPORTS] == "https://lab.example.org/reports/"


@pytest.mark.parametrize(
    "url", ["lab.example.org", "javascript:alert(1)", "https://", "http://a:b/", "http://a/?x=1", ""]
)
def test_what_is_no_address_of_the_reports_is_said(start: Any, url: str) -> None:
    done, given = start("--port", free_port(), "--reports-url", url)
    assert done.exit_code == 2
    assert f"error: --reports-url {url}: write an address such as https://" in done.output
    assert given == []


def test_the_server_has_the_home_of_the_roots_env_and_works_where_dagster_finds_no_other(
    start: Any, empty_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_root / ".env").write_text("DAGSTER_HOME=mine\nTOKEN=t\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("DAGSTER_HOME=/not/this\nTOKEN=other\n")
    monkeypatch.chdir(elsewhere)
    done, ((arguments, environment, folder),) = start("--port", free_port())
    home = empty_root / "mine"
    assert f"runs are kept in {home} (DAGSTER_HOME in {empty_root / '.env'})" in done.output
    assert environment["DAGSTER_HOME"] == str(home)
    assert environment["TOKEN"] == "t"
    assert folder.is_relative_to(home)
    assert not (folder / ".env").exists()
    assert "dev" in arguments


def test_the_definitions_are_told_where_the_reports_are_served(start: Any) -> None:
    port = free_port()
    _, ((_, environment, _),) = start("--port", port)
    served = int(environment[REPORTS].removeprefix("http://127.0.0.1:").removesuffix("/"))
    assert abs(served - int(port)) in range(1, 201)


def test_a_second_ui_of_a_root_has_no_daemon_and_says_so(start: Any) -> None:
    first, second = free_port(), free_port()
    done, ((arguments, *_),) = start("--port", first)
    assert "dev" in arguments
    assert "another dynvision ui" not in done.output
    done, ((arguments, *_),) = start("--port", second)
    assert "dagster_webserver" in arguments
    assert "--read-only" not in arguments
    assert "another dynvision ui works on this root. Its daemon starts runs and backfills for both" in done.output
    done, given = start("--port", second)
    assert (done.exit_code, given) == (1, [])
    assert f"port {second} is about to be used by another dynvision ui" in done.output


def test_runs_of_other_machines_that_take_places_in_the_queue_are_named(start: Any, empty_root: Path) -> None:
    start("--port", free_port())
    with open_instance(empty_root) as instance:
        elsewhere = {**process_tags(), HOST_TAG: "node7", BOOT_TAG: "b" * 36, PID_TAG: "12"}
        run = dg.DagsterRun("make", tags=elsewhere, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
    done, _ = start("--port", free_port())
    assert (
        f"1 unfinished run cannot be seen from here: {run.run_id} (process 12 on node7). Each takes a place in the "
        "queue of the browser. If its process has ended, open the run, Terminate, and tick 'Force termination "
        "immediately'\n" in done.output
    )
    assert "cannot be seen" not in start("--read-only", "--port", free_port())[0].output


def test_a_read_only_ui_takes_no_daemon_from_another(start: Any) -> None:
    _, ((arguments, *_),) = start("--port", free_port(), "--read-only")
    assert "--read-only" in arguments
    _, ((arguments, *_),) = start("--port", free_port())
    assert "dev" in arguments


def test_a_configuration_that_cannot_be_used_stands_above_the_traceback(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNVISION_ROOT", str(empty_root))
    path = empty_root / "config/config_data.yaml"
    path.write_text("nonsense: 1\n")
    boundary = user_code_error_boundary(DagsterUserCodeLoadError, lambda: "Error occurred during the loading")
    with pytest.raises(ConfigError) as error, boundary:
        definitions._load()
    assert isinstance(error.value, DagsterError)
    shown = serializable_error_info_from_exc_info((error.type, error.value, error.tb)).to_string()
    assert shown.splitlines()[0].partition(": ")[2].startswith(f"{path}: ")
    assert shown.index("Mend it, then reload the definitions.") < shown.index("Stack Trace")
    assert "The above exception" not in shown


@pytest.mark.slow
def test_the_companion_leads_to_the_newest_summary_and_opens_the_browser_only_where_there_is_one(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    workspace = open_workspace(chain)
    order = serving._order(workspace, "127.0.0.1", 3000, no_open=False)
    assert order.summary == "/assets/summary/contrast/rcnn_gratings"
    assert order.summary_name == "summary/contrast/rcnn_gratings"
    assert order.opens == (sys.platform == "darwin")
    monkeypatch.setenv("DISPLAY", ":0")
    assert serving._order(workspace, "127.0.0.1", 3000, no_open=False).opens
    assert not serving._order(workspace, "127.0.0.1", 3000, no_open=True).opens
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22")
    assert not serving._order(workspace, "127.0.0.1", 3000, no_open=False).opens


@pytest.mark.slow
def test_the_companion_opens_the_page_with_the_users_browser_and_ends_with_the_server(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    page = open_server("127.0.0.1", [0], tmp_path)
    (tmp_path / "index.html").write_text("here")
    threading.Thread(target=page.serve_forever, daemon=True).start()
    start = [sys.executable, "-c", "import os, sys, time; from dynvision_assets.serving.companion import *; "
             "order = Order('127.0.0.1', int(sys.argv[1]), os.getpid(), sys.argv[2], 'r', None, '/assets/a', 'a', 1); "
             "start_companion(order, os.environ); time.sleep(60)"]  # fmt: skip
    server = subprocess.Popen(
        [*start, str(page.port), str(tmp_path)],
        env={**os.environ, "BROWSER": f"{browser} %s", "http_proxy": "http://127.0.0.1:9"},  # nobody answers there
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(opened.exists, 20, "the browser")
    assert opened.read_text() == f"http://127.0.0.1:{page.port}/assets/a\n"
    server.kill()
    said, _ = server.communicate(timeout=20)  # returns when the companion has closed its end, too
    assert f"newest summary  http://127.0.0.1:{page.port}/assets/a (a)" in said
    page.shutdown()
    page.server_close()
