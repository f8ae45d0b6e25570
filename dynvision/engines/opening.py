"""Opening the engine of some settings. Dask is imported when one that needs it is opened."""

from __future__ import annotations

from dynvision.engines.base import Engine
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.here import HereEngine
from dynvision.engines.settings import HERE, EngineSettings

__all__ = ["open_engine"]


def open_engine(settings: EngineSettings) -> Engine:
    """Open an engine.

    Args:
        settings: Which one.

    Raises:
        ConfigError: If this machine does not have what the engine needs; the message says what to install or set.
    """
    if settings.kind == HERE:
        return HereEngine()
    return DistributedEngine(settings)
