"""A selection of partitions is one run: each is recorded at once, and one that fails does not undo the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import MultiPartitionKey
from PIL import Image

from dynvision.engines.calls import Call
from dynvision.errors import DynvisionError, OutputBusyError
from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace.building import build_targets
from dynvision_assets.runs.events import make_materialization
from tests.helpers.chains import open_workspace, records, states
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import open_instance
from tests.helpers.runs import Engines, RunAsset, events, failure

INTERIM = dg.AssetKey(["interim", "gratings"])


def build(root: Path, *targets: str) -> None:
    for target in targets:
        build_targets([target], root=str(root), config=str(root / "config"))


def put_pictures(root: Path, *colours: tuple[tuple[int, int, int], tuple[int, int, int]]) -> None:
    """Let there be a dataset `mine` of two pictures a split, of these colours; the last ones count for both splits."""
    edit_config(root, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, mine: 8}")
    for split, chosen in (("train", colours[0]), ("test", colours[-1])):
        for colour, name in zip(chosen, ("cat", "dog"), strict=True):
            folder = root / "data" / "raw" / "mine" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8), colour).save(folder / "a.png")


def test_each_partition_has_one_event_with_its_own_version_and_the_run(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    """This would notice if Dagster wrote an event of its own again, with one version for all."""
    build(empty_root, "raw/gratings:train", "raw/gratings:test")
    done = select("interim/gratings", first="train_all", last="test_ends")
    assert done.success
    made = {str(t.partition): record.data_version for t, record in records(empty_root).items() if t.stage == "interim"}
    assert sorted(events(instance, "interim/gratings")) == sorted(
        (name, version, done.run_id) for name, version in made.items()
    )
    assert len(set(made.values())) == 4
    assert len(done.filter_events(lambda event: event.is_step_materialization)) == 4


def test_a_partition_that_fails_does_not_undo_the_others_and_is_named(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    build(empty_root, "raw/gratings:train")
    done = select("interim/gratings", first="train_all", last="test_all")
    assert not done.success
    assert failure(done).startswith("interim/gratings:test_all is made from raw/gratings:test, which is missing.")
    assert sorted(name for name, _, _ in events(instance, "interim/gratings")) == ["train_all", "train_ends"]
    assert engines.opened[0].is_closed


def test_a_hard_check_fails_its_partition_before_it_is_materialized(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    put_pictures(empty_root, ((0, 2, 3), (1, 2, 3)))
    engines.prepared.append(ScriptedEngine(slots=1))
    done = select("raw/mine", first="train", last="test")
    assert not done.success
    assert "splits_hold_different_images does not hold" in failure(done)
    recorded = [name for name, _, _ in events(instance, "raw/mine")]
    assert len(recorded) == 1
    assert {"raw/mine:train", "raw/mine:test"} - {f"raw/mine:{recorded[0]}"} == {
        target for target, state in states(empty_root).items() if target.startswith("raw/mine") and state == "missing"
    }
    key = dg.AssetCheckKey(dg.AssetKey(["raw", "mine"]), "splits_hold_different_images")
    newest = instance.get_latest_asset_check_evaluation_record(key)
    assert newest is not None
    assert newest.event is not None
    outcome = newest.event.get_dagster_event().event_specific_data
    assert isinstance(outcome, dg.AssetCheckEvaluation)
    assert not outcome.passed
    assert str(outcome.description).startswith("1 of 2 partitions fail: ")


@pytest.mark.slow
def test_a_step_that_follows_in_the_same_run_goes_on(
    empty_root: Path, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    build(empty_root, "raw/gratings:test")
    done = select("interim/gratings", "processed/gratings", first="test_all", last="test_ends")
    assert done.success
    made = {(t.stage, str(t.partition)): r.data_version for t, r in records(empty_root).items() if t.stage != "raw"}
    for stage in ("interim", "processed"):
        assert events(instance, f"{stage}/gratings") == [
            (name, made[stage, name], done.run_id) for name in ("test_all", "test_ends")
        ]


def test_the_steps_of_a_run_share_one_engine(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    build(empty_root, "raw/gratings:test")

    def fail(call: Call) -> DynvisionError | None:
        return DynvisionError("no room.") if "processed" in call.name else None

    engines.prepared.append(ScriptedEngine(fail=fail))
    done = select("interim/gratings", "processed/gratings", first="test_all", last="test_all")
    assert failure(done) == "no room."
    (engine,) = engines.opened
    assert engine.names == ["interim/gratings:test_all", "processed/gratings:test_all"]
    assert engine.is_closed


class Broken(ScriptedEngine):
    """Does not work any more once it was given calls, as if its cluster refused them."""

    def wait(self, tell: Any = None) -> Any:
        self.close()
        raise DynvisionError("the cluster refuses it.")


def test_a_step_goes_on_with_another_engine_after_the_first_one_does_not_work_any_more(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    put_pictures(empty_root, ((0, 2, 3), (1, 2, 3)), ((4, 5, 6), (7, 8, 9)))
    engines.prepared.append(Broken())
    done = select("raw/gratings", "raw/mine", first="train", last="test")
    assert failure(done) == "the cluster refuses it."
    broken, second = engines.opened
    assert (len(broken.submitted), len(second.submitted)) == (2, 2)
    recorded = [len(events(instance, key)) for key in ("raw/gratings", "raw/mine")]
    assert sorted(recorded) == [0, 2]


def test_calls_of_a_step_that_failed_do_not_reach_the_next_step(
    empty_root: Path,
    engines: Engines,
    instance: dg.DagsterInstance,
    select: RunAsset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_pictures(empty_root, ((0, 2, 3), (1, 2, 3)), ((4, 5, 6), (7, 8, 9)))
    made: list[Target] = []

    def fail_once(workspace: object, instance: object, target: Target, record: Record) -> dg.AssetMaterialization:
        made.append(target)
        if len(made) == 1:
            raise DynvisionError("there is no room for an event.")
        return make_materialization(workspace, instance, target, record)  # type: ignore[arg-type]

    monkeypatch.setattr("dynvision_assets.runs.reporting.make_materialization", fail_once)
    done = select("raw/gratings", "raw/mine", first="train", last="test")
    assert failure(done) == "there is no room for an event."
    assert [(len(engine.submitted), engine.is_closed) for engine in engines.opened] == [(2, True), (2, True)]
    assert sorted(len(events(instance, key)) for key in ("raw/gratings", "raw/mine")) == [0, 2]


def test_a_partition_that_cannot_be_set_aside_does_not_keep_the_others_from_being_built(
    empty_root: Path,
    engines: Engines,
    instance: dg.DagsterInstance,
    select: RunAsset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(targets: list[str], **folders: object) -> None:
        raise OutputBusyError(f"another process builds {targets[0]}.")

    monkeypatch.setattr("dynvision_assets.runs.reporting.reject_targets", refuse)
    put_pictures(empty_root, ((0, 2, 3), (1, 2, 3)))
    build(empty_root, "raw/mine:train")  # Only the one that comes second sees that both are the same.
    done = select("raw/mine", first="train", last="test")
    text = failure(done)
    assert re.match(
        r"raw/mine:\w+: splits_hold_different_images does not hold: .* another process builds raw/mine", text
    )
    assert len(engines.opened[0].submitted) == 2
    assert not engines.opened[0].has_calls


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, dg.DagsterExecutionInterruptedError])
def test_a_run_that_is_stopped_closes_its_engine_and_keeps_what_is_finished(
    engines: Engines, instance: dg.DagsterInstance, select: RunAsset, interruption: type[BaseException]
) -> None:
    class Stopped(ScriptedEngine):
        def wait(self, tell: Any = None) -> Any:
            if len(self.together) == 1:
                raise interruption
            return super().wait(tell)

    engines.prepared.append(Stopped())
    assert not select("raw/gratings", first="train", last="test").success
    assert engines.opened[0].is_closed
    assert len(events(instance, "raw/gratings")) == 1


def test_a_run_whose_calls_wait_in_a_queue_has_no_limit_of_time(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    def tags() -> dict[str, str]:
        done = select("raw/gratings", first="test", last="test")
        assert done.success
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        return dict(run.tags)

    assert "dagster/max_runtime" not in tags()
    (empty_root / "config" / "config_compute.yaml").write_text("engine: slurm\n")
    assert tags()["dagster/max_runtime"] == "0"


def test_a_run_without_a_partition_is_refused_with_a_sentence(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance
) -> None:
    from dynvision_assets.wiring import make_definitions

    job = make_definitions(open_workspace(empty_root)).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(["raw", "gratings"])], raise_on_error=False
    )
    assert failure(done) == "raw/gratings has partitions, and the run names none. Choose some, or all of them."


def test_conditions_of_two_parameters_have_keys_of_two_dimensions(made_root: Path) -> None:
    key = dg.AssetKey(["responses", "contrast_duration", "rcnn_gratings"])
    with open_instance(made_root) as instance:
        (newest,) = instance.fetch_materializations(key, limit=1).records
        assert isinstance(newest.partition_key, MultiPartitionKey)
        assert set(newest.partition_key.keys_by_dimension) == {"contrast", "duration"}
        levels = [f"{c}|{d}" for c in ("0.1", "0.5", "1.0") for d in ("1", "3")]
        assert sorted(instance.get_materialized_partitions(key)) == levels
