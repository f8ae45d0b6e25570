"""Progress: a bar on a terminal, and for whoever listens a line with rate and remaining time every ten seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["announce", "listen_to_progress", "progress_bar", "say", "tell_listeners"]

EVERY = 10.0
"""Seconds between two lines to a listener."""

_listeners: list[Callable[[str], None]] = []


@contextmanager
def listen_to_progress(listener: Callable[[str], None]) -> Iterator[None]:
    """Call a function with a line about progress every ten seconds, and once more at the end.

    Args:
        listener: Takes the line; it is called from another thread.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def progress_bar(total: int | None, description: str, unit: str = "image", *, initial: int = 0) -> Iterator[Any]:
    """Make a tqdm bar that suits a terminal as well as a log file.

    Args:
        total: How many units there are; `None` if that is unknown.
        description: What is being done.
        unit: What is counted.
        initial: How many units were done before; they do not count for the rate.
    """
    from tqdm import tqdm

    on_terminal = sys.stderr.isatty()
    with tqdm(
        total=total,
        desc=description,
        unit=f" {unit}",
        initial=initial,
        mininterval=0.2 if on_terminal else 10.0,
        dynamic_ncols=on_terminal,
        file=_Patient(sys.stderr),
    ) as bar:
        done = threading.Event()
        reporter = threading.Thread(target=_report, args=(bar, description, unit, done), daemon=True)
        if _listeners:
            reporter.start()
        try:
            yield bar
        finally:
            done.set()
            if reporter.ident is not None:
                reporter.join()


def describe_progress(bar: Any, description: str, unit: str) -> str:
    """Say in a line how far a bar is: `raw/mnist:train: 1200 of 60000 images (2 %), 410 a second, 2 min 23 s left`."""
    state = bar.format_dict
    done, total, seconds = state["n"], state["total"], state["elapsed"]
    rate = (done - state.get("initial", 0)) / seconds if seconds else 0.0
    counted = f"{done} of {total} {unit}s ({done / total:.0%})" if total else f"{done} {unit}s"
    parts = [counted, f"{rate:.3g} a second" if rate < 100 else f"{rate:.0f} a second"]
    if total and done >= total:
        parts.append(f"done in {_duration(seconds)}")
    elif total and rate:
        parts.append(f"{_duration((total - done) / rate)} left")
    if state["postfix"]:
        parts.append(state["postfix"])
    return f"{description}: {', '.join(parts)}"


def say(message: str) -> None:
    """Print a line for the user without breaking a progress bar that is being drawn."""
    from tqdm import tqdm

    tqdm.write(message, file=_Patient(sys.stderr))


def announce(message: str) -> None:
    """Say a line on the terminal and in the log of the run."""
    say(message)
    tell_listeners(message)


class _Patient:
    """A stream whose errors are ignored: a build goes on if its progress can be shown no more (a full disk, a pipe).

    Args:
        stream: The stream. This one counts as equal to it, so that tqdm clears its bars before a line is written.
    """

    def __init__(self, stream: Any) -> None:
        self._wrapped = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._wrapped.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._wrapped.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._wrapped == getattr(other, "_wrapped", other))

    def __hash__(self) -> int:
        return hash(self._wrapped)


def _report(bar: Any, description: str, unit: str, done: threading.Event) -> None:
    while not done.wait(EVERY):
        tell_listeners(describe_progress(bar, description, unit))
    tell_listeners(describe_progress(bar, description, unit))


def tell_listeners(line: str) -> None:
    """Give a line to the functions of `listen_to_progress`; nothing is printed."""
    for listener in list(_listeners):
        listener(line)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{whole // 60} min {whole % 60} s"
