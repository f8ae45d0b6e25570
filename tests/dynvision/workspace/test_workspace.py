from __future__ import annotations

import json
import os
import shutil

import pytest

from dynvision.errors import MissingError
from dynvision.stages.raw import RawStage
from dynvision.stages.registry import STAGE_NAMES
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.status import compare_inputs
from tests.helpers.configuration import edit_yaml

SUMMARY = Target(("summary", "contrast", "rcnn_gratings"))
MODEL = Target(("models", "rcnn", "gratings"), "all_s0")
CHAIN = [
    Target(("raw", "gratings"), "train"),
    Target(("raw", "gratings"), "test"),
    Target(("interim", "gratings"), "train_all"),
    Target(("interim", "gratings"), "test_all"),
    Target(("processed", "gratings"), "train_all"),
    Target(("processed", "gratings"), "test_all"),
    MODEL,
    *(Target(("responses", "contrast", "rcnn_gratings"), f"contrast={c}") for c in ("0.1", "0.5", "1.0")),
    SUMMARY,
]


def states(workspace: Workspace) -> dict[str, str]:
    return {str(target): workspace.status(target).state for target in CHAIN}


def stale(workspace: Workspace) -> set[str]:
    return {target for target, state in states(workspace).items() if state != "fresh"}


def texts(*targets: Target) -> set[str]:
    return {str(t) for t in targets}


def change(chain, file: str, edit) -> Workspace:
    """The finished chain under a changed config; its files are not touched."""
    edit_yaml(chain.config / f"config_{file}.yaml", edit)
    return chain.open()


def test_everything_is_missing_before_it_is_built(small_workspace):
    assert set(states(small_workspace).values()) == {"missing"}
    assert small_workspace.plan([SUMMARY]) == sorted(CHAIN, key=lambda t: STAGE_NAMES.index(t.stage))


def test_everything_is_fresh_after_it_is_built(chain):
    assert set(states(chain.open()).values()) == {"fresh"}
    assert chain.open().plan([SUMMARY]) == []


def test_force_builds_the_target_and_nothing_upstream(chain):
    assert chain.open().plan([MODEL], force=True) == [MODEL]


def test_comment_makes_nothing_stale(chain_copy):
    for path in chain_copy.config.glob("*.yaml"):
        path.write_text("# a remark\n" + path.read_text() + "\n# another\n")
    assert stale(chain_copy.open()) == set()


def test_moved_root_is_fresh(chain_copy, tmp_path):
    os.rename(chain_copy.root, tmp_path / "moved")
    assert stale(Workspace.open(tmp_path / "moved", tmp_path / "moved" / "config")) == set()


def test_other_datasets_and_models_make_nothing_stale(chain_copy):
    change(chain_copy, "data", lambda c: c["data_resolution"].update(mnist=20, mine=9))
    workspace = change(chain_copy, "models", lambda c: c["models"].update(second={"class": "torch.nn:Linear"}))
    assert stale(workspace) == set()


def test_changed_drawing_makes_everything_stale_and_says_why(chain_copy):
    workspace = change(chain_copy, "data", lambda c: c["gratings"].update(noise=0.2))
    assert stale(workspace) == texts(*CHAIN)
    assert workspace.status(CHAIN[0]).reason == "the configuration changed: noise"
    assert "raw/gratings:train is stale: the configuration changed: noise" in workspace.status(MODEL).reason


def test_changed_number_of_test_images_leaves_the_training_side_fresh(chain_copy):
    workspace = change(chain_copy, "data", lambda c: c["gratings"].update(test_per_class=5))
    untouched = texts(*(t for t in CHAIN if "train" in str(t.partition)), MODEL)
    assert stale(workspace) == texts(*CHAIN) - untouched


def test_changed_split_makes_the_training_side_stale_from_the_split_on(chain_copy):
    workspace = change(chain_copy, "data", lambda c: c.update(split_seed=1))
    downstream = [t for t in CHAIN if t.stage in ("responses", "summary")]
    assert stale(workspace) == texts(CHAIN[4], MODEL, *downstream)
    assert workspace.status(CHAIN[4]).reason == "the configuration changed: split_seed"


def test_changed_training_makes_the_model_and_its_responses_stale(chain_copy):
    workspace = change(chain_copy, "models", lambda c: c["models"]["rcnn"]["training"].update(learning_rate=0.1))
    assert stale(workspace) == texts(*CHAIN[6:])
    assert workspace.status(MODEL).reason == "the configuration changed: training.learning_rate"


def test_changed_readout_makes_the_responses_numbers_and_the_summary_stale(chain_copy):
    workspace = change(
        chain_copy, "experiments", lambda c: c["experiment_config"]["contrast"].update(readout={"window": "all"})
    )
    assert stale(workspace) == texts(SUMMARY, *(t for t in CHAIN if t.stage == "responses"))


def test_inputs_that_came_and_went_are_named():
    old, new, more = (Target(("responses", "contrast", "a"), f"contrast={level}") for level in (0.1, 0.2, 0.3))
    assert compare_inputs([str(old)], [new, more]) == f"{new} and 1 more are new, {old} is gone"


def test_new_level_leaves_the_other_conditions_fresh(chain_copy):
    workspace = change(
        chain_copy,
        "experiments",
        lambda c: c["experiment_config"]["contrast"]["data_args"].update(contrast=[0.1, 0.25, 0.5, 1.0]),
    )
    new = Target(("responses", "contrast", "rcnn_gratings"), "contrast=0.25")
    assert stale(workspace) == texts(SUMMARY)
    assert workspace.status(SUMMARY).reason == f"it is made from other inputs now: {new} is new"
    assert workspace.plan([SUMMARY]) == [new, SUMMARY]


def test_changed_code_makes_its_stage_and_everything_after_stale(chain, monkeypatch):
    monkeypatch.setattr(RawStage, "code_version", "next")
    workspace = chain.open()
    assert workspace.status(CHAIN[0]).reason == "the code of the stage 'raw' changed"
    assert stale(workspace) == texts(*CHAIN)


@pytest.mark.parametrize(
    ("lost", "target", "state"),
    [
        ("raw/gratings/train", CHAIN[0], "missing"),
        ("interim/gratings/test_all/folder.link", CHAIN[3], "missing"),
        ("processed/gratings/train_all/val.beton", CHAIN[4], "missing"),
        ("processed/gratings/train_all/val.beton.json", CHAIN[4], "missing"),
        ("models/rcnn/gratings/all_s0/init.safetensors", MODEL, "damaged"),
        ("responses/contrast/rcnn_gratings/contrast=0.5.zarr/record.json", CHAIN[8], "missing"),
        ("reports/contrast/rcnn_gratings/tuning.png", SUMMARY, "damaged"),
    ],
)
def test_output_that_was_lost_is_not_fresh_and_what_follows_is_stale(chain_copy, lost, target, state):
    path = chain_copy.root / "data" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    workspace = chain_copy.open()
    assert workspace.status(target).state == state
    assert state == "missing" or f"{path} is missing, and the record names it" in workspace.status(target).reason
    assert workspace.status(SUMMARY).state == (state if target == SUMMARY else "stale")
    assert target in workspace.plan([SUMMARY])


def test_truncated_beton_counts_as_damaged(chain_copy):
    path = chain_copy.root / "data" / "processed" / "gratings" / "test_all" / "test.beton"
    os.truncate(path, path.stat().st_size - 1)
    status = chain_copy.open().status(CHAIN[5])
    size = path.stat().st_size
    assert status.state == "damaged"
    assert f"{path} is damaged: it has {size} bytes where {size + 1} were written" in status.reason


@pytest.mark.parametrize("content", [{"something": "else"}, {}, {"target": 1}])
def test_record_that_is_none_of_ours_counts_as_damaged_and_can_be_built_again(chain_copy, content):
    path = chain_copy.root / "data" / "interim" / "gratings" / "train_all" / "folder.link"
    path.write_text(json.dumps(content))
    status = chain_copy.open().status(Target(("interim", "gratings"), "train_all"))
    assert (status.state, status.reason) == (
        "damaged",
        f"{path} holds a record without a checksum: it is damaged, or was written by an earlier version of this "
        "project. Build it again: dynvision make --force interim/gratings:train_all",
    )
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    build_targets(["interim/gratings:train_all"], **arguments)
    assert chain_copy.open().status(Target(("interim", "gratings"), "train_all")).state == "fresh"


def test_same_result_made_again_leaves_what_follows_fresh(chain_copy):
    build_targets(["raw/gratings:train"], root=str(chain_copy.root), config=str(chain_copy.config), force=True)
    assert stale(chain_copy.open()) == set()


def test_other_result_made_upstream_makes_what_follows_stale(chain_copy):
    workspace = change(chain_copy, "data", lambda c: c["gratings"].update(seed=1))
    build_targets(["raw/gratings"], root=str(chain_copy.root), config=str(chain_copy.config))
    assert workspace.status(CHAIN[0]).state == "fresh"
    assert workspace.status(CHAIN[2]).reason == "raw/gratings:train changed"


def test_missing_inputs_name_the_command(small_workspace):
    (target,) = parse_target(small_workspace, "responses/contrast/rcnn_gratings:0.5")
    with pytest.raises(MissingError) as caught:
        small_workspace.inputs(target)
    names = "models/rcnn/gratings:all_s0 processed/gratings:test_all"
    assert str(caught.value) == f"{target} is made from {names}, which are missing. Make it: dynvision make {names}"


def test_an_asset_that_is_missing_as_a_whole_is_named_by_its_key(small_workspace):
    with pytest.raises(MissingError) as caught:
        small_workspace.inputs(SUMMARY)
    name = "responses/contrast/rcnn_gratings"
    assert str(caught.value) == f"{SUMMARY} is made from {name}, which is missing. Make it: dynvision make {name}"


def test_targets_of_one_group_and_seed_follow_the_subjects(small_config, tmp_path):
    edit_yaml(small_config / "config_experiments.yaml", lambda c: c["subjects"]["rcnn_gratings"].update(seed=4))
    workspace = Workspace.open(tmp_path, small_config)
    partitions = [t.partition for t in workspace.targets(("models", "rcnn", "gratings"))]
    assert partitions == ["all_s0", "all_s4", "pair_s0", "pair_s4"]
