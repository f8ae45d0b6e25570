"""The classes of dask-jobqueue that write job scripts, imported without a trace."""

from __future__ import annotations

import importlib
import signal
import threading
from typing import Any

__all__ = ["job_class"]


def job_class(kind: str, name: str) -> Any:
    """Return a class of dask-jobqueue.

    When it is imported, the package replaces what the process does at Ctrl-C, and fails in any thread but the main one.
    Here it changes nothing.

    Args:
        kind: The batch system, as its module is called.
        name: The name of the class.
    """
    importing, real = threading.get_ident(), signal.signal

    def keep_handler(number: Any, handler: Any) -> Any:
        return signal.getsignal(number) if threading.get_ident() == importing else real(number, handler)

    signal.signal = keep_handler  # type: ignore[assignment]
    try:
        module = importlib.import_module(f"dask_jobqueue.{kind}")
    finally:
        signal.signal = real
    return getattr(module, name)
