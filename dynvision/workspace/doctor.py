"""Finding out whether targets can be computed where they are to be: here, or by the workers of an engine."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.engines.base import Engine
from dynvision.engines.calls import Call, Outcome, Resources
from dynvision.system.failures import explain_os_error
from dynvision.system.files import make_directory
from dynvision.system.locks import output_lock
from dynvision.targets import Target
from dynvision.workspace.examining import LOCKED, await_text, examine, find_versions
from dynvision.workspace.workspace import Workspace

__all__ = ["Finding", "ask_doctor", "find_needs_of_doctor"]

_PATIENCE = 30.0
"""Seconds that a file may take to be seen by another machine."""

_MOST_LAG = 2.0
"""Seconds by which two clocks may differ."""

_LEAST_FREE = 1 << 30
"""Bytes of the disk below which there is no room."""

_TIME = 300
"""Seconds for which the job is asked: it needs a few, and Python may start slowly on a cluster."""


@dataclass(frozen=True)
class Finding:
    """Something that was looked at.

    Attributes:
        name: What is to hold.
        is_fine: Whether it does.
        sentence: What was found.
        advice: What to do if it does not hold.
    """

    name: str
    is_fine: bool
    sentence: str
    advice: str = ""


def ask_doctor(
    workspace: Workspace, engine: Engine, tell: Callable[[str], object] | None = None, patience: float = _PATIENCE
) -> Iterator[Finding]:
    """Look at the root from this machine and from a worker of an engine, and compare.

    Args:
        workspace: The workspace.
        engine: The engine. The caller closes it.
        tell: Takes lines about the progress, such as that a job waits.
        patience: How many seconds a file may take to be seen by the other side.

    Yields:
        What was found, in the order in which it was looked at.
    """
    folder = workspace.paths.root / ".dynvision" / "doctor" / secrets.token_hex(6)
    try:
        make_directory(folder)
    except OSError as error:
        yield Finding(
            "the root can be written (here)", False, explain_os_error(error), "Change its permissions, or make room."
        )
        return
    try:
        own = examine(folder)
        yield from _judge(own, "here")
        if not own["fault"]:
            yield from _compare_with_worker(workspace, engine, folder, tell, patience)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_needs_of_doctor(workspace: Workspace) -> Resources:
    """Return what the job of the doctor asks for: as little as can be of what the stage with the most GPUs does.

    On this machine it is computed where networks are, on a GPU if there is one.
    """
    compute = workspace.config.compute
    needs = [compute.attempts(Target((name,)), stage.computes_networks)[0] for name, stage in workspace.stages.items()]
    largest = max(needs, key=lambda resources: (resources.gpus, resources.gpu_if_there))
    return dataclasses.replace(largest, cpus=1, gpus=min(largest.gpus, 1), time=_TIME)


def _judge(report: Mapping[str, Any], side: str) -> Iterator[Finding]:
    """Say what a machine sees of the root."""
    if report["fault"]:
        advice = "Change its permissions, make room, or set DYNVISION_ROOT to another place."
        yield Finding(f"the root can be written ({side})", False, report["fault"], advice)
        return
    yield Finding(f"the root can be written ({side})", True, f"on {report['host']}")
    free = report["free"]
    advice = "Delete partitions under data/ that you do not need, or move the root."
    yield Finding(f"there is room on the disk ({side})", free >= _LEAST_FREE, f"{free / 1e9:.1f} GB free", advice)
    held = "a second process is kept out" if report["locks"] else "a second process takes a lock that is held"
    advice = "Put the root on a file system with locks (NFS: without local_lock and nolock)."
    yield Finding(f"locks work ({side})", report["locks"], held, advice)
    made = "a file is made once" if report["exclusive"] else "two processes make the same file"
    yield Finding(f"files can be made exclusively ({side})", report["exclusive"], made, advice)
    lag = report["lag"]
    advice = "Set the clocks of this machine and of the file server with NTP."
    sentence = f"a new file is {abs(lag):.1f} s {'older' if lag > 0 else 'newer'} than the clock"
    yield Finding(f"the clock is that of the files ({side})", abs(lag) < _MOST_LAG, sentence, advice)


def _compare_with_worker(
    workspace: Workspace, engine: Engine, folder: Path, tell: Callable[[str], object] | None, patience: float
) -> Iterator[Finding]:
    """Let a worker look while a lock is held here, and compare what both sides see."""
    token = secrets.token_hex(16)
    (folder / "from_here").write_text(token, encoding="utf-8")
    arguments = {"folder": str(folder), "token": token, "patience": patience}
    function = "dynvision.workspace.examining:examine_worker"
    with output_lock(folder / LOCKED):
        engine.submit(Call("doctor", function, arguments, (find_needs_of_doctor(workspace),)))
        outcome = engine.wait(tell)
        received = time.time()
    if outcome.error is not None:
        advice = "The logs of the workers are in .dynvision/engine/logs under the root."
        yield Finding("a worker answers", False, str(outcome.error), advice)
        return
    yield from _judge_worker(outcome, received, patience)
    if outcome.result["seen_after"] is not None:
        back = await_text(folder / "from_there", token, patience)
        yield _seen("a file of the worker is seen here", back, patience)


def _judge_worker(outcome: Outcome, received: float, patience: float) -> Iterator[Finding]:
    there = outcome.result
    yield Finding("a worker answers", True, f"{outcome.where or there['host']}, after {outcome.seconds:.1f} s")
    yield _seen("a file of this machine is seen by the worker", there["seen_after"], patience)
    if there["seen_after"] is not None:
        yield from _judge(there, "worker")
        kept_out = "the worker is kept out" if there["is_locked"] else "the worker takes a lock that is held here"
        advice = "Put the root on a file system whose locks hold between machines (NFS: without local_lock and nolock)."
        yield Finding("a lock of this machine is seen by the worker", there["is_locked"], kept_out, advice)
        made = "the worker is kept out" if there["is_taken"] else "the worker makes a file that exists"
        yield Finding("an exclusive file of this machine is seen by the worker", there["is_taken"], made, advice)
    lag = there["clock"] - received
    advice = "Set the clocks of both machines with NTP."
    yield Finding("the clocks agree", abs(lag) < _MOST_LAG, f"they differ by {abs(lag):.1f} s", advice)
    gpus = there["gpus"]
    wanted = outcome.call.attempts[0].gpus
    advice = "Look at gpu_flag and partition in config_compute.yaml, and at the driver of the worker's machine."
    sentence = ", ".join(gpus) if gpus else "none, so networks compute on the CPU"
    yield Finding("GPUs", bool(gpus) or not wanted, sentence, advice)
    yield from _compare_versions(find_versions(), there["versions"])


def _seen(name: str, seconds: float | None, patience: float) -> Finding:
    if seconds is not None:
        return Finding(name, True, f"after {seconds:.1f} s")
    advice = "Put the root on a file system that both machines share, under the same path."
    return Finding(name, False, f"not within {patience:.0f} s", advice)


def _compare_versions(here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[Finding]:
    for name, version in here.items():
        other = there.get(name, "unknown")
        sentence = version if other == version else f"{version} here, {other} on the worker"
        yield Finding(name, other == version, sentence, f"Install the same version on both sides: {name} {version}.")
