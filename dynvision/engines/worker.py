"""What runs inside a Dask worker: one call after another, in the computing child of the worker."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dynvision.errors import DynvisionError, KilledError, OutOfMemoryError
from dynvision.system.child.process import shared_process

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["describe_worker", "run_call"]

_CHILD = threading.Lock()
"""Held by the thread that uses the child of this process."""


def run_call(order: Mapping[str, Any]) -> dict[str, Any]:
    """Run a call, and return its answer as a JSON-ready mapping.

    An error is part of the answer: its class by name and its text, so that the controller needs to know no other class
    of errors.

    Args:
        order: `key` (of Dask's task), `topic` (where events about it go), `function` and `arguments`.
    """
    from distributed import get_worker

    worker: Worker = get_worker()
    key, topic = order["key"], order["topic"]
    where = f"{platform.node()}, process {os.getpid()}"
    worker.log_event(topic, {"key": key, "where": where})
    start = time.perf_counter()
    answer: dict[str, Any] = {"where": where}
    try:
        with _child_alone(lambda: _is_wanted(worker, key)):
            start = time.perf_counter()
            answer["result"] = shared_process().run(
                order["function"],
                order["arguments"],
                tell=lambda line: worker.log_event(topic, {"key": key, "line": line}),
                is_wanted=lambda: _is_wanted(worker, key),
            )
    except KeyboardInterrupt:
        answer["stopped"] = True
    except DynvisionError as error:
        answer |= {
            "error": type(error).__name__,
            "message": str(error),
            "memory": isinstance(error, KilledError | OutOfMemoryError),
        }
    return answer | {"seconds": time.perf_counter() - start}


@contextlib.contextmanager
def _child_alone(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Use the child alone: several controllers may use one running cluster, whose workers have several threads.

    Raises:
        KeyboardInterrupt: If the call is not wanted any more.
    """
    while not _CHILD.acquire(timeout=0.5):
        if not is_wanted():
            raise KeyboardInterrupt
    try:
        yield
    finally:
        _CHILD.release()


def _is_wanted(worker: Worker, key: str) -> bool:
    """Whether anybody still waits for a task: neither was it cancelled, nor is the controller or this worker ending."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state not in ("cancelled", "released") and worker.status.name == "running"


def describe_worker(nonce: str, files: list[str]) -> dict[str, Any]:
    """Say what a worker has, for a controller that did not start it.

    Args:
        nonce: What the controller wrote to a file of the root.
        files: Where that file may be.

    Returns:
        The versions of what has to be the same on both sides, and whether the root is visible.
    """
    import sys
    from importlib.metadata import PackageNotFoundError, version

    versions = {"Python": ".".join(map(str, sys.version_info[:2]))}
    for package in ("dynvision-assets", "torch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    is_visible = False
    for file in files:
        with contextlib.suppress(OSError), open(file) as opened:  # noqa: PTH123
            is_visible = is_visible or opened.read() == nonce
    return {"versions": versions, "root": is_visible, "host": platform.node()}
