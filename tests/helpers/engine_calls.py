"""Calls of `tests.helpers.calls` for engines, and what opens an engine in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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
