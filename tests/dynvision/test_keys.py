"""The grammar of partition keys: what is written can be read again."""

from __future__ import annotations

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import ConfigError, UnknownNameError
from dynvision.keys import Condition, GroupSeed, SplitGroup, find_level, find_levels

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)
LEVELS = st.from_regex(r"[\w.+-]{1,8}", fullmatch=True)


@given(st.sampled_from(["train", "test"]), NAMES)
def test_a_group_of_a_split_is_read_as_it_was_written(split, group):
    assert SplitGroup.parse(str(SplitGroup(split, group))) == SplitGroup(split, group)


@given(NAMES, st.integers(0, 2**31))
def test_a_group_with_a_seed_is_read_as_it_was_written(group, seed):
    assert GroupSeed.parse(str(GroupSeed(group, seed))) == GroupSeed(group, seed)


@given(st.dictionaries(NAMES, LEVELS, min_size=1, max_size=2))
def test_a_condition_is_read_as_it_was_written(levels):
    condition = Condition.parse(str(Condition(levels)))
    assert condition == Condition(levels)
    assert list(condition) == list(levels)


def test_conditions_are_equal_in_whatever_order():
    one, other = Condition({"contrast": 0.5, "duration": 20}), Condition({"duration": "20", "contrast": "0.5"})
    assert one == other
    assert len({one, other}) == 1
    assert (str(one), str(other)) == ("contrast=0.5,duration=20", "duration=20,contrast=0.5")


def test_numbers_are_written_as_yaml_writes_them():
    assert str(Condition({"a": 1.0, "b": 20, "c": True, "d": "gaussian"})) == "a=1.0,b=20,c=true,d=gaussian"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (SplitGroup, "train", "'train' names no class group of a split. Write it like 'train_all'."),
        (GroupSeed, "all_0", "'all_0' names no trained network. Write it like 'all_s0'."),
        (GroupSeed, "all_s-1", "'all_s-1' names no trained network"),
        (Condition, "0.5", "'0.5' names no level. Write it like 'contrast=0.5'."),
        (Condition, "a=1,a=2", "'a=1,a=2' gives 'a' twice"),
    ],
)
def test_what_is_no_key_is_an_error(kind, text, message):
    with pytest.raises(UnknownNameError) as caught:
        kind.parse(text)
    assert message in str(caught.value)


CONTRASTS = ["1e-05", "0.1", "0.10000001", "0.3", "1.0"]


@pytest.mark.parametrize(
    ("value", "levels"),
    [
        (0.1, ["0.1"]),
        (0.10000001, ["0.10000001"]),
        (np.float32(0.1), ["0.1"]),
        (0.1 + 0.2, ["0.3"]),
        (1, ["1.0"]),
        ("1.0e-5", ["1e-05"]),
        (1e-05, ["1e-05"]),
        ([1.0, 0.1], ["0.1", "1.0"]),
        (("0.1", 1), ["0.1", "1.0"]),
        (np.array([0.1, 1.0], np.float32), ["0.1", "1.0"]),
        (np.array(0.3), ["0.3"]),
        (xarray.DataArray([0.3, 1.0], dims="contrast"), ["0.3", "1.0"]),
        (xarray.DataArray(0.3), ["0.3"]),
        ({0.3}, ["0.3"]),
        (slice(0.1, 0.3), ["0.1", "0.10000001", "0.3"]),
        (slice(0.2, None), ["0.3", "1.0"]),
        (slice(None), CONTRASTS),
    ],
)
def test_levels_are_found_by_value_values_or_range(value, levels):
    assert find_levels("contrast", value, CONTRASTS) == levels


def test_exact_level_wins_over_a_near_one():
    for levels in (["0.1", "0.10000000001"], ["0.10000000001", "0.1"]):
        assert find_level(0.1, levels) == "0.1"
        assert find_level(0.10000000001, levels) == "0.10000000001"


@pytest.mark.parametrize("value", [True, np.True_, "true", [True]])
def test_truth_values_are_levels(value):
    assert find_levels("adapts", value, ["false", "true"]) == ["true"]


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (0.28, UnknownNameError, "unknown level of 'contrast' '0.28'. Did you mean '0.3'?"),
        ([0.1, 0.28], UnknownNameError, "unknown level of 'contrast' '0.28'. Did you mean '0.3'?"),
        ([], ConfigError, "no level of 'contrast' is given. Levels: 1e-05, 0.1"),
        (slice(0.4, 0.6), ConfigError, "no level of 'contrast' lies from 0.4 to 0.6. Levels: 1e-05, 0.1"),
        (slice("low", 0.6), ConfigError, "a range is slice(first, last) of two numbers"),
        (slice(0.1, 0.6, 2), ConfigError, "a range is slice(first, last) of two numbers"),
    ],
)
def test_levels_that_do_not_exist_are_an_error(value, kind, message):
    with pytest.raises(kind) as caught:
        find_levels("contrast", value, CONTRASTS)
    assert message in str(caught.value)


def test_range_of_names_is_an_error():
    with pytest.raises(ConfigError, match=r"its levels are numbers\. Levels: gaussian, poisson"):
        find_levels("noise_type", slice("a", "z"), ["gaussian", "poisson"])
