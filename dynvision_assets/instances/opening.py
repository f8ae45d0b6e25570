"""The Dagster instance of a root: its home folder, its settings, and opening it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import ConfigError, DynvisionError
from dynvision.paths import Paths
from dynvision.system.environment import read_setting
from dynvision.system.failures import as_unreadable, find_machine_error
from dynvision.system.files import is_there, read_file, write_bytes
from dynvision.system.locks import output_lock
from dynvision_assets.instances.homes import HOME, find_home, make_home
from dynvision_assets.instances.run_origins import DEFINITIONS, LOCATION
from dynvision_assets.instances.storage import check_databases, lock_postgres, make_databases, missing_databases

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

__all__ = ["LOCATIONS_FILE", "POSTGRES", "open_instance", "prepare_home"]

POSTGRES = "DYNVISION_POSTGRES"
"""The environment variable with the URL of the PostgreSQL database that keeps runs and events, if there is one."""

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
"""The first `dagster.yaml`. A file with any other text counts as changed by hand, also if an older version wrote it."""

STORAGE = f"""\
storage:
  postgres:
    postgres_url:
      env: {POSTGRES}
"""

LOCATIONS_FILE = "dynvision_workspace.yaml"
"""The file in the home that tells Dagster which definitions to load."""

LOCATIONS = f"""\
# Written by dynvision: the same code location as workspace.yaml of the repository.
load_from:
  - python_module:
      module_name: {DEFINITIONS}
      location_name: {LOCATION}
"""


SILENT_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
"""The setting of an instance that does not capture what steps print."""


_PATIENCE = 180.0
"""Seconds to wait for another process that makes the home."""


def prepare_home(paths: Paths) -> Path:
    """Make the Dagster home (see `find_home`) if it does not exist, and write its settings.

    Changes the environment of this process and its children, because Dagster has no other way to be told:

    - `$DAGSTER_HOME` is set to the absolute path of the home. Dagster reads it wherever it opens an instance by
      itself, for example in the processes of the daemon.
    - `$DYNVISION_POSTGRES`, if it is set, is rewritten with the name of the driver that SQLAlchemy needs, because
      `dagster.yaml` refers to the variable.

    Several processes may do this at once.

    Args:
        paths: The paths of the root.

    Returns:
        The home: an existing folder with `dagster.yaml` and the file of code locations.

    Raises:
        ConfigError: If the home cannot be a folder of ours, `$DYNVISION_POSTGRES` and `dagster.yaml` contradict each
            other, or the URL is not valid; the message says what to change.
    """
    home = find_home(paths)
    make_home(home, paths)
    url = read_setting(POSTGRES, paths.root)
    if url:
        os.environ[POSTGRES] = _add_driver(url)
    with _lock(home):
        _write_settings(home / "dagster.yaml", with_postgres=bool(url))
        if not (home / LOCATIONS_FILE).exists() or read_file(home / LOCATIONS_FILE) != LOCATIONS.encode():
            write_bytes(home / LOCATIONS_FILE, LOCATIONS.encode())
    os.environ[HOME] = str(home)
    return home


def open_instance(home: Path, *, capture: bool = True) -> dg.DagsterInstance:
    """Open the instance of a home that `prepare_home` has prepared. Several processes may do this at once.

    Args:
        home: The home.
        capture: Whether Dagster captures what steps print, in files that the UI shows. Otherwise it goes to the
            terminal, where progress belongs when a command runs. (After the first step of a command, Dagster's capture
            would hide the output of the others.)

    Raises:
        ConfigError: If its `dagster.yaml` is not valid.
        DynvisionError: If its database cannot be reached or used.
    """
    reference = _read_settings(home, None if capture else {"compute_logs": SILENT_LOGS})
    if os.environ.get(POSTGRES):
        return _open_postgres(reference)
    if missing_databases(reference, home):
        with _lock(home):
            # Look again: another process may have made them meanwhile.
            make_databases(home, missing_databases(reference, home))
    check_databases(home)
    return _open(reference, home)


def _read_settings(home: Path, overrides: dict[str, Any] | None) -> InstanceRef:
    """Read the settings of an instance.

    Raises:
        ConfigError: If `dagster.yaml` is not valid.
    """
    from dagster import DagsterError
    from dagster._check import CheckError
    from dagster._core.instance.ref import InstanceRef
    from yaml import YAMLError

    try:
        with _readable_settings(home / "dagster.yaml"):
            return InstanceRef.from_dir(str(home), overrides=overrides)
    except ConfigError:
        raise
    except (DagsterError, YAMLError, CheckError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{home / 'dagster.yaml'} is not valid: {reason}. Mend it, or move it to get a new one."
        ) from error


def _open(reference: InstanceRef, home: Path) -> dg.DagsterInstance:
    """Open an instance with valid settings.

    Raises:
        DynvisionError: If a storage that the settings name cannot be used.
    """
    from dagster import DagsterError, DagsterInstance
    from dagster._check import CheckError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return DagsterInstance.from_ref(reference)
    except (OSError, ImportError, DagsterError, CheckError, SQLAlchemyError) as error:
        refusal = find_machine_error(error)
        if refusal is not None:
            raise refusal from error
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise DynvisionError(
            f"the Dagster instance in {home} cannot be opened: {reason}. Its settings are in {home / 'dagster.yaml'}."
        ) from error


def _open_postgres(reference: InstanceRef) -> dg.DagsterInstance:
    """Open an instance whose data is in PostgreSQL.

    Raises:
        DynvisionError: If the database cannot be reached or used.
    """
    from dagster import DagsterInstance
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with lock_postgres(os.environ[POSTGRES]):
            return DagsterInstance.from_ref(reference)
    except (SQLAlchemyError, DagsterPostgresException) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        reason = str(getattr(cause, "orig", error)).strip().splitlines()[0]
        raise DynvisionError(f"the database of ${POSTGRES} cannot be used: {reason}") from error


@contextlib.contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Let one process at a time make the files of a home."""
    with output_lock(home / "home", _PATIENCE):
        yield


@contextlib.contextmanager
def _readable_settings(path: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with `dagster.yaml`.

    Raises:
        ConfigError: If it is no YAML, or holds settings that Dagster does not know.
    """
    import yaml
    from dagster import DagsterInvalidConfigError

    advice = "Mend it, or remove the file so that it is written again."
    try:
        yield
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}. {advice}") from error
    except DagsterInvalidConfigError as error:
        # It lists all settings that there are.
        reason = " ".join(error.errors[0].message.split()).partition(" Expected: ")[0]
        raise ConfigError(f"{path}: {reason} {advice}") from error


def _write_settings(path: Path, with_postgres: bool) -> None:
    """Write `dagster.yaml` if it does not exist, or add the database to it if it is as we wrote it.

    Raises:
        ConfigError: If it was changed by hand and contradicts `$DYNVISION_POSTGRES`.
    """
    wanted = SETTINGS + (STORAGE if with_postgres else "")
    try:
        existing = read_file(path).decode() if is_there(path) else ""
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and (unreadable := as_unreadable(error, f"{path} cannot be read")):
            raise unreadable from error
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}. Mend it, or move it to get a new one.") from error
    if existing in ("", SETTINGS) and existing != wanted:
        write_bytes(path, wanted.encode())
    elif with_postgres and POSTGRES not in existing:
        raise ConfigError(
            f"${POSTGRES} is set, but {path} was changed by hand and does not use it. Add these lines to it, or "
            f"remove the file so that it is written again:\n{STORAGE}"
        )
    elif not with_postgres and POSTGRES in existing:
        raise ConfigError(
            f"{path} keeps runs and events in the database of ${POSTGRES}, which is not set. Set it to "
            "postgresql://user:password@host/database, or remove 'storage' from the file."
        )


def _add_driver(url: str) -> str:
    """Return the URL of a database with the driver that the extra 'postgres' installs.

    Raises:
        ConfigError: If it is no URL of a PostgreSQL database, or the extra is not installed.
    """
    scheme, colon, address = url.partition("://")
    if not colon or scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise ConfigError(
            f"${POSTGRES} is not the URL of a PostgreSQL database: write postgresql://user:password@host:5432/database"
        )
    if importlib.util.find_spec("dagster_postgres") is None:
        raise ConfigError(
            f"${POSTGRES} is set, but dagster-postgres is not installed: pip install 'dynvision-assets[postgres]'"
        )
    return f"postgresql+psycopg2://{address}"
