"""Runs of assets observe the settings that they use, so that Dagster sees from then on if these change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dynvision.engines.calls import Call
from dynvision_assets.runs.events import make_materialization
from dynvision_assets.runs.observing import config_key, config_version
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace, records
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.runs import Engines, RunAsset

CONFIG = config_key("gratings")
INTERIM = dg.AssetKey(["interim", "gratings"])
PARTITIONS = ["train_all", "train_ends", "test_all", "test_ends"]

pytestmark = pytest.mark.usefixtures("engines")


def observations(instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """The partition and the version of each observation, oldest first."""
    records = instance.fetch_observations(CONFIG, limit=100).records
    events = [record.asset_observation for record in reversed(records)]
    return [(str(event.partition), str(event.data_version)) for event in events if event is not None]


def versions(root: Path) -> list[tuple[str, str]]:
    workspace = open_workspace(root)
    return [(name, config_version(workspace, "gratings", name)) for name in PARTITIONS]


@pytest.fixture
def build(make: RunAsset, select: RunAsset) -> Callable[[], None]:
    """Make the images, and materialize all that is read from them, as a click in the browser does."""

    def build_all() -> None:
        make("raw/gratings")
        assert select("interim/gratings", first=PARTITIONS[0], last=PARTITIONS[-1]).success

    return build_all


@pytest.fixture
def observe(empty_root: Path, instance: dg.DagsterInstance) -> Callable[[], set[str]]:
    """Observe the configuration as the button does, and return the partitions that Dagster then calls stale."""

    def find_stale() -> set[str]:
        definitions = make_definitions(open_workspace(empty_root))
        job = definitions.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=instance, asset_selection=[CONFIG]).success
        graph = definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        states = {name: resolver.get_status(INTERIM, name) for name in PARTITIONS}
        return {name for name, state in states.items() if state == StaleStatus.STALE}

    return find_stale


def test_a_run_of_an_asset_observes_the_settings_of_its_partitions_once(
    empty_root: Path, instance: dg.DagsterInstance, build: Callable[[], None]
) -> None:
    build()
    assert observations(instance) == versions(empty_root)
    build()
    assert observations(instance) == versions(empty_root)


def test_what_is_edited_after_a_run_of_an_asset_makes_it_stale(
    empty_root: Path, build: Callable[[], None], observe: Callable[[], set[str]]
) -> None:
    build()
    assert observe() == set()
    edit_config(empty_root, "ends: [0, 2]", "ends: [2, 1]")
    assert observe() == {"train_ends", "test_ends"}


def test_what_is_edited_before_a_run_of_an_asset_does_not(
    empty_root: Path, build: Callable[[], None], observe: Callable[[], set[str]]
) -> None:
    build()
    edit_config(empty_root, "ends: [0, 2]", "ends: [2, 1]")
    build()
    assert observe() == set()
    edit_config(empty_root, "ends: [2, 1]", "ends: [0, 2]")
    build()
    assert observe() == set()


def test_what_is_edited_and_observed_while_a_run_goes_on_is_new_to_what_the_run_makes(
    empty_root: Path, engines: Engines, make: RunAsset, select: RunAsset, observe: Callable[[], set[str]]
) -> None:
    def edit_once(call: Call) -> None:
        if "ends: [0, 2]" in (empty_root / "config" / "config_data.yaml").read_text():
            edit_config(empty_root, "ends: [0, 2]", "ends: [2, 1]")
            observe()

    make("raw/gratings")
    engines.prepared.append(ScriptedEngine(fail=edit_once))
    assert select("interim/gratings", first=PARTITIONS[0], last=PARTITIONS[-1]).success
    assert observe() == {"train_ends", "test_ends"}


def test_settings_that_nobody_has_observed_are_reported_with_what_was_made_with_them(
    empty_root: Path, make: RunAsset, instance: dg.DagsterInstance
) -> None:
    make("interim/gratings:test_ends")
    (made,) = [(target, record) for target, record in records(empty_root).items() if target.stage == "interim"]
    with dg.DagsterInstance.ephemeral() as other:
        event = make_materialization(open_workspace(empty_root), other, *made)
        assert observations(other) == [pair for pair in versions(empty_root) if pair[0] == "test_ends"]
        (observed,) = other.fetch_observations(CONFIG, limit=2).records
        assert (event.tags or {})["dagster/input_event_pointer/config/gratings"] == str(observed.storage_id)
