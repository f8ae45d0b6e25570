"""`config/<dataset>`: the settings of a dataset, observed, with a version for each partition."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.assets.config_text import show_settings
from dynvision_assets.partitions import asset_key
from dynvision_assets.runs.observing import config_version, observe_config
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import open_instance

KEY = asset_key(("config", "gratings"))
PARTITIONS = ["train_all", "train_ends", "test_all", "test_ends"]
DATASETS = "data_resolution: {gratings: 32}"


def observed(instance: dg.DagsterInstance) -> dict[str, str]:
    """The last observed version of each partition."""
    found: dict[str, str] = {}
    for name in PARTITIONS:
        chosen = dg.AssetRecordsFilter(KEY, asset_partitions=[name])
        records = instance.fetch_observations(chosen, limit=1).records
        if records and (observation := records[0].asset_observation) is not None:
            found[name] = str(observation.data_version)
    return found


def observe(root: Path, instance: dg.DagsterInstance) -> dict[str, str]:
    """Observe the asset as the button in the UI does, and return the versions."""
    definitions = make_definitions(open_workspace(root))
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=[KEY]).success
    return observed(instance)


def versions(workspace: Workspace, dataset: str = "gratings") -> dict[str, str]:
    return {name: config_version(workspace, dataset, name) for name in PARTITIONS}


def changed(root: Path, old: str, new: str) -> set[str]:
    """The partitions whose version another text in the configuration changes."""
    before = versions(open_workspace(root))
    edit_config(root, old, new)
    after = versions(open_workspace(root))
    return {name for name in PARTITIONS if before[name] != after[name]}


@pytest.fixture
def home(empty_root: Path) -> Path:
    """A root with an instance of its own."""
    from dynvision_assets.instances.opening import prepare_home

    prepare_home(open_workspace(empty_root).paths)
    return empty_root


def test_observing_gives_each_partition_the_version_of_its_settings(home: Path) -> None:
    with open_instance(home) as instance:
        assert observed(instance) == {}
        found = observe(home, instance)
        assert found == versions(open_workspace(home))
        assert set(found) == set(PARTITIONS)
        assert len(set(found.values())) == 4
        assert observe(home, instance) == found


def test_a_changed_group_is_observed_as_a_new_version_of_exactly_its_partitions(home: Path) -> None:
    with open_instance(home) as instance:
        before = observe(home, instance)
        edit_config(home, "ends: [0, 2]", "ends: [2, 1]")
        after = observe(home, instance)
    assert {name for name in PARTITIONS if before[name] != after[name]} == {"train_ends", "test_ends"}


def test_an_observation_by_the_ui_sees_the_yaml_as_it_is_now_without_a_reload(home: Path) -> None:
    job = make_definitions(open_workspace(home)).resolve_implicit_global_asset_job_def()
    with open_instance(home) as instance:
        edit_config(home, "ends: [0, 2]", "ends: [1, 0]")
        assert job.execute_in_process(instance=instance, asset_selection=[KEY]).success
        assert observed(instance) == versions(open_workspace(home))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("use_ffcv: true", "# a comment\nuse_ffcv: true  # and another"),
        (DATASETS, "data_resolution: {gratings: 32, faces: 48}"),
        ("data_groups:", "data_groups:\n  cifar10: {pair: [1, 2]}"),
        ("transform_presets: {train: []}", "transform_presets: {train: [], other: []}"),
        ("train_per_class: 12", "train_per_class: 13"),
        ("epochs: 1", "epochs: 2"),
    ],
)
def test_a_comment_and_what_belongs_to_others_change_no_version(empty_root: Path, old: str, new: str) -> None:
    if "cifar10" in new:
        edit_config(empty_root, DATASETS, "data_resolution: {gratings: 32, cifar10: 32}")
    assert changed(empty_root, old, new) == set()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (DATASETS, "data_resolution: {gratings: 48}", set(PARTITIONS)),
        ("train_ratio: 0.75", "train_ratio: 0.5", {"train_all", "train_ends"}),
        ("use_ffcv: true", "use_ffcv: true\nwrite_mode: {gratings: jpg}", set(PARTITIONS)),
        ("ends: [0, 2]", "ends: [0, 1]", {"train_ends", "test_ends"}),
    ],
)
def test_a_setting_changes_the_versions_of_exactly_what_depends_on_it(
    empty_root: Path, old: str, new: str, expected: set[str]
) -> None:
    assert changed(empty_root, old, new) == expected


def test_making_observes_the_settings_of_the_partitions_that_it_builds(empty_root: Path) -> None:
    assert call_dynvision(empty_root, "make", "interim/gratings:test_ends").exit_code == 0
    wanted = versions(open_workspace(empty_root))
    with open_instance(empty_root) as instance:
        assert observed(instance) == {"test_ends": wanted["test_ends"]}
    assert call_dynvision(empty_root, "make", "interim/gratings").exit_code == 0
    with open_instance(empty_root) as instance:
        assert observed(instance) == wanted
        assert len(instance.fetch_observations(KEY, limit=100).records) == len(PARTITIONS)


def test_other_stages_are_not_observed(home: Path) -> None:
    with open_instance(home) as instance:
        for target in (Target(("raw", "gratings"), "train"), Target(("models", "rcnn", "gratings"), "all_s0")):
            observe_config(open_workspace(home), instance, target)
        assert observed(instance) == {}


def test_a_changed_group_makes_dagster_call_exactly_its_partitions_stale(empty_root: Path) -> None:
    from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
    from dagster._core.loader import LoadingContextForTest

    assert call_dynvision(empty_root, "make", "interim/gratings").exit_code == 0
    edit_config(empty_root, "ends: [0, 2]", "ends: [2, 1]")
    with open_instance(empty_root) as instance:
        observe(empty_root, instance)
        graph = make_definitions(open_workspace(empty_root)).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        interim = asset_key(("interim", "gratings"))
        states = {name: resolver.get_status(interim, name) for name in PARTITIONS}
    assert {name for name, state in states.items() if state == StaleStatus.STALE} == {"train_ends", "test_ends"}
    assert {name for name, state in states.items() if state == StaleStatus.FRESH} == {"train_all", "test_all"}


def description(root: Path, *key: str) -> str:
    graph = make_definitions(open_workspace(root)).resolve_asset_graph()
    return str(graph.get(dg.AssetKey(list(key))).description)


def test_the_settings_of_a_dataset_a_model_and_an_experiment_can_be_read_on_their_pages(empty_root: Path) -> None:
    edit_config(empty_root, DATASETS, "data_resolution: {gratings: 32, faces: 48}")
    shown = description(empty_root, "config", "gratings")
    assert "use_ffcv: true\n" in shown
    assert "data_groups:\n  gratings:\n    ends: [0, 2]\n" in shown
    assert "data_resolution: {gratings: 32}\n" in shown
    assert "faces" not in shown
    shown = description(empty_root, "config", "models", "rcnn")
    assert "max_gain: 0.9" in shown
    assert "rcnn_ends:" in shown, "the subjects whose network it is"
    shown = description(empty_root, "config", "experiments", "contrast")
    assert "parameter: contrast\n" in shown
    assert "contrast_duration" not in shown


def test_a_setting_cannot_end_the_block_that_it_is_shown_in_and_a_long_list_is_cut() -> None:
    shown = show_settings({"a": "````\n# not a heading", "classes": list(range(5000))})
    assert shown.count("````") == 2
    assert shown.endswith("more lines\n````")
