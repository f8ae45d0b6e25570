"""A worker of this machine that hangs before it has connected is replaced, and its log is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.engines.calls import Resources
from dynvision.engines.local.arrivals import LATE, Arrivals
from dynvision.engines.local.workforce import LocalWorkforce
from dynvision.engines.settings import EngineSettings
from dynvision.engines.workforce import Demand, Door, WorkerProcess
from dynvision.errors import DynvisionError
from tests.helpers.engine_calls import alive, wait_for

NURSERY = """
import json, subprocess, sys
started = []
for line in sys.stdin:
    started.append(subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL))
    print(json.dumps({"name": json.loads(line)["name"], "pid": started[-1].pid}), flush=True)
for process in started:
    process.kill()
    process.wait()
"""
"""Starts processes that never connect, as workers do that hang."""

DEMANDS = (Demand(Resources(), 1, 0, 0),)


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_counts_neither_while_others_arrive_nor_while_this_process_is_stopped() -> None:
    clock = Clock()
    arrivals = Arrivals(clock)

    def look(seconds: int) -> dict[str, int]:
        for _ in range(seconds):
            clock.now += 1
            found = arrivals.look(["cpu-0-1"])
        return found

    arrivals.note_start("cpu-0-1", 17)
    assert look(60) == {}
    clock.now += 300
    assert look(20) == {}
    arrivals.note_arrival()
    assert look(int(LATE)) == {}
    assert look(1) == {"cpu-0-1": 17}


@pytest.fixture
def clock() -> Clock:
    return Clock()


DYING = """
import json, sys
for line in sys.stdin:
    said = {"name": json.loads(line)["name"], "pid": 1 << 30}
    print(json.dumps({**said, "code": 1} if said["name"].startswith("gpu") else said), flush=True)
"""
"""Lets workers with a GPU end at once, as where the driver is broken."""


def use_nursery(patch: pytest.MonkeyPatch, program: str) -> None:
    """Let this program start workers."""
    patch.setattr(
        "dynvision.engines.local.workforce.start_nursery",
        lambda: subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ),
    )


@pytest.fixture
def workforce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[LocalWorkforce]:
    """Workers of this machine, all of which hang."""
    use_nursery(monkeypatch, NURSERY)
    made = LocalWorkforce(EngineSettings(kind="local", workers=1, gpus=(), folder=tmp_path), clock)
    made.prepare()
    made.open(Door("tls://127.0.0.1:1", tmp_path, tmp_path, tmp_path, "abc"))
    yield made
    made.close()


def adjust(workforce: LocalWorkforce, clock: Clock, seconds: int, *workers: WorkerProcess) -> list[str]:
    told = []
    for _ in range(seconds):
        clock.now += 1
        told += workforce.adjust(DEMANDS, workers, frozenset())
    return told


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_replaced_and_the_third_one_ends_the_run(
    workforce: LocalWorkforce, clock: Clock, tmp_path: Path
) -> None:
    pids = workforce._arrivals._pids
    assert adjust(workforce, clock, 1) == []  # It asks for the first worker; each that is replaced, for the next one.
    for number in (1, 2):
        name = f"cpu-0-{number}"
        wait_for(lambda name=name: name in pids)  # type: ignore[misc]
        assert adjust(workforce, clock, int(LATE)) == []
        assert adjust(workforce, clock, 1) == [
            f"worker {name} (process {pids[name]}) has not been heard of for 90 s and is replaced; its log is "
            f"{tmp_path}/abc-{name}.log"
        ]
        wait_for(lambda name=name: not alive([pids[name]]))  # type: ignore[misc]
    wait_for(lambda: "cpu-0-3" in pids)
    with pytest.raises(DynvisionError) as caught:
        adjust(workforce, clock, int(LATE) + 1)
    assert str(caught.value) == (
        "workers cannot be started: 3 ended one after another before they could be used. The last one's log is "
        f"{tmp_path}/abc-cpu-0-3.log."
    )


@pytest.mark.slow
def test_a_worker_that_has_come_is_not_replaced(workforce: LocalWorkforce, clock: Clock) -> None:
    adjust(workforce, clock, 1)
    worker = WorkerProcess("tls://127.0.0.1:2", "cpu-0-1")
    workforce.meet(worker)
    assert adjust(workforce, clock, 200, worker) == []


@pytest.mark.slow
def test_workers_that_are_not_even_started_are_spoken_of_once(
    workforce: LocalWorkforce, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workforce._arrivals, "note_start", lambda name, pid: None)
    assert adjust(workforce, clock, 2 * int(LATE)) == [
        "no worker has been started for 90 s: the process that starts them still imports its libraries. A slow disk or "
        "network may be the reason; it goes on waiting"
    ]


@pytest.mark.slow
def test_calls_whose_kind_of_worker_cannot_be_started_do_not_wait_for_ever_beside_workers_of_the_other_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    use_nursery(monkeypatch, DYING)
    workforce = LocalWorkforce(EngineSettings(kind="local", workers=1, folder=tmp_path), clock)
    workforce.prepare()
    workforce.open(Door("tls://127.0.0.1:1", tmp_path, tmp_path, tmp_path, "abc"))
    cpu, demands = WorkerProcess("tls://127.0.0.1:2", "cpu-0-1"), [Demand(Resources(gpus=1), 1, 0, 0)]
    busy, told = frozenset({cpu.name}), list[str]()

    def look() -> bool:
        told.extend(workforce.adjust(demands, [cpu], busy))
        return bool(told)

    try:
        workforce.adjust([Demand(Resources(), 1, 0, 0)], [], frozenset())
        workforce.meet(cpu)
        wait_for(look)
        said = "workers with a GPU cannot be started: 3 ended one after another before they could be used. The last one"
        assert told == [f"{said}'s log is {tmp_path}/abc-gpu-0-4.log; what other workers compute goes on"]
        assert not [line for _ in range(3) for line in workforce.adjust(demands, [cpu], busy)]
        assert workforce.adjust([Demand(Resources(), 1, 0, 0)], [cpu], frozenset()) == []
        with pytest.raises(DynvisionError) as caught:
            workforce.adjust(demands, [cpu], frozenset())
        assert str(caught.value) == f"{said}'s log is {tmp_path}/abc-gpu-0-4.log."
    finally:
        workforce.close()
