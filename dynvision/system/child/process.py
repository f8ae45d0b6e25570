"""Running library functions in a child process, and telling its death from their errors."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from dynvision import errors
from dynvision.errors import DamagedFileError, DynvisionError, KilledError
from dynvision.system.child.forked import ForkedProcess, fork_process
from dynvision.system.child.main import main as answer_calls
from dynvision.system.child.pipes import exchange
from dynvision.system.child.watch import ChildWatch
from dynvision.system.environment import without_launcher
from dynvision.system.error_log import name_call
from dynvision.system.process_trees import continue_tree, kill_tree
from dynvision.system.stopping import STOP_SIGNALS, STOPPING, hold_signals

__all__ = ["ComputeProcess", "shared_process"]

Child = subprocess.Popen[bytes] | ForkedProcess

_MEMORY_FAULTS = {int(signal.SIGBUS), int(signal.SIGSEGV)}
_STARTED: dict[int, ComputeProcess] = {}

_PATIENCE = 3.0
"""Seconds that a child may take to clean up. Stopping takes less than five in all."""

KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "2",
}
"""Settings of glibc's allocator, unless the user has set them.

By default glibc returns every large tensor to the system and asks for it again, page by page, which takes a quarter of
a small network's time. And each thread that writes responses gets an arena of its own, so that a longer run would need
more memory."""


class _NotWantedInterrupt(KeyboardInterrupt):
    """The end of a call that nobody waits for any more; no signal came."""


class ComputeProcess:
    """A child process that is started with the first call and answers one call after another."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def call(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """Call `module:function` in the child with JSON-ready arguments; see `run`."""
        return self.run(function, arguments, tell)

    def run(
        self,
        function: str,
        arguments: Mapping[str, Any],
        tell: Callable[[str], object] | None = None,
        is_wanted: Callable[[], bool] | None = None,
    ) -> Any:
        """Call `module:function` in the child.

        If the child is stopped, or does nothing for a minute, a line says so.

        Args:
            function: The import path.
            arguments: JSON-ready arguments.
            tell: Takes lines about the progress of the call, one at least every ten seconds while there is something
                to count.
            is_wanted: Asked at least every half second; if it says no, the call is interrupted.

        Raises:
            DynvisionError: If the function raised one (of the same class), the arguments are not JSON-ready, or the
                child could not be started or died. Any other error is an `UnexpectedError` or `MachineError`, whose
                traceback is in the log file that it names.
            DamagedFileError: If the child died of a memory fault, as it does if a file is truncated while it is read.
            KeyboardInterrupt: If the child was told to end by a signal, or the call is not wanted any more.
        """
        name = name_call(function, arguments)
        request = _encode(name, {"function": function, "arguments": dict(arguments)})
        try:
            child = self._start(name)
            answer = _ask(child, request, name, tell, is_wanted)
            if answer is None and _end_of(child) == 0:  # It was told to end before it took the call.
                answer = _ask(self._start(name), request, name, tell, is_wanted)
        except BaseException as error:  # If this process is interrupted, the child must not go on alone.
            STOPPING.was_raised |= not isinstance(error, Exception | _NotWantedInterrupt)
            self._close(drop_signals=True)
            raise
        if answer is None:
            raise self._explain_death(name)
        if "error" not in answer:
            return answer["result"]
        if answer["error"] == "KeyboardInterrupt":
            self.close()
            raise KeyboardInterrupt
        raise getattr(errors, answer["error"], DynvisionError)(answer["message"])

    def fork(self, prepare: Callable[[], object]) -> None:
        """Start the child now, as a copy of this process, which must have no other threads.

        What this process has imported, the child need not import again, and both share its memory. A child that has to
        be replaced later is started as always.

        Args:
            prepare: Called in the child before it takes its first call.
        """
        # As in `_start`: the child unblocks them when it can take care of them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._child = fork_process(lambda: _serve(prepare))
        except OSError:
            self._child = None  # It is started with the first call, or that says why it cannot be.
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def close(self) -> None:
        """Tell the child to end; a running call removes its temporary files. Kill it if that takes too long."""
        self._close(drop_signals=False)

    def _close(self, drop_signals: bool) -> None:
        with hold_signals(drop_signals):
            child, self._child = self._child, None
            if child is None:
                return
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(OSError):  # The pipe may be full or broken. Closing it says the same.
                os.write(child.stdin.fileno(), b'{"stop": true}\n')
            with contextlib.suppress(OSError):
                child.stdin.close()
            if child.poll() is None:
                continue_tree(child.pid)
            # Nobody reads an answer that is still on its way. It must not keep the child from ending.
            _drain(child, _PATIENCE)
            if child.poll() is None:
                kill_tree(child.pid)
                with contextlib.suppress(subprocess.TimeoutExpired):  # It waits for a disk that does not answer.
                    child.wait(timeout=0.5)
            child.stdout.close()

    def _start(self, name: str) -> Child:
        if self._child is not None and self._child.poll() is None:
            return self._child
        # The child starts with these signals blocked, and unblocks them when it can take care of them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "dynvision.system.child.main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**KEPT_MEMORY, **without_launcher(os.environ)},
            )
        except (OSError, MemoryError) as error:
            raise DynvisionError(
                f"{name}: the process that computes it cannot be started: {error}. Close other programs, or raise the "
                "limits of memory, files and processes (ulimit -a shows them), then run this again."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return self._child

    def _explain_death(self, name: str) -> DynvisionError:
        child, self._child = self._child, None
        code = _end_of(child) if child is not None else 0
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("\n")  # Its progress bar may stand in the middle of a line.
        if -code in _MEMORY_FAULTS:
            return DamagedFileError(
                f"{name}: the process that reads the images died of a memory fault ({signal.Signals(-code).name}): a "
                "file was truncated or damaged while it was read. Check the files it is made from (dynvision verify), "
                "then run this again."
            )
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        kind = KilledError if -code == signal.SIGKILL else DynvisionError
        return kind(
            f"{name}: the process that computes it stopped ({how}); its last words are above, or in the run's log. "
            "Out of memory looks like signal 9. Run this again."
        )

    @property
    def is_running(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None and self._child.poll() is None


def _serve(prepare: Callable[[], object]) -> None:
    """Be a computing child that was forked."""
    for name in os.environ.keys() - without_launcher(os.environ).keys():
        del os.environ[name]
    prepare()
    answer_calls()


def _encode(name: str, call: dict[str, Any]) -> bytes:
    try:
        return json.dumps(call).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise DynvisionError(
            f"{name}: its arguments cannot be passed to the process that computes it: {error}. Use numbers, texts, "
            "lists and mappings only."
        ) from error


def _ask(
    child: Child,
    request: bytes,
    name: str,
    tell: Callable[[str], object] | None,
    is_wanted: Callable[[], bool] | None,
) -> dict[str, Any] | None:
    """Return the child's answer to a request, and pass on its lines about progress; `None` if it has ended."""
    watch = ChildWatch(child.pid, name, tell)
    for message in exchange(child, request):
        watch.look()
        if is_wanted is not None and not is_wanted():
            raise _NotWantedInterrupt
        if message is not None and "progress" not in message:
            return message
        if message is not None and tell is not None:
            tell(message["progress"])
    return None


def _drain(child: Child, patience: float) -> None:
    """Wait until a child has ended, and read what it still writes."""
    assert child.stdout is not None
    os.set_blocking(child.stdout.fileno(), False)
    deadline, pause = time.monotonic() + patience, 0.001
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            while os.read(child.stdout.fileno(), 1 << 20):
                pause = 0.001
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _end_of(child: Child) -> int:
    """Return how a child ended that no longer writes; end it if it goes on all the same."""
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]  # both are pipes
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.wait(timeout=_PATIENCE)
    kill_tree(child.pid)
    return child.wait()


def shared_process() -> ComputeProcess:
    """Return the child process of this process. It is the same one at every call, so libraries are imported once."""
    if os.getpid() not in _STARTED:  # A fork has no child of its own yet.
        _STARTED.clear()
        _STARTED[os.getpid()] = ComputeProcess()
        atexit.register(_STARTED[os.getpid()].close)
    return _STARTED[os.getpid()]
