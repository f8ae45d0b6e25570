"""A child process that runs library functions for a process that must outlive them.

Torch is loaded here and not in Dagster's own process. If a file is truncated while it is read (SIGBUS), this process
ends, and the one that reports it goes on. The two exchange lines of JSON: a call on standard input; on standard output
lines about the progress of the call, then its answer. `{"stop": true}`, or the end of standard input, ends this
process: a call that is running is interrupted once, so that it removes its temporary files.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import pkgutil
import signal
import sys
import threading
from typing import Any

from dynvision.system.child.calls import Calls
from dynvision.system.error_log import describe_error, name_call
from dynvision.system.machine import collect_garbage_seldom
from dynvision.system.process_trees import end_process
from dynvision.system.progress import listen_to_progress

__all__ = ["main"]

_CLEANUP = 2.0
"""Seconds that exit functions may take; a library's own can wait for ever."""


def main() -> None:
    """Answer calls until this process is told to stop, or standard input ends."""
    answers = _Answers()
    calls = Calls(_take_standard_input())
    collect_garbage_seldom()
    calls.listen()
    while (call := calls.take()) is not None:
        with listen_to_progress(lambda line: answers.send(json.dumps({"progress": line}))):
            answer = _answer(call, calls)
        answers.send(answer)
        if not calls.is_stopping:
            gc.collect()  # Free the memory of one network before the next one computes.
    _end()


class _Answers:
    """The pipe to the caller: lines about the progress of a call, then its answer."""

    def __init__(self) -> None:
        self._pipe = os.dup(1)
        self._lock = threading.Lock()
        os.dup2(2, 1)  # What the functions print goes to standard error, not among the answers.

    def send(self, message: str) -> None:
        """Write a line. The caller may have ended; then nobody reads it, and this process is about to stop."""
        # It begins on a new line, whatever a library wrote to the pipe before.
        content = memoryview(f"\n{message}\n".encode())
        with self._lock, contextlib.suppress(BrokenPipeError):
            while content:
                content = content[os.write(self._pipe, content) :]


def _take_standard_input() -> int:
    """Move standard input to another file descriptor, and put an empty file in its place.

    Processes that are forked from this one close `sys.stdin`. They would wait for ever for the thread that reads it.
    """
    source = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as the process lives
    return source


def _answer(call: dict[str, Any], calls: Calls) -> str:
    """Return the answer to a call as JSON."""
    try:
        with calls.running():
            return _run(call)
    except KeyboardInterrupt:
        return json.dumps({"error": "KeyboardInterrupt", "message": ""})


def _run(call: dict[str, Any]) -> str:
    try:
        return json.dumps({"result": pkgutil.resolve_name(call["function"])(**call["arguments"])})
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the traceback goes to a log file
        own = describe_error(error, name_call(call["function"], call["arguments"]))
        return json.dumps({"error": type(own).__name__, "message": str(own)})


def _end() -> None:
    """End this process without the noise of libraries whose threads are still running."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    late = threading.Timer(_CLEANUP, end_process, (0,))
    late.daemon = True
    late.start()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    atexit._run_exitfuncs()  # worker processes end, temporary folders are removed
    end_process(0)


if __name__ == "__main__":
    main()
