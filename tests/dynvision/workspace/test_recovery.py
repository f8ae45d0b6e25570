"""What is stale, damaged, rejected or locked: refused with a reason, and cured by building again."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from dynvision.errors import DamagedFileError, DataError, MissingError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets, reject_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.stores import damage_before_verifying

MODEL = Target(("models", "rcnn", "gratings"), "all_s0")


def test_stale_input_is_refused_with_its_reason_and_the_command(chain_copy):
    edit_yaml(
        chain_copy.config / "config_models.yaml",
        lambda content: content["models"]["rcnn"]["args"].update({"tau": 20.0}),
    )
    expected = (
        r"made from models/rcnn/gratings:all_s0, which is stale \(the configuration changed: args\)\. "
        r"Make it: dynvision make models/rcnn/gratings:all_s0"
    )
    with pytest.raises(MissingError, match=expected):
        build_targets(
            ["responses/contrast/rcnn_gratings:0.5"],
            root=str(chain_copy.root),
            config=str(chain_copy.config),
            force=True,
        )


def test_weights_of_another_training_do_not_count(chain_copy):
    folder = chain_copy.root / "data/models/rcnn/gratings/all_s0"
    other = chain_copy.root / "other.safetensors"
    shutil.copy(folder / "init.safetensors", other)
    build_targets([str(MODEL)], root=str(chain_copy.root), config=str(chain_copy.config), force=True)
    assert chain_copy.open().status(MODEL).state == "fresh"
    written = (folder / "init.safetensors").stat().st_size
    content = other.read_bytes().replace(b'data_version\\": \\"', b'data_version\\": \\"x', 1)
    (folder / "init.safetensors").write_bytes(content)
    status = chain_copy.open().status(MODEL)
    assert (status.state, status.reason) == (
        "damaged",
        f"{folder / 'init.safetensors'} is damaged: it has {len(content)} bytes where {written} were written. "
        f"Build it again: dynvision make --force {MODEL}",
    )
    (folder / "init.safetensors").write_bytes(other.read_bytes().replace(b"data_version", b"data_versiom", 1))
    assert "its contents are not those that were written" in chain_copy.open().status(MODEL).reason
    other.replace(folder / "init.safetensors")
    build_targets([str(MODEL)], root=str(chain_copy.root), config=str(chain_copy.config))
    assert chain_copy.open().status(MODEL).state == "fresh"


def test_rejected_target_does_not_count_as_built(chain_copy):
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    (aside,) = reject_targets([str(MODEL)], **arguments)
    assert aside.endswith("models/rcnn/gratings/all_s0/record.json")
    assert chain_copy.open().status(MODEL).state == "missing"
    assert (chain_copy.root / "data/models/rcnn/gratings/all_s0/record.json.rejected").is_file()
    assert not (chain_copy.root / "data/models/rcnn/gratings/all_s0/record.json").exists()
    build_targets([str(MODEL)], **arguments)
    assert chain_copy.open().status(MODEL).state == "fresh"


def test_other_readout_reads_the_recorded_scores_again_without_showing_anything(chain_copy):
    store = chain_copy.root / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr"
    before = json.loads((store / "record.json").read_text())
    written = (store / "scores" / "zarr.json").stat().st_mtime_ns
    edit_yaml(
        chain_copy.config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(readout={"window": [0, 1], "reduce": "last"}),
    )
    target = "responses/contrast/rcnn_gratings:contrast=0.5"
    (status,) = (chain_copy.open().status(t) for t in parse_target(chain_copy.open(), target))
    assert (status.state, status.reason) == ("stale", "the configuration changed: readout")
    (after,) = build_targets([target], root=str(chain_copy.root), config=str(chain_copy.config))
    assert (store / "scores" / "zarr.json").stat().st_mtime_ns == written
    assert after["details"]["readout"]["window"] == [0, 1]
    assert after["details"]["accuracy"] == pytest.approx(before["details"]["accuracy_over_time"][0])
    assert after["details"]["seconds"] == before["details"]["seconds"]
    assert after["data_version"] != before["data_version"]
    (status,) = (chain_copy.open().status(t) for t in parse_target(chain_copy.open(), target))
    assert status.state == "fresh"


RESPONSE = "responses/contrast/rcnn_gratings:contrast=0.5"


def read_out_elsewhere(chain_copy) -> None:
    edit_yaml(
        chain_copy.config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(readout={"window": [0, 1]}),
    )


@pytest.mark.parametrize("damage", ["record", "scores", "layer"])
def test_damaged_response_is_shown_again_whether_or_not_the_readout_changed(chain_copy, damage):
    store = chain_copy.root / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr"
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    if damage == "record":
        (store / "record.json").write_text('{"something": "else"}')
    elif damage == "scores":
        shutil.rmtree(store / "scores")
    else:
        shutil.rmtree(store / "V1")
    read_out_elsewhere(chain_copy)
    (record,) = build_targets([RESPONSE], **arguments, force=damage == "layer")
    assert record["details"]["readout"]["window"] == [0, 1]
    assert (store / "scores" / "zarr.json").is_file() or damage == "layer"
    (target,) = parse_target(chain_copy.open(), RESPONSE)
    assert chain_copy.open().status(target).state == "fresh"


def test_dataset_in_an_odd_state_is_stale_with_the_reason_and_stops_nothing(tmp_path, small_config):
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update({"zoo": 16}))
    for split in ("train", "test"):
        (tmp_path / f"data/raw/zoo/{split}/cat").mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / f"data/raw/zoo/{split}/cat/1.png")
    arguments = {"root": str(tmp_path), "config": str(small_config)}
    build_targets(["raw/zoo:train"], **arguments)
    (tmp_path / "data/raw/zoo/train/eel").mkdir()
    status = Workspace.open(tmp_path, small_config).status(Target(("raw", "zoo"), "train"))
    assert status.state == "stale"
    assert "1 class folders hold no image: eel" in status.reason


def test_locks_of_responses_that_could_not_be_verified_are_freed(chain_copy, monkeypatch):
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    with monkeypatch.context() as patched:
        damage_before_verifying(patched, "V1/mean")
        with pytest.raises(DamagedFileError, match="V1/mean"):
            build_targets([RESPONSE], **arguments, force=True)
    build_targets([RESPONSE], **arguments, force=True)


def test_rejected_export_can_be_made_again_and_a_folder_of_the_users_is_left(chain_copy):
    arguments = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    folder = chain_copy.root / "data/raw/gratings/test"
    reject_targets(["raw/gratings:test"], **arguments)
    assert chain_copy.open().status(Target(("raw", "gratings"), "test")).state == "missing"
    build_targets(["raw/gratings:test"], **arguments)
    assert chain_copy.open().status(Target(("raw", "gratings"), "test")).state == "fresh"
    (folder / "manifest.json").write_text('{"made": "by the user"}')
    assert chain_copy.open().status(Target(("raw", "gratings"), "test")).state == "damaged"
    build_targets(["raw/gratings:test"], **arguments)  # The table of images says that the folder is ours.
    assert chain_copy.open().status(Target(("raw", "gratings"), "test")).state == "fresh"
    (folder / "manifest.json").write_text('{"made": "by the user"}')
    (folder / "manifest.images.parquet").unlink()
    with pytest.raises(DataError, match=r"gratings/test is in the way: .*nothing of yours is deleted"):
        build_targets(["raw/gratings:test"], **arguments, force=True)
    assert (folder / "manifest.json").read_text() == '{"made": "by the user"}'


def test_force_shows_again_even_where_only_the_readout_changed(chain_copy):
    written = chain_copy.root / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr/scores/zarr.json"
    before = written.stat().st_mtime_ns
    read_out_elsewhere(chain_copy)
    build_targets([RESPONSE], root=str(chain_copy.root), config=str(chain_copy.config), force=True)
    assert written.stat().st_mtime_ns != before
