"""An image file has the same pixels for every reader: checks, interim, `.beton`, direct reading and contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import dynvision_assets as dva
from dynvision.config import load_config
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.errors import ConfigError, DataError
from dynvision.stages import contact_sheets
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.checking import check_targets
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml

pytestmark = pytest.mark.slow

SIZE = 16
RAMP = np.linspace(0, 4095, SIZE * SIZE).round().astype(np.uint16).reshape(SIZE, SIZE)
TWELVE = np.round(RAMP * (255 / 4095)).astype(np.uint8)


def draw(folder: Path, name: str, pixels: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), pixels)


def configure(config: Path, **changes: Any) -> None:
    def change(content: dict[str, Any]) -> None:
        content["data_resolution"]["own"] = SIZE
        for key, value in changes.items():
            content[key] = {**content.get(key, {}), "own": value}

    edit_yaml(config / "config_data.yaml", change)


def read_everywhere(root: Path, config: Path) -> dict[str, Any]:
    """The first test image as each reader gives it, `[H, W]`."""
    build_chain(root, config, "processed/own:test_all")
    workspace = Workspace.open(root, config)
    (interim,) = parse_target(workspace, "interim/own:test_all")
    record = workspace.stage(interim).read_record(interim)
    path = root / "data/processed/own/test_all/test.beton"
    images, _, _ = next(iter(get_ffcv_dataloader(path, 1, dtype=torch.uint8).iterate_images()))
    edit_yaml(config / "config_data.yaml", lambda content: content.update(use_ffcv=False))
    direct = Workspace.open(root, config)
    store = direct.stages["processed"].image_store  # type: ignore[attr-defined]
    opened = store.open("own", "test_all", record).loader("test", 1, normalized=False)
    shown = next(iter(opened.iterate_images()))[0]
    edit_yaml(config / "config_data.yaml", lambda content: content.update(use_ffcv=True))
    sheet = contact_sheets._read_images(sorted((root / "data/interim/own/test_all/a").iterdir()), record.details)
    folder = workspace.stage(interim).load([interim])
    return {
        "interim": np.asarray(folder[0][0])[..., 0] if folder.channels == 3 else np.asarray(folder[0][0]),
        "beton": np.asarray(images[0, 0]),
        "direct": np.round(np.asarray(shown[0, 0]) * 255),
        "sheet": sheet[0][:, :, 0],
    }


def test_a_camera_image_of_12_bits_is_the_same_on_every_path_once_its_depth_is_stated(tmp_path, small_config):
    for split in ("train", "test"):
        draw(tmp_path / "data/raw/own" / split / "a", "0.png", RAMP)
    configure(small_config)
    with pytest.raises(DataError, match=r"a/0\.png: an image of type uint16 from 0 to 4095, which fits 12 bits"):
        build_chain(tmp_path, small_config, "processed/own:test_all")
    with pytest.raises(DataError, match=r"a/0\.png: an image of type uint16 from 0 to 4095, which fits 12 bits"):
        Workspace.open(tmp_path, small_config).stages["interim"].load(
            parse_target(Workspace.open(tmp_path, small_config), "interim/own:test_all")
        )[0]
    (checked,) = [
        result
        for result in check_targets(["raw/own:test"], root=str(tmp_path), config=str(small_config))
        if result["name"] == "a_sample_of_images_can_be_decoded"
    ]
    assert not checked["passed"]
    assert "which fits 12 bits" in checked["offenders"][0]
    configure(small_config, bit_depth=12)
    workspace = Workspace.open(tmp_path, small_config)
    (raw,) = parse_target(workspace, "raw/own:test")
    assert workspace.status(raw).reason == "the configuration changed: bit_depth"
    for path, pixels in read_everywhere(tmp_path, small_config).items():
        assert np.array_equal(pixels, TWELVE), path


@pytest.mark.parametrize("mode", ["raw", "bytes"])
def test_an_image_that_is_stored_on_its_side_is_upright_on_every_path(tmp_path, small_config, mode):
    tags = Image.Exif()
    tags[0x0112] = 6
    picture = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    picture[:, : SIZE // 2] = 255  # the left half; turned clockwise, it is the upper half
    for split in ("train", "test"):
        folder = tmp_path / "data/raw/own" / split / "a"
        folder.mkdir(parents=True)
        Image.fromarray(picture).save(folder / "0.jpg", exif=tags, quality=95)
    configure(small_config, write_mode=mode)
    upright = np.zeros((SIZE, SIZE))
    upright[: SIZE // 2] = 255
    for path, pixels in read_everywhere(tmp_path, small_config).items():
        assert np.abs(pixels - upright).max() < 8, path


@pytest.mark.parametrize("value", [7, 17, "twelve", True])
def test_a_bit_depth_that_is_none_names_its_key(small_config, value):
    configure(small_config, bit_depth=value)
    with pytest.raises(ConfigError, match=r"config_data\.yaml: bit_depth\.own: "):
        load_config(small_config)


def test_a_bit_depth_of_an_unknown_dataset_or_of_one_with_8_bits_is_an_error(small_config):
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(bit_depth={"mnst": 12}))
    with pytest.raises(ConfigError, match=r"bit_depth: unknown dataset 'mnst'\. Did you mean 'mnist'"):
        load_config(small_config)
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(bit_depth={"mnist": 12}))
    with pytest.raises(ConfigError, match=r"bit_depth\.mnist: the images of 'mnist' have 8 bits; leave it out"):
        load_config(small_config)


def test_statistics_of_another_number_of_channels_are_a_failed_check(tmp_path, small_config):
    for split in ("train", "test"):
        draw(tmp_path / "data/raw/own" / split / "a", "0.png", np.full((SIZE, SIZE), 128, dtype=np.uint8))
    configure(small_config, data_statistics={"mean": [0.5] * 3, "std": [0.2] * 3})
    build_chain(tmp_path, small_config, "raw/own:train")
    configure(small_config, data_statistics={"mean": [0.5], "std": [0.2]})
    results = check_targets(["raw/own:train"], root=str(tmp_path), config=str(small_config))
    (result,) = [r for r in results if r["name"] == "statistics_are_those_of_the_images"]
    assert not result["passed"]
    assert result["sentence"].startswith("the images have 3 channel(s), but data_statistics has 1 means; give a mean")


@pytest.mark.parametrize("count", [2, 4])
def test_statistics_of_two_or_four_channels_are_refused(small_config, count):
    configure(small_config, data_statistics={"mean": [0.5] * count, "std": [0.2] * count})
    with pytest.raises(ConfigError, match=rf"data_statistics\.own: {count} means; images have 1 channel"):
        load_config(small_config)


def test_images_of_8_bits_have_the_pixels_that_they_had(tmp_path, small_config, monkeypatch):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    for split in ("train", "test"):
        draw(tmp_path / "data/raw/own" / split / "a", "0.png", pixels)
    configure(small_config)
    for path, read in read_everywhere(tmp_path, small_config).items():
        assert np.array_equal(read, pixels[:, :, 2]), path
    monkeypatch.setenv("DYNVISION_ROOT", str(tmp_path))
    monkeypatch.setenv("DYNVISION_CONFIG", str(small_config))
    image, label = dva.load("interim/own", split="test", group="all")[0]
    assert (image.mode, label) == ("RGB", 0)
