"""The check `up_to_date` of every asset: what `dynvision status` says of it, for the browser.

Dagster compares versions of directly connected partitions only. It does not see that a level was added to an
experiment, that a file is damaged, or that something further upstream changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dynvision.targets import Target
from dynvision.workspace import Status, Workspace
from dynvision_assets.partitions import asset_key
from dynvision_assets.runs.tally import NOTHING, UP_TO_DATE, Tally

__all__ = ["UP_TO_DATE", "Look", "describe_assets_of", "describe_freshness", "find_changes", "freshness_spec"]

STATEMENT = (
    "What has been made is what the configuration and everything upstream say. The sensor see_what_is_stale compares "
    "it, and so does a run that builds it; 'dynvision status' says the same."
)

SHORT_LOOK = 2.0
"""Seconds that a run of many assets takes at its end to look at them; the sensor looks at the others."""

_PLANNED = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED

Key = tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What a look at assets has found.

    Attributes:
        changes: The results that differ from those that Dagster shows.
        count: How many of the assets were looked at to the end.
        begun: What is known of the next one, as JSON-ready values, if the time was over in the middle of it.
    """

    changes: list[dg.AssetCheckEvaluation]
    count: int
    begun: dict[str, Any] | None


def freshness_spec(key: Key) -> dg.AssetCheckSpec:
    """Return the check of an asset."""
    return dg.AssetCheckSpec(UP_TO_DATE, asset=asset_key(key), description=STATEMENT)


def find_changes(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    keys: Sequence[Key],
    seconds: float = math.inf,
    begun: dict[str, Any] | None = None,
) -> Look:
    """Look at assets, and return the results of the check that differ from those that Dagster shows.

    An asset of which nothing has been made gets no result, unless it had one before. Nor does one to which a run is
    going to give it: Dagster has kept a place for that result, and would go on to show ours, which has a later place.

    Args:
        workspace: The workspace.
        instance: Dagster's instance.
        keys: The assets. Those that the configuration does not have any more are left out.
        seconds: Nothing further is looked at after this time, but for one partition, so that every look gets on.
        begun: That of the look before. If the configuration has changed since then, the asset is begun anew.
    """
    until, looked_at = time.monotonic() + seconds, 0
    known: dict[Target, Status] = {}
    current: dict[Key, dg.AssetCheckEvaluation] = {}
    existing = set(workspace.keys)
    rest: dict[str, Any] | None = None
    for key in keys:
        if looked_at and time.monotonic() > until:
            break
        if key in existing:
            tally = _resume(workspace, key, begun)
            if not _count(workspace, key, known, tally, until):
                rest = {"key": list(key), "config": _digest(workspace), "tally": tally.to_dict()}
                break
            current[key] = tally.evaluate(key)
        looked_at += 1
    shown = _shown_results(instance, list(current))
    changes = [
        result
        for key, result in current.items()
        if (shown[key] not in (None, _content(result)) if key in shown else result.description != NOTHING)
    ]
    return Look(changes, looked_at, rest)


def describe_freshness(workspace: Workspace, key: Key) -> dg.AssetCheckEvaluation:
    """Return the result of the check for an asset as it is now."""
    tally = Tally()
    _count(workspace, key, {}, tally)
    return tally.evaluate(key)


def describe_assets_of(workspace: Workspace, targets: Iterable[Target]) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the result of the check for the asset of each target, as far as it is soon known.

    Without that Dagster shows "Not Evaluated" for what was just built, until the sensor comes to it.
    """
    until, known = time.monotonic() + SHORT_LOOK, dict[Target, Status]()
    for key in dict.fromkeys(target.key for target in targets):
        tally = Tally()
        if not _count(workspace, key, known, tally, until):
            return
        yield tally.evaluate(key)


def _count(workspace: Workspace, key: Key, known: dict[Target, Status], tally: Tally, until: float = math.inf) -> bool:
    """Add to a tally the partitions that it lacks, one at least; return whether it has all of them."""
    targets = workspace.targets(key)
    for target in targets[tally.count :]:
        tally.add(target, workspace.status(target, known))
        if time.monotonic() > until:
            break
    return tally.count >= len(targets)


def _resume(workspace: Workspace, key: Key, begun: dict[str, Any] | None) -> Tally:
    """Return what a look before has found out about an asset; an empty tally if that no longer counts."""
    if begun is None or begun["key"] != list(key) or begun["config"] != _digest(workspace):
        return Tally()
    return Tally.from_dict(begun["tally"])


def _digest(workspace: Workspace) -> str:
    """Return a digest of the configuration."""
    return hashlib.sha256(json.dumps(workspace.snapshot, sort_keys=True).encode()).hexdigest()


def _shown_results(instance: dg.DagsterInstance, keys: Sequence[Key]) -> dict[Key, tuple[bool, str] | None]:
    """Return what Dagster shows of the check now: the content of the newest result of each asset that has one.

    It is `None` where a run has planned the check and has not ended.

    A run that ended before it gave a result counts as showing something that no result equals. So does a result that
    is older than the newest materialization, because Dagster then shows "Not Evaluated".
    """
    names = {dg.AssetCheckKey(asset_key(key), UP_TO_DATE): key for key in keys}
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(names))
    made = {
        record.asset_entry.asset_key: record.asset_entry.last_materialization_record
        for record in instance.get_asset_records([asset_key(key) for key in keys])
    }
    shown: dict[Key, tuple[bool, str] | None] = {}
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
        elif event is not None and event.event_type == _PLANNED and _is_going_on(instance, record.run_id):
            shown[names[name]] = None
        else:
            shown[names[name]] = False, ""
    return shown


def _is_going_on(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _content(result: dg.AssetCheckEvaluation) -> tuple[bool, str]:
    return result.passed, result.description or ""
