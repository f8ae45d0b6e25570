"""Runs and events in PostgreSQL, in a real server that the test starts and stops."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision_assets.instances.opening import POSTGRES, SETTINGS, open_instance, prepare_home
from tests.helpers.commands import environment

pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed: the extra 'postgres' has it")


@dataclass
class Server:
    """A PostgreSQL server of its own.

    Attributes:
        url: How a user writes it.
        process: The server.
    """

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # to PostgreSQL: a fast shutdown
            self.process.wait(timeout=30)


def find_program(name: str) -> str:
    places = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, places)))
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql (scripts/install_postgresql.sh does)")
    return found


def unprivileged_user() -> str | None:
    """The server refuses to run as root; then it runs as another user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@pytest.fixture
def server() -> Iterator[Server]:
    initdb, postgres, user = find_program("initdb"), find_program("postgres"), unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, for the path of a socket; open to the other user
    try:
        password = folder / "password"
        password.write_text("a-secret\n")
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
        data, port = folder / "data", free_port()
        first = [initdb, "-D", str(data), "-U", "dynvision", "--pwfile", str(password), "-A", "scram-sha-256", "-N"]
        done = subprocess.run(first, user=user, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        settings = [f"listen_addresses=127.0.0.1,port={port}", f"unix_socket_directories={folder}", "fsync=off"]
        options = [part for setting in ",".join(settings).split(",") for part in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([postgres, "-D", str(data), *options], user=user, cwd=folder, stderr=log)
        started = Server(f"postgresql://dynvision:a-secret@127.0.0.1:{port}/postgres", process)
        try:
            wait_for_port(port, process, folder / "log")
            yield started
        finally:
            started.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if "ready to accept connections" in log.read_text():
            return
        time.sleep(0.2)
    raise AssertionError(f"no server on port {port}: {log.read_text()}")


def run(root: Path, url: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = environment(root) | ({POSTGRES: url} if url else {})
    command = [sys.executable, "-m", "dynvision_assets.command_line", *arguments]
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, timeout=200, check=False)


def test_runs_and_events_are_kept_in_postgresql_by_one_setting(
    server: Server, empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(empty_root, server.url, "make", "raw/gratings:test")
    assert done.returncode == 0, done.stderr
    assert not [*(empty_root / ".dagster").rglob("*.db")]
    assert server.url not in (empty_root / ".dagster" / "dagster.yaml").read_text()

    monkeypatch.setenv("DAGSTER_HOME", str(empty_root / ".dagster"))
    monkeypatch.setenv(POSTGRES, server.url)
    home = prepare_home(Paths(empty_root))
    with open_instance(home) as instance:
        assert "Postgres" in type(instance.event_log_storage).__name__
        (made,) = instance.get_runs()
        assert made.status == dg.DagsterRunStatus.SUCCESS
        event = instance.get_latest_materialization_event(dg.AssetKey(["raw", "gratings"]))
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == "test"

    forgotten = run(empty_root, None, "make", "raw/gratings:train")
    assert forgotten.returncode == 2
    assert f"keeps runs and events in the database of ${POSTGRES}, which is not set" in forgotten.stderr

    server.stop()
    refused = run(empty_root, server.url, "make", "raw/gratings:train")
    assert refused.returncode == 1, refused.stderr
    assert f"error: the database of ${POSTGRES} cannot be used: connection to server" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "a-secret" not in refused.stderr


@pytest.mark.parametrize("url", ["mysql://somewhere/db", "somewhere", ""])
def test_what_is_no_url_of_postgresql_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ".dagster"))
    monkeypatch.setenv(POSTGRES, url)
    if not url:  # set to nothing, as scripts do it, means not set
        home = prepare_home(Paths(tmp_path))
        assert (home / "dagster.yaml").read_text() == SETTINGS
        return
    with pytest.raises(ConfigError, match=r"write postgresql://user:password@host:5432/database"):
        prepare_home(Paths(tmp_path))


def test_settings_changed_by_hand_are_not_touched_but_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ".dagster"))
    settings = prepare_home(Paths(tmp_path)) / "dagster.yaml"
    settings.write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv(POSTGRES, "postgresql://user@host/db")
    with pytest.raises(ConfigError, match=r"was changed by hand and does not use it. Add these lines"):
        prepare_home(Paths(tmp_path))
    assert settings.read_text() == "telemetry: {enabled: false}\n"


OPEN = """
import sys
from pathlib import Path
from dynvision.paths import Paths
from dynvision_assets.instances.opening import open_instance, prepare_home
with open_instance(prepare_home(Paths(Path(sys.argv[1])))) as instance:
    print(len(instance.get_runs()))
"""


def test_two_machines_that_open_an_empty_database_at_once_both_can(server: Server, tmp_path: Path) -> None:
    openers = []
    for name in ("a", "b", "c"):
        root = tmp_path / name
        root.mkdir()
        command = [sys.executable, "-c", OPEN, str(root)]
        variables = environment(root) | {POSTGRES: server.url}
        openers.append(
            subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    for opener in openers:
        output, errors = opener.communicate(timeout=200)
        assert (output, opener.returncode) == ("0\n", 0), errors
