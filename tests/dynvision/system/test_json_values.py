"""Values as JSON keeps them."""

from __future__ import annotations

import datetime
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.system.json_values import as_json, restore_whole_keys, same_json, whole_key_paths, why_not_json

LEAVES = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(st.integers(-20, 20), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_that_is_allowed_is_the_same_after_json(value: object) -> None:
    assert why_not_json(value) is None
    read = json.loads(json.dumps(value))
    assert same_json(value, read)
    assert repr(restore_whole_keys(read, whole_key_paths(value))) == repr(value)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        ({"a": [0, 2]}, {"a": [-0.0, 2.0]}, True),
        ({1: 8}, {"1": 8}, True),
        (math.nan, math.nan, True),
        (math.inf, math.inf, True),
        (True, 1, False),
        (False, 0.0, False),
        (1, "1", False),
        (None, 0, False),
        (2**53 + 1, float(2**53), False),
        ([1], [1, 1], False),
    ],
)
def test_numbers_are_the_same_however_they_are_written(first: object, second: object, same: bool) -> None:
    assert same_json(first, second) is same
    assert same_json([{"x": first}], [{"x": second}]) is same


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"w": {1: "a", "1": "b"}}, "'w' has keys of several types"),
        ({"w": [{1: "a", "b": 2}]}, "'w.0' has keys of several types"),
        ({"w": {1.5: "a"}}, "'w' has the key 1.5"),
        ({"w": {True: "a"}}, "'w' has the key True"),
        ({"w": {None: "a"}}, "'w' has the key None"),
        ({"w": {True: "a", 2: "b"}}, "several types"),
        ({"w": {datetime.date(2024, 1, 1): "a"}}, "'w' has the key datetime"),
        ({"w": datetime.date(2024, 1, 1)}, "of the type date"),
        ({"w": {1, 2}}, "of the type set"),
        ({"w": (1, 2)}, "of the type tuple"),
        ({"w": b"a"}, "of the type bytes"),
    ],
)
def test_what_json_does_not_keep_is_refused(value: object, sentence: str) -> None:
    assert sentence in str(why_not_json(value))


def test_tuples_and_keys_are_as_json_has_them() -> None:
    assert as_json({1: (2, 3)}) == {"1": [2, 3]}
