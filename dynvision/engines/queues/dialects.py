"""What differs between batch systems: how a job asks for something, and how its state is read.

The header of a job script is written by dask-jobqueue, whose classes know the options of each system. Here is what they
do not know: GPUs, one log for each job, and what the commands say.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dynvision.engines.calls import Resources
from dynvision.engines.quantities import format_time
from dynvision.engines.queues.states import (
    States,
    read_htcondor,
    read_lsf,
    read_oar,
    read_pbs,
    read_sge,
    read_slurm,
)

__all__ = ["DIALECTS", "Dialect"]


Settings = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """A batch system.

    Attributes:
        title: Its name, for people.
        job: The class of dask-jobqueue that writes its job scripts.
        submit: The command that takes a job script.
        cancel: The command that ends jobs.
        ask: The command that says how jobs are, from their numbers.
        read: Reads its output: the state of each job that it knows.
        settings: The arguments of the class, from what a job needs.
        options: What the class does not know: one log file, GPUs, and that the batch system does not start a job again
            by itself.
        skip: Parts of the lines that ask for memory; they are left out if no memory is asked for.
        script_on: Whether the submitting command takes the script by its path, or reads it.
        job_id: Finds the number of a job in what the submitting command prints.
        gone: What the command that says how jobs are prints if it does not know a job any more.
        unset: Variables that a job's program must not see.
    """

    title: str
    job: str
    submit: str
    cancel: str
    ask: Callable[[Sequence[str]], list[str]]
    read: Callable[[str], States]
    settings: Callable[[Resources], Settings]
    options: Callable[[Path, Resources], list[str]]
    skip: tuple[str, ...] = ()
    script_on: Literal["path", "input", "line"] = "path"
    job_id: str = r"(\d+)"
    gone: str = "(?i)invalid job id|unknown job|has finished|not found|do not exist"
    unset: tuple[str, ...] = ()

    @property
    def over(self) -> str:
        """Finds out in what the cancelling command says that a job has ended."""
        return f"{self.gone}|already|does not exist|no matching job|invalid for state|couldn't find"


def _time(resources: Resources) -> str | None:
    return None if resources.time is None else format_time(resources.time)


def _megabytes(amount: int) -> int:
    return math.ceil(amount / 2**20)


def _place(resources: Resources, account: str) -> Settings:
    """Return where a job runs, for whom and how long; classes of dask-jobqueue name the account differently."""
    return {"queue": resources.partition, account: resources.account, "walltime": _time(resources)}


def _slurm(resources: Resources) -> Settings:
    memory = None if resources.memory is None else f"{_megabytes(resources.memory)}M"
    return {
        **_place(resources, "account"),
        "job_mem": memory or "0",
    }


def _pbs(resources: Resources) -> Settings:
    spec = f"select=1:ncpus={resources.cpus}"
    spec += "" if resources.memory is None else f":mem={_megabytes(resources.memory)}mb"
    spec += f":ngpus={resources.gpus}" if resources.gpus else ""
    return {
        **_place(resources, "account"),
        "resource_spec": spec,
    }


def _lsf(resources: Resources) -> Settings:
    # LSF reads hours and minutes.
    minutes = None if resources.time is None else math.ceil(resources.time / 60)
    return {
        **_place(resources, "project"),
        "walltime": None if minutes is None else f"{minutes // 60:02d}:{minutes % 60:02d}",
        "mem": resources.memory or 0,
    }


def _sge(resources: Resources) -> Settings:
    # SGE counts memory for each slot.
    memory = None if resources.memory is None else f"h_vmem={_megabytes(resources.memory // resources.cpus)}M"
    return {
        **_place(resources, "project"),
        "resource_spec": memory,
    }


def _oar(resources: Resources) -> Settings:
    return {
        **_place(resources, "project"),
        "resource_spec": f"/nodes=1/gpu={resources.gpus}" if resources.gpus else None,
        # Properties that stand for memory have other names on each cluster: `extra` can name them.
        "memory_per_core_property_name": "not_applicable",
    }


def _slurm_options(log: Path, resources: Resources) -> list[str]:
    gpus = [f"--gres=gpu:{resources.gpus}"] if resources.gpus else []
    return [f"--output={shlex.quote(str(log)).replace('%', '%%')}", "--open-mode=append", "--no-requeue", *gpus]


def _lsf_options(log: Path, resources: Resources) -> list[str]:
    return [f"-o {shlex.quote(str(log))}", "-rn", *([f'-gpu "num={resources.gpus}"'] if resources.gpus else [])]


def _sge_options(log: Path, resources: Resources) -> list[str]:
    slots = [f"-pe smp {resources.cpus}"] if resources.cpus > 1 else []
    gpus = [f"-l gpu={resources.gpus}"] if resources.gpus else []
    return [f"-o {shlex.quote(str(log))}", "-r n", "-S /bin/bash", *slots, *gpus]


def _htcondor_options(log: Path, resources: Resources) -> list[str]:
    options = [f"Output = {log}.out", f"Error = {log}", "Stream_Output = True", "Stream_Error = True"]
    options += [f"accounting_group = {resources.account}"] if resources.account else []
    options += [f"allowed_job_duration = {resources.time}"] if resources.time else []
    return [*options, *([f"request_gpus = {resources.gpus}"] if resources.gpus else [])]


DIALECTS: Mapping[str, Dialect] = {
    "slurm": Dialect(
        *("Slurm", "SLURMJob", "sbatch", "scancel"),
        ask=lambda jobs: [*("squeue", "--noheader", "--states=all", "--format=%A|%T|%r", "--jobs"), ",".join(jobs)],
        read=read_slurm,
        settings=_slurm,
        options=_slurm_options,
        skip=("--mem=",),
        # Lightning and MPI take these for an order to start several processes.
        unset=("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_PROCID", "SLURM_LOCALID"),
    ),
    "pbs": Dialect(
        *("PBS", "PBSJob", "qsub", "qdel"),
        ask=lambda jobs: ["qstat", *jobs],
        read=read_pbs,
        settings=_pbs,
        options=lambda log, _: ["-j oe", f"-o {shlex.quote(str(log))}", "-r n"],
    ),
    "lsf": Dialect(
        *("LSF", "LSFJob", "bsub", "bkill"),
        ask=lambda jobs: ["bjobs", "-noheader", "-o", "jobid stat", *jobs],
        read=read_lsf,
        settings=_lsf,
        options=_lsf_options,
        skip=("#BSUB -M ",),
        script_on="input",
    ),
    "sge": Dialect(
        *("SGE", "SGEJob", "qsub", "qdel"),
        ask=lambda _: ["qstat"],
        read=read_sge,
        settings=_sge,
        options=_sge_options,
    ),
    "oar": Dialect(
        *("OAR", "OARJob", "oarsub", "oardel"),
        ask=lambda jobs: [*("oarstat", "--state"), *(word for job in jobs for word in ("--job", job))],
        read=read_oar,
        settings=_oar,
        options=lambda log, _: [f"-O {shlex.quote(str(log))}", f"-E {shlex.quote(str(log))}"],
        script_on="line",
        job_id=r"OAR_JOB_ID=\s*(\d+)",
    ),
    "htcondor": Dialect(
        *("HTCondor", "HTCondorJob", "condor_submit", "condor_rm"),
        ask=lambda jobs: [
            *("condor_q", "-autoformat", "ClusterId", "JobStatus", "-constraint"),
            " || ".join(f"ClusterId == {job}" for job in jobs),
        ],
        read=read_htcondor,
        settings=lambda _: {"disk": "1GiB"},
        options=_htcondor_options,
        skip=("RequestMemory",),
        job_id=r"submitted to cluster (\d+)",
    ),
}
"""The batch systems, by the word for them in the configuration."""
