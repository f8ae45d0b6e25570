"""Two workers on two machines with one shared folder, where the kernel's locks do not reach from one to the other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynvision.workspace.addresses import parse_target
from tests.helpers.namespaces import Machine, two_machines, why_no_machines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PROJECT = Path(__file__).resolve().parents[3]

RESPONSES = "responses/contrast/rcnn_gratings"

OTHER_KERNEL = """
import fcntl, types
from dynvision.system.locks import flocks, output_locks
names = {name: getattr(fcntl, name) for name in ("LOCK_EX", "LOCK_NB", "LOCK_UN")}
flocks.fcntl = types.SimpleNamespace(flock=lambda *arguments: None, **names)
output_locks.output_lock.__wrapped__.__kwdefaults__["refresh"] = 0.5  # so that nobody waits for five minutes
"""
"""What every Python on these machines does first: no output is locked by the kernel, and signs of life are frequent."""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    folder = tmp_path / "machines"
    folder.mkdir()
    if reason := why_no_machines(folder):
        pytest.skip(reason)
    (folder / "sitecustomize.py").write_text(OTHER_KERNEL)
    with two_machines(folder) as made:
        yield made


def environment(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": f"{folder / 'machines'}:{PROJECT}", "OMP_NUM_THREADS": "1"}


def start_dask(machine: Machine, folder: Path, kind: str, *options: str) -> None:
    """Start a scheduler or a worker by hand."""
    file = folder / "machines/scheduler.json"
    command = [sys.executable, "-P", "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(file)]
    command += ["--host", machine.address, "--no-dashboard", *options]
    if kind == "worker":
        command += ["--local-directory", str(folder / "machines")]
    with (folder / f"machines/{kind}-{machine.name}.log").open("wb") as log:
        machine.start(command, folder=folder, environment=environment(folder), stdout=log, stderr=log)


def start_controller(machine: Machine, folder: Path, calls: list[tuple[str, str, Any]]) -> subprocess.Popen[bytes]:
    """Start a scheduler, and what sends calls to it when there are two workers."""
    start_dask(machine, folder, "scheduler", "--port", "0", "--dashboard-address", f"{machine.address}:0")
    file = folder / "machines/scheduler.json"
    wait_until(file.exists)
    (folder / "machines/calls.json").write_text(json.dumps(calls))
    address = json.loads(file.read_text())["address"]
    command = [sys.executable, "-P", "-m", "tests.helpers.remote_calls", address, str(folder / "machines"), "2"]
    with (folder / "machines/controller.log").open("wb") as log:
        return machine.start(
            command, folder=folder, environment=environment(folder), stdout=subprocess.PIPE, stderr=log
        )


def wait_until(is_so: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def holds_a_lock(machine: Machine, folder: Path) -> bool:
    """Whether a process of a machine holds the lock of a recording."""
    for note in folder.glob(".*.owner"):
        try:
            if json.loads(note.read_text())["owner"]["host"] == machine.name:
                return True
        except (OSError, ValueError):
            continue  # It is being written, or was given back.
    return False


def test_a_machine_that_is_lost_keeps_nobody_out_and_nothing_is_built_twice(chain_copy, chain, machines, tmp_path):
    first, second = machines
    stores = chain_copy.root / "data" / RESPONSES
    shutil.rmtree(stores)
    targets = [str(target) for target in parse_target(chain_copy.open(), RESPONSES)]
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config), "wait": True}
    function = "dynvision.workspace.building:build_targets"
    # Both machines are given every target, so they meet at its lock.
    calls = [(target, function, {"targets": [target], **arguments}) for target in targets for _ in range(2)]
    controller = start_controller(first, tmp_path, calls)
    for machine in machines:
        start_dask(machine, tmp_path, "worker", "--nthreads", "1", "--no-nanny", "--name", machine.name)
    wait_until(lambda: holds_a_lock(second, stores))
    second.kill()
    said, _ = controller.communicate(timeout=150)
    lines = [json.loads(line) for line in said.splitlines()]
    done = [line for line in lines if "name" in line]
    told = [line["told"] for line in lines if "told" in line]
    assert [line["error"] for line in done] == [None] * len(calls)
    # A record says when its target was built, to the millisecond.
    records = {target: [line["result"][0] for line in done if line["name"] == target] for target in targets}
    assert all(one == other for one, other in records.values())
    assert {target: one["data_version"] for target, (one, _) in records.items()} == versions_of(chain)
    assert any("on hostb (" in line and line.endswith(": its lock is taken over.") for line in told), told
    assert not list(stores.glob(".*.owner*"))


def versions_of(chain: Any) -> dict[str, str]:
    """The data versions of the same recordings as one process made them."""
    workspace = chain.open()
    return {str(target): workspace.read_record(target).data_version for target in parse_target(workspace, RESPONSES)}
