"""A job that the batch system will never start is given up, and one that may start is waited for."""

from __future__ import annotations

import re

import pytest

from dynvision.engines.calls import Resources
from dynvision.errors import ConfigError
from tests.helpers.fake_queue import Situation, demand

pytestmark = pytest.mark.slow

SMALL, LARGE = Resources(time=600), Resources(cpus=8, time=600)
PENDING, CANCELLED, RUNNING = "PENDING", "CANCELLED", "RUNNING"


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("PartitionConfig", "PartitionConfig: no node of the partition has what it asks for"),
        ("PartitionTimeLimit", "PartitionTimeLimit: it asks for more time than the partition allows"),
        ("QOSMaxCpuPerJobLimit", "QOSMaxCpuPerJobLimit"),
    ],
)
def test_job_that_can_never_start_ends_the_run_within_seconds_and_is_cancelled(queue, start, reason, meaning):
    situation = start()
    situation.submitted(1, demand(LARGE))
    queue.set_state(1, PENDING, reason)
    began = situation.now
    with pytest.raises(ConfigError) as caught:
        situation.until(lambda: False, demand(LARGE), step=0.1)
    assert situation.now - began < 10
    assert str(caught.value) == (
        f"Slurm never starts job 1 ({meaning}). It was asked for 8 cores, 00:10:00. Correct what "
        "config/config_compute.yaml says of it, or see what the cluster offers."
    )
    situation.workforce.close()
    assert queue.states == [CANCELLED]


def _goes_on_waiting(situation: Situation, reason: str, needs: Resources) -> bool:
    situation.submitted(1, demand(needs))
    situation.queue.set_state(1, PENDING, reason)
    workforce = situation.workforce
    situation.until(lambda: all(job.reason == reason for job in workforce._jobs.values()), demand(needs), step=0.5)
    for _ in range(2):  # The batch system answers twice more.
        asked = workforce._looked
        situation.until(lambda: workforce._looked != asked or not workforce._jobs, demand(needs), step=0.5)  # noqa: B023
        situation.until(lambda: not workforce._is_looking, demand(needs))
    return bool(workforce._jobs) and situation.queue.states == [PENDING]


@pytest.mark.parametrize(
    "reason",
    ["Resources", "Priority", "PartitionDown", "PartitionNodeLimit", "QOSGrpCpuLimit", "AssocGrpJobsLimit"],
)
def test_job_whose_reason_may_pass_goes_on_waiting(start, reason):
    assert _goes_on_waiting(start(), reason, LARGE)


@pytest.mark.parametrize(
    ("partition", "own", "all_jobs"),
    [
        ("short,long", (), ()),
        (None, ("--partition=short,long",), ()),
        (None, (), ("--qos=x", "-p short,long")),
        (None, ("-p", "short,long"), ()),
    ],
)
def test_limits_of_one_partition_do_not_count_if_there_are_several(start, partition, own, all_jobs):
    needs = Resources(time=600, partition=partition, extra=own)
    assert _goes_on_waiting(start(extra=all_jobs), "PartitionTimeLimit", needs)


def test_call_whose_job_can_never_start_is_not_asked_for_again_while_others_compute(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1, busy=[1])
    others = demand(SMALL, 0, 1)
    situation.submitted(3, demand(LARGE, 2), others)
    for number in (2, 3):
        queue.set_state(number, PENDING, "PartitionTimeLimit")
    situation.until(lambda: queue.states == [RUNNING, CANCELLED, CANCELLED], demand(LARGE, 2), others, step=0.1)
    for _ in range(200):
        situation.now += 1
        situation.adjust(demand(LARGE, 2), others)
    assert queue.states == [RUNNING, CANCELLED, CANCELLED]
    (said,) = (line for line in situation.told if "wait in the queue" not in line)
    why = "PartitionTimeLimit: it asks for more time than the partition allows"
    assert re.sub("job [23]", "job N", said) == f"Slurm never starts job N ({why}); calls with other needs go on"
    situation.workers, situation.busy = [], set()
    queue.set_state(1, "COMPLETED")
    with pytest.raises(
        ConfigError, match=r"^Slurm never starts job [23] .+\. It was asked for 8 cores, 00:10:00\. Corr"
    ):
        situation.until(lambda: False, demand(LARGE, 2), step=0.1)
