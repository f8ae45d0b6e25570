"""Which engine computes, and what has to be known of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["HERE", "QUEUES", "EngineSettings"]

HERE = "here"
"""The engine without settings: one call after another in a child process."""

QUEUES = ("slurm", "pbs", "lsf", "sge", "oar", "htcondor")
"""The batch systems to which jobs can be sent."""


@dataclass(frozen=True)
class EngineSettings:
    """An engine.

    Attributes:
        kind: `here`, `local` (all cores and GPUs of this machine), one of `QUEUES`, or `address` (a running cluster).
        folder: A folder of the root for job scripts, logs and credentials; workers on other machines read it.
        workers: How many calls are computed at once on this machine; `None` lets `local` choose.
        gpus: The GPUs of this machine that are used, by number; `None` uses all that there are.
        share_gpus: Whether several calls may compute on one GPU.
        max_jobs: How many jobs there may be at once.
        gpu_flag: The option by which jobs ask for GPUs; `{gpus}` may stand in it, otherwise `=<number>` is appended.
            `None` takes the usual one of the batch system.
        interface: The network interface that workers and scheduler share; `None` takes that of the machine's name.
        before: Lines of shell that a job runs first.
        extra: Options of every job.
        address: The address of a scheduler, if `kind` is `address`.
        certificates: The folder with `ca.pem`, `cert.pem` and `key.pem` for an `address` that begins with `tls://`.
        queue_wait: Seconds after which a job that does not start is spoken of; nothing else follows from it.
    """

    kind: str = HERE
    folder: Path = Path(".dynvision/engine")
    workers: int | None = None
    gpus: tuple[int, ...] | None = None
    share_gpus: bool = False
    max_jobs: int = 10
    gpu_flag: str | None = None
    interface: str | None = None
    before: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    address: str | None = None
    certificates: Path | None = None
    queue_wait: float = 5.0
