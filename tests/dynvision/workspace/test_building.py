from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, MissingError, UnknownNameError
from dynvision.experiments.reading import open_store
from dynvision.experiments.stores.store import verify_store
from dynvision.stages.recorded import records as response_records
from dynvision.stages.responses import ResponsesStage
from dynvision.system.locks import OutputBusyError, output_lock
from dynvision.system.progress import listen_to_progress
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.files import find_leftovers, flip_byte
from tests.helpers.stores import damage_before_verifying

RESPONSES = "responses/contrast/rcnn_gratings"


def build(chain, *targets: str, force: bool = False):
    return build_targets(targets, root=str(chain.root), config=str(chain.config), force=force)


def folders(chain) -> dict[str, str]:
    return {"root": str(chain.root), "config": str(chain.config)}


def mtimes(folder: Path) -> dict[str, int]:
    """The times of all files and links, without hidden files, which remember what was read."""
    paths = [p for p in folder.rglob("*") if p.name[0] != "." and (p.is_symlink() or not p.is_dir())]
    return {str(p.relative_to(folder)): p.lstat().st_mtime_ns for p in paths}


def test_chain_leaves_what_the_design_says_and_nothing_temporary(chain):
    data = chain.root / "data"
    wanted = [
        "raw/gratings/train/0/00000.png",
        "interim/gratings/train_all/folder.link",
        "processed/gratings/train_all/train.beton",
        "processed/gratings/train_all/val.beton.json",
        "processed/gratings/test_all/test.beton",
        "models/rcnn/gratings/all_s0/init.safetensors",
        "models/rcnn/gratings/all_s0/trained.safetensors",
        "responses/contrast/rcnn_gratings/contrast=1.0.zarr/record.json",
        "reports/contrast/rcnn_gratings/table.parquet",
        "reports/contrast/rcnn_gratings/tuning.png",
    ]
    assert [name for name in wanted if not (data / name).exists()] == []
    assert find_leftovers(data) == []


def test_second_build_does_nothing(chain_copy):
    before = mtimes(chain_copy.root / "data")
    for key in ("raw/gratings:train", "processed/gratings:train_all", "models/rcnn/gratings:all_s0", RESPONSES):
        records = build(chain_copy, key)
        assert [r["target"] for r in records] == [str(t) for t in parse_target(chain_copy.open(), key)]
    assert mtimes(chain_copy.root / "data") == before


def test_selection_gives_the_same_numbers_as_the_whole(chain_copy):
    whole = chain_copy.root / "data" / RESPONSES / "contrast=0.5.zarr"
    before = open_store(whole).load()
    (record,) = build(chain_copy, f"{RESPONSES}:0.5", force=True)
    after = open_store(whole).load()
    for layer in ("V1", "V2", "V4", "IT"):
        assert before[layer]["mean"].values.tobytes() == after[layer]["mean"].values.tobytes()
    assert before["scores"].values.tobytes() == after["scores"].values.tobytes()
    assert (
        chain_copy.open().status(parse_target(chain_copy.open(), "summary/contrast/rcnn_gratings")[0]).state == "fresh"
    )
    assert record["details"]["conditions_together"] == 1


def test_stores_hold_every_layer_over_time_for_every_image(chain):
    tree = open_store(chain.root / "data" / RESPONSES / "contrast=0.5.zarr")
    assert set(tree.children) == {"V1", "V2", "V4", "IT", "classifier", "rest"}
    assert tree["V1"]["mean"].sizes == {"sample": 12, "time": 6, "channel": 4}
    assert tree["shown"].values.tolist() == [-1, 0, 0, 0, 0, -1]
    assert tree["contrast_shown"].values.tolist() == [0, 0.5, 0.5, 0.5, 0.5, 0]
    assert tree["label"].values.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (tree["V1"]["mean"].values >= 0).all()


def test_missing_upstream_names_the_command(tmp_path, small_config):
    with pytest.raises(MissingError) as caught:
        build_targets([f"{RESPONSES}:0.5"], root=str(tmp_path), config=str(small_config))
    assert "which are missing. Make it: dynvision make models/rcnn/gratings:all_s0 processed/gratings:test_all" in str(
        caught.value
    )


def test_unknown_target_names_the_nearest(tmp_path, small_config):
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'gratngs'\. Did you mean 'gratings'\?"):
        build_targets(["raw/gratngs"], root=str(tmp_path), config=str(small_config))


def test_targets_of_different_assets_are_not_built_together(tmp_path, small_config):
    with pytest.raises(DynvisionError, match="targets that are built together belong to one asset"):
        build_targets(
            ["raw/gratings:train", "interim/gratings:train_all"], root=str(tmp_path), config=str(small_config)
        )


def test_output_that_is_being_built_is_not_built_twice(chain_copy):
    with (
        output_lock(chain_copy.root / "data" / "raw" / "gratings" / "test"),
        pytest.raises(OutputBusyError, match="test is being built by process"),
    ):
        build(chain_copy, "raw/gratings:test", force=True)


def test_data_root_below_a_file_says_what_to_do(tmp_path, small_config):
    (tmp_path / "file").write_text("")
    with pytest.raises(DynvisionError, match=r"cannot make the folder .*file/root/data.*set DYNVISION_ROOT"):
        build_targets(["raw/gratings:test"], root=str(tmp_path / "file" / "root"), config=str(small_config))


def test_missing_ffcv_says_both_ways_out_and_leaves_nothing(chain_copy, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ffcv" else find(name, *rest))
    build(chain_copy, "interim/gratings:test_pair")
    with pytest.raises(DynvisionError, match=r"FFCV is not installed.*use_ffcv: false.*pip install ffcv"):
        build(chain_copy, "processed/gratings:test_pair")
    assert not list((chain_copy.root / "data" / "processed" / "gratings").glob("test_pair/*.beton"))


def test_responses_are_written_next_to_their_store_and_put_in_place_when_verified(chain_copy, monkeypatch):
    store = chain_copy.root / "data" / RESPONSES / "contrast=0.1.zarr"
    kept = (store / "record.json").read_text()
    seen = []

    def note_and_verify(folder):
        seen.append((folder.name, (store / "record.json").read_text()))
        return verify_store(folder)

    monkeypatch.setattr(response_records, "verify_store", note_and_verify)
    (record,) = build(chain_copy, f"{RESPONSES}:0.1", force=True)
    assert seen == [(".contrast=0.1.zarr.partial", kept)]
    assert record["target"] == f"{RESPONSES}:contrast=0.1"
    assert record["data_version"] in kept
    assert (store / "record.json").read_text() != kept
    assert find_leftovers(chain_copy.root / "data") == []


def test_responses_that_are_up_to_date_are_not_shown_again(chain, monkeypatch):
    monkeypatch.setattr(ResponsesStage, "build", lambda *_: pytest.fail("stimuli were shown"))
    assert len(build(chain, RESPONSES)) == 3


def test_listeners_are_told_how_many_conditions_were_recorded(chain_copy):
    (chain_copy.root / "data" / RESPONSES / "contrast=0.1.zarr" / "record.json").unlink()
    lines: list[str] = []
    with listen_to_progress(lines.append):
        build(chain_copy, RESPONSES)
    assert lines[-1] == "built 1 of 3 partitions; the others are up to date"
    with listen_to_progress(lines.append):
        build(chain_copy, RESPONSES, force=True)
    assert lines[-1] == "built 3 of 3 partitions"


def test_damage_between_showing_and_verifying_keeps_the_old_store(chain_copy, monkeypatch):
    store = chain_copy.root / "data" / RESPONSES / "contrast=0.1.zarr"
    kept = (store / "record.json").read_text()
    damage_before_verifying(monkeypatch, "V2/mean")
    with pytest.raises(DamagedFileError, match="V2/mean"):
        build(chain_copy, f"{RESPONSES}:0.1", force=True)
    assert (store / "record.json").read_text() == kept


def test_settings_of_a_run_are_recorded_and_stale_until_the_files_say_the_same(chain_copy):
    (target,) = parse_target(chain_copy.open(), f"{RESPONSES}:0.1")
    settings = {"run_settings": {"resolution": "layer"}, **folders(chain_copy)}
    (record,) = build_targets([str(target)], **settings)
    assert record["config"]["record"]["resolution"] == "layer"
    status = chain_copy.open().status(target)
    assert (status.state, status.reason) == ("stale", "the configuration changed: record")
    created = (chain_copy.open().stage(target).output(target) / "record.json").stat().st_mtime_ns
    build_targets([str(target)], **settings)
    assert (chain_copy.open().stage(target).output(target) / "record.json").stat().st_mtime_ns == created


def test_a_setting_that_no_run_has_is_an_error(chain):
    with pytest.raises(UnknownNameError, match=r"unknown setting 'resolutoin'\. Did you mean 'resolution'\?"):
        build_targets([RESPONSES], run_settings={"resolutoin": "layer"}, **folders(chain))


@pytest.mark.parametrize("target", ["raw/gratings:test", RESPONSES])
def test_force_is_no_run_setting(chain, target):
    with pytest.raises(UnknownNameError, match="'fresh'"):
        build_targets([target], run_settings={"fresh": True}, **folders(chain))


def test_two_swept_parameters_make_one_store_each_in_one_go(chain_copy):
    records = build(chain_copy, "responses/contrast_duration/rcnn_gratings")
    assert [r["target"].partition(":")[2] for r in records] == [
        f"contrast={c},duration={d}" for c in ("0.5", "1.0") for d in (1, 3)
    ]
    assert all(r["details"]["conditions_together"] == 4 for r in records)
    # One idle and one void step shared by all, then what each contrast and duration adds.
    assert records[0]["details"]["steps_computed"] < records[0]["details"]["steps_naive"] == (4 + 1) * (6 + 2)
    summary = build(chain_copy, "summary/contrast_duration/rcnn_gratings")[0]
    assert [(row["contrast"], row["duration"]) for row in summary["details"]["tuning"]] == [
        (0.5, 1),
        (0.5, 3),
        (1.0, 1),
        (1.0, 3),
    ]


def test_chosen_samples_are_spread_over_the_classes(chain_copy):
    edit_yaml(
        chain_copy.config / "config_experiments.yaml",
        lambda c: c["experiment_config"]["contrast"].update(record={"samples": 6, "resolution": "unit"}),
    )
    build(chain_copy, f"{RESPONSES}:1.0")
    tree = open_store(chain_copy.root / "data" / RESPONSES / "contrast=1.0.zarr")
    assert tree["label"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert tree["sample"].values.tolist() == [0, 1, 4, 5, 8, 9]
    assert tree["V1"]["response"].sizes == {"sample": 6, "time": 6, "channel": 4, "y": 8, "x": 8}


def test_damaged_beton_is_not_shown(chain_copy):
    flip_byte(chain_copy.root / "data" / "processed" / "gratings" / "test_all" / "test.beton", 5000)
    expected = (
        r"is made from processed/gratings:test_all, which is damaged \(.*test\.beton is damaged: its contents .*"
        r"dynvision make --force .*\)\. Make it: dynvision make processed/gratings:test_all"
    )
    with pytest.raises(MissingError, match=expected):
        build(chain_copy, f"{RESPONSES}:0.5", force=True)


def ask_for_epoch(chain, epoch: int) -> None:
    edit_yaml(
        chain.config / "config_experiments.yaml",
        lambda c: c["experiment_config"]["contrast"].update(status=f"trained-epoch={epoch}"),
    )


def test_epoch_that_an_experiment_asks_for_is_kept_and_shown(chain_copy):
    ask_for_epoch(chain_copy, 1)
    with pytest.raises(MissingError, match=r"which is missing\. Make it: dynvision make models/rcnn/gratings:all_s0"):
        build(chain_copy, f"{RESPONSES}:0.5")
    build(chain_copy, "models/rcnn/gratings:all_s0")
    folder = chain_copy.root / "data" / "models" / "rcnn" / "gratings" / "all_s0"
    kept, last = (load_file(folder / f"{name}.safetensors") for name in ("epoch=1", "trained"))
    assert all(np.array_equal(kept[name], last[name]) for name in last)
    (record,) = build(chain_copy, f"{RESPONSES}:0.5")
    assert record["config"]["status"] == "trained-epoch=1"


def test_epoch_after_the_last_is_an_error(chain_copy):
    ask_for_epoch(chain_copy, 7)
    expected = r"is trained for 1 epochs on 'gratings', so there is no epoch 7"
    with pytest.raises(ConfigError, match=expected):
        build(chain_copy, "models/rcnn/gratings:all_s0")


CHECKED = {
    "raw/gratings:test": "classes_hold_the_images_that_were_counted",
    "interim/gratings:test_all": "every_link_resolves",
    "processed/gratings:train_all": "image_files_are_as_they_were_written",
    "models/rcnn/gratings:all_s0": "weights_are_finite",
    "summary/contrast/rcnn_gratings": "every_condition_is_measured",
}


@pytest.mark.parametrize(("target", "name"), CHECKED.items())
def test_checks_pass_on_what_was_built(chain, target, name):
    results = {r["name"]: r for r in check_targets([target], **folders(chain))}
    assert results[name]["passed"], results[name]
    assert results[name]["offenders"] == []


def fail(chain, target: str) -> dict:
    return next(r for r in check_targets([target], **folders(chain)) if r["name"] == CHECKED[target])


def test_check_names_the_class_whose_images_went_missing(chain_copy):
    next((chain_copy.root / "data" / "raw" / "gratings" / "test" / "1").glob("*.png")).unlink()
    result = fail(chain_copy, "raw/gratings:test")
    assert (result["passed"], result["offenders"]) == (False, ["1: 3 of 4"])


def test_check_names_the_link_that_leads_nowhere_and_the_one_too_many(chain_copy):
    folder = chain_copy.root / "data" / "interim" / "gratings" / "test_all"
    (folder / "1").unlink()
    (folder / "1").symlink_to("nowhere")
    (folder / "7").symlink_to(folder / "0")
    result = fail(chain_copy, "interim/gratings:test_all")
    assert (result["passed"], result["offenders"]) == (False, ["1", "7"])


def test_check_names_the_damaged_beton(chain_copy):
    flip_byte(chain_copy.root / "data" / "processed" / "gratings" / "train_all" / "val.beton", 5000)
    result = fail(chain_copy, "processed/gratings:train_all")
    assert not result["passed"]
    assert len(result["offenders"]) == 1
    assert re.search(r"val\.beton is damaged", result["offenders"][0])


def test_check_names_the_weights_that_are_not_finite(chain_copy):
    path = chain_copy.root / "data" / "models" / "rcnn" / "gratings" / "all_s0" / "trained.safetensors"
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    weights = load_file(path)
    weights["classifier.bias"][0] = np.nan
    save_file(weights, path, metadata)
    result = fail(chain_copy, "models/rcnn/gratings:all_s0")
    assert (result["passed"], result["offenders"]) == (False, ["classifier.bias"])


def test_check_of_what_was_not_made_names_the_command(chain):
    with pytest.raises(
        DynvisionError, match=r"raw/mnist:test has not been made\. Make it: dynvision make raw/mnist:test"
    ):
        check_targets(["raw/mnist:test"], **folders(chain))
