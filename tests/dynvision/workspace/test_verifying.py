from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from dynvision.workspace.addresses import parse_target
from dynvision.workspace.verifying import Verification, verify_targets
from tests.helpers.files import flip_byte

CHAIN = [
    "raw/gratings:test",
    "interim/gratings:test_all",
    "processed/gratings:test_all",
    "models/rcnn/gratings:all_s0",
    "responses/contrast/rcnn_gratings:0.5",
    "summary/contrast/rcnn_gratings",
]


def verify(chain: Any, text: str) -> Verification:
    workspace = chain.open()
    (found,) = verify_targets(workspace, parse_target(workspace, text))
    return found


def brighten_one_pixel(chain: Any) -> None:
    path = sorted((chain.root / "data/raw/gratings/test").rglob("*.png"))[0]
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def remove_an_image(chain: Any) -> None:
    sorted((chain.root / "data/raw/gratings/test").rglob("*.png"))[0].unlink()


def change_a_byte_of_the_beton(chain: Any) -> None:
    flip_byte(chain.root / "data/processed/gratings/test_all/test.beton", -5000)


def change_a_weight(chain: Any) -> None:
    from safetensors import safe_open

    path = chain.root / "data/models/rcnn/gratings/all_s0/trained.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] += 1e-6
    save_file(weights, path, metadata)


def change_a_response(chain: Any) -> None:
    store = chain.root / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr"
    chunk = next(path for path in sorted((store / "scores" / "c").rglob("*")) if path.is_file())
    flip_byte(chunk, chunk.stat().st_size // 2)


def change_a_number_of_the_table(chain: Any) -> None:
    path = chain.root / "data/reports/contrast/rcnn_gratings/table.csv"
    path.write_text(path.read_text().replace("0.", "1.", 1))


CHANGED = "is damaged: its contents are not those that were written"


@pytest.mark.parametrize("text", CHAIN)
def test_what_was_made_is_whole(chain, text):
    found = verify(chain, text)
    assert found.state == "whole", found.sentence
    assert any(character.isdigit() for character in found.sentence)


@pytest.mark.parametrize(
    ("text", "damage", "message"),
    [
        ("raw/gratings:test", brighten_one_pixel, "test/0/00000.png is not the image that was written"),
        ("raw/gratings:test", remove_an_image, "test/0/00000.png is missing: these are not the recorded images"),
        ("processed/gratings:test_all", change_a_byte_of_the_beton, f"test.beton {CHANGED}"),
        ("models/rcnn/gratings:all_s0", change_a_weight, f"all_s0/trained.safetensors {CHANGED}"),
        ("responses/contrast/rcnn_gratings:0.5", change_a_response, f"contrast=0.5.zarr/scores/c/0/0/0 {CHANGED}"),
        ("summary/contrast/rcnn_gratings", change_a_number_of_the_table, f"table.csv {CHANGED}"),
    ],
)
def test_damage_is_found_by_verify_and_by_status_and_the_command_names_the_target(chain_copy, text, damage, message):
    damage(chain_copy)
    found = verify(chain_copy, text)
    assert found.state == "damaged"
    assert message in found.sentence
    workspace = chain_copy.open()
    assert parse_target(workspace, found.sentence.partition("dynvision make --force ")[2]) == [found.target]
    status = workspace.status(found.target)
    assert (status.state, status.reason) == ("damaged", found.sentence)
    assert found.target in workspace.plan([found.target])


def test_image_lost_behind_a_link_is_found_and_named(chain_copy):
    remove_an_image(chain_copy)
    found = verify(chain_copy, "interim/gratings:test_all")
    assert found.state == "damaged"
    assert "test/0 holds 3 images where 4 were recorded (00000.png is missing)" in found.sentence
    assert found.sentence.endswith("Make the raw stage again: dynvision make --force raw/gratings")
    status = chain_copy.open().status(found.target)
    assert status.state == "stale"
    assert status.reason.startswith("raw/gratings:test is damaged: ")


def test_what_has_not_been_made_is_missing(small_workspace):
    (found,) = verify_targets(small_workspace, parse_target(small_workspace, "raw/gratings:train"))
    assert (found.state, found.sentence) == ("missing", "it has not been built")


def test_observed_images_that_changed_in_place_are_found(small_workspace, tmp_path: Path, small_config: Path):
    from dynvision.workspace import Workspace
    from dynvision.workspace.building import build_targets
    from tests.helpers.configuration import edit_yaml

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "data" / "raw" / "pets" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8), (5, 6, 7)).save(folder / "a.png")
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update(pets=8))
    build_targets(["raw/pets:test"], root=str(tmp_path), config=str(small_config))
    workspace = Workspace.open(tmp_path, small_config)
    (target,) = parse_target(workspace, "raw/pets:test")
    assert [v.state for v in verify_targets(workspace, [target])] == ["whole"]
    Image.new("RGB", (9, 9), (5, 6, 7)).save(tmp_path / "data" / "raw" / "pets" / "test" / "cat" / "a.png")
    assert [v.state for v in verify_targets(workspace, [target])] == ["damaged"]


@pytest.mark.parametrize("left_out", [1, 5000])
def test_weights_that_are_cut_off_are_damaged_and_made_again(chain_copy: Any, left_out: int) -> None:
    path = chain_copy.root / "data/models/rcnn/gratings/all_s0/trained.safetensors"
    os.truncate(path, path.stat().st_size - left_out)
    (target,) = parse_target(workspace := chain_copy.open(), "models/rcnn/gratings:all_s0")
    assert verify(chain_copy, "models/rcnn/gratings:all_s0").state == "damaged"
    status = workspace.status(target)
    assert status.state == "damaged"
    size = path.stat().st_size
    assert f"{path} is damaged: it has {size} bytes where {size + left_out} were written" in status.reason
    assert target in workspace.plan([target])
