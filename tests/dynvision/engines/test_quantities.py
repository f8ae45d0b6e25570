from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.engines.quantities import format_memory, format_time, parse_memory, parse_time


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        *(("16G", 16 << 30), ("16GB", 16 << 30), ("16 GiB", 16 << 30), ("500M", 500 << 20), ("1.5T", 3 << 39)),
        *(("2048K", 2 << 20), ("4g", 4 << 30)),
    ],
)
def test_memory_is_read_with_its_unit(text, amount):
    assert parse_memory(text) == amount


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90), ("30m", 1800), ("12h", 43200), ("2d", 172800), ("1h30m", 5400), ("1.5h", 5400), ("1h 5s", 3605)),
        *(("1.5m", 90), ("1000.0m", 60_000)),  # what the message for a time without a unit may say
        *(("1:30:00", 5400), ("1-12:00:00", 129600), ("00:01:30", 90)),
    ],
)
def test_time_is_read_with_its_unit(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (16, "16 has no unit; write 16G"),
        ("16", "16 has no unit; write 16G"),
        (1.5, "1.5 has no unit; write 1.5G"),
        (10**400, "a number has no unit; write 16G"),
        ("lots", "'lots' is no amount of memory; write a number and a unit: 500M, 16G, 1.5T"),
        ("1K", "'1K' is outside of what a machine has; write 1M at least and 1024T at most"),
        (True, "memory is a number with a unit, such as 16G"),
        (None, "memory is a number with a unit, such as 16G"),
    ],
)
def test_memory_without_a_unit_is_refused_with_what_to_write(value, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole message is compared
        parse_memory(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (30, "30 has no unit; write 30m"),
        ("30", "30 has no unit; write 30m"),
        ("1:30", "'1:30' is minutes for some and hours for others; write 1h30m, or 1:30:00 with seconds"),
        ("soon", "'soon' is no length of time; write 90s, 30m, 12h, 2d, 1h30m, 1:30:00 or 1-12:00:00"),
        ("", "'' is no length of time; write 90s, 30m, 12h, 2d, 1h30m, 1:30:00 or 1-12:00:00"),
        ("400d", "'400d' is no time for a job; write 1s at least and 366d at most"),
        ("0s", "'0s' is no time for a job; write 1s at least and 366d at most"),
        ([1], "time is a number with a unit, such as 30m"),
    ],
)
def test_time_without_a_unit_is_refused_with_what_to_write(value, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole message is compared
        parse_time(value)
    assert str(caught.value) == message


@given(st.integers(1, 366 * 86400))
def test_time_that_is_written_is_read_again(seconds):
    assert parse_time(format_time(seconds)) == seconds


@given(st.integers(1, 2**29))
def test_memory_that_is_written_is_read_again_in_whole_megabytes(amount):
    assert parse_memory(format_memory(amount << 20)) == amount << 20
