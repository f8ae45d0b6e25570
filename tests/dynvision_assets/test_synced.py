"""What is up to date is so for Dagster too: the UI calls nothing unsynced that was just made."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dynvision_assets.partitions import asset_key, partition_key
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.instances import open_instance


def test_nothing_that_is_up_to_date_is_unsynced_in_the_ui(made_root: Path) -> None:
    workspace = open_workspace(made_root)
    graph = make_definitions(workspace).resolve_asset_graph()
    seen: dict[str, set[str]] = {}
    with open_instance(made_root) as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        for target in (t for key in workspace.keys for t in workspace.targets(key)):
            state = workspace.status(target).state
            key, partition = asset_key(target.key), partition_key(workspace, target)
            if state == "fresh":
                causes = [cause.reason for cause in resolver.get_stale_causes(key, partition)]
                assert resolver.get_status(key, partition) == StaleStatus.FRESH, (str(target), causes)
            seen.setdefault(target.stage, set()).add(state)
    assert all("fresh" in states for states in seen.values()), seen


def test_the_checks_of_responses_count_as_made_after_their_materialization(made_root: Path) -> None:
    key = dg.AssetKey(["responses", "contrast", "rcnn_ends"])
    with open_instance(made_root) as instance:
        newest = instance.get_latest_materialization_event(key)
        assert newest is not None
        name = dg.AssetCheckKey(key, "responses_are_complete_and_finite")
        record = instance.get_latest_asset_check_evaluation_record(name)
        assert record is not None
        assert record.event is not None
        assert record.event.timestamp >= newest.timestamp
        outcome = record.event.get_dagster_event().event_specific_data
        assert isinstance(outcome, dg.AssetCheckEvaluation)
        assert outcome.metadata["conditions"].value == 4
        assert str(outcome.description).startswith("4 partitions: contrast=0.1: 8 trials read back; contrast=0.5")
