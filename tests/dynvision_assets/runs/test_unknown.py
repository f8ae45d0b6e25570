"""The job `make` tells Dagster what is up to date although Dagster does not show it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dynvision.engines.calls import Call
from dynvision.errors import DynvisionError
from dynvision.stages.base.checks import CheckResult
from dynvision.workspace.building import build_targets
from dynvision_assets.partitions import asset_key, partition_key
from dynvision_assets.runs import checks
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace, states
from tests.helpers.engines import ScriptedEngine
from tests.helpers.runs import Engines, RunAsset, events

SUMMARY = "summary/contrast/rcnn_gratings"


def make_in(root: Path, instance: dg.DagsterInstance, *targets: str) -> list[str]:
    """Run the job; return what it has recorded, in order."""
    job = make_definitions(open_workspace(root)).resolve_job_def("make")
    config = {"ops": {"build": {"config": {"targets": list(targets)}}}}
    done = job.execute_in_process(instance=instance, run_config=config)
    found = [event.step_materialization_data.materialization for event in done.get_asset_materialization_events()]
    return [f"{event.asset_key.to_user_string()}:{event.partition}" for event in found]


def build_elsewhere(root: Path, *targets: str) -> None:
    """Build targets of one asset without telling Dagster."""
    build_targets(list(targets), root=str(root), config=str(root / "config"))


def test_a_chain_that_was_made_elsewhere_appears_in_a_new_instance_and_is_in_sync(
    chain: Path, engines: Engines, instance: dg.DagsterInstance
) -> None:
    recorded = make_in(chain, instance, SUMMARY)
    assert recorded[-1] == f"{SUMMARY}:None"
    assert {name.partition("/")[0] for name in recorded[:2]} == {"raw"}
    assert len(recorded) == len(set(recorded)) == 2 + 2 + 2 + 1 + 4 + 1
    assert engines.opened == [], "there was nothing to build"
    workspace = open_workspace(chain)
    graph = make_definitions(workspace).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    for target in (target for key in workspace.keys for target in workspace.targets(key)):
        name, key, partition = str(target), asset_key(target.key), partition_key(workspace, target)
        if name in recorded or name == SUMMARY:
            causes = [cause.reason for cause in resolver.get_stale_causes(key, partition)]
            assert resolver.get_status(key, partition) == StaleStatus.FRESH, (name, causes)
    assert make_in(chain, instance, SUMMARY) == [], "Dagster knows everything now"


def test_a_partition_that_failed_and_is_up_to_date_again_is_shown_as_made(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    make("raw/gratings:test")
    (empty_root / "data/raw/gratings/test/manifest.json").unlink()
    engines.prepared.append(ScriptedEngine(fail=lambda call: DynvisionError("it went wrong")))
    assert not make("raw/gratings:test").success
    build_elsewhere(empty_root, "raw/gratings:test")
    assert make_in(empty_root, instance, "raw/gratings:test") == ["raw/gratings:test"]
    assert make_in(empty_root, instance, "raw/gratings:test") == []


def test_what_another_run_is_making_is_left_to_that_run(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    recorded: list[list[str]] = []

    def make_too(call: Call) -> None:
        build_elsewhere(empty_root, *call.arguments["targets"])
        recorded.append(make_in(empty_root, instance, "raw/gratings:test"))

    engines.prepared.append(ScriptedEngine(fail=make_too))
    assert make("raw/gratings:test").success
    assert recorded == [[]]
    assert len(events(instance, "raw/gratings")) == 1


def test_a_forced_target_is_recorded_once(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    build_elsewhere(empty_root, "raw/gratings:test")
    assert make("raw/gratings:test", force=True).success
    assert len(events(instance, "raw/gratings")) == 1


def test_what_does_not_pass_a_hard_check_is_built_again(
    empty_root: Path,
    engines: Engines,
    instance: dg.DagsterInstance,
    make: RunAsset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build_elsewhere(empty_root, "raw/gratings:test")
    workspace = open_workspace(empty_root)
    (name,) = [check.name for check in workspace.stages["raw"].checks if check.is_hard][:1]
    results = [[CheckResult(name, False, "it is torn")], [CheckResult(name, True, "it is whole")]]
    monkeypatch.setattr(checks, "run_checks", lambda *arguments: results.pop(0))
    done = make("raw/gratings:test")
    assert done.output_for_node("build", "built") == ["raw/gratings:test"]
    assert len(events(instance, "raw/gratings")) == 1
    assert states(empty_root)["raw/gratings:test"] == "fresh"
