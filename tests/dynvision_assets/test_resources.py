"""What a run in Dagster ends with."""

from __future__ import annotations

import dagster as dg
import pytest

from dynvision_assets.resources import plain_failures


def test_a_run_that_was_terminated_says_so() -> None:
    sentence = r"models/rcnn/gratings was stopped; what was finished is kept"
    with (
        pytest.raises(dg.DagsterExecutionInterruptedError, match=sentence) as caught,
        plain_failures("summary"),
        plain_failures("models/rcnn/gratings"),
    ):
        raise dg.DagsterExecutionInterruptedError
    assert caught.value.__suppress_context__
