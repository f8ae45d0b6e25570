"""Opening the engine of some settings. Dask is imported when one that needs it is opened."""

from __future__ import annotations

import contextlib
import pkgutil

from dynvision.engines.base import Engine
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.here import HereEngine
from dynvision.engines.settings import HERE, EngineSettings
from dynvision.errors import MachineError
from dynvision.system.failures import explain_os_error, find_machine_error

__all__ = ["open_engine", "started_early"]

_EARLY = {"local": "dynvision.engines.local.nursery_process:nursery_started_early"}
"""For kinds of engines a block in which what takes long to start has been started."""


def open_engine(settings: EngineSettings) -> Engine:
    """Open an engine.

    Args:
        settings: Which one.

    Raises:
        ConfigError: If this machine does not have what the engine needs; the message says what to install or set.
        MachineError: If the folder of the engine cannot be used; the message names it first.
    """
    if settings.kind == HERE:
        return HereEngine()
    try:
        return DistributedEngine(settings)
    except OSError as error:
        folder = settings.folder.absolute()
        own = find_machine_error(error) or MachineError(f"{folder} cannot be used: {explain_os_error(error)}.")
        raise type(own)(f"{own} The engine '{settings.kind}' keeps its files in {folder}.") from error


def started_early(settings: EngineSettings) -> contextlib.AbstractContextManager[None]:
    """Start what takes long to start of an engine that is soon opened. At the end of the block it is gone, if unused.

    Args:
        settings: Which engine.
    """
    if settings.kind not in _EARLY:
        return contextlib.nullcontext()
    block: contextlib.AbstractContextManager[None] = pkgutil.resolve_name(_EARLY[settings.kind])()
    return block
