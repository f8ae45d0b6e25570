"""Using Dask inside somebody else's process: its settings and its log are ours only while an engine is open."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError

__all__ = ["SETTINGS", "check_installed", "settings_of_dask", "use_dask"]

SETTINGS: dict[str, Any] = {
    # The engine decides what is repeated. Dask must not do so by itself.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": "3 minutes",
    "distributed.scheduler.dashboard.tasks.task-stream-length": 10_000,
    # The default has a handler that passes requests on to any host.
    "distributed.scheduler.http.routes": [
        "distributed.http.scheduler.info",
        "distributed.http.health",
        "distributed.http.statics",
    ],
    "distributed.admin.low-level-log-length": 200,
    # Two hundred workers would keep a core busy with looking at themselves fifty times a second.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.comm.timeouts.connect": "30s",
    "distributed.diagnostics.nvml": False,  # It would make a context on every GPU, also in the controlling process.
}
"""Dask's settings for schedulers, clients and workers of this project."""

_LIBRARIES = ("distributed", "tornado", "bokeh")

_MISTAKEN = "bokeh.server.util"
"""A logger that warns at each start that the dashboard may be opened under any name. Whoever tunnels to it has to, and
only who knows its secret address can."""


def check_installed() -> None:
    """Check that Dask's scheduler can be imported.

    Raises:
        ConfigError: If it is not installed; the message says what to install.
    """
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the setting 'engine' needs a package that is not installed ({error.name}): pip install "
            "'dynvision-assets[cluster]'. Or set 'engine' to here."
        ) from error


@contextlib.contextmanager
def use_dask(log: Path) -> Iterator[None]:
    """Use Dask with our settings and a log file; the last one who does restores what the user's process had.

    Args:
        log: The file. Engines that are open at the same time share that of the first.
    """
    with _USE.lock:
        if not _USE.count:
            _USE.restoring.enter_context(settings_of_dask())
            _USE.restoring.enter_context(_private_log(log))
        _USE.count += 1
    try:
        yield
    finally:
        with _USE.lock:
            _USE.count -= 1
            if not _USE.count:
                _USE.restoring.close()


class _Use:
    """How many engines of this process use Dask, and how to restore what there was before."""

    def __init__(self) -> None:
        self.lock, self.count, self.restoring = threading.Lock(), 0, contextlib.ExitStack()


_USE = _Use()


@contextlib.contextmanager
def settings_of_dask() -> Iterator[None]:
    """Set Dask's configuration, and restore what the user's process had."""
    import dask.config
    import distributed  # noqa: F401  # It adds its defaults to the configuration.

    with dask.config.set(SETTINGS):
        yield


@contextlib.contextmanager
def _private_log(path: Path) -> Iterator[None]:
    """Write the warnings of Dask and its libraries to a file, so that no traceback of theirs reaches a terminal.

    Args:
        path: The file. It is made with the first line.
    """
    import distributed  # noqa: F401  # It adds its own handlers, which are set aside here.

    handler = logging.FileHandler(path, delay=True)
    handler.addFilter(lambda record: record.name != _MISTAKEN)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    before = {logger: (logger.handlers[:], logger.level, logger.propagate) for logger in _loggers()}
    for logger, (_, level, _) in before.items():
        is_top = logger.name in _LIBRARIES
        logger.handlers = [handler] if is_top else []
        logger.propagate = not is_top
        logger.setLevel(logging.WARNING if is_top else max(level, logging.WARNING) if level else logging.NOTSET)
    try:
        yield
    finally:
        for logger, (handlers, level, propagate) in before.items():
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        handler.close()


def _loggers() -> list[logging.Logger]:
    """Return the loggers of the libraries that exist now, the topmost ones first."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
    return [logging.getLogger(name) for name in sorted({*_LIBRARIES, *names})]
