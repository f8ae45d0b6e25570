"""Runs of a command that is stopped: by a signal between their steps, or in the browser, which can only ask for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dynvision.system.progress import say
from dynvision.system.stopping import STOPPING, can_start_threads

if TYPE_CHECKING:
    import dagster as dg

__all__ = ["end_stopped_runs", "stop_if_terminated"]

EVERY = 3.0
"""Seconds between two looks at whether a run was terminated."""


def end_stopped_runs(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    """Mark the unfinished runs of this process as canceled. Dagster does so only if it is interrupted in a step.

    Args:
        instance: Dagster's instance.
        tags: The tags that name this process.
    """
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(tags=dict(tags))):
        if not run.is_finished:
            instance.report_run_canceled(run, "The command was stopped. What was finished is kept.")


@contextmanager
def stop_if_terminated(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupt the work within, as Ctrl-C does, once its run is terminated in the browser.

    Dagster's server reaches the processes that its daemon started. Of a run of the command line it only notes that it
    is to end, and calls it canceled after some minutes, whatever the process does.

    Args:
        instance: Dagster's instance.
        run_id: The run. It may begin later.
    """
    if threading.current_thread() is not threading.main_thread() or not can_start_threads():
        yield  # A signal would interrupt another thread than the one that works.
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(instance, run_id, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(1.0)  # A look may wait for a busy database; a command that is stopped has little time.


def _watch(instance: dg.DagsterInstance, run_id: str, ended: threading.Event) -> None:
    """Send this process SIGINT when its run is terminated; return when the run ends."""
    import dagster as dg

    terminated = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
    while not ended.wait(EVERY) and not STOPPING.number:
        try:
            run = instance.get_run_by_id(run_id)
        except Exception:  # noqa: BLE001  # the database may be busy; the next look is soon
            continue
        # Another signal may have come meanwhile, of which the run is being canceled already.
        if run is not None and run.status in terminated and not ended.is_set() and not STOPPING.number:
            say("the run was terminated in the browser")
            os.kill(os.getpid(), signal.SIGINT)
            return
