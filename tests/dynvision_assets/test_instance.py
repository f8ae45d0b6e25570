from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from dynvision.paths import Paths
from dynvision_assets.instances.opening import LOCATIONS_FILE, SILENT_LOGS, open_instance, prepare_home
from dynvision_assets.instances.run_processes import (
    HOST_TAG,
    PID_TAG,
    START_TAG,
    fail_dead_runs,
    find_unseen_runs,
    process_tags,
)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    home = prepare_home(Paths(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return dg.DagsterInstance.get()


@dg.job
def nothing() -> None:
    """A job to make runs of."""


def start_run(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return run.run_id


def test_run_whose_process_is_gone_is_marked_failed_and_others_are_left(instance: dg.DagsterInstance) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = start_run(instance, {**process_tags(), PID_TAG: str(ended.pid)})
    alive = start_run(instance, process_tags())
    elsewhere = start_run(instance, {HOST_TAG: "another-host", PID_TAG: str(ended.pid)})
    assert fail_dead_runs(instance) == [dead]
    assert {run: str(owner) for run, owner in find_unseen_runs(instance).items()} == {
        elsewhere: f"process {ended.pid} on another-host"
    }
    states = {run: instance.get_run_by_id(run).status for run in (dead, alive, elsewhere)}
    assert states == {
        dead: dg.DagsterRunStatus.FAILURE,
        alive: dg.DagsterRunStatus.STARTED,
        elsewhere: dg.DagsterRunStatus.STARTED,
    }


def test_home_has_settings_without_telemetry_and_keeps_what_the_user_changed(instance: dg.DagsterInstance) -> None:
    settings = Path(instance.root_directory) / "dagster.yaml"
    assert "telemetry:\n  enabled: false" in settings.read_text()
    settings.write_text("telemetry: {enabled: false}\n")
    prepare_home(Paths(Path(instance.root_directory).parent))
    assert settings.read_text() == "telemetry: {enabled: false}\n"


def test_run_started_again_from_the_ui_is_left_alone_and_a_reused_number_is_not_mistaken(
    instance: dg.DagsterInstance,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = {**process_tags(), PID_TAG: str(ended.pid)}
    parent = start_run(instance, dead)
    again = instance.create_run_for_job(
        nothing, status=dg.DagsterRunStatus.STARTED, tags=dead, parent_run_id=parent, root_run_id=parent
    ).run_id
    reused = start_run(instance, {**process_tags(), START_TAG: "1"})
    assert sorted(fail_dead_runs(instance)) == sorted([parent, reused])
    assert instance.get_run_by_id(again).status == dg.DagsterRunStatus.STARTED


def test_a_users_own_workspace_file_is_left_alone(instance: dg.DagsterInstance) -> None:
    home = Path(instance.root_directory)
    (home / "workspace.yaml").write_text("mine")
    prepare_home(Paths(home.parent))
    assert (home / "workspace.yaml").read_text() == "mine"
    assert "dynvision_assets.definitions" in (home / LOCATIONS_FILE).read_text()


def test_the_private_parts_of_dagster_that_are_used_are_still_there(instance: dg.DagsterInstance) -> None:
    """A new Dagster that moves them fails here, with its own words, and not in somebody's `dynvision make`."""
    home = Path(instance.root_directory)
    module = importlib.import_module(SILENT_LOGS["module"])
    assert hasattr(module, SILENT_LOGS["class"]), f"{SILENT_LOGS['class']} is not in {SILENT_LOGS['module']} any more"
    assert "overrides" in inspect.signature(InstanceRef.from_dir).parameters
    with open_instance(home, capture=False) as silent, open_instance(home) as capturing:
        assert type(silent.compute_log_manager).__name__ == SILENT_LOGS["class"]
        assert type(capturing.compute_log_manager).__name__ != SILENT_LOGS["class"]
