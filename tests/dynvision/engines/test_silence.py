"""A worker that is connected and gives no sign of life is spoken of, and gets no further call."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

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


def test_a_silent_worker_stays_silent_until_it_was_seen_though_this_process_was_stopped() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    for _ in range(int(SILENCE) + 1):
        clock.now += 1
        watch.look({"silent": 7.0, "other": clock.now})
    clock.now += 300
    assert watch.look({"silent": 7.0, "other": 112.0}) == {"silent"}
    clock.now += 1
    assert watch.look({"silent": 7.0, "other": clock.now}) == {"silent"}
    clock.now += 300
    assert watch.look({"silent": 8.0, "other": clock.now}) == frozenset()


def test_no_worker_is_removed_because_the_scheduler_itself_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynvision.engines.private_scheduler import PrivateScheduler

    clock = Clock()
    monkeypatch.setattr("distributed.scheduler.time", clock)
    monkeypatch.setattr("dynvision.engines.private_scheduler.time", clock)
    removed: list[str] = []

    class Recording(PrivateScheduler):
        async def restart_workers(self, workers: Any = None, **options: Any) -> Any:
            removed.extend(workers)

    async def live() -> None:
        scheduler = Recording(http_prefix="/secret/", dashboard=False, host="127.0.0.1", port=0)
        scheduler.worker_ttl = 180.0
        interval = scheduler.periodic_callbacks["worker-ttl"].callback_time / 1000
        assert interval <= 5
        scheduler.workers = {
            name: SimpleNamespace(address=name, last_seen=clock.now, nanny=None) for name in ("alive", "dead")
        }

        async def pass_time(seconds: float) -> None:
            for _ in range(int(seconds / interval)):
                clock.now += interval
                scheduler.workers["alive"].last_seen = clock.now
                await scheduler.check_worker_ttl()

        await pass_time(60)
        for _ in range(3):
            clock.now += 190  # It was stopped, and the heartbeats of this time have not been read yet.
            await scheduler.check_worker_ttl()
            await pass_time(30)
        assert removed == []
        await pass_time(170)
        assert set(removed) == {"dead"}

    asyncio.run(live())


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
        r"models/a: worker cpu-0-1 \(\S+, process \d+\) has not answered for 3 s: it was stopped, or its machine "
        r"or network hangs. If that goes on for minutes, another worker goes on with it",
        told[0],
    )
    assert len(told) <= 2
    assert all(line.endswith("answers again") for line in told[1:])
