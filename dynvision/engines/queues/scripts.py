"""The script of a job: what it asks for, its environment, and the program of a worker."""

from __future__ import annotations

import os
import re
import shlex
import string
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dynvision.engines.calls import Call, Resources
from dynvision.engines.quantities import format_memory, format_time
from dynvision.engines.queues.dialects import DIALECTS, Dialect
from dynvision.engines.queues.job_classes import job_class
from dynvision.engines.settings import EngineSettings
from dynvision.engines.workforce import Door
from dynvision.errors import ConfigError
from dynvision.system.environment import OF_WORKERS

__all__ = ["PATIENCE", "describe_needs", "find_hidden_gpu", "job_scripts", "write_script"]

PATIENCE = 60
"""Seconds for which a job looks for its scheduler before it ends."""

_SECTION = "dynvision"
"""The section of Dask's configuration that the classes of dask-jobqueue are told to read: it holds nothing."""

_NOTHING: dict[str, Any] = {
    **dict.fromkeys(
        [
            *("cores", "memory", "processes", "python", "interface", "local-directory", "shared-temp-directory"),
            *("extra", "queue", "account", "project", "walltime", "env-extra", "resource-spec", "job-cpu", "job-mem"),
            *("job-extra", "log-directory", "ncpus", "mem", "lsf-units", "disk", "memory-per-core-property-name"),
        ]
    ),
    "name": "dynvision",
    "death-timeout": PATIENCE,
    "worker-command": "distributed.cli.dask_worker",
    "worker-extra-args": [],
    "shebang": "#!/usr/bin/env bash",
    "job-script-prologue": [],
    "job-extra-directives": [],
    "job-directives-skip": [],
    "submit-command-extra": [],
    "cancel-command-extra": [],
    "use-stdin": True,
}

_NONE = r"(?!['\"\s]*(0|no|none|false)\b)"

_ASKS_FOR_GPU = re.compile(
    rf"(?i)--(gres|tres-per-(task|node|socket|job))[=\s]\S*gpu(?!(:[a-z]\w*)?[:=]0\b)"  # Slurm
    rf"|--gpus(-per-(node|task|socket))?[=\s]+{_NONE}|^-G[=\s]*([a-z]\w*:)?[1-9]\d*$"
    rf"|\b(n?gpus?|(gpu|num_gpu)_?count|gpu_?num|request_gpus)\s*=\s*{_NONE}\S"  # PBS, SGE, OAR, HTCondor
    r"|^-gpu\s|^-l\s+gpus?$"  # LSF, SGE
)
"""Finds an option by which a job asks for GPUs. One that only names a machine or partition with `gpu` is none."""

_PASSED_ON = (*OF_WORKERS, "PYTHONPATH", "DAGSTER_HOME", "TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME")


def write_script(settings: EngineSettings, resources: Resources, door: Door, name: str) -> str:
    """Return the script of a job.

    Args:
        settings: The batch system, and what every job needs.
        resources: What this one needs.
        door: How its worker reaches the scheduler.
        name: The name of its worker.

    Raises:
        ConfigError: If an option of the job is not what the batch system takes, or asks for a GPU in vain.
    """
    if why := find_hidden_gpu(settings, resources):
        raise ConfigError(f"a job of {describe_needs(resources)} cannot be started: {why}")
    dialect = DIALECTS[settings.kind]
    log = door.logs / f"{name}.log"
    # What a job asks for by the user's own option must not be asked for a second time.
    known = resources if settings.gpu_flag is None else replace(resources, gpus=0)
    own = [] if known is resources else _ask_for_gpus(str(settings.gpu_flag), resources.gpus)
    options = [*dialect.options(log, known), *own, *settings.extra, *resources.extra]
    return _build(dialect, settings, resources, known, door, name, options)


def find_hidden_gpu(settings: EngineSettings, resources: Resources) -> str:
    """Say which option of a job asks for a GPU though its calls need none; an empty text if none does.

    Such a job would hold a GPU and compute on the CPU.

    Args:
        settings: What every job asks for.
        resources: What this one needs.
    """
    options = (*settings.extra, *resources.extra)
    asking = next((option for option in options if _ASKS_FOR_GPU.search(option)), None)
    if resources.gpus or asking is None:
        return ""
    return (
        f"the option '{asking}' asks for a GPU, but 'gpus' is 0, so that a job would hold a GPU and compute on the "
        "CPU. Take the option out of 'extra' in config_compute.yaml and write 'gpus: 1' for what is computed on a "
        "GPU. If the cluster wants other words than usual, give them as 'gpu_flag', with {gpus} in the place of the "
        "number."
    )


def _build(
    dialect: Dialect,
    settings: EngineSettings,
    resources: Resources,
    known: Resources,
    door: Door,
    name: str,
    options: list[str],
) -> str:
    import dask

    is_mapping = settings.kind == "htcondor"
    with dask.config.set({f"jobqueue.{_SECTION}": _NOTHING}):
        job = job_class(settings.kind, dialect.job)(
            scheduler=door.address,
            name=name,
            job_name="dynvision",
            config_name=_SECTION,
            cores=resources.cpus,
            processes=1,
            memory=f"{resources.memory or 0}B",
            nanny=False,
            interface=settings.interface,
            death_timeout=PATIENCE,
            local_directory=shlex.quote(str(door.folder / name)),
            python=f"exec {shlex.quote(sys.executable)} -P",  # so that the batch system's signals reach it
            worker_command="dynvision.engines.queues.job_main",
            worker_extra_args=["--credentials", shlex.quote(str(door.credentials))],
            job_script_prologue=_prologue(dialect, settings, resources),
            job_extra_directives=_as_mapping(options) if is_mapping else options,
            job_directives_skip=[] if resources.memory else list(dialect.skip),
            **dialect.settings(known),
        )
        return str(job.job_script())


def _ask_for_gpus(flag: str, gpus: int) -> list[str]:
    """Return the option by which a job asks for GPUs; none if it needs none."""
    if not gpus:
        return []
    filled = flag.format(gpus=gpus)  # A brace that is meant is written twice.
    has_place = any(name == "gpus" for _, name, _, _ in string.Formatter().parse(flag))
    return [filled if has_place else f"{filled}={gpus}"]


def _as_mapping(options: Iterable[str]) -> dict[str, str]:
    """Return lines `key = value` as HTCondor's class takes them."""
    pairs = {}
    for option in options:
        key, sign, value = option.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"'{option}' is no line for HTCondor; write extra and gpu_flag as 'key = value'")
        pairs[key.strip()] = value.strip()
    return pairs


def _prologue(dialect: Dialect, settings: EngineSettings, resources: Resources) -> list[str]:
    """Return what a job does before its worker starts, each a line of its own."""
    names = sorted(name for name in os.environ if name in _PASSED_ON)
    # A job that asks for no GPU must not use one that it can see all the same.
    hidden = {} if resources.gpus else {"CUDA_VISIBLE_DEVICES": ""}
    exported = {**hidden, **{name: os.environ[name] for name in names}}
    return [
        f"cd {shlex.quote(str(Path.cwd()))} || exit 1",
        *([f"unset {' '.join(dialect.unset)}"] if dialect.unset else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
        *settings.before,
    ]


def describe_needs(resources: Resources) -> str:
    """Say what a job needs in words."""
    parts = [f"{resources.cpus} core{'s' if resources.cpus > 1 else ''}"]
    parts += [f"{resources.gpus} GPU{'s' if resources.gpus > 1 else ''}"] if resources.gpus else []
    parts += [format_memory(resources.memory)] if resources.memory else []
    parts += [format_time(resources.time)] if resources.time else []
    parts += [f"partition {resources.partition}"] if resources.partition else []
    parts += [f"account {resources.account}"] if resources.account else []
    return ", ".join([*parts, *resources.extra])


def job_scripts(settings: EngineSettings, wanted: Iterable[Call | Resources]) -> Mapping[str, str]:
    """Return the scripts of the jobs that calls would have, without starting anything.

    Args:
        settings: A batch system.
        wanted: Calls, of which the first attempt counts, or what they need.

    Returns:
        A script for each different set of needs, by these in words.
    """
    places: dict[str, Any] = {"credentials": settings.folder / "credentials", "logs": settings.folder / "logs"}
    door = Door(address="tls://<this machine>:<port>", folder=settings.folder, run="dynvision", **places)
    needs = dict.fromkeys(one.attempts[0] if isinstance(one, Call) else one for one in wanted)
    return {describe_needs(one): write_script(settings, one, door, f"dynvision-{n}") for n, one in enumerate(needs, 1)}
