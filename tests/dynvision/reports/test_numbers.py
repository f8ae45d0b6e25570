from __future__ import annotations

import numpy as np
import pytest

from dynvision.reports.numbers import NONE, format_interval, format_measured, format_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, NONE),
        (np.nan, NONE),
        (np.inf, NONE),
        (400, "400"),
        (0.265357, "0.265"),
        (-0.0253, "−0.0253"),
        (1.0, "1"),
    ],
)
def test_a_number_has_three_digits(value: object, text: str) -> None:
    assert format_number(value) == text


def test_a_value_has_the_digits_that_its_error_leaves() -> None:
    assert format_measured(0.26536, 0.01955) == "0.265 ± 0.020"
    assert format_measured(-1.19664, 0.0022) == "−1.1966 ± 0.0022"
    assert format_measured(123.4, 5.6) == "123.4 ± 5.6"


def test_a_number_too_small_for_decimals_keeps_its_digits() -> None:
    assert format_measured(3.2e-7, 1e-8) == "3.2e−07 ± 1e−08"
    assert format_measured(-4e-6, 3e-7) == "−4e−06 ± 3e−07"
    assert format_measured(0.00123, 0.00004) == "0.001230 ± 0.000040"


def test_without_an_error_there_is_a_number_alone() -> None:
    assert format_measured(1.0, 0.0) == "1"
    assert format_measured(0.5, np.nan) == "0.5"
    assert format_measured(np.nan, 0.1) == NONE


def test_an_end_without_a_limit_is_infinite() -> None:
    assert format_interval(0.8, 0.6, np.nan) == "0.8 [0.6, ∞)"
    assert format_interval(0.8, np.nan, 0.9) == "0.8 (−∞, 0.9]"
    assert format_interval(0.8, np.nan, np.nan) == "0.8"
    assert format_interval(np.nan, 0.1, 0.2) == NONE
