"""Names of class folders, compared as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.sources.folders.class_names import find_alike, is_system_folder, join_names, quote_pair, read_name

ALIKE = [
    ("cat", "Cat"),
    ("caf\u00e9", "cafe\u0301"),
    ("1", "01"),
    ("class 1", "class_001"),
    (" cat", "cat "),
    ("sea urchin", "sea_urchin"),
    ("sea-urchin", "sea_urchin"),
    ("sea\u2013urchin", "sea\u00a0urchin"),
    ("cat", "ca\u200bt"),
    ("\uff11", "1"),
    ("Stra\u00dfe", "STRASSE"),
]
DIFFERENT = [
    ("1", "10"),
    ("100", "1"),
    ("-45", "45"),
    ("angle_-45", "angle_45"),
    ("0.05", "0.5"),
    ("0_05", "0_5"),
    ("n02012849", "n03126707"),
    ("maillot", "maillots"),
    ("_", "-"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_names_that_a_person_reads_alike_are_found(first, second):
    assert read_name(first) == read_name(second)
    assert set(find_alike([first, "other", second]) or ()) == {first, second}


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_names_that_mean_different_things_are_not_alike(first, second):
    assert find_alike([first, second]) is None


@given(st.integers(-400, 400), st.integers(-400, 400), st.integers(1, 5))
def test_numbers_look_alike_exactly_if_they_are_equal(first, second, width):
    assert (read_name(f"{first}") == read_name(f"{second:0{width}d}")) == (first == second)


@given(st.text(min_size=1))
def test_every_name_is_read_as_something_and_reading_it_twice_changes_nothing_in_a_comparison(name):
    assert read_name(name)
    assert read_name(name.lower().upper().lower()) == read_name(name.lower().upper())


@pytest.mark.parametrize(
    "name", ["__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "$Recycle.Bin", ".ipynb_checkpoints", "found.000"]
)
def test_folders_of_other_programs_are_known_whatever_their_case(name):
    assert is_system_folder(name)
    assert is_system_folder(name.upper())


@pytest.mark.parametrize("name", ["cvs", "recycled", "macosx", "lost and found", "tmp"])
def test_words_that_can_be_classes_are_no_folders_of_other_programs(name):
    assert not is_system_folder(name)


def test_names_that_are_printed_alike_are_quoted_with_escapes():
    assert quote_pair("caf\u00e9", "cafe\u0301") == r"'caf\xe9' and 'cafe\u0301'"
    assert quote_pair("\u718a", "\u732b") == "'\u718a' and '\u732b'"


def test_list_of_names_is_short_and_can_be_printed_whatever_their_bytes():
    assert join_names(["a", "b\udcff", "c\n"], 2) == r"a, b\udcff and 1 more"
