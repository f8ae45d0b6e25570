"""The grammar of partition keys: what is written can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import UnknownNameError
from dynvision.keys import Condition, GroupSeed, SplitGroup

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
