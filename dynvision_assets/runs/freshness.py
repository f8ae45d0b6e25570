"""The check `up_to_date` of every asset: what `dynvision status` says of it, for the browser.

Dagster compares versions of directly connected partitions only. It does not see that a level was added to an
experiment, that a file is damaged, or that something further upstream changed.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import dagster as dg

from dynvision.system.escaping import escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Status, Workspace
from dynvision_assets.partitions import asset_key

__all__ = ["UP_TO_DATE", "describe_freshness", "find_changes", "freshness_spec"]

UP_TO_DATE = "up_to_date"
"""The name of the check."""

STATEMENT = (
    "What has been made is what the configuration and everything upstream say. The sensor see_what_is_stale compares "
    "it, and a run of the asset does; 'dynvision status' says the same."
)

NOTHING = "Nothing of it has been made."

_MOST_NAMED = 5
"""How many partitions, and how many different reasons, a sentence names."""

Key = tuple[str, ...]


def freshness_spec(key: Key) -> dg.AssetCheckSpec:
    """Return the check of an asset."""
    return dg.AssetCheckSpec(UP_TO_DATE, asset=asset_key(key), description=STATEMENT)


def find_changes(
    workspace: Workspace, instance: dg.DagsterInstance, keys: Sequence[Key], seconds: float = math.inf
) -> tuple[list[dg.AssetCheckEvaluation], int]:
    """Look at assets, and return the results of the check that differ from those that Dagster shows.

    An asset of which nothing has been made gets no result, unless it had one before.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        keys: The assets. Those that the configuration does not have any more are left out.
        seconds: No further asset is looked at after this time.

    Returns:
        The results, and how many of the assets were looked at.
    """
    start, looked_at = time.monotonic(), 0
    known: dict[Target, Status] = {}
    current: dict[Key, dg.AssetCheckEvaluation] = {}
    existing = set(workspace.keys)
    for key in keys:
        if looked_at and time.monotonic() - start > seconds:
            break
        if key in existing:
            current[key] = describe_freshness(workspace, key, known)
        looked_at += 1
    shown = _shown_results(instance, list(current))
    changes = [
        result
        for key, result in current.items()
        if shown.get(key) != _content(result) and (key in shown or result.description != NOTHING)
    ]
    return changes, looked_at


def describe_freshness(
    workspace: Workspace, key: Key, known: dict[Target, Status] | None = None
) -> dg.AssetCheckEvaluation:
    """Return the result of the check for an asset as it is now.

    A partition that was never made does not let the check fail: the user decides what to make.

    Args:
        workspace: The workspace.
        key: The asset.
        known: States that were found before; see `Workspace.status`.
    """
    known = {} if known is None else known
    states = {target: workspace.status(target, known) for target in workspace.targets(key)}
    old = {target: state for target, state in states.items() if state.state in ("stale", "damaged")}
    missing = [target for target, state in states.items() if state.state == "missing"]
    is_damaged = any(state.state == "damaged" for state in old.values())
    counts = Counter(state.state for state in states.values())
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(key),
        check_name=UP_TO_DATE,
        passed=not old,
        severity=dg.AssetCheckSeverity.ERROR if is_damaged else dg.AssetCheckSeverity.WARN,
        description=_complain(old, len(states)) if old else _praise(missing, len(states)),
        metadata={"partitions": ", ".join(f"{count} {name}" for name, count in counts.items())},
    )


def _praise(missing: Sequence[Target], total: int) -> str:
    """Return the sentence for an asset of which nothing is stale or damaged."""
    made = total - len(missing)
    if not made:
        return NOTHING
    if total == 1:
        return "It is up to date."
    sentence = f"{made} partitions are up to date" if made > 1 else "1 partition is up to date"
    return f"{sentence}; not made: {_name(missing)}." if missing else f"{sentence}."


def _complain(old: dict[Target, Status], total: int) -> str:
    """Return which partitions are stale or damaged, why, and the command, as Markdown."""
    groups: dict[tuple[str, str], list[Target]] = {}
    for target, status in old.items():
        # A reason may begin with the target itself, so that it would be another one for each partition.
        groups.setdefault((status.state, status.reason.removeprefix(f"{target}: ")), []).append(target)
    lines = [
        _name_group(state, reason, targets, total) for (state, reason), targets in list(groups.items())[:_MOST_NAMED]
    ]
    if len(groups) > _MOST_NAMED:
        lines.append(f"…and {len(groups) - _MOST_NAMED} other reasons")
    buildable = [target for target, status in old.items() if not status.unreadable]
    if buildable:
        key = "/".join(buildable[0].key)
        names = " ".join(map(str, buildable)) if len(buildable) <= _MOST_NAMED else key
        lines.append(f"Make it up to date: `dynvision make {names}`, or the job `make`")
    return "\n\n".join(lines)


def _name_group(state: str, reason: str, targets: Sequence[Target], total: int) -> str:
    """Return one line: the partitions that share a state and a reason."""
    why = escape_markdown(show_text(reason))
    if total == 1:
        return f"It is {state}: {why}"
    noun = "partitions are" if len(targets) > 1 else "partition is"
    return f"{len(targets)} of {total} {noun} {state} ({_name(targets)}): {why}"


def _name(targets: Sequence[Target]) -> str:
    """Name partitions, the first few if there are many."""
    names = ", ".join(escape_markdown(show_text(str(target.partition))) for target in targets[:_MOST_NAMED])
    more = len(targets) - _MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names


def _shown_results(instance: dg.DagsterInstance, keys: Sequence[Key]) -> dict[Key, tuple[bool, str]]:
    """Return what Dagster shows of the check now: the content of the newest result of each asset that has one.

    A run that ended before it gave a result counts as showing something that no result equals. So does a result that
    is older than the newest materialization, because Dagster then shows "Not Evaluated".
    """
    names = {dg.AssetCheckKey(asset_key(key), UP_TO_DATE): key for key in keys}
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(names))
    made = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records([asset_key(key) for key in keys])
    }
    shown: dict[Key, tuple[bool, str]] = {}
    for name, record in newest.items():
        event = record.event.dagster_event if record.event is not None else None
        result = event.event_specific_data if event is not None else None
        materialization = made.get(name.asset_key)
        # Both times as Dagster compares them: it keeps that of a result in whole seconds.
        counts = (
            materialization is None
            or materialization.run_id == record.run_id
            or materialization.timestamp < record.create_timestamp
        )
        if counts and isinstance(result, dg.AssetCheckEvaluation):
            shown[names[name]] = _content(result)
        else:
            shown[names[name]] = False, ""
    return shown


def _content(result: dg.AssetCheckEvaluation) -> tuple[bool, str]:
    return result.passed, result.description or ""
