from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from dynvision.config import load_config
from dynvision.data.transforms import TargetTransform, get_data_transform, get_target_transform, parse_transform
from dynvision.errors import ConfigError, DynvisionError, UnknownNameError
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml


@pytest.fixture(scope="module")
def config():
    return load_config(PROJECT_CONFIG)


def test_text_becomes_the_transform_with_its_arguments():
    crop = parse_transform("RandomCrop(28, pad_if_needed=True)", v2)
    assert isinstance(crop, v2.RandomCrop)
    assert (list(crop.size), crop.pad_if_needed) == ([28, 28], True)
    assert isinstance(parse_transform("Identity", v2), v2.Identity)


def test_unknown_transform_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"where: unknown transform 'RandomCorp'\. Did you mean 'RandomCrop'\?"):
        parse_transform("RandomCorp(32)", v2, "where")


@pytest.mark.parametrize(
    "text",
    ["__import__('os').getcwd()", "RandomCrop(open('x'))", "RandomCrop(32", "1 + 1", "", "v2.RandomCrop(3)", "a\0b"],
)
def test_text_that_is_no_name_with_literal_arguments_is_an_error_and_is_not_run(text):
    with pytest.raises(ConfigError, match=rf"here: '{re.escape(text)}' is not a transform"):
        parse_transform(text, v2, "here")


@pytest.mark.parametrize("text", ["RandomCrop()", "RandomCrop(32, pading=4)", "RandomHorizontalFlip(p=7)"])
def test_wrong_arguments_are_an_error_with_the_text(text):
    with pytest.raises(ConfigError, match=rf"here: '{re.escape(text)}' does not take these arguments"):
        parse_transform(text, v2, "here")


@given(st.text(max_size=20))
def test_any_text_is_a_transform_or_an_error_for_the_user(text):
    try:
        made = parse_transform(text, v2)
    except ConfigError:
        return
    assert callable(made)


@given(st.integers(1, 64), st.integers(1, 64), st.floats(0, 1), st.booleans())
def test_arguments_written_as_text_are_read_back(height, width, chance, pad):
    crop = parse_transform(f"RandomCrop([{height}, {width}], pad_if_needed={pad})", v2)
    assert (list(crop.size), crop.pad_if_needed) == ([height, width], pad)
    assert parse_transform(f"RandomVerticalFlip(p={chance})", v2).p == chance


def test_presets_of_a_dataset_take_the_place_of_the_general_ones(small_config):
    presets = {"train": ["CenterCrop(8)", "RandomVerticalFlip"], "train_mnist": ["CenterCrop(4)"], "train_gratings": []}
    edit_yaml(small_config / "config_data.yaml", lambda c: c["transform_presets"].update(presets))
    config = load_config(small_config)
    general = get_data_transform("train", "cifar10", config=config, tensors=True)
    digits = get_data_transform("train", "mnist", config=config, tensors=True)
    gratings = get_data_transform("train", "gratings", config=config, tensors=True)
    assert [type(t).__name__ for t in general.transforms] == ["CenterCrop", "RandomVerticalFlip", "Normalize"]
    assert [type(t).__name__ for t in digits.transforms] == ["CenterCrop", "Normalize"]
    assert [type(t).__name__ for t in gratings.transforms] == ["Normalize"]
    assert list(digits.transforms[0].size) == [4, 4]
    assert isinstance(get_data_transform("train_gratings", config=config, tensors=True), v2.Identity)


def test_own_preset_of_a_dataset_standardizes_as_its_statistics_say(config):
    for dataset in ("gratings", "mnist", "cifar10", "cifar100"):
        (own,) = get_data_transform(dataset, config=config, tensors=True).transforms
        statistics = config.data.data_statistics[dataset]
        assert (list(own.mean), list(own.std)) == (statistics.mean, statistics.std)


@pytest.mark.slow
def test_no_preset_of_gratings_or_digits_flips_or_turns_their_class_into_another(config):
    for dataset in ("gratings", "mnist"):
        for preset in ("train", "ffcv_train"):
            made = get_data_transform(preset, dataset, config=config, tensors=True)
            steps = made if isinstance(made, list) else getattr(made, "transforms", [])
            assert not [s for s in steps if "Flip" in type(s).__name__ or "Rotation" in type(s).__name__]


def test_pictures_become_tensors_in_0_to_1(config):
    picture = Image.fromarray(np.full((4, 4, 3), 51, dtype=np.uint8))
    result = get_data_transform("test", config=config)(picture)
    torch.testing.assert_close(result.as_subclass(torch.Tensor), torch.full((3, 4, 4), 0.2))


def test_presets_follow_one_another(small_config):
    edit_yaml(
        small_config / "config_data.yaml",
        lambda c: c["transform_presets"].update(a=["CenterCrop(2)"], b=["Grayscale(1)"]),
    )
    made = get_data_transform(["a", "b"], config=load_config(small_config), tensors=True)
    assert made(torch.rand(3, 4, 4)).shape == (1, 2, 2)


def test_unknown_preset_names_the_nearest(config):
    with pytest.raises(UnknownNameError, match=r"unknown transform preset 'trian'\. Did you mean 'train'\?"):
        get_data_transform("trian", config=config)


def test_unknown_transform_in_a_preset_names_file_preset_and_nearest(small_config):
    edit_yaml(small_config / "config_data.yaml", lambda c: c["transform_presets"].update(mine=["RandomRotatoin(9)"]))
    with pytest.raises(UnknownNameError) as caught:
        get_data_transform("mine", config=load_config(small_config))
    place = f"{small_config / 'config_data.yaml'}: transform_presets.mine: "
    assert f"{place}unknown transform 'RandomRotatoin'. Did you mean 'RandomRotation'?" in str(caught.value)


@pytest.mark.slow
def test_ffcv_presets_are_lists_of_operations(config):
    made = get_data_transform("ffcv_train", config=config)
    assert "RandomHorizontalFlip" in [type(step).__name__ for step in made]
    assert all(type(step).__module__.startswith("ffcv.transforms") for step in made)


def test_ffcv_presets_without_ffcv_say_both_ways_out(config, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ffcv" else find(name, *rest))
    with pytest.raises(DynvisionError, match=r"FFCV is not installed.*use_ffcv: false.*pip install ffcv"):
        get_data_transform("ffcv_train", config=config)


def test_labels_of_a_group_are_places_in_its_list(config):
    transform = get_target_transform("cifar100_invertebrates", config=config)
    assert [transform(label) for label in (6, 7, 14, 99)] == [0, 1, 2, 9]
    assert [transform.inverse(label) for label in (0, 9)] == [6, 99]


@given(st.lists(st.integers(0, 99), unique=True, min_size=1))
def test_map_of_a_group_and_its_inverse_undo_each_other(classes):
    transform = TargetTransform(classes, "some")
    assert [transform(label) for label in classes] == list(range(len(classes)))
    assert [transform.inverse(transform(label)) for label in classes] == classes


def test_label_outside_the_group_is_an_error(config):
    transform = get_target_transform("cifar100_invertebrates", config=config)
    with pytest.raises(ValueError, match="label 5 is not in the group 'cifar100_invertebrates', whose classes are"):
        transform(5)
    with pytest.raises(ValueError, match="'cifar100_invertebrates' has the labels 0 to 9, not 10"):
        transform.inverse(10)


def test_group_all_maps_each_class_to_itself(config):
    transform = get_target_transform("gratings_all", config=config)
    assert [transform(label) for label in range(8)] == list(range(8))


def test_unknown_group_names_the_nearest(config):
    expected = r"cifar100: unknown class group 'invertebrats'\. Did you mean 'invertebrates'\?"
    with pytest.raises(UnknownNameError, match=expected):
        get_target_transform("cifar100_invertebrats", config=config)


def test_unknown_dataset_of_a_group_names_the_nearest(config):
    expected = r"unknown target transform 'cifra100_invertebrates'\. Did you mean 'cifar100_invertebrates'\?"
    with pytest.raises(UnknownNameError, match=expected):
        get_target_transform("cifra100_invertebrates", config=config)
