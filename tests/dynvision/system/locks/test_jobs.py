"""The cluster's job of a process, and whether it has ended, asked of commands that answer as batch systems do."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.system.locks import OutputBusyError, jobs, output_lock
from dynvision.system.locks.holders import owner_path, read_note
from dynvision.system.locks.jobs import Job
from dynvision.system.owners import Owner

SLURM = Job("slurm", "4711", cluster="here")


@pytest.fixture(autouse=True)
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for commands, the first that is searched; nothing is known of any job, and this process is in none."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(jobs, "_answers", {})
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    return folder


def answer(commands: Path, command: str, script: str) -> None:
    """Make a command."""
    (commands / command).write_text(f'#!/bin/sh\necho "$@" >> {commands}/asked\n{script}\n')
    (commands / command).chmod(0o755)


@pytest.mark.parametrize(
    ("environment", "job", "text"),
    [
        ({}, None, ""),
        ({"JOB_ID": "3"}, None, ""),
        ({"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "c"}, Job("slurm", "7", "", "c"), "Slurm job 7"),
        ({"SLURM_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2"}, Job("slurm", "7", "2"), "Slurm job 7[2]"),
        (
            {"PBS_JOBID": "7[2].server", "PBS_ARRAY_INDEX": "2"},
            Job("pbs", "7[2].server", "2"),
            "PBS job 7[2].server[2]",
        ),
        ({"LSB_JOBID": "7", "LSB_JOBINDEX": "0"}, Job("lsf", "7"), "LSF job 7"),
        ({"JOB_ID": "7", "SGE_TASK_ID": "undefined"}, Job("sge", "7"), "Grid Engine job 7"),
        ({"JOB_ID": "7", "SGE_TASK_ID": "3"}, Job("sge", "7", "3"), "Grid Engine job 7[3]"),
    ],
)
def test_the_job_of_a_process_is_what_its_batch_system_says(environment, job, text):
    assert Job.here(environment) == job
    assert job is None or str(job) == text
    assert job is None or Job.from_dict(job.to_dict()) == job


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"system": "x", "id": "7"},
        {"system": "slurm"},
        {"system": "slurm", "id": 7},
        {"system": "slurm", "id": "-x"},
        {"system": "slurm", "id": "7" * 101},
        {"system": "slurm", "id": "7\n8"},
    ],
)
def test_what_is_no_note_of_a_job_is_none(content):
    assert Job.from_dict(content) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "command", "script", "has_ended"),
    [
        (SLURM, "squeue", "echo RUNNING", False),
        (SLURM, "squeue", "echo PENDING", False),
        (SLURM, "squeue", "", True),
        (SLURM, "squeue", "echo COMPLETED", True),
        (SLURM, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", True),
        (SLURM, "squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", False),
        (SLURM, "squeue", "exec sleep 60", False),
        (Job("pbs", "7.a"), "qstat", "echo 'qstat: Unknown Job Id 7.a' >&2; exit 153", True),
        (Job("pbs", "7.a"), "qstat", "echo 'qstat: 7.a Job has finished, use -x' >&2; exit 35", True),
        (Job("pbs", "7.a"), "qstat", "echo '7.a run me 0 R short'", False),
        (Job("lsf", "7"), "bjobs", "echo DONE", True),
        (Job("lsf", "7"), "bjobs", "echo RUN", False),
        (Job("lsf", "7"), "bjobs", "echo 'Job <7> is not found' >&2; exit 255", True),
        (Job("sge", "7"), "qstat", "echo 'Following jobs do not exist: 7' >&2; exit 1", True),
        (Job("sge", "7"), "qstat", "echo 'job_number: 7'", False),
    ],
)
def test_a_job_has_ended_only_if_its_batch_system_says_so(commands, monkeypatch, job, command, script, has_ended):
    monkeypatch.setattr(jobs, "_TIMEOUT", 1.0)
    answer(commands, command, script)
    assert job.has_ended() is has_ended
    assert job.has_ended() is has_ended
    assert len((commands / "asked").read_text().splitlines()) == 1, "the answer is kept"
    assert job.id in (commands / "asked").read_text()


def test_without_the_command_nothing_is_known(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not SLURM.has_ended()


def test_a_job_of_another_cluster_is_not_asked_for_here(commands, monkeypatch):
    answer(commands, "squeue", "")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "there")
    assert not SLURM.has_ended()


def test_a_lock_names_the_job_of_its_holder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with output_lock(tmp_path / "x"):
        assert f"process {os.getpid()} on {Owner.here().host} in Slurm job 4711[3] (" in str(read_note(tmp_path / "x"))


@pytest.mark.slow
def test_the_lock_of_a_job_that_has_ended_is_taken_over_once_it_is_quiet(tmp_path, commands):
    answer(commands, "squeue", "")
    output = tmp_path / "x"
    far = replace(Owner.here(), host="node7", boot_id="other")
    owner_path(output).write_text(json.dumps({"owner": far.to_dict(), "job": SLURM.to_dict()}))
    with pytest.raises(OutputBusyError, match=r"on node7 in Slurm job 4711\. Wait for it"), output_lock(output):
        pass
    assert not (commands / "asked").exists(), "it has just given a sign of life"
    os.utime(owner_path(output), (time.time() - 60, time.time() - 60))
    told: list[str] = []
    with output_lock(output, 0.0, told.append):
        pass
    assert told[-1].endswith("whose job has ended: its lock is taken over.")
