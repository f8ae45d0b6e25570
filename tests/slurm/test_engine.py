"""The engine on a real Slurm of one node: two cores, no accounting."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dynvision.engines.calls import Outcome, Resources
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.queues.scripts import job_scripts
from dynvision.engines.settings import EngineSettings
from dynvision.errors import ConfigError, DynvisionError
from tests.helpers.slurm_calls import SMALL, call, engine
from tests.helpers.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def wait_until(is_true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def wait_while(opened: DistributedEngine, act: Callable[[], None]) -> tuple[Outcome, list[str]]:
    """Do something, and wait for the outcome of a call."""
    act()
    told: list[str] = []
    return opened.wait(lambda line: told.append(line)), told


def test_many_calls_are_computed_in_one_job_with_its_cores(cluster: SlurmCluster, tmp_path: Path) -> None:
    needs = Resources(cpus=2, memory=400 << 20, time=300)
    with engine(tmp_path, max_jobs=1) as opened:
        for number in range(6):
            opened.submit(call(f"add {number}", "add", needs, first=number, second=1))
        outcomes = [opened.wait() for _ in range(6)]
    assert sorted(outcome.result["sum"] for outcome in outcomes) == [1, 2, 3, 4, 5, 6]
    assert len({outcome.result["job"] for outcome in outcomes}) == 1
    assert {outcome.result["threads"] for outcome in outcomes} == {"2"}


def test_as_many_jobs_as_calls_wait_and_there_may_be_at_once(cluster: SlurmCluster, tmp_path: Path) -> None:
    with engine(tmp_path, max_jobs=2) as opened:
        for number in range(4):
            opened.submit(call(f"work {number}", "work", folder=str(tmp_path), name=str(number), seconds=2))
        outcomes = [opened.wait() for _ in range(4)]
    assert len({outcome.result["job"] for outcome in outcomes}) == 2


def test_call_whose_job_is_cancelled_is_computed_in_another_one(cluster: SlurmCluster, tmp_path: Path) -> None:
    begun = tmp_path / "one.begun"
    with engine(tmp_path) as opened:
        opened.submit(call("one", "work", folder=str(tmp_path), name="one", seconds=200))

        def cancel() -> None:
            wait_until(begun.exists)
            cluster.call("scancel", cluster.jobs()[0][0])

        outcome, told = wait_while(opened, cancel)
    assert outcome.error is None
    assert (outcome.result["times"], outcome.attempts) == (2, 2)
    first, second = (line.split()[0] for line in begun.read_text().splitlines())
    assert first != second == outcome.result["job"]
    assert any(f"one: job {first} on " in line and "was cancelled; it is tried again" in line for line in told), told


def test_call_whose_worker_is_killed_is_computed_again_and_the_old_process_ends(
    cluster: SlurmCluster, tmp_path: Path
) -> None:
    begun, children = tmp_path / "one.begun", []
    with engine(tmp_path) as opened:
        opened.submit(call("one", "work", folder=str(tmp_path), name="one", seconds=200))

        def kill() -> None:
            wait_until(begun.exists)
            _, child, worker = begun.read_text().split()
            children.append(int(child))
            os.kill(int(worker), signal.SIGKILL)

        outcome, told = wait_while(opened, kill)
    assert outcome.error is None
    assert outcome.result["times"] == 2
    assert any("it is tried again" in line for line in told), told
    wait_until(lambda: not psutil.pid_exists(children[0]))


def test_call_that_runs_out_of_memory_gets_a_job_with_more(cluster: SlurmCluster, tmp_path: Path) -> None:
    attempts = (Resources(memory=300 << 20, time=300), Resources(memory=600 << 20, time=300))
    with engine(tmp_path) as opened:
        opened.submit(call("big", "die_with", *attempts, memory="600"))
        told: list[str] = []
        outcome = opened.wait(told.append)
    assert outcome.error is None
    assert outcome.result == {"memory": "600"}
    assert any("It is tried again with 0.586 GiB of memory" in line for line in told), told


def test_call_that_reaches_the_time_limit_is_tried_with_more_time(cluster: SlurmCluster, tmp_path: Path) -> None:
    attempts = (Resources(memory=400 << 20, time=60), Resources(memory=400 << 20, time=120))
    with engine(tmp_path) as opened:
        opened.submit(call("long", "work", *attempts, folder=str(tmp_path), name="long", seconds=280))
        told: list[str] = []
        outcome = opened.wait(told.append)
    assert outcome.error is None
    assert outcome.result["times"] == 2
    line = next(line for line in told if line.startswith("long: job "))
    assert line.endswith("has reached its time limit of 00:01:00; it is tried again with more time")


def test_partition_that_does_not_exist_is_refused_in_the_words_of_slurm(cluster: SlurmCluster, tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        opened.submit(call("one", "add", Resources(memory=400 << 20, partition="gpus"), first=1, second=1))
        with pytest.raises(ConfigError) as caught:
            opened.wait()
    assert "Slurm refuses a job (sbatch: invalid partition specified: gpus; " in str(caught.value)
    assert "It was asked for 1 core, 400M, partition gpus. Correct what config/config_compute.yaml says" in str(
        caught.value
    )


def test_job_that_waits_is_spoken_of_with_the_reason_and_cancelled_at_the_end(
    cluster: SlurmCluster, tmp_path: Path
) -> None:
    class Enough(Exception):
        """What the test waited for has come."""

    def listen(line: str) -> None:
        told.append(line)
        waiting.extend(cluster.jobs())
        raise Enough

    told: list[str] = []
    waiting: list[tuple[str, str]] = []
    with engine(tmp_path, queue_wait=1.0) as opened:
        opened.submit(call("one", "add", Resources(memory=400 << 20, partition="closed"), first=1, second=1))
        with pytest.raises(Enough):
            opened.wait(listen)
    assert re.fullmatch(rf"job {waiting[0][0]} waits in the queue, for \d+ s now \(PartitionDown\)", told[0])
    assert [state for _, state in waiting] == ["PENDING"]
    wait_until(lambda: not cluster.jobs(), 10)


@pytest.mark.parametrize("needs", [Resources(cpus=64, memory=400 << 20), Resources(memory=900 << 30)])
def test_job_that_can_never_start_ends_the_run_within_seconds(
    cluster: SlurmCluster, tmp_path: Path, needs: Resources
) -> None:
    with engine(tmp_path) as opened:
        opened.submit(call("one", "add", needs, first=1, second=1))
        start = time.monotonic()
        with pytest.raises(ConfigError) as caught:
            opened.wait()
    assert time.monotonic() - start < 15
    said = str(caught.value)
    assert "(PartitionConfig: no node of the" in said or "Memory specification can not be satisfied" in said, said
    assert "Correct what config/config_compute.yaml says of it" in said
    wait_until(lambda: not cluster.jobs(), 10)


def test_jobs_that_end_at_once_are_tried_three_times_and_their_log_is_quoted(
    cluster: SlurmCluster, tmp_path: Path
) -> None:
    with engine(tmp_path, before=("echo no module cuda; exit 3",)) as opened:
        opened.submit(call("one", "add", first=1, second=1))
        with pytest.raises(DynvisionError) as caught:
            opened.wait()
    assert str(caught.value).startswith(
        "3 jobs of Slurm ended one after another before their workers could be used; the last one said: no module "
        "cuda. The log of job "
    )


def test_end_leaves_no_job_and_no_process(cluster: SlurmCluster, tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        opened.submit(call("one", "work", folder=str(tmp_path), name="one", seconds=200))
        wait_until((tmp_path / "one.begun").exists)
        _, child, worker = (tmp_path / "one.begun").read_text().split()
    wait_until(lambda: not cluster.jobs(), 10)
    wait_until(lambda: not psutil.pid_exists(int(child)) and not psutil.pid_exists(int(worker)), 10)
    assert [path.name for path in (tmp_path / "engine").iterdir()] == ["logs"]


def test_jobs_end_by_themselves_when_the_controller_is_killed(cluster: SlurmCluster, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom tests.helpers.slurm_calls import call, engine\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "opened = engine(folder)\n"
        "opened.submit(call('one', 'work', folder=str(folder), name='one', seconds=250))\n"
        "opened.wait()"
    )
    controller = subprocess.Popen([sys.executable, "-P", "-c", code])
    try:
        wait_until((tmp_path / "one.begun").exists)
    finally:
        controller.kill()
        controller.wait()
    _, child, worker = (tmp_path / "one.begun").read_text().split()
    wait_until(lambda: not cluster.jobs(), 90)
    # A job leaves the queue a moment before its last process does.
    wait_until(lambda: not psutil.pid_exists(int(child)) and not psutil.pid_exists(int(worker)), 10)


def test_scripts_of_a_dry_run_are_what_sbatch_takes(cluster: SlurmCluster, tmp_path: Path) -> None:
    settings = EngineSettings(kind="slurm", folder=tmp_path / "engine", extra=("--nice=5",), before=("true",))
    needs = [SMALL, Resources(cpus=2, memory=1 << 30, time=90000 // 50, partition="cpu", account="abc")]
    scripts = job_scripts(settings, needs)
    assert list(scripts) == ["1 core, 400M, 00:05:00", "2 cores, 1G, 00:30:00, partition cpu, account abc"]
    for text in scripts.values():
        done = subprocess.run(["sbatch", "--test-only"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
