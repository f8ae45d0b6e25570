"""The databases of a Dagster instance: making them whole or not at all, and noticing those that were made half.

Dagster makes its tables when it first opens an instance. Two processes that do so at once leave a database with two
revisions, which nothing can open again, and one that is killed leaves a database without a revision.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dynvision.errors import DynvisionError
from dynvision.system.files import make_directory, remove_leftovers, replace_file, temporary_sibling

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

__all__ = ["DATABASES", "check_databases", "lock_postgres", "make_databases", "missing_databases"]

DATABASES = ("schedules/schedules.db", "history/runs/index.db", "history/runs.db")
"""The files of an instance that keeps everything in SQLite, relative to the home."""

_LOCK = 0x64_79_6E_76
"""The number of the lock in PostgreSQL that is held while an instance is opened: `dynv` as ASCII."""


def missing_databases(reference: InstanceRef, home: Path) -> list[str]:
    """Return which databases have to be made in a home; none if the instance keeps its data elsewhere."""
    storage = reference.storage_data
    if storage is None or storage.class_name != "DagsterSqliteStorage":
        return []
    folder = storage.config_dict.get("base_dir")
    if not isinstance(folder, str) or Path(folder).resolve() != home.resolve():
        return []
    return [name for name in DATABASES if not (home / name).exists()]


def make_databases(home: Path, names: list[str]) -> None:
    """Make databases in a folder next to their place, and put them there when they are complete.

    The caller holds the lock of the home. A process that is killed leaves nothing half made.

    Args:
        home: The home.
        names: The databases, of `DATABASES`.

    Raises:
        DynvisionError: If they cannot be written.
    """
    from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
    from sqlalchemy.exc import DatabaseError

    remove_leftovers(home / "storage")
    temporary = make_directory(temporary_sibling(home / "storage"))
    try:
        DagsterSqliteStorage.from_local(str(temporary))
        for name in names:
            make_directory((home / name).parent)
            replace_file(temporary / name, home / name)
    except (OSError, DatabaseError, sqlite3.DatabaseError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
        raise DynvisionError(
            f"the databases of the Dagster home {home} cannot be made: {reason}. Make room, change its permissions, or "
            "set DAGSTER_HOME to a folder on a local disk."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_databases(home: Path) -> None:
    """Raise if a database of a home cannot be used.

    Raises:
        DynvisionError: Says what is wrong with it, and how to go on without it.
    """
    for name in DATABASES:
        if (home / name).exists():
            reason = _find_fault(home / name)
            if reason:
                folder = home / Path(name).parts[0]
                raise DynvisionError(
                    f"{home / name} {reason}, so Dagster cannot use it. Move it aside (mv {folder} {folder}.broken); "
                    "the next command makes a new one. That loses the list of earlier runs, and nothing in data/."
                )


def _find_fault(path: Path) -> str:
    """Say what is wrong with a database, as the end of a sentence; return nothing if it can be used."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            revisions = [str(row[0]) for row in connection.execute("SELECT version_num FROM alembic_version")]
    except sqlite3.OperationalError:
        # It is locked, cannot be read, or has no tables yet. Dagster waits, says so, or makes them.
        return ""
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
    if len(revisions) > 1:
        return f"has two revisions ({', '.join(revisions)}), because several programs made it at once"
    return ""


@contextlib.contextmanager
def lock_postgres(url: str) -> Iterator[None]:
    """Hold the lock of a PostgreSQL database, under which one process at a time makes the tables.

    Args:
        url: The database, with the name of the driver.

    Raises:
        DynvisionError: If the tables have two revisions.
        sqlalchemy.exc.OperationalError: If the database cannot be reached.
    """
    import sqlalchemy as db
    from sqlalchemy.pool import NullPool

    engine = db.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(db.text("SELECT pg_advisory_lock(:number)"), {"number": _LOCK})
        if db.inspect(connection).has_table("alembic_version"):
            rows = connection.execute(db.text("SELECT version_num FROM alembic_version")).all()
            if len(rows) > 1:
                names = ", ".join(str(row[0]) for row in rows)
                raise DynvisionError(
                    "the tables in the database of $DYNVISION_POSTGRES "
                    f"have two revisions ({names}), so Dagster cannot use them. Name another, empty database; the "
                    "list of earlier runs stays in the old one."
                )
        yield
