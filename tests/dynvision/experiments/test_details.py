from __future__ import annotations

from typing import Any

import pytest

from dynvision.errors import DamagedFileError
from dynvision.experiments.details import ResponseDetails
from dynvision.records import Record, make_record

DETAILS = ResponseDetails(
    samples=12,
    n_timesteps=2,
    accuracy=0.5,
    accuracy_over_time=[0.25, 0.75],
    chance=0.25,
    readout={"choices": "group"},
    mean_response={"V1": [0.1, 0.2]},
    peak_response={"V1": 0.2},
    resting_response={},
)


def record_with(details: dict[str, Any]) -> Record:
    return make_record(
        "responses/x/y:contrast=1.0", code_version="1", config={}, inputs={}, content="", details=details
    )


def test_details_are_read_back_from_a_record_that_says_more():
    assert ResponseDetails.from_record(record_with({**DETAILS.to_dict(), "seconds": 2.0})) == DETAILS


def test_record_without_a_detail_names_it_and_the_command():
    details = DETAILS.to_dict()
    del details["samples"]
    expected = (
        r"the record of responses/x/y:contrast=1\.0 has no 'samples'\. Make it again: dynvision make --force "
        r"responses/x/y:contrast=1\.0"
    )
    with pytest.raises(DamagedFileError, match=expected):
        ResponseDetails.from_record(record_with(details))
