"""`catalog`: a table of everything that exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.system.error_log import machine_errors
from dynvision.targets import Target, begins_with
from dynvision.workspace import Status, Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.leftovers import Leftover, find_leftovers
from dynvision_assets.opening import open_here
from dynvision_assets.pages.groups import name_group

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["catalog"]

COLUMNS = (
    "target",
    "stage",
    "group",
    "key",
    "partition",
    "state",
    "reason",
    "path",
    "created",
    "bytes",
    "data_version",
)


@machine_errors()
def catalog(
    prefix: str = "", *, missing: bool = False, left_over: bool = False, root: Path | str | None = None
) -> pd.DataFrame:
    """List what exists: one row for each target that has been made.

    No server has to run. Only records are read, so this is fast even if the data are large.

    ================  ==================================================================================
    `target`          the name that `load`, `path` and `dynvision make` take
    `stage`           `raw`, `interim`, `processed`, `models`, `responses`, `summary`
    `group`           the group in which the UI shows it: the stage, or `responses_<experiment>`, `summary_<experiment>`
    `key`             the asset key, as the UI shows it
    `partition`       the partition; missing (`NaN`) for summaries, which have none
    `state`           `fresh`, `stale`, `damaged`, `missing` or `left over`
    `reason`          why it is not fresh; empty if it is
    `path`            where it is on disk
    `created`         when it was finished (a time in UTC)
    `bytes`           its size, if its record or a look at a few files says it (not for links)
    `data_version`    the digest of everything that determines the result
    ================  ==================================================================================

    Args:
        prefix: Only targets of this stage, key or target: `responses`, `responses/contrast`, `raw/gratings:test`.
        missing: Also list targets that have not been made.
        left_over: Also list what is on disk, but no longer in the configuration; it cannot be loaded.
        root: The folder that contains `data/`; by default `$DYNVISION_ROOT`, or the nearest root at or
            above the current folder.

    Returns:
        The table, in the order of the stages.

    Raises:
        UnknownNameError: If nothing in the configuration has that name; the message names the nearest.

    Example:
        >>> import dynvision_assets as dva
        >>> table = dva.catalog("responses/contrast")
        >>> table[table.state == "stale"].target.tolist()
        []
    """
    import pandas as pd

    workspace = open_here(root)
    known: dict[Target, Status] = {}
    left = [_left_row(leftover) for leftover in find_leftovers(workspace)] if left_over else []
    left = [row for row in left if begins_with(row["key"], prefix)]
    rows = (
        []
        if left and not _keys(workspace, prefix)
        else [_row(workspace, target, known) for target in _choose(workspace, prefix)]
    )
    rows += left
    table = pd.DataFrame([row for row in rows if missing or row["state"] != "missing"], columns=list(COLUMNS))
    table["created"] = pd.to_datetime(table["created"], utc=True)
    return table.astype({"bytes": "Int64"})


def _choose(workspace: Workspace, prefix: str) -> list[Target]:
    """Return the targets of all keys that begin with a prefix; if there are none, the targets that the text names."""
    keys = _keys(workspace, prefix)
    return [target for key in keys for target in workspace.targets(key)] if keys else parse_target(workspace, prefix)


def _keys(workspace: Workspace, prefix: str) -> list[tuple[str, ...]]:
    """Return the keys that begin with a prefix."""
    return [key for key in workspace.keys if begins_with("/".join(key), prefix)]


def _left_row(leftover: Leftover) -> dict[str, Any]:
    """Return the row of a folder that the configuration does not name."""
    return {
        **dict.fromkeys(COLUMNS),
        "target": leftover.name,
        "stage": leftover.key[0],
        "key": "/".join(leftover.key),
        "partition": leftover.partition,
        "state": "left over",
        "reason": f"its {leftover.noun} is not in the configuration",
        "path": leftover.path,
        "bytes": leftover.count_bytes(),
    }


def _row(workspace: Workspace, target: Target, known: dict[Target, Status]) -> dict[str, Any]:
    """Return a target's row of the table; `known` keeps the states that were looked up already."""
    status, record = workspace.status(target, known), workspace.read_record(target)
    stage = workspace.stage(target)
    return {
        "target": str(target),
        "stage": target.stage,
        "group": name_group(workspace, target.key),
        "key": "/".join(target.key),
        "partition": target.partition,
        "state": status.state,
        "reason": status.reason,
        "path": stage.output(target),
        "created": record.created if record is not None else None,
        "bytes": stage.count_bytes(target, record) if record is not None else None,
        "data_version": status.data_version,
    }
