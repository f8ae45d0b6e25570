"""Locks on outputs: one process builds, the others wait or say for whom they would have to."""

from dynvision.system.locks.breaking import break_lock, hold_until_exit, try_lock
from dynvision.system.locks.lock import OutputLock
from dynvision.system.locks.output_locks import FOR_EVER, OutputBusyError, output_lock

__all__ = ["FOR_EVER", "OutputBusyError", "OutputLock", "break_lock", "hold_until_exit", "output_lock", "try_lock"]
