"""Presets that would standardize images twice, or paint them with numbers of another scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynvision.config import load_config
from dynvision.errors import ConfigError
from tests.helpers.configuration import edit_yaml, set_at

NORMALIZE = "Normalize(mean=[0.5, 0.5, 0.5], std=[0.29, 0.29, 0.29])"


def preset(small_config: Path, name: str, *texts: str) -> None:
    edit_yaml(small_config / "config_data.yaml", set_at(f"transform_presets.{name}", list(texts)))


def refuse(small_config: Path, *sentences: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    for sentence in sentences:
        assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["train", "train_gratings"])
def test_training_does_not_standardize_twice(small_config: Path, name: str) -> None:
    preset(small_config, name, "RandomHorizontalFlip(p=0.5)", NORMALIZE)
    refuse(
        small_config,
        f"config_models.yaml: models.rcnn.training.transform: the preset '{name}'",
        "would standardize the images of '",
        "Leave it out.",
    )


def test_a_preset_of_one_dataset_is_checked_where_it_is_used(small_config: Path) -> None:
    preset(small_config, "mine", NORMALIZE)
    load_config(small_config)  # Nothing is trained with it.
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.training.datasets.mnist", {"transform": "mine"}))
    refuse(small_config, "the preset 'mine' (config_data.yaml) has Normalize", "'mnist' twice")


@pytest.mark.parametrize("own", ["gratings", "cifar100"])
def test_the_preset_that_standardizes_a_dataset_is_not_for_training(small_config: Path, own: str) -> None:
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.training.transform", own))
    refuse(small_config, f"the preset '{own}' (config_data.yaml) has Normalize")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "RandomAffine(degrees=0, fill=128)",
            "RandomAffine(fill=128), but images are in [0, 1] there: 128 is brighter",
        ),
        ("RandomCrop(16, padding=2, fill=(124, 116, 104))", "RandomCrop(fill=(124, 116, 104)), but images are in"),
        ("RandomErasing(value=255)", "RandomErasing(value=255), but images are in [0, 1] there"),
        ("RandomSolarize(threshold=128)", "RandomSolarize with a threshold of 128"),
        ("RandomSolarize(128)", "RandomSolarize with a threshold of 128"),
        ("ToPILImage", "has ToPILImage, but training takes tensors"),
    ],
)
def test_numbers_of_another_scale_are_refused(small_config: Path, text: str, sentence: str) -> None:
    preset(small_config, "train_gratings", text)
    refuse(small_config, sentence)


@pytest.mark.parametrize(
    "text",
    ["RandomAffine(degrees=0, fill=1)", "RandomErasing(value='random')", "RandomSolarize(0.5)", "Pad(2, fill=0.5)"],
)
def test_shares_are_fine(small_config: Path, text: str) -> None:
    preset(small_config, "train_gratings", text)
    load_config(small_config)


def test_operations_of_ffcv_are_not_for_training(small_config: Path) -> None:
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.training.transform", "ffcv_train"))
    refuse(small_config, "models.rcnn.training.transform: 'ffcv_train", "holds operations of FFCV")


def test_ffcv_does_not_standardize_twice(small_config: Path) -> None:
    preset(small_config, "ffcv_mine", "NormalizeImage([1, 1, 1], [2, 2, 2], 'float32')")
    refuse(small_config, "config_data.yaml: transform_presets.ffcv_mine: NormalizeImage would standardize")


def test_the_loader_says_which_operations_it_does_itself() -> None:
    from dynvision.data.loading.ffcv_epochs import _check_transforms

    def operation(name: str) -> Any:
        return type(name, (), {})()

    _check_transforms([operation("RandomHorizontalFlip")])
    with pytest.raises(ConfigError, match="NormalizeImage does not belong there"):
        _check_transforms([operation("RandomHorizontalFlip"), operation("NormalizeImage")])
