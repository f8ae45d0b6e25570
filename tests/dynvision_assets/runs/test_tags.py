"""The tags of runs: those that people use are shown, those of programs are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import TagType, get_tag_type

from dynvision.targets import Target
from dynvision_assets.instances.run_processes import RUN_TAG, fail_dead_runs, process_tags
from dynvision_assets.runs.tags import describe_run, name_origin
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.instances import open_instance


def shown(run: dg.DagsterRun) -> dict[str, str]:
    """The tags of a run that Dagster shows and that are not its own."""
    return {tag: value for tag, value in run.tags.items() if get_tag_type(tag) == TagType.USER_PROVIDED}


def test_tags_that_name_a_process_are_not_shown() -> None:
    assert {get_tag_type(tag) for tag in (*process_tags(), RUN_TAG)} == {TagType.HIDDEN}


def test_a_run_of_the_command_line_says_what_it_makes_and_from_where(empty_root: Path) -> None:
    assert call_dynvision(empty_root, "make", "interim/gratings:test_all").exit_code == 0
    with open_instance(empty_root) as instance:
        (run,) = instance.get_runs()
    assert shown(run) == {
        "dynvision/from": "command line",
        "dynvision/make": "interim/gratings:test_all",
        "dynvision/stage": "interim",
        "dynvision/dataset": "gratings",
    }


def test_a_run_of_assets_says_what_all_of_its_steps_make(empty_root: Path) -> None:
    job = make_definitions(open_workspace(empty_root)).resolve_implicit_global_asset_job_def()
    selection = [dg.AssetKey(["raw", "gratings"])]
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, asset_selection=selection, partition_key="test")
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert shown(run) == {"dynvision/from": "browser", "dynvision/stage": "raw", "dynvision/dataset": "gratings"}
        target = Target(("responses", "contrast", "rcnn_ends"), "contrast=1.0")
        more = describe_run(open_workspace(empty_root), instance, done.run_id, [target, target])
    assert more == {
        "dynvision/from": "browser",
        "dynvision/stage": "raw, responses",
        "dynvision/experiment": "contrast",
        "dynvision/subject": "rcnn_ends",
    }


@pytest.mark.parametrize(
    ("tags", "origin"),
    [
        ({}, "browser"),
        ({"dynvision/from": "command line"}, "command line"),
        ({"dynvision/from": "command line", "dagster/parent_run_id": "a"}, "browser"),
        ({"dagster/backfill": "a"}, "backfill"),
        ({"dagster/sensor_name": "notice_new_images"}, "sensor"),
        ({"dagster/from_automation_condition": "true", "dagster/backfill": "a"}, "sensor"),
    ],
)
def test_the_origin_of_a_run_is_read_from_its_tags(tags: dict[str, str], origin: str) -> None:
    assert name_origin(tags) == origin


def test_of_many_names_the_first_are_said_and_a_further_step_adds_none(empty_root: Path) -> None:
    workspace = open_workspace(empty_root)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.run_storage.add_run(dg.DagsterRun("make", run_id="a"))
        targets = [target for key in workspace.keys for target in workspace.targets(key)]
        for _ in range(2):
            tags = describe_run(workspace, instance, "a", targets)
            assert tags["dynvision/stage"] == "raw, interim, processed, models, …"
            instance.add_run_tags("a", tags)


def test_a_dead_run_of_an_earlier_version_is_ended_by_the_tags_that_it_had(empty_root: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    former = {"dynvision/host": os.uname().nodename, "dynvision/pid": str(ended.pid)}
    with dg.DagsterInstance.ephemeral() as instance:
        started = dg.DagsterRunStatus.STARTED
        instance.run_storage.add_run(dg.DagsterRun("nothing", run_id="a", status=started, tags=former))
        assert fail_dead_runs(instance) == ["a"]
