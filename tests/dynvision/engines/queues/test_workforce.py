"""When jobs are asked for and ended; the batch system is one of files, and the clock stands still."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest

from dynvision.engines.calls import Resources
from dynvision.engines.queues.workforce import QueueWorkforce
from dynvision.engines.settings import EngineSettings
from dynvision.engines.workforce import Door, Loss
from dynvision.errors import ConfigError, DynvisionError
from tests.helpers.engine_calls import wait_for
from tests.helpers.fake_queue import demand

pytestmark = pytest.mark.slow

SMALL, LARGE = Resources(time=600), Resources(cpus=8, time=600)
PENDING, CANCELLED, RUNNING = "PENDING", "CANCELLED", "RUNNING"


def test_jobs_are_asked_for_as_many_calls_wait_the_most_urgent_first(queue, start):
    situation = start(max_jobs=3)
    demands = (demand(LARGE, 2, priority=5), demand(SMALL, 4, priority=1))
    situation.submitted(3, *demands)
    situation.adjust(*demands)
    scripts = sorted(situation.door.folder.glob("*.sh"))
    assert ["--cpus-per-task=8" in path.read_text() for path in scripts] == [True, True, False]
    assert queue.states == [PENDING] * 3


def test_job_takes_calls_of_its_own_needs_until_its_time_is_nearly_over(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    worker = situation.workers[0]
    assert situation.workforce.takes(worker, SMALL)
    assert not situation.workforce.takes(worker, LARGE)
    situation.now += 550
    assert not situation.workforce.takes(worker, SMALL)


def test_idle_job_stays_a_minute_and_is_then_cancelled(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1, busy=[1])
    situation.adjust(demand(SMALL, 0, 1))
    situation.connect(1)
    situation.adjust()
    situation.now += 59
    situation.adjust()
    assert queue.states == [RUNNING]
    situation.now += 2
    situation.until(lambda: queue.states == [CANCELLED])


def test_job_that_waits_for_no_call_any_more_is_cancelled_soon(queue, start):
    situation = start()
    situation.submitted(2, demand(SMALL, 2))
    situation.connect(1, busy=[1])
    situation.until(lambda: queue.states == [RUNNING, CANCELLED], demand(SMALL, 0, 1), step=1.0)


def test_job_whose_time_is_over_is_replaced_while_calls_wait(queue, start):
    situation = start(max_jobs=1)
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    situation.adjust(demand(SMALL))
    situation.now += 550
    situation.until(lambda: queue.states == [CANCELLED], demand(SMALL))
    situation.workers = []
    situation.submitted(2, demand(SMALL))


def test_job_that_ends_is_replaced_while_calls_wait(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1, busy=[1])
    situation.adjust(demand(SMALL, 0, 1))
    queue.set_state(1, "NODE_FAIL")
    worker = situation.workers[0]
    situation.workers, situation.busy = [], set()
    situation.submitted(2, demand(SMALL))
    assert situation.workforce.explain_loss(worker) == Loss("lost", "job 1 on node1 ended because its node failed")
    assert situation.workforce.log(worker) == situation.door.logs / f"{worker.name}.log"


def test_idle_job_makes_room_for_a_more_urgent_call(queue, start):
    situation = start(max_jobs=1)
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    situation.until(lambda: queue.states == [CANCELLED], demand(LARGE, priority=9))
    situation.workers = []
    situation.submitted(2, demand(LARGE, priority=9))


def test_waiting_job_makes_room_for_a_more_urgent_call_and_a_running_one_does_not(queue, start):
    situation = start(max_jobs=2)
    situation.submitted(2, demand(SMALL, 2))
    situation.connect(1, busy=[1])
    demands = (demand(LARGE, priority=9), demand(SMALL, 1, 1))
    situation.submitted(3, *demands, step=1.0)
    assert queue.states == [RUNNING, CANCELLED, PENDING]


def test_call_that_needs_all_the_time_of_a_job_gets_a_new_one_beside_those_that_have_computed(queue, start):
    situation = start(max_jobs=2)
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    assert situation.workforce.takes(situation.workers[0], SMALL)
    assert situation.workforce.is_fresh(situation.workers[0])
    situation.connect(1, busy=[1])
    situation.adjust(demand(SMALL, 0, 1))
    situation.connect(1)
    fresh = replace(demand(SMALL), fresh=1)
    situation.submitted(2, fresh)
    assert not situation.workforce.is_fresh(situation.workers[0])
    for _ in range(20):  # It is not taken for one too many.
        situation.now += 1
        situation.adjust(fresh)
    assert queue.states == [RUNNING, PENDING]
    situation.connect(1, 2)
    situation.adjust(fresh)
    assert [situation.workforce.is_fresh(worker) for worker in situation.workers] == [False, True]


def test_job_that_has_computed_makes_room_for_one_that_has_all_of_its_time(queue, start):
    situation = start(max_jobs=1)
    situation.submitted(1, demand(SMALL))
    situation.connect(1, busy=[1])
    situation.adjust(demand(SMALL, 0, 1))
    situation.connect(1)
    fresh = replace(demand(SMALL), fresh=1)
    situation.until(lambda: queue.states == [CANCELLED], fresh)
    situation.workers = []
    situation.submitted(2, fresh)
    assert queue.states == [CANCELLED, PENDING]


def test_end_cancels_jobs_that_run_and_that_wait(queue, start):
    situation = start()
    situation.submitted(2, demand(SMALL, 2))
    situation.connect(1)
    situation.workforce.close()
    situation.workforce.close()
    assert queue.states == [CANCELLED, CANCELLED]


def test_job_that_is_just_being_submitted_is_cancelled_at_the_end(queue, start):
    slow = queue.folder / "bin" / "sbatch"
    slow.write_text(slow.read_text().replace("number=", "sleep 0.5; number="))
    situation = start()
    situation.until((queue.folder / "variables").exists, demand(SMALL))
    situation.workforce.close()
    assert queue.states == [CANCELLED]


def test_job_whose_cancelling_did_not_work_is_cancelled_again(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    situation.adjust()
    (queue.folder / "deaf").touch()
    situation.now += 61
    situation.adjust()
    assert not situation.workforce.takes(situation.workers[0], SMALL)
    _settle(situation)
    (queue.folder / "deaf").unlink()
    situation.now += 29
    situation.adjust()
    _settle(situation)
    assert queue.states == [RUNNING]
    situation.now += 2
    situation.until(lambda: queue.states == [CANCELLED])


def test_job_that_its_worker_has_left_is_cancelled_until_that_works(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1)
    situation.adjust()
    situation.workers = []
    (queue.folder / "deaf").touch()
    situation.adjust()
    situation.now += 16
    situation.adjust()
    _settle(situation)
    (queue.folder / "deaf").unlink()
    assert situation.workforce._fading
    situation.now += 31
    situation.until(lambda: queue.states == [CANCELLED])
    situation.until(lambda: not situation.workforce._fading)


def _settle(situation) -> None:
    """Wait until all orders have been carried out."""
    done = threading.Event()
    situation.workforce._clerk._orders.put(done.set)
    assert done.wait(10)


def test_end_says_so_if_the_batch_system_does_not_answer_and_goes_on_trying(queue, start, monkeypatch, capsys):
    monkeypatch.setattr("dynvision.engines.queues.commands.PERSISTENT", (0.0, 0.5, 0.5, 0.5, 0.5, 0.5))
    situation = start()
    situation.submitted(1, demand(SMALL))
    (queue.folder / "deaf").touch()
    situation.workforce.close()
    said = "Slurm does not say yet that it cancels job 1; a process in the background goes on asking for some minutes"
    assert said in " ".join(capsys.readouterr().err.split())
    assert queue.states == [PENDING]
    (queue.folder / "deaf").unlink()
    wait_for(lambda: queue.states == [CANCELLED])


def test_what_is_refused_ends_the_run_if_nothing_else_computes(queue, start):
    queue.refuse("Batch job submission failed: Invalid account or account/partition combination specified")
    situation = start()
    needs = Resources(account="abd")
    with pytest.raises(ConfigError) as caught:
        situation.until(lambda: False, demand(needs))
    assert str(caught.value) == (
        "Slurm refuses a job (sbatch: Batch job submission failed: Invalid account or account/partition combination "
        "specified). It was asked for 1 core, account abd. Correct what config/config_compute.yaml says of it, or see "
        "what the cluster offers."
    )


def test_what_is_refused_is_tried_again_while_others_compute(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.connect(1, busy=[1])
    queue.refuse("Batch job submission failed: Invalid qos specification")
    demands = (demand(LARGE), demand(SMALL, 0, 1))
    situation.until(lambda: situation.told, *demands)
    assert situation.told == [
        "Slurm refuses a job (sbatch: Batch job submission failed: Invalid qos specification); it is tried again"
    ]
    queue.refuse(None)
    situation.now += 61
    situation.submitted(2, *demands)
    queue.set_state(2, "COMPLETED")
    situation.workers, situation.busy = [], set()
    situation.until(lambda: not situation.workforce._jobs, step=1.0)
    situation.adjust()  # what was refused once is forgotten


def test_batch_system_that_does_not_answer_is_no_failure(queue, start):
    queue.refuse("Batch job submission failed: Unable to contact slurm controller (connect failure)")
    situation = start()
    situation.until(lambda: situation.told, demand(SMALL))
    assert situation.told[0].startswith("Slurm takes no job for now (sbatch: Batch job submission failed: Unable to")
    queue.refuse(None)
    situation.submitted(1, demand(SMALL), step=1.0)
    (queue.folder / "silence").touch()
    for _ in range(100):
        situation.now += 20
        situation.adjust(demand(SMALL))
    assert queue.states == [PENDING]
    assert situation.told[-1].startswith("job 1 waits in the queue, for ")


def test_job_that_waits_is_spoken_of_within_seconds_and_then_once_a_minute(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    situation.until(lambda: situation.told, demand(SMALL), step=0.5)
    assert re.fullmatch(r"job 1 waits in the queue, for [56] s now \(Resources\)", situation.told[0])
    situation.now += 59
    situation.adjust(demand(SMALL))
    assert len(situation.told) == 1
    situation.now += 2
    situation.adjust(demand(SMALL))
    assert situation.told[1] == "job 1 waits in the queue, for 1 minute now (Resources)"


def test_job_that_runs_without_its_worker_names_the_network(queue, start):
    situation = start()
    situation.submitted(1, demand(SMALL))
    queue.set_state(1, RUNNING)
    situation.until(lambda: situation.told, demand(SMALL), step=1.0)
    assert situation.told == [
        "job 1 runs, but its worker has not reached this machine yet. If that goes on, name the network that both "
        f"share: 'interface' in config/config_compute.yaml; its log is {situation.door.logs / 'abc-1.log'}"
    ]


def test_three_jobs_whose_worker_never_came_end_the_run(queue, start):
    situation = start(max_jobs=1)

    def fail(number: int) -> None:
        situation.submitted(number, demand(SMALL), step=1.0)
        queue.set_state(number, RUNNING)
        for _ in range(10):
            situation.until(lambda: True, demand(SMALL))
        situation.now += 60
        (situation.door.logs / f"abc-{number}.log").write_text("the scheduler at tls://10.0.0.1:1 does not answer\n")
        queue.set_state(number, "FAILED")

    for number in (1, 2, 3):
        fail(number)
    with pytest.raises(DynvisionError) as caught:
        situation.until(lambda: False, demand(SMALL), step=1.0)
    said = str(caught.value)
    assert said.startswith(
        "3 jobs of Slurm ended one after another before their workers could be used; the last one said: the scheduler "
        "at tls://10.0.0.1:1 does not answer."
    )
    assert re.search(r"The log of job 3 is \S+\.log$", said)


def test_new_job_does_not_inherit_the_numbers_of_the_job_that_the_command_runs_in(queue, start, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "12")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    situation = start()
    situation.submitted(1, demand(SMALL))
    assert (queue.folder / "variables").read_text().split() == ["1"]


def test_target_whose_option_asks_for_a_gpu_that_it_would_not_use_is_refused_before_anything_is_built(tmp_path):
    workforce = QueueWorkforce(EngineSettings(kind="slurm", folder=tmp_path))
    assert workforce.refusal(Resources(extra=("--gres=gpu:a100:1",))).startswith(
        "the option '--gres=gpu:a100:1' asks for a GPU, but 'gpus' is 0"
    )
    assert workforce.refusal(Resources(gpus=1, extra=("--gres=gpu:a100:1",))) == ""


def test_machine_without_the_commands_is_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    workforce = QueueWorkforce(EngineSettings(kind="pbs", folder=tmp_path))
    with pytest.raises(ConfigError) as caught:
        workforce.open(Door("tls://10.0.0.1:1", tmp_path, tmp_path, tmp_path, "abc"))
    assert str(caught.value) == (
        "qsub is not on this machine, so that no job of PBS can be started: run this on a login node of the cluster, "
        "or choose another engine, as with --engine local."
    )
    workforce.close()
