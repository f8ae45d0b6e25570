"""Calls of `tests.helpers.calls` for engines, and what opens an engine in a test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from dynvision.engines.calls import Call, Resources
from dynvision.engines.distributed_engine import DistributedEngine

PROJECT = Path(__file__).resolve().parents[2]

Opening = Callable[..., DistributedEngine]


def call(function: str, *attempts: Resources, name: str = "", priority: int = 0, **arguments: Any) -> Call:
    return Call(
        name or f"call:{function}",
        f"tests.helpers.calls:{function}",
        arguments,
        attempts or (Resources(),),
        priority,
    )


def wait_for(is_true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def noted(path: Path) -> list[int]:
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def alive(pids: list[int]) -> list[int]:
    """Those of some processes that still run."""
    running = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                running.append(pid)
    return running
