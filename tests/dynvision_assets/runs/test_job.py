"""The job `make`: targets and only what they need, in one run, also from the Launchpad."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dynvision.engines.calls import Call
from dynvision.errors import DynvisionError
from dynvision.workspace.building import build_targets
from dynvision_assets import resources
from dynvision_assets.instances.run_processes import PID_TAG, RUN_TAG
from dynvision_assets.wiring import make_definitions, resolve_make_job
from tests.helpers.chains import open_workspace, records, states
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import open_instance
from tests.helpers.runs import Engines, RunAsset, events, failure


def recorded(done: dg.ExecuteInProcessResult) -> list[str]:
    """The partitions that a run has recorded, in order."""
    found = [
        event.step_materialization_data.materialization
        for event in done.filter_events(lambda e: e.is_step_materialization)
    ]
    return [f"{event.asset_key.to_user_string()}:{event.partition}" for event in found]


def lines(instance: dg.DagsterInstance, done: dg.ExecuteInProcessResult) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(done.run_id)]


def test_only_what_a_target_needs_is_built_in_one_run(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    done = make("interim/gratings:train_ends")
    assert done.success
    assert recorded(done) == ["raw/gratings:train", "interim/gratings:train_ends"]
    assert done.output_for_node("build", "built") == recorded(done)
    made = {t.stage: r.data_version for t, r in records(empty_root).items()}
    assert events(instance, "interim/gratings") == [("train_ends", made["interim"], done.run_id)]
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.tags["dynvision/make"] == "interim/gratings:train_ends"
    assert run.tags[RUN_TAG] == run.run_id
    assert run.tags[PID_TAG].isdigit()
    assert "raw/gratings:train: it has not been built" in lines(instance, done)
    assert any(line.startswith("raw/gratings:train: 36 of 36 images (100%)") for line in lines(instance, done))
    assert engines.opened[0].is_closed


def test_a_run_with_nothing_to_do_says_so_and_opens_no_engine(
    engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    make("raw/gratings:test")
    done = make("raw/gratings:test")
    assert done.success
    assert recorded(done) == []
    assert "everything is up to date; nothing to do" in lines(instance, done)
    assert len(engines.opened) == 1


def test_force_builds_the_named_targets_again(engines: Engines, make: RunAsset) -> None:
    make("raw/gratings:test")
    done = make("raw/gratings:test", force=True)
    assert recorded(done) == ["raw/gratings:test"]
    assert [call.arguments["force"] for engine in engines.opened for call in engine.submitted] == [False, True]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["raw/gratngs"], "Did you mean 'gratings'?"),
        (["raw/gratings:tset"], "Did you mean 'test'?"),
        ([], 'no target is named. Write one in the Launchpad: targets: ["summary/contrast/rcnn_gratings"]'),
    ],
)
def test_a_wrong_name_fails_with_the_usual_sentence(
    empty_root: Path, engines: Engines, make: RunAsset, targets: list[str], message: str
) -> None:
    done = make(*targets)
    assert not done.success
    assert message in failure(done)
    assert not (empty_root / "data").exists()


def status(instance: dg.DagsterInstance, root: Path, key: str) -> dict[str, str | None]:
    """How the page of an asset shows each of its partitions."""
    asset = dg.AssetKey(key.split("/"))
    definition = make_definitions(open_workspace(root)).resolve_asset_graph().get(asset).partitions_def
    assert definition is not None
    found = instance.get_status_by_partition(asset, definition.get_partition_keys(), definition)
    return {name: None if one is None else one.value for name, one in (found or {}).items()}


def test_a_partition_that_failed_is_shown_as_failed_on_its_page_until_it_is_made(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    def fail(call: Call) -> DynvisionError | None:
        return DynvisionError("it went wrong") if "raw/gratings:train" in call.name else None

    engines.prepared.append(ScriptedEngine(fail=fail))
    assert not make("raw/gratings", "interim/gratings:train_all").success
    assert status(instance, empty_root, "raw/gratings") == {"train": "FAILED", "test": "MATERIALIZED"}
    assert "FAILED" not in status(instance, empty_root, "interim/gratings").values()
    assert make("raw/gratings").success
    assert status(instance, empty_root, "raw/gratings") == {"train": "MATERIALIZED", "test": "MATERIALIZED"}


def test_a_target_is_shown_as_in_progress_from_its_turn_to_its_end(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    seen: dict[str, dict[str, str | None]] = {}

    def look(call: Call) -> None:
        seen[call.name] = status(instance, empty_root, "raw/gratings")

    engines.prepared.append(ScriptedEngine(fail=look))
    assert make("interim/gratings:train_all").success
    assert seen == {
        "raw/gratings:train": {"train": "IN_PROGRESS", "test": None},
        "interim/gratings:train_all": {"train": "MATERIALIZED", "test": None},
    }


def test_automation_leaves_alone_what_the_job_is_making(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    assert make("interim/gratings:test_all").success
    edit_config(empty_root, "test_per_class: 4", "test_per_class: 5")
    definitions = make_definitions(open_workspace(empty_root))
    before = dg.evaluate_automation_conditions(definitions, instance=instance)
    requested: list[set[str] | None] = []

    def look(call: Call) -> None:
        now = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=before.cursor)
        requested.append(now.get_requested_partitions(dg.AssetKey(["interim", "gratings"])))

    engines.prepared.append(ScriptedEngine(fail=look))
    assert make("interim/gratings:test_all").success
    assert requested == [set(), set()]


def test_what_another_process_has_made_is_not_shown_as_failed_by_a_run_that_fails(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    def fail(call: Call) -> DynvisionError | None:
        if "raw/gratings:train" in call.name:
            return DynvisionError("it went wrong")
        build_targets(call.arguments["targets"], root=str(empty_root), config=str(empty_root / "config"))
        return None

    assert make("raw/gratings:test").success
    (empty_root / "data/raw/gratings/test/manifest.json").unlink()
    engines.prepared.append(ScriptedEngine(fail=fail))
    assert not make("raw/gratings").success
    assert status(instance, empty_root, "raw/gratings") == {"train": "FAILED", "test": "MATERIALIZED"}


def test_what_fails_leaves_the_others_in_the_same_run(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(call: Call) -> DynvisionError | None:
        return DynvisionError("the disk is full.") if call.name == "raw/gratings:test" else None

    monkeypatch.setattr(resources, "open_engine", lambda settings: ScriptedEngine(fail=fail))
    done = call_dynvision(empty_root, "make", "interim/gratings")
    assert done.exit_code == 1
    assert (
        "error: the disk is full.\nNot built because of that: interim/gratings:test_all, interim/gratings:test_ends"
        in (done.output)
    )
    fresh = [target for target, state in states(empty_root).items() if state == "fresh"]
    assert sorted(fresh) == ["interim/gratings:train_all", "interim/gratings:train_ends", "raw/gratings:train"]
    with open_instance(empty_root) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert {name for name, _, _ in events(instance, "interim/gratings")} == {"train_all", "train_ends"}
        assert status(instance, empty_root, "raw/gratings") == {"train": "MATERIALIZED", "test": "FAILED"}


def test_what_another_process_built_is_recorded_once_if_dagster_does_not_know_it(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    def build_first(call: Call) -> None:
        build_targets(call.arguments["targets"], root=str(empty_root), config=str(empty_root / "config"))

    engines.prepared += [ScriptedEngine(fail=build_first), ScriptedEngine(fail=build_first)]
    first = make("raw/gratings:test")
    assert recorded(first) == ["raw/gratings:test"]
    assert first.output_for_node("build", "built") == []
    manifest = empty_root / "data/raw/gratings/test/manifest.json"
    manifest.unlink()
    second = make("raw/gratings:test")
    assert second.success
    assert recorded(second) == []


def test_the_job_is_among_the_definitions_and_says_how_it_is_used(empty_root: Path) -> None:
    workspace = open_workspace(empty_root)
    for job in (make_definitions(workspace).resolve_job_def("make"), resolve_make_job(workspace)):
        assert "only what is missing or stale" in str(job.description)
        assert 'targets: ["summary/contrast/rcnn_gratings"' in str(job.description)
    names = [job.name for job in make_definitions(workspace).get_repository_def().get_all_jobs()]
    assert names.count("make") == 1


def test_the_run_config_of_the_description_and_of_the_page_is_valid(empty_root: Path) -> None:
    job = resolve_make_job(open_workspace(empty_root))
    page = (Path(resources.__file__).parent.parent / "docs" / "how-to" / "backfill.md").read_text()
    for text in (str(job.description), page):
        (block,) = [lines for lines in re.findall(r"```\w+\n(.*?)```", text, re.DOTALL) if "ops:" in lines]
        assert dg.validate_run_config(job, yaml.safe_load(textwrap.dedent(block)))


def test_each_experiment_has_a_job_with_its_targets_filled_in(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance
) -> None:
    edit_config(empty_root, "  contrast_duration:", "  contrast-duration:\n    description: 'two at _once_'")
    definitions = make_definitions(open_workspace(empty_root))
    names = [job.name for job in definitions.get_repository_def().get_all_jobs()]
    assert {name for name in names if name.startswith("make")} == {"make", "make_contrast", "make_contrast_duration"}
    job = definitions.resolve_job_def("make_contrast_duration")
    assert str(job.description).startswith("two at \\_once\\_\n\nBuilds the experiment `contrast-duration`")
    assert "dynvision experiment contrast-duration" in str(job.description)
    filled = job.run_config
    assert filled is not None
    assert filled["ops"]["build"]["config"] == {
        "targets": ["responses/contrast-duration/rcnn_gratings", "summary/contrast-duration/rcnn_gratings"],
        "force": False,
        "wait": True,
    }
    filled["ops"]["build"]["config"]["targets"] = ["raw/gratings:test"]
    done = job.execute_in_process(instance=instance, run_config=filled)
    assert recorded(done) == ["raw/gratings:test"]
    assert dg.validate_run_config(job, definitions.resolve_job_def("make_contrast").run_config)
