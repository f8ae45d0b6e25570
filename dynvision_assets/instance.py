"""The Dagster instance of a root: its home folder and settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.files import make_directory, write_bytes
from dynvision.paths import Paths

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["LOCATIONS_FILE", "fail_dead_runs", "prepare_home", "process_tags"]

HOST_TAG, PID_TAG, START_TAG = "dynvision/host", "dynvision/pid", "dynvision/pid_start"

SETTINGS = """\
# Written once by dynvision; yours to change.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  max_runtime_seconds: 86400
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
"""

LOCATIONS_FILE = "dynvision_workspace.yaml"
LOCATIONS = """\
# Written by dynvision: the same code location as workspace.yaml of the repository.
load_from:
  - python_module:
      module_name: dynvision_assets.definitions
      location_name: dynvision
"""


def prepare_home(paths: Paths) -> Path:
    """Find the Dagster home (`$DAGSTER_HOME`, else `.dagster/` under the root) and make it usable.

    The environment variable is set for this process and its children, because Dagster reads it there.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else paths.dagster_home
    make_directory(home)
    if not (home / "dagster.yaml").exists():
        write_bytes(home / "dagster.yaml", SETTINGS.encode())
    write_bytes(home / LOCATIONS_FILE, LOCATIONS.encode())
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def process_tags() -> dict[str, str]:
    """Tags that say which process a run of the command line is in."""
    return {HOST_TAG: socket.gethostname(), PID_TAG: str(os.getpid()), START_TAG: _start_time(os.getpid())}


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs of command lines that were killed as failed; they would hold a place in the queue for ever.

    Returns:
        The runs that were marked.
    """
    import dagster as dg

    running = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING], tags={HOST_TAG: socket.gethostname()}
    )
    # A run that was started again from the UI has its parent's tags, but is another process.
    own = [run for run in instance.get_runs(running) if run.parent_run_id is None]
    dead = [run for run in own if run.tags.get(PID_TAG, "").isdigit() and not _is_alive(run.tags)]
    for run in dead:
        instance.report_run_failed(run, f"process {run.tags[PID_TAG]} of the command line is gone; make it again")
    return [run.run_id for run in dead]


def _is_alive(tags: Mapping[str, str]) -> bool:
    pid = int(tags[PID_TAG])
    started = _start_time(pid)
    if started and tags.get(START_TAG, started) != started:
        return False  # The number belongs to another process by now.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
