"""The Dagster instance of a root: its home folder and settings."""

from __future__ import annotations

import os
from pathlib import Path

from dynvision.files import make_directory, write_bytes
from dynvision.paths import Paths

__all__ = ["prepare_home"]

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
    write_bytes(home / "workspace.yaml", LOCATIONS.encode())
    os.environ["DAGSTER_HOME"] = str(home)
    return home
