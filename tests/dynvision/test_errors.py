from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import MissingError, check_number, nearest_name, unknown_name


def test_numbers_are_compared_by_value():
    assert "Did you mean '0.4'?" in nearest_name("0.44", ["0.1", "0.4", "1.0"])
    assert "Did you mean '10'?" in nearest_name("11", ["1", "10", "100"])


def test_name_that_is_like_nothing_lists_what_there_is():
    assert nearest_name("zzzz", ["train", "test"]) == "Valid: train, test."


def test_where_nothing_is_valid_the_message_says_so():
    assert nearest_name("x", []) == "There is none yet."


def test_long_lists_are_cut():
    assert nearest_name("zzzz", [f"name{i}" for i in range(20)]).endswith("name11, ….")


@given(st.sampled_from(["gratings", "cifar100", "mnist"]), st.data())
def test_name_with_two_letters_swapped_finds_its_neighbour(name, data):
    place = data.draw(st.integers(0, len(name) - 2))
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    assert f"Did you mean '{name}'?" in nearest_name(swapped, ["gratings", "cifar100", "mnist"])


def test_unknown_name_says_where_it_was_named():
    assert str(unknown_name("dataset", "mnits", ["mnist"], "file: key")).startswith(
        "file: key: unknown dataset 'mnits'."
    )


def test_missing_error_reads_as_its_sentence_alone():
    assert str(MissingError("it is not there")) == "it is not there"


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"low": 1, "whole": True}, "batch_size must be a whole number from 1, not 0"),
        (True, {"low": 1, "whole": True}, "batch_size must be a whole number from 1, not True"),
        (1.5, {"low": 0, "high": 1}, "batch_size must be a number from 0 to 1, not 1.5"),
        (math.nan, {}, "batch_size must be a finite number, not nan"),
        ("8", {"whole": True}, "batch_size must be a whole number, not '8'"),
    ],
)
def test_a_number_out_of_bounds_is_named_with_its_bounds(value, bounds, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_number("batch_size", value, **bounds)


@pytest.mark.parametrize("value", [1, np.int64(3), 64])
def test_whole_numbers_of_numpy_are_whole_numbers(value):
    check_number("workers", value, 1, 64, whole=True)
