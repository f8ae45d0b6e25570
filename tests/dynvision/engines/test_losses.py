"""A worker that is lost, or memory that runs out, ends in another attempt or in a clear error."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.engines.calls import Resources
from dynvision.errors import KilledError, OutOfMemoryError
from tests.helpers.engine_calls import Opening, call

GIB = 1 << 30


@pytest.mark.slow
def test_a_call_whose_worker_was_killed_is_tried_again_on_another(open_local: Opening, tmp_path: Path) -> None:
    engine = open_local()
    told: list[str] = []
    engine.submit(call("kill_worker_unless_noted", note=str(tmp_path / "note"), name="models/a"))
    engine.submit(call("echo", value="queued", name="models/b"))
    outcomes = {outcome.call.name: outcome for outcome in (engine.wait(told.append) for _ in range(2))}
    assert (outcomes["models/a"].result, outcomes["models/a"].attempts) == (2, 2)
    assert (outcomes["models/b"].result, outcomes["models/b"].attempts) == ("queued", 1)
    assert len(told) == 1
    assert re.fullmatch(r"models/a: its worker \(process \d+\) was killed by signal 9; it is tried again", told[0])


@pytest.mark.slow
def test_further_attempts_get_the_arguments_that_are_meant_for_them(open_local: Opening, tmp_path: Path) -> None:
    engine = open_local()
    first = call("kill_worker_unless_noted", note=str(tmp_path / "note"), times=5)
    engine.submit(replace(first, again={"times": 1}))
    outcome = engine.wait()
    assert (outcome.result, outcome.attempts) == (2, 2)
    assert outcome.call.arguments["times"] == 5


@pytest.mark.slow
def test_a_call_that_loses_three_workers_fails_and_names_the_log(open_local: Opening, tmp_path: Path) -> None:
    engine = open_local()
    told: list[str] = []
    engine.submit(call("kill_worker_unless_noted", note=str(tmp_path / "note"), times=5, name="models/a"))
    engine.submit(call("echo", value="next", priority=-1))
    outcome = engine.wait(told.append)
    assert outcome.attempts == 3
    assert len(told) == 2
    text = str(outcome.error)
    assert text.startswith("models/a: its worker (process ")
    assert "this was loss number 3." in text
    log = re.search(r"The log of its worker is (.*)\.$", text)
    assert log is not None
    assert "the last words" in Path(log[1]).read_text()
    assert engine.wait().result == "next"


@pytest.mark.slow
def test_a_child_that_was_killed_is_tried_again_with_more_memory(open_local: Opening, tmp_path: Path) -> None:
    engine = open_local()
    told: list[str] = []
    attempts = Resources(memory=GIB), Resources(memory=2 * GIB)
    engine.submit(call("die_unless_noted", *attempts, note=str(tmp_path / "note"), number=9, name="models/a"))
    outcome = engine.wait(told.append)
    assert (outcome.result, outcome.attempts) == (2, 2)
    assert len(told) == 1
    assert told[0].startswith("models/a: the process that computes it was killed (signal 9), as if memory had run out")
    assert told[0].endswith("It is tried again with 2 GiB of memory")


@pytest.mark.slow
def test_a_child_that_was_killed_three_times_is_an_error_if_there_is_no_more_memory(open_local: Opening) -> None:
    engine = open_local()
    told: list[str] = []
    engine.submit(call("die", Resources(memory=GIB), Resources(memory=GIB), number=9))
    outcome = engine.wait(told.append)
    assert type(outcome.error) is KilledError
    assert outcome.attempts == 3
    assert len(told) == 2
    assert "Out of memory looks like signal 9" in str(outcome.error)
    assert "The log of its worker is " in str(outcome.error)


@pytest.mark.slow
def test_memory_that_python_could_not_get_counts_too(open_local: Opening) -> None:
    engine = open_local()
    told: list[str] = []
    engine.submit(call("run_out_of_memory", Resources(memory=GIB), Resources(memory=3 * GIB)))
    outcome = engine.wait(told.append)
    assert type(outcome.error) is OutOfMemoryError
    assert "there is not enough memory" in str(outcome.error)
    assert outcome.attempts == 2
    assert told[0].endswith("It is tried again with 3 GiB of memory")


@pytest.mark.slow
def test_a_child_that_was_told_to_end_is_tried_again(open_local: Opening, tmp_path: Path) -> None:
    engine = open_local()
    told: list[str] = []
    engine.submit(call("die_unless_noted", note=str(tmp_path / "note"), number=15, name="models/a"))
    outcome = engine.wait(told.append)
    assert (outcome.result, outcome.attempts) == (2, 2)
    assert told == ["models/a: the process that computes it was told to end by a signal; it is tried again"]
