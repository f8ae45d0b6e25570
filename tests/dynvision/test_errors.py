from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import MissingError, nearest_name, unknown_name


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
