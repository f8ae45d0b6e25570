"""What the calls of this machine ask for together is not more than it has: memory, and one GPU for each."""

from __future__ import annotations

import time

import pytest

from dynvision.engines.calls import Resources
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.errors import ConfigError
from tests.helpers.engine_calls import Opening, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

GIB = 1 << 30


@pytest.fixture
def engine(open_local: Opening, monkeypatch: pytest.MonkeyPatch) -> DistributedEngine:
    """Two workers that have started, on a machine of four gigabytes."""
    monkeypatch.setattr("dynvision.engines.local.workforce.whole_memory", lambda: 4 * GIB)
    engine = open_local(workers=2)
    for _ in range(2):
        engine.submit(call("sleep", seconds=0.5))
    for _ in range(2):
        engine.wait()
    return engine


def test_calls_that_ask_for_more_memory_together_than_there_is_follow_each_other(engine: DistributedEngine) -> None:
    needs = Resources(memory=3 * GIB)
    assert (engine.slots_for(needs), engine.slots_for(Resources(memory=2 * GIB))) == (1, 2)
    told: list[str] = []
    for _ in range(2):
        engine.submit(call("sleep", needs, seconds=1.0))
    engine.submit(call("echo", value="beside them"))
    assert engine.wait(told.append).result == "beside them"
    engine.wait(told.append)
    first = time.monotonic()
    engine.wait(told.append)
    assert time.monotonic() - first > 0.9
    assert told == ["targets that ask for 3G of memory wait for each other: this machine has 4G"]


def test_calls_that_fit_into_the_memory_run_at_once(engine: DistributedEngine) -> None:
    for _ in range(2):
        engine.submit(call("sleep", Resources(memory=2 * GIB), seconds=1.0))
    start = time.monotonic()
    for _ in range(2):
        engine.wait()
    assert time.monotonic() - start < 1.8


def test_a_large_call_is_not_passed_by_less_urgent_small_ones_for_ever(engine: DistributedEngine) -> None:
    engine.submit(call("sleep", Resources(memory=GIB), seconds=0.5, name="running", priority=3))
    engine.submit(call("echo", Resources(memory=4 * GIB), value=1, name="large", priority=2))
    for number in range(3):
        engine.submit(call("sleep", Resources(memory=GIB), seconds=0.1, name=f"small-{number}", priority=1))
    assert [engine.wait().call.name for _ in range(5)][:2] == ["running", "large"]


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (
            Resources(memory=16 * GIB),
            "it asks for 16G of memory, and this machine has 4G. Give it less 'memory' in config_compute.yaml, or "
            "choose another engine.",
        ),
        (
            Resources(gpus=2),
            "it asks for 2 GPUs, and on this machine a target is computed on one. Write 'gpus: 1' in "
            "config_compute.yaml, or choose another engine.",
        ),
    ],
)
def test_what_this_machine_can_never_give_is_refused(engine: DistributedEngine, needs: Resources, why: str) -> None:
    assert engine.refusal(needs) == why
    engine.submit(call("echo", needs, value=1, name="models/a"))
    error = engine.wait().error
    assert type(error) is ConfigError
    assert str(error) == f"models/a: {why}"


def test_a_later_attempt_that_this_machine_cannot_give_is_left_out(engine: DistributedEngine) -> None:
    told: list[str] = []
    engine.submit(call("echo", Resources(memory=GIB), Resources(memory=8 * GIB), value=1, name="models/a"))
    outcome = engine.wait(told.append)
    assert outcome.result == 1
    assert told[0].startswith("models/a: attempt 2 is left out: it asks for 8G of memory, and this machine has 4G.")
