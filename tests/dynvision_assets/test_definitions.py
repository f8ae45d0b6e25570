from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import asset_key, partition_key, target_of
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import run_python
from tests.helpers.configuration import edit_config, edit_yaml

SPLITS_AND_GROUPS = ["train_all", "train_ends", "test_all", "test_ends"]
LEVELS = ["0.1", "0.5", "0.8", "1.0"]

PARTITIONS = {
    "config/models/rcnn": None,
    "config/experiments/contrast": None,
    "config/experiments/contrast_duration": None,
    "config/gratings": SPLITS_AND_GROUPS,
    "raw/gratings": ["train", "test"],
    "interim/gratings": SPLITS_AND_GROUPS,
    "processed/gratings": SPLITS_AND_GROUPS,
    "models/rcnn/gratings": ["all_s0", "ends_s0"],
    "responses/contrast/rcnn_gratings": LEVELS,
    "responses/contrast/rcnn_ends": LEVELS,
    "responses/contrast_duration/rcnn_gratings": ["0.1|1", "0.1|3", "0.5|1", "0.5|3", "1.0|1", "1.0|3"],
    "summary/contrast/rcnn_gratings": None,
    "summary/contrast/rcnn_ends": None,
    "summary/contrast_duration/rcnn_gratings": None,
    "summary/phenomena/rcnn_gratings": None,
    "summary/phenomena/rcnn_ends": None,
    "summary/contrast": None,
    "summary/contrast_duration": None,
}

EDGES = [
    ("interim/gratings", "train_ends", {("raw/gratings", "train"), ("config/gratings", "train_ends")}),
    ("interim/gratings", "test_all", {("raw/gratings", "test"), ("config/gratings", "test_all")}),
    ("processed/gratings", "test_ends", {("interim/gratings", "test_ends"), ("config/gratings", "test_ends")}),
    ("config/gratings", "test_ends", set()),
    ("models/rcnn/gratings", "all_s0", {("processed/gratings", "train_all")}),
    ("models/rcnn/gratings", "ends_s0", {("processed/gratings", "train_ends")}),
    (
        "responses/contrast/rcnn_gratings",
        "0.5",
        {("models/rcnn/gratings", "all_s0"), ("processed/gratings", "test_all")},
    ),
    (
        "responses/contrast/rcnn_ends",
        "1.0",
        {("models/rcnn/gratings", "all_s0"), ("processed/gratings", "test_ends")},
    ),
    (
        "responses/contrast_duration/rcnn_gratings",
        "0.1|3",
        {("models/rcnn/gratings", "all_s0"), ("processed/gratings", "test_all")},
    ),
    ("summary/contrast/rcnn_ends", None, {("responses/contrast/rcnn_ends", level) for level in LEVELS}),
    ("summary/contrast", None, {("summary/contrast/rcnn_gratings", None), ("summary/contrast/rcnn_ends", None)}),
]


def graph_of(workspace: Workspace) -> dg.AssetGraph:
    return make_definitions(workspace).resolve_asset_graph()


def key_of(text: str) -> dg.AssetKey:
    return dg.AssetKey(text.split("/"))


def parents_of(graph: dg.AssetGraph, key: dg.AssetKey, partition: str | None) -> set[tuple[str, str | None]]:
    found = graph.get_parents_partitions(key, partition)
    assert not found.required_but_nonexistent_parents_partitions
    return {(parent.asset_key.to_user_string(), parent.partition_key) for parent in found.parent_partitions}


RAW = [Target(("raw", "gratings"), split) for split in ("train", "test")]


@pytest.fixture
def workspace(empty_root: Path) -> Workspace:
    return open_workspace(empty_root)


def test_importing_the_definitions_loads_neither_torch_nor_ffcv(empty_root: Path) -> None:
    program = (
        "import sys, dynvision_assets.definitions as d\n"
        "assert d.defs.resolve_asset_graph().get_all_asset_keys()\n"
        "heavy = {'torch', 'torchvision', 'ffcv', 'numba', 'cv2', 'lightning', 'xarray', 'matplotlib'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = run_python(empty_root, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "heavy: []"


def test_every_stage_has_the_keys_and_partitions_of_the_design(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    found = {}
    for key in graph.get_all_asset_keys():
        partitions = graph.get(key).partitions_def
        found[key.to_user_string()] = None if partitions is None else list(partitions.get_partition_keys())
    assert found == PARTITIONS


def test_the_dimensions_of_a_grid_carry_the_names_of_its_parameters(workspace: Workspace) -> None:
    partitions = graph_of(workspace).get(key_of("responses/contrast_duration/rcnn_gratings")).partitions_def
    assert isinstance(partitions, dg.MultiPartitionsDefinition)
    names = {
        dimension.name: list(dimension.partitions_def.get_partition_keys()) for dimension in partitions.partitions_defs
    }
    assert names == {"contrast": ["0.1", "0.5", "1.0"], "duration": ["1", "3"]}


def test_owners_are_those_of_the_config_and_make_nothing_stale(empty_root: Path) -> None:
    before = [open_workspace(empty_root).stages["raw"].settings(target) for target in RAW]
    owners = ["team:vision", "ada@example.org"]
    edit_yaml(empty_root / "config" / "config_data.yaml", lambda c: c.update(owners=owners))
    workspace = open_workspace(empty_root)
    graph = graph_of(workspace)
    owned = [key for key in graph.get_all_asset_keys() if key.path[0] != "config"]
    assert owned
    assert all(list(graph.get(key).owners) == owners for key in owned)
    assert [workspace.stages["raw"].settings(target) for target in RAW] == before


def test_the_group_of_an_asset_is_its_stage_and_its_experiment(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {
        "config",
        "raw",
        "interim",
        "processed",
        "models",
        "responses",
        "summary",
    }
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name == "_".join(key.path[:2] if key.path[0] in ("responses", "summary") else key.path[:1])
        assert node.description, f"{key} says nothing of itself"
        expected = None if key.path[0] == "config" else workspace.stages[key.path[0]].code_version
        assert node.code_version == expected


def test_a_hyphen_in_the_name_of_an_experiment_is_none_in_that_of_its_group(empty_root: Path) -> None:
    edit_config(empty_root, "  contrast_duration:\n", "  contrast-duration:\n")
    workspace = open_workspace(empty_root)
    groups = {node.group_name for node in graph_of(workspace).asset_nodes}
    assert {"responses_contrast_duration", "summary_contrast_duration", "summary_phenomena", "raw"} <= groups


@pytest.mark.parametrize(("asset", "partition", "expected"), EDGES)
def test_an_edge_leads_to_the_right_partitions(
    workspace: Workspace, asset: str, partition: str | None, expected: set[tuple[str, str]]
) -> None:
    assert parents_of(graph_of(workspace), key_of(asset), partition) == expected


def test_dagster_and_the_library_agree_on_what_every_partition_is_made_from(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    for key in workspace.keys:
        for target in workspace.targets(key):
            wanted = {("/".join(up.key), partition_key(workspace, up)) for up in workspace.upstream(target)}
            if target.stage in ("interim", "processed"):  # what the library reads itself, Dagster observes
                wanted.add((f"config/{target.key[1]}", target.partition))
            assert parents_of(graph, asset_key(key), partition_key(workspace, target)) == wanted, target


def test_an_edge_leads_downstream_to_the_right_partitions(workspace: Workspace) -> None:
    graph = graph_of(workspace)

    def children(asset: str, partition: str) -> set[tuple[str, str | None]]:
        found = graph.get_children_partitions(key_of(asset), partition)
        return {(child.asset_key.to_user_string(), child.partition_key) for child in found}

    assert children("raw/gratings", "test") == {("interim/gratings", name) for name in ("test_all", "test_ends")}
    assert children("config/gratings", "test_ends") == {
        ("interim/gratings", "test_ends"),
        ("processed/gratings", "test_ends"),
    }
    ends = {("responses/contrast/rcnn_ends", level) for level in LEVELS}
    assert children("processed/gratings", "test_ends") == ends
    assert children("processed/gratings", "train_ends") == {("models/rcnn/gratings", "ends_s0")}
    assert children("models/rcnn/gratings", "ends_s0") == set()


def test_every_edge_states_its_mapping_and_the_mapping_is_a_stock_one(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    edges = [(key, parent) for key in graph.get_all_asset_keys() for parent in graph.get(key).parent_keys]
    assert len(edges) == 19
    for key, parent in edges:
        stated = graph.get(key).partition_mappings
        assert parent in stated, f"the edge from {parent} to {key} does not state its mapping"
        assert type(stated[parent]).__module__.startswith("dagster."), f"{stated[parent]} is a mapping of our own"


def test_all_subjects_of_an_experiment_share_one_partitions_definition(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    first, second = (
        graph.get(key_of(f"responses/contrast/{name}")).partitions_def for name in ("rcnn_gratings", "rcnn_ends")
    )
    assert first is not None
    assert first == second
    assert first != graph.get(key_of("responses/contrast_duration/rcnn_gratings")).partitions_def


def test_a_selection_of_partitions_of_any_asset_is_one_run(workspace: Workspace) -> None:
    definitions = make_definitions(workspace)
    for key in workspace.keys:
        policy = definitions.get_assets_def(asset_key(key)).backfill_policy
        assert policy == dg.BackfillPolicy.single_run(), key


def test_a_new_dataset_in_yaml_is_a_new_asset(empty_root: Path) -> None:
    before = graph_of(open_workspace(empty_root)).get_all_asset_keys()
    edit_config(empty_root, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, faces: 48}")
    edit_config(empty_root, "data_groups:", "data_groups:\n  faces: {family: [3, 5]}")
    graph = graph_of(open_workspace(empty_root))
    added = {key.to_user_string() for key in graph.get_all_asset_keys() - before}
    assert added == {"config/faces", "raw/faces", "interim/faces", "processed/faces", "models/rcnn/faces"}
    partitions = graph.get(key_of("processed/faces")).partitions_def
    assert partitions is not None
    assert list(partitions.get_partition_keys()) == ["train_all", "train_family", "test_all", "test_family"]
    assert parents_of(graph, key_of("models/rcnn/faces"), "family_s0") == {("processed/faces", "train_family")}


def test_a_new_subject_in_yaml_is_a_new_asset_and_its_seed_a_new_partition(empty_root: Path) -> None:
    edit_config(
        empty_root,
        "subjects:\n  rcnn_gratings:",
        "subjects:\n  twin: {model: rcnn, dataset: gratings, seed: 7}\n  rcnn_gratings:",
    )
    graph = graph_of(open_workspace(empty_root))
    partitions = graph.get(key_of("models/rcnn/gratings")).partitions_def
    assert partitions is not None
    assert list(partitions.get_partition_keys()) == ["all_s0", "all_s7", "ends_s0", "ends_s7"]
    assert parents_of(graph, key_of("responses/contrast/twin"), "0.8") == {
        ("models/rcnn/gratings", "all_s7"),
        ("processed/gratings", "test_all"),
    }


def test_without_ffcv_the_processed_stage_is_skipped(empty_root: Path) -> None:
    edit_config(empty_root, "use_ffcv: true", "use_ffcv: false")
    graph = graph_of(open_workspace(empty_root))
    assert "processed" not in {key.path[0] for key in graph.get_all_asset_keys()}
    assert parents_of(graph, key_of("models/rcnn/gratings"), "ends_s0") == {("interim/gratings", "train_ends")}
    assert parents_of(graph, key_of("interim/gratings"), "train_ends") == {
        ("raw/gratings", "train"),
        ("config/gratings", "train_ends"),
    }
    assert parents_of(graph, key_of("responses/contrast/rcnn_ends"), "0.1") == {
        ("models/rcnn/gratings", "all_s0"),
        ("interim/gratings", "test_ends"),
    }


def test_a_partition_key_and_a_target_lead_to_each_other(workspace: Workspace) -> None:
    graph = graph_of(workspace)
    for key in map(asset_key, workspace.keys):
        partitions = graph.get(key).partitions_def
        for name in [None] if partitions is None else partitions.get_partition_keys():
            target = target_of(workspace, key.path, name)
            assert target in workspace.targets(tuple(key.path))
            assert partition_key(workspace, target) == name
    grid = target_of(workspace, ("responses", "contrast_duration", "rcnn_gratings"), "0.5|3")
    assert str(grid) == "responses/contrast_duration/rcnn_gratings:duration=3,contrast=0.5"


def test_the_shipped_configuration_holds_the_experiments_of_the_design(tmp_path: Path) -> None:
    graph = graph_of(Workspace.open(tmp_path))
    sizes = {}
    for subject in ("rcnn_gratings", "rcnn_invertebrates"):
        for experiment in ("contrast", "duration", "contrast_duration"):
            partitions = graph.get(key_of(f"responses/{experiment}/{subject}")).partitions_def
            assert partitions is not None
            sizes[experiment] = len(partitions.get_partition_keys())
            assert graph.has(key_of(f"summary/{experiment}/{subject}"))
    assert sizes["contrast"] == 11
    assert sizes["duration"] == 8
    assert sizes["contrast_duration"] > 8
    for dataset in ("gratings", "mnist", "cifar10", "cifar100"):
        assert graph.has(key_of(f"raw/{dataset}"))
    interim = graph.get(key_of("interim/cifar100")).partitions_def
    assert interim is not None
    assert list(interim.get_partition_keys()) == ["train_all", "train_invertebrates", "test_all", "test_invertebrates"]


def test_summary_over_all_subjects_is_tagged_with_its_experiment_alone(workspace: Workspace) -> None:
    definitions = make_definitions(workspace).resolve_asset_graph()
    of_all, of_one = (definitions.get(key_of(f"summary/contrast{end}")).tags for end in ("", "/rcnn_ends"))
    assert {k: v for k, v in of_all.items() if k.startswith("dynvision/")} == {"dynvision/experiment": "contrast"}
    assert of_one["dynvision/subject"] == "rcnn_ends"
