"""What Dagster's instance of a root has recorded."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dynvision.targets import Target
from dynvision_assets.partitions import asset_key, partition_key
from tests.helpers.chains import open_workspace


def open_instance(root: Path) -> dg.DagsterInstance:
    """The Dagster instance of a root; to be used in a `with` block."""
    return dg.DagsterInstance.from_config(str(root / ".dagster"))


def materializations(instance: dg.DagsterInstance, root: Path, target: Target) -> list[dg.AssetMaterialization]:
    """What Dagster has recorded of a target, newest first."""
    name = partition_key(open_workspace(root), target)
    key = asset_key(target.key)
    chosen = dg.AssetRecordsFilter(key, asset_partitions=[name]) if name is not None else key
    events = instance.fetch_materializations(chosen, limit=100).records
    return [record.asset_materialization for record in events if record.asset_materialization is not None]


def latest_check(instance: dg.DagsterInstance, key: tuple[str, ...], name: str) -> dg.AssetCheckEvaluation | None:
    """The last outcome of a check."""
    record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(asset_key(key), name))
    if record is None or record.event is None or record.event.dagster_event is None:
        return None
    outcome = record.event.dagster_event.event_specific_data
    return outcome if isinstance(outcome, dg.AssetCheckEvaluation) else None
