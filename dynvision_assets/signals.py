"""How signals end a command: Ctrl-C, SIGTERM and SIGHUP alike, in one sentence and in less than five seconds.

The command line imports this module first. While it imports the others, a signal ends it at once. Within `stoppable`,
KeyboardInterrupt is raised once, and further signals change nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from dynvision.system.process_trees import end_process
from dynvision.system.stopping import STOP_SIGNALS, STOPPING, can_start_threads

__all__ = ["check_stopped", "stoppable"]

_MOST = 4.6
"""Seconds after a signal in which a command has ended."""

_AGAIN = 1.5
"""Seconds after which a signal is repeated if nothing was interrupted for it."""

_SENTENCE = "stopped; what was finished is kept, nothing is half done"


class _Phase:
    """What a signal does: ends the process at once, interrupts its work, or nothing, because it is about to end."""

    at_once, interrupt, nothing = range(3)
    now = at_once


def check_stopped() -> None:
    """Raise the interruption of a signal that a library took and dropped.

    Raises:
        KeyboardInterrupt: If a signal came, and nothing has been interrupted for it.
    """
    if STOPPING.number and not STOPPING.was_raised:
        STOPPING.was_raised = True
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Run a command's work; a signal ends it with one sentence.

    Raises:
        SystemExit: With 128 and the number of the signal, if one came: 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with _handling():
            yield
            check_stopped()
    except BaseException as error:
        # Once a signal has come, any error is taken for its consequence: libraries turn it into their own.
        if not STOPPING.number and not isinstance(error, KeyboardInterrupt):
            raise
        if STOPPING.number in (0, signal.SIGINT) and not can_start_threads():
            # OpenBLAS interrupts its own process if it may not start its threads.
            raise RuntimeError("can't start new thread") from error
        STOPPING.was_raised = True
        _say(through_python=True)
        sys.exit(128 + (STOPPING.number or signal.SIGINT))


@contextmanager
def _handling() -> Iterator[None]:
    """Handle signals within, in the main thread. The process of a command then is about to end and ignores them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    STOPPING.number, STOPPING.was_raised = 0, False
    _Phase.now = _Phase.interrupt
    _install()
    try:
        with _limiting():
            yield
    finally:
        _Phase.now = _Phase.nothing
        if not _is_command():
            for number, handler in before.items():
                signal.signal(number, handler)


def _install() -> None:
    """Handle the signals.

    A shell script starts its background jobs with SIGINT ignored; here it is how work is stopped. SIGHUP stays ignored
    if it was, as by `nohup`.
    """
    for number in STOP_SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue
        signal.signal(number, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _Phase.now == _Phase.nothing:
        return
    STOPPING.number = STOPPING.number or number
    current = signal.getsignal(signal.SIGINT)
    if number == signal.SIGHUP and current is not _on_signal and callable(current):
        current(number, frame)  # Dagster's, which knows when a run can be interrupted, but not of this signal
        return
    if _Phase.now == _Phase.at_once:
        _say()
        os._exit(128 + number)
    if not STOPPING.was_raised:
        STOPPING.was_raised = True
        raise KeyboardInterrupt


@contextmanager
def _limiting() -> Iterator[None]:
    """Note signals whoever handles them, and end the process if it does not end by itself."""
    source, target = os.pipe()
    os.set_blocking(target, False)
    wakeup, hook = signal.set_wakeup_fd(target, warn_on_full_buffer=False), sys.unraisablehook
    sys.unraisablehook = partial(_interrupt_again, hook)
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_no_interruption)
    done = threading.Event()
    limiter = threading.Thread(target=_limit, args=(source, done), daemon=True)
    limiter.start()
    try:
        yield
    finally:
        if not _is_command():  # The process of a command has to end after this, too.
            done.set()
            signal.set_wakeup_fd(wakeup)
            sys.unraisablehook = hook
            if logging.lastResort is not None:
                logging.lastResort.removeFilter(_is_no_interruption)
            os.close(target)
            limiter.join()


def _limit(source: int, done: threading.Event) -> None:
    while numbers := os.read(source, 64):
        came = [number for number in numbers if number in STOP_SIGNALS]
        if not came:
            continue
        STOPPING.number = STOPPING.number or came[0]
        if not done.wait(_AGAIN) and not STOPPING.was_raised:
            os.kill(os.getpid(), STOPPING.number)
        if not done.wait(_MOST - _AGAIN):
            _say()
            end_process(128 + STOPPING.number)
    os.close(source)


def _is_no_interruption(record: logging.LogRecord) -> bool:
    """Keep libraries from printing the traceback of an interruption that passes through them."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or issubclass(kind, Exception)


def _interrupt_again(others: Callable[[Any], object], unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat an interruption that Python dropped, as it does if it comes while an object is finalized."""
    kind = unraisable.exc_type
    is_interruption = issubclass(kind, KeyboardInterrupt) or kind.__name__ == "DagsterExecutionInterruptedError"
    if not is_interruption and (issubclass(kind, Exception) or not STOPPING.number):
        others(unraisable)
        return
    STOPPING.was_raised = False
    # From another thread, a moment later. If it came now, it would be dropped again.
    again = threading.Timer(0.02, _signal_again)
    again.daemon = True
    again.start()


def _signal_again() -> None:
    # Dagster's handler takes a signal without noting it. The thread that notes all of them may be slower than the hook.
    os.kill(os.getpid(), STOPPING.number or signal.SIGINT)


_said = threading.Lock()


def _say(through_python: bool = False) -> None:
    """Print the sentence, once in the process of a command."""
    if _said.acquire(blocking=False):
        with contextlib.suppress(OSError, ValueError):
            if through_python:
                sys.stderr.write(f"{_SENTENCE}\n")
                sys.stderr.flush()
            else:  # in a signal handler, or while another thread may hold the lock of `sys.stderr`
                os.write(2, f"{_SENTENCE}\n".encode())
        if not _is_command():
            _said.release()


def _is_command() -> bool:
    """Whether this process is a command, and not a program that calls one."""
    main = sys.modules.get("__main__")
    names = (getattr(getattr(main, "__spec__", None), "name", ""), os.path.basename(sys.argv[0]))  # noqa: PTH119
    return names[0] == "dynvision_assets.command_line" or names[1] in ("dynvision", "dynvision.exe")


def _exit_as_stopped() -> None:
    """Exit with the code of the signal, after all other exit functions.

    Python would end a process by SIGINT if an interruption once passed through generated code, such as a dataclass.
    """
    if STOPPING.was_raised and _said.locked():
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(128 + (STOPPING.number or signal.SIGINT))
    # Python gives signals their usual meaning back while it ends, unless they are ignored. The work is done.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if _is_command():
    _install()
    atexit.register(_exit_as_stopped)
