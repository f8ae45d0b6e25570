"""A child process that runs library functions for a process that must outlive them.

Torch is loaded here and not in Dagster's own process. If a file is truncated while it is read (SIGBUS), this process
ends, and the one that reports it goes on. The two exchange lines of JSON: a call on standard input; on standard output
lines about the progress of the call, then its answer.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import signal
import sys
import threading
from typing import IO, Any

from dynvision.errors import DynvisionError
from dynvision.system.error_log import describe_error, name_call
from dynvision.system.machine import collect_garbage_seldom
from dynvision.system.progress import listen_to_progress

__all__ = ["main"]


def main() -> None:
    """Answer calls until standard input ends."""
    # A shell starts background processes with interruptions ignored. Here an interruption is how work is stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again
    collect_garbage_seldom()
    answers = _Answers()
    os.dup2(2, 1)  # What the functions print goes to standard error, not among the answers.
    source = _take_standard_input()
    calls: list[dict[str, Any]] = []
    arrived = threading.Condition()
    threading.Thread(target=_read_calls, args=(source, calls, arrived), daemon=True).start()
    while True:
        with arrived:
            while not calls:
                arrived.wait()
            call = calls.pop(0)
        with listen_to_progress(lambda line: answers.send({"progress": line})):
            answer = _answer(call)
        answers.send(answer)
        if answer.get("error") != "KeyboardInterrupt":
            gc.collect()  # Free the memory of one network before the next one computes.


class _Answers:
    """The pipe to the caller: lines about the progress of a call, then its answer."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w")
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()


def _interrupt_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat an interruption that Python dropped, as it does if it comes while an object is finalized."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # From another thread, a moment later. If it came now, it would be dropped again.
        again = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _take_standard_input() -> IO[str]:
    """Move standard input to another file descriptor, and put an empty file in its place.

    Processes that are forked from this one close `sys.stdin`. They would wait for ever for the thread that reads it.
    """
    source = os.fdopen(os.dup(0))
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as the process lives
    return source


def _read_calls(source: IO[str], calls: list[dict[str, Any]], arrived: threading.Condition) -> None:
    for line in source:
        with arrived:
            calls.append(json.loads(line))
            arrived.notify()
    # The caller has ended. Stop as on Ctrl-C, so that locks are freed and temporary files are removed.
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(20)
    os._exit(1)


def _answer(call: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": pkgutil.resolve_name(call["function"])(**call["arguments"])}
    except DynvisionError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except KeyboardInterrupt:
        return {"error": "KeyboardInterrupt", "message": ""}
    except Exception as error:  # noqa: BLE001  # the caller raises what it comes down to; the traceback is in a log file
        own = describe_error(error, name_call(call["function"], call["arguments"]))
        return {"error": type(own).__name__, "message": str(own)}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # A second one would be reported as an error at exit.
        sys.exit(130)
