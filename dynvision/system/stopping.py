"""What is known in this process about being stopped by a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["STOPPING", "STOP_SIGNALS", "can_start_threads", "hold_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command: Ctrl-C, `kill` or a scheduler, a terminal that was closed."""


@dataclass
class Stopping:
    """The state of being stopped.

    Attributes:
        number: The first signal that came; 0 if none did.
        was_raised: Whether the work has been interrupted. Further signals then change nothing, so that it is cleaned
            up.
    """

    number: int = 0
    was_raised: bool = False


STOPPING = Stopping()
"""The state of this process."""


@contextmanager
def hold_signals(drop: bool) -> Iterator[None]:
    """Hold back the signals that end a command, in the main thread; others cannot be interrupted by them.

    Args:
        drop: Whether to forget them, because the work is being interrupted already. Otherwise the last one is raised
            again at the end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    changed = [number for number, handler in before.items() if callable(handler)]
    try:
        for number in changed:
            signal.signal(number, note)
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])
        if came and not drop:
            signal.raise_signal(came[-1])


def can_start_threads() -> bool:
    """Whether the limits of the user let this process start a thread."""
    try:
        threading.Thread(target=bool, daemon=True).start()
    except RuntimeError:
        return False
    return True
