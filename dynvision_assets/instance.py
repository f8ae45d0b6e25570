"""The Dagster instance of a root: its home folder and settings."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.errors import ConfigError, DynvisionError
from dynvision.paths import Paths
from dynvision.system.files import make_directory, write_bytes

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["LOCATIONS_FILE", "POSTGRES", "open_instance", "prepare_home"]

POSTGRES = "DYNVISION_POSTGRES"
"""The environment variable that holds the URL of a PostgreSQL database, to keep runs and events in."""

SETTINGS = """\
# Written once by dynvision; yours to change. What can stand here: https://docs.dagster.io (dagster.yaml).
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2            # a backfill over many partitions waits in the queue
run_monitoring:
  enabled: true                       # a run whose process dies is marked as failed
  poll_interval_seconds: 10
  start_timeout_seconds: 180
  max_runtime_seconds: 86400          # a run that takes longer than a day is stopped
run_retries:
  enabled: true
  max_retries: 1                      # of a run that was killed; one that failed by itself would fail again
  retry_on_asset_or_op_failure: false
"""

STORAGE = f"""\
storage:
  postgres:
    postgres_url:
      env: {POSTGRES}
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

    Raises:
        ConfigError: `$DYNVISION_POSTGRES` and `dagster.yaml` do not fit together; says how to make them.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen).expanduser().absolute() if chosen else paths.dagster_home
    make_directory(home)
    _write_settings(home / "dagster.yaml")
    write_bytes(home / LOCATIONS_FILE, LOCATIONS.encode())
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def open_instance(home: Path, *, capture: bool = True) -> dg.DagsterInstance:
    """The instance of a home that was prepared.

    Args:
        home: The home.
        capture: Keep what steps print in files, for the UI. Without, it goes where people look: on a terminal that is
            where progress belongs, and Dagster's capture would keep the later steps of a command from it.

    Raises:
        DynvisionError: Its database cannot be reached.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    silent = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    reference = InstanceRef.from_dir(str(home), overrides=None if capture else {"compute_logs": silent})
    if not os.environ.get(POSTGRES):
        return DagsterInstance.from_ref(reference)
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import OperationalError

    try:
        return DagsterInstance.from_ref(reference)
    except (OperationalError, DagsterPostgresException) as error:
        found = error if isinstance(error, OperationalError) else error.__cause__
        reason = str(getattr(found, "orig", error)).strip().splitlines()[0]
        raise DynvisionError(f"the database of ${POSTGRES} cannot be used: {reason}") from error


def _write_settings(path: Path) -> None:
    """Write the settings where there are none, or add a database to our own."""
    url = os.environ.get(POSTGRES)
    if url:
        os.environ[POSTGRES] = _postgres_url(url)
    wanted = SETTINGS + (STORAGE if url else "")
    held = path.read_text(encoding="utf-8") if path.exists() else ""
    if held in ("", SETTINGS) and held != wanted:
        write_bytes(path, wanted.encode())
    elif url and POSTGRES not in held:
        raise ConfigError(
            f"${POSTGRES} is set, but {path} was changed by hand and does not use it. Add these lines to it, or "
            f"remove it so that it is written anew:\n{STORAGE}"
        )
    elif not url and POSTGRES in held:
        raise ConfigError(
            f"{path} keeps runs and events in the database of ${POSTGRES}, which is not set. Set it to "
            "postgresql://user:password@host/database, or remove 'storage' from the file."
        )


def _postgres_url(url: str) -> str:
    """The URL with the driver that the extra 'postgres' installs."""
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise ConfigError(f"${POSTGRES} is no URL of a database: write postgresql://user:password@host:5432/database")
    if importlib.util.find_spec("dagster_postgres") is None:
        raise ConfigError(
            f"${POSTGRES} is set, and dagster-postgres is missing: pip install 'dynvision-assets[postgres]'"
        )
    return f"postgresql+psycopg2://{rest}"
