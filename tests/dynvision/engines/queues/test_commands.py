"""What the commands of batch systems print, and what is read from it."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dynvision.engines.calls import Resources
from dynvision.engines.queues.commands import BusyError, Commands
from dynvision.engines.queues.dialects import DIALECTS
from dynvision.engines.queues.job_main import main
from dynvision.engines.queues.jobs import Job
from dynvision.engines.queues.losses import explain_end
from dynvision.engines.queues.states import JobState
from dynvision.engines.workforce import Loss
from tests.helpers.engine_calls import wait_for
from tests.helpers.fake_queue import FakeQueue

OUTPUTS = {
    "slurm": (
        "11|PENDING|Priority\n12|RUNNING|None\n13|COMPLETING|None\n14|TIMEOUT|TimeLimit\n",
        {"11": "waiting Priority", "12": "running", "13": "running", "14": "ended TimeLimit"},
    ),
    "pbs": (
        "Job id            Name             User              Time Use S Queue\n"
        "----------------  ---------------- ----------------  -------- - -----\n"
        "11.server         dynvision        anna                     0 Q workq\n"
        "12.server         dynvision        anna              00:01:02 R workq\n"
        "13.server         dynvision        anna              00:01:02 F workq\n",
        {"11": "waiting", "12": "running", "13": "ended"},
    ),
    "lsf": ("11 PEND\n12 RUN\n13 EXIT\n14 DONE\n", {"11": "waiting", "12": "running", "13": "ended", "14": "ended"}),
    "sge": (
        "job-ID  prior   name       user         state submit/start at     queue        slots\n"
        "------------------------------------------------------------------------------------\n"
        "     11 0.55500 dynvision  anna         qw    11/26/2026 14:00:00                  1\n"
        "     12 0.55500 dynvision  anna         r     11/26/2026 14:00:00 all.q@node1      1\n"
        "     13 0.55500 dynvision  anna         Eqw   11/26/2026 14:00:00                  1\n",
        {"11": "waiting", "12": "running", "13": "waiting an error"},
    ),
    "oar": ("11: Waiting\n12: Running\n13: Terminated\n", {"11": "waiting", "12": "running", "13": "ended"}),
    "htcondor": (
        "11 1\n12 2\n13 4\n14 5\n",
        {"11": "waiting", "12": "running", "13": "ended", "14": "waiting it is held"},
    ),
}

SUBMITTED = {
    "slurm": ("Submitted batch job 71\n", "71"),
    "pbs": ("71.server.example.org\n", "71"),
    "lsf": ("Job <71> is submitted to queue <normal>.\n", "71"),
    "sge": ('Your job 71 ("dynvision") has been submitted\n', "71"),
    "oar": ("[ADMISSION RULE] Set default walltime to 7200.\nOAR_JOB_ID=71\n", "71"),
    "htcondor": ("Submitting job(s).\n1 job(s) submitted to cluster 71.\n", "71"),
}


def use_command(folder: Path, patch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Put a command on the path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    patch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("kind", DIALECTS)
def test_state_of_jobs_is_read(kind):
    text, states = OUTPUTS[kind]
    found = {number: f"{state.phase} {state.reason}".strip() for number, state in DIALECTS[kind].read(text).items()}
    assert found == states


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("ended", "BOOT_FAIL DEADLINE REVOKED OUT_OF_MEMORY PREEMPTED"),
        ("waiting", "REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT STOPPED SUSPENDED"),
        ("running", "RUNNING COMPLETING STAGE_OUT SIGNALING RESIZING"),
    ],
)
def test_every_state_of_slurm_has_its_phase(phase, words):
    found = DIALECTS["slurm"].read("".join(f"{n}|{word}|None\n" for n, word in enumerate(words.split())))
    assert {state.phase for state in found.values()} == {phase}


@pytest.mark.parametrize("kind", DIALECTS)
def test_number_of_a_submitted_job_is_read(kind):
    text, number = SUBMITTED[kind]
    found = re.search(DIALECTS[kind].job_id, text)
    assert found is not None
    assert found[1] == number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "submit", "reads"),
    [
        ("lsf", "bsub", 'cat > "{seen}"; echo "Job <71> is submitted"'),
        ("slurm", "sbatch", 'cat "$1" > "{seen}"; echo 71'),
    ],
)
def test_script_reaches_the_submitting_command(kind, submit, reads, tmp_path, monkeypatch):
    use_command(tmp_path / "bin", monkeypatch, submit, reads.replace("{seen}", str(tmp_path / "seen")))
    (tmp_path / "job.sh").write_text("#!/bin/bash\ntrue\n")
    assert Commands(DIALECTS[kind]).submit(tmp_path / "job.sh") == "71"
    assert (tmp_path / "seen").read_text() == "#!/bin/bash\ntrue\n"


@pytest.mark.slow
def test_oar_gets_its_options_and_the_script_as_one_word(tmp_path, monkeypatch):
    use_command(
        tmp_path / "bin", monkeypatch, "oarsub", f'printf "%s\\n--\\n" "$@" > {tmp_path}/seen; echo OAR_JOB_ID=71'
    )
    (tmp_path / "job.sh").write_text(
        "#!/usr/bin/env bash\n\n#OAR -q short\n#OAR -O '/my root/log'\ncd /x\nexec python\n"
    )
    assert Commands(DIALECTS["oar"]).submit(tmp_path / "job.sh") == "71"
    words = (tmp_path / "seen").read_text().split("\n--\n")
    assert words == ["-q", "short", "-O", "/my root/log", "cd /x\nexec python", ""]


@pytest.mark.slow
def test_command_that_submits_has_the_variables_of_workers_but_not_the_password_of_the_database(tmp_path, monkeypatch):
    """Most batch systems give a job the variables of the command that submits it."""
    use_command(tmp_path / "bin", monkeypatch, "sbatch", f"env > {tmp_path}/seen; echo Submitted batch job 71")
    monkeypatch.setenv("DYNVISION_POSTGRES", "postgresql://me:secret@host/runs")
    monkeypatch.setenv("DYNVISION_ROOT", "/data/root")
    (tmp_path / "job.sh").write_text("")
    Commands(DIALECTS["slurm"]).submit(tmp_path / "job.sh")
    seen = (tmp_path / "seen").read_text().splitlines()
    assert [line for line in seen if line.startswith("DYNVISION_")] == ["DYNVISION_ROOT=/data/root"]


@pytest.mark.slow
def test_jobs_that_the_batch_system_forgot_have_ended_and_one_that_is_silent_says_nothing(tmp_path, monkeypatch):
    commands = Commands(DIALECTS["slurm"])
    use_command(tmp_path / "bin", monkeypatch, "squeue", 'echo "12|RUNNING|None"')
    assert commands.states(["11", "12"]) == {"11": JobState("ended"), "12": JobState("running")}
    use_command(tmp_path / "bin", monkeypatch, "squeue", "echo 'error: Invalid job id specified' >&2; exit 1")
    assert commands.states(["11"]) == {"11": JobState("ended")}
    use_command(tmp_path / "bin", monkeypatch, "squeue", "echo 'error: Unable to contact slurm controller' >&2; exit 1")
    assert commands.states(["11"]) is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pbs", "qdel: Unknown Job Id 71.server"),
        ("pbs", "qdel: Request invalid for state of job 71.server"),
        ("lsf", "Job <71>: Job has already finished"),
        ("lsf", "Job <71>: No matching job found"),
        ("sge", 'denied: job "71" does not exist'),
        ("sge", "job 71 is already in deletion"),
        ("htcondor", "Couldn't find/remove all jobs in cluster 71"),
    ],
)
def test_jobs_that_cannot_be_cancelled_because_they_have_ended_are_known_by_the_words(kind, words):
    assert re.search(DIALECTS[kind].over, words)
    assert not re.search(DIALECTS[kind].over, "Unable to contact the server")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("says", "works"),
    [
        ("exit 0", True),
        ("echo 'scancel: error: Kill job error on job id 71: Invalid job id specified' >&2; exit 1", True),
        ("echo 'scancel: error: Job/step already completing or completed' >&2; exit 1", True),
        ("echo 'Invalid job id specified' >&2; echo 'error: Unable to contact slurm controller' >&2; exit 1", False),
        ("exit 1", False),
    ],
)
def test_cancelling_says_whether_it_worked(says, works, tmp_path, monkeypatch):
    use_command(tmp_path / "bin", monkeypatch, "scancel", says)
    assert Commands(DIALECTS["slurm"]).cancel(["71", "72"]) is works


def slow_down(queue: FakeQueue) -> None:
    """Let it take a second until a job is submitted."""
    command = queue.folder / "bin" / "sbatch"
    command.write_text(command.read_text().replace("number=", "sleep 1; number="))


@pytest.mark.slow
def test_submission_that_takes_too_long_is_cancelled_when_it_is_done(queue, tmp_path, monkeypatch):
    slow_down(queue)
    monkeypatch.setattr("dynvision.engines.queues.commands._PATIENCE", 0.2)
    (tmp_path / "job.sh").write_text("true\n")
    with pytest.raises(BusyError, match="sbatch did not answer within 0 s"):
        Commands(DIALECTS["slurm"]).submit(tmp_path / "job.sh")
    assert queue.states == []
    wait_for(lambda: queue.states == ["CANCELLED"])


CONTROLLER = """
import os, sys, time
from pathlib import Path
from dynvision.engines.queues.clerk import Clerk
from dynvision.engines.queues.commands import Commands
from dynvision.engines.queues.dialects import DIALECTS
clerk = Clerk(Commands(DIALECTS["slurm"]))
clerk.submit("a-1", Path(sys.argv[1]))
while not Path(sys.argv[2]).exists():
    time.sleep(0.02)
print(clerk.close(0.1))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.slow
def test_job_that_was_being_submitted_when_its_process_ended_is_cancelled(queue, tmp_path):
    slow_down(queue)
    (tmp_path / "job.sh").write_text("true\n")
    command = [sys.executable, "-c", CONTROLLER, tmp_path / "job.sh", queue.folder / "variables"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert queue.states == []
    wait_for(lambda: queue.states == ["CANCELLED"])


CANCELLED = "slurmstepd: error: *** JOB 71 ON n1 CANCELLED AT 2026-11-26T14:49:16 "
TIME = ("time", "job 71 has reached its time limit of 00:10:00")
MEMORY = ("memory", "job 71 needed more memory than it had asked for")
PREEMPTED = ("lost", "job 71 had to make room for others (preempted)")


def job(time: int | None = 600, started: float = 0.0) -> Job:
    return Job("a-1", Resources(time=time), Path("a.sh"), Path("a.log"), 0.0, number="71", started=started)


@pytest.mark.parametrize(
    ("facts", "lines", "loss"),
    [
        ({"JobState": "OUT_OF_MEMORY"}, [], MEMORY),
        ({"JobState": "TIMEOUT"}, [], TIME),
        ({"JobState": "COMPLETING", "RunTime": "00:10:03", "TimeLimit": "00:10:00"}, [], TIME),
        ({"JobState": "PREEMPTED"}, [], PREEMPTED),
        ({"JobState": "FAILED", "ExitCode": "0:9"}, [], ("lost", "the worker of job 71 has ended with exit code 0:9")),
        ({}, ["=>> PBS: job killed: walltime 613 exceeded limit 600"], TIME),
        ({}, ["TERM_MEMLIMIT: job killed after reaching LSF memory usage limit."], MEMORY),
        ({}, [CANCELLED + "***"], ("lost", "job 71 was cancelled")),
        ({}, [CANCELLED + "DUE TO PREEMPTION ***"], PREEMPTED),
        ({}, [CANCELLED + "DUE TO TIME LIMIT ***"], TIME),
        ({}, [], ("lost", "the worker of job 71 has ended")),
    ],
)  # fmt: skip
def test_end_of_a_job_is_explained(facts, lines, loss):
    assert explain_end(job(), facts, lines, now=60.0) == Loss(*loss)


def test_job_that_ran_for_its_time_has_reached_its_limit_where_nothing_else_is_known():
    assert explain_end(job(), {}, [], now=598.0).reason == "time"
    assert explain_end(job(time=None), {}, [], now=598.0).reason == "lost"


def test_limit_of_the_cluster_is_named_where_the_job_asked_for_none():
    facts = {"JobState": "TIMEOUT", "TimeLimit": "01:00:00"}
    said = "job 71 has reached its time limit of 01:00:00"
    assert explain_end(job(time=None), facts, [], now=60.0) == Loss("time", said)


def test_node_is_named_where_it_is_known():
    loss = explain_end(job(), {"JobState": "NODE_FAIL", "BatchHost": "n1"}, [], now=60.0)
    assert loss == Loss("lost", "job 71 on n1 ended because its node failed")


def test_job_of_a_run_that_has_ended_says_so(tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(["tls://10.0.0.1:1", "--name", "a-1", "--credentials", str(tmp_path / "gone")])
    assert str(caught.value) == (
        f"{platform.node()} does not see {tmp_path / 'gone'}: put the root on a file system that all machines share, "
        "at the same path. (If the run that asked for this job has ended, all is well.)"
    )
