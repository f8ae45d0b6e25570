"""A worker that is connected and gives no sign of life is spoken of, and gets no further call."""

from __future__ import annotations

import re

import pytest

from dynvision.engines import dispatcher, events
from dynvision.engines.events import SILENCE, SilenceWatch
from tests.helpers.engine_calls import Opening, call


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_is_silent_once_it_was_last_seen_at_the_same_time_for_long() -> None:
    clock, found = Clock(), list[frozenset[str]]()
    watch = SilenceWatch(clock)
    for second in range(int(SILENCE) + 3):
        clock.now += 1
        found.append(watch.look({"a": 7.0, "b": second}))
    assert found[int(SILENCE) - 1 :] == [frozenset(), {"a"}, {"a"}, {"a"}]
    clock.now += 1
    assert watch.look({"a": 8.0, "b": 99.0}) == frozenset()


def test_nothing_is_said_of_the_workers_if_this_process_was_stopped_itself() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    watch.look({"a": 7.0})
    clock.now += 100
    assert watch.look({"a": 7.0}) == frozenset()


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_worker_that_was_stopped_is_said_to_be_silent_and_to_answer_again(
    open_local: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (dispatcher, events):
        monkeypatch.setattr(module, "SILENCE", 3.0)
    engine = open_local()
    told: list[str] = []
    engine.submit(call("stop_worker", seconds=7.0, name="models/a"))
    assert engine.wait(told.append).result == "it goes on"
    assert re.fullmatch(
        r"models/a: worker cpu-0-1 \(\S+, process \d+\) has not answered for 3 s: it was stopped, or its machine or "
        r"network hangs. If that goes on for minutes, another worker goes on with it",
        told[0],
    )
    assert len(told) <= 2
    assert all(line.endswith("answers again") for line in told[1:])
