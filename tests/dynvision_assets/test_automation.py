"""Automation: off by default; what it requests when it is on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dynvision.targets import Target
from dynvision_assets.instances.opening import prepare_home
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import materializations, open_instance


def test_nothing_is_built_by_itself_until_that_is_switched_on(empty_root: Path) -> None:
    definitions = make_definitions(open_workspace(empty_root))
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert sensors == {
        "rebuild_what_is_stale": dg.DefaultSensorStatus.STOPPED,
        "notice_new_images": dg.DefaultSensorStatus.STOPPED,
        "see_what_is_stale": dg.DefaultSensorStatus.RUNNING,  # it only looks
    }
    repository = definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == set(sensors)


def test_what_was_made_is_requested_again_when_its_input_was_made_again(chain: Path) -> None:
    definitions = make_definitions(open_workspace(chain))
    with open_instance(chain) as instance:
        before = dg.evaluate_automation_conditions(definitions, instance=instance)
        assert before.total_requested == 0
        edit_config(chain, "test_per_class: 4", "test_per_class: 5")
        done = call_dynvision(chain, "make", "raw/gratings:test")
        assert done.exit_code == 0, done.stderr
        after = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=before.cursor)
        requested = after.get_requested_partitions(dg.AssetKey(["interim", "gratings"]))
        assert requested == {"test_all", "test_ends"}
        assert after.get_requested_partitions(dg.AssetKey(["raw", "gratings"])) == set()


def test_what_was_never_made_is_left_alone(empty_root: Path) -> None:
    prepare_home(open_workspace(empty_root).paths)
    definitions = make_definitions(open_workspace(empty_root))
    with open_instance(empty_root) as instance:
        before = dg.evaluate_automation_conditions(definitions, instance=instance)
    assert call_dynvision(empty_root, "make", "raw/gratings").exit_code == 0
    with open_instance(empty_root) as instance:
        after = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=before.cursor)
    assert after.total_requested == 0


class Switch:
    """The switch `rebuild_what_is_stale` of a root in which everything is made; each turn takes a tick."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.definitions = make_definitions(open_workspace(root))
        self.instance = instance
        self.cursor = dg.evaluate_automation_conditions(self.definitions, instance=instance).cursor

    def report(self, key: str, partition: str | None, version: str = "new") -> None:
        """Let Dagster know of a partition that was made, as a run of it would."""
        event = dg.AssetMaterialization(key.split("/"), partition=partition, tags={"dagster/data_version": version})
        self.instance.report_runless_asset_event(event)

    def turn(self) -> set[str]:
        """What one tick requests."""
        done = dg.evaluate_automation_conditions(self.definitions, instance=self.instance, cursor=self.cursor)
        self.cursor = done.cursor
        return {
            "/".join(result.key.path) if name is None else f"{'/'.join(result.key.path)}:{name}"
            for result in done.results
            if isinstance(result.key, dg.AssetKey)
            for name in done.get_requested_partitions(result.key)
        }

    def start_run(self, key: str, partition: str) -> dg.DagsterRun:
        """A run of a partition that has started."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        run = self.instance.create_run_for_job(
            job, asset_selection=frozenset({dg.AssetKey(key.split("/"))}), tags={"dagster/partition": partition}
        )
        self.instance.report_dagster_event(
            dg.DagsterEvent("PIPELINE_START", job.name),
            run.run_id,  # the name that Dagster keeps for a run's start
        )
        return run


@pytest.fixture
def switch(chain: Path) -> Iterator[Switch]:
    with open_instance(chain) as instance:
        yield Switch(chain, instance)


CONDITIONS = {f"responses/contrast/rcnn_gratings:{level}" for level in ("0.1", "0.5", "0.8", "1.0")}
"""Some of the responses to networks and images that are trained and shown in whole."""


def test_responses_are_not_requested_together_with_the_networks_that_they_need(switch: Switch) -> None:
    switch.report("processed/gratings", "train_all")
    switch.report("processed/gratings", "test_all")
    assert switch.turn() == {"models/rcnn/gratings:all_s0"}
    switch.report("models/rcnn/gratings", "all_s0")
    assert switch.turn() >= CONDITIONS


def test_responses_wait_for_everything_upstream_however_far_one_way_is_ahead_of_another(switch: Switch) -> None:
    switch.report("raw/gratings", "train")
    switch.report("processed/gratings", "test_all")
    assert switch.turn() == {"interim/gratings:train_all", "interim/gratings:train_ends"}
    switch.report("interim/gratings", "train_all")
    assert switch.turn() == {"processed/gratings:train_all"}
    switch.report("processed/gratings", "train_all")
    assert switch.turn() == {"models/rcnn/gratings:all_s0"}
    switch.report("models/rcnn/gratings", "all_s0")
    assert switch.turn() >= CONDITIONS


@pytest.mark.parametrize("key", ["models/rcnn/gratings:all_s0", "processed/gratings:train_all"])
def test_responses_wait_for_a_run_upstream_and_until_one_that_failed_is_repeated(switch: Switch, key: str) -> None:
    name, partition = key.split(":")
    run = switch.start_run(name, partition)
    switch.report("processed/gratings", "test_all")
    assert switch.turn() == set()
    switch.instance.report_run_failed(run)
    assert switch.turn() == set()
    before = materializations(switch.instance, switch.root, Target(tuple(name.split("/")), partition))[0]
    switch.report(name, partition, str(before.tags["dagster/data_version"]))
    assert switch.turn() >= CONDITIONS


def test_a_run_that_gives_the_same_content_requests_nothing(switch: Switch) -> None:
    target = Target(("raw", "gratings"), "test")
    before = materializations(switch.instance, switch.root, target)[0]
    switch.report("raw/gratings", "test", str(before.tags["dagster/data_version"]))
    assert switch.turn() == set()
    switch.report("raw/gratings", "test")
    assert switch.turn() == {"interim/gratings:test_all", "interim/gratings:test_ends"}
    assert switch.turn() == set()


def test_a_new_version_of_the_settings_requests_exactly_its_partitions(chain: Path) -> None:
    with open_instance(chain) as instance:
        switch = Switch(chain, instance)
        edit_config(chain, "ends: [0, 2]", "ends: [2, 1]")
        job = make_definitions(open_workspace(chain)).resolve_implicit_global_asset_job_def()
        key = dg.AssetKey(["config", "gratings"])
        assert job.execute_in_process(instance=instance, asset_selection=[key]).success
        assert switch.turn() >= {"interim/gratings:train_ends", "interim/gratings:test_ends"}
