"""A child process that was forked, with the part of `subprocess.Popen` that its owner needs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO, NoReturn

__all__ = ["ForkedProcess", "fork_process"]


class ForkedProcess:
    """A child of this process.

    Args:
        pid: The child.
        stdin: The pipe to its standard input.
        stdout: The pipe from its standard output.

    Attributes:
        returncode: As `subprocess.Popen` has it: `None` while the child runs, negative after a signal.
    """

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return how the child ended; `None` if it still runs."""
        with self._lock:  # Only one thread is told how it ended.
            if self.returncode is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # Somebody else has waited for it, and knows how it ended.
                    self.returncode = 0
                else:
                    self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the child.

        Args:
            timeout: How long, in seconds; `None` for ever.

        Raises:
            subprocess.TimeoutExpired: If it still runs after that.
        """
        deadline, pause = None if timeout is None else time.monotonic() + timeout, 0.001
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return code


def fork_process(function: Callable[[], object]) -> ForkedProcess:
    """Call a function in a copy of this process, which must have no other threads.

    Args:
        function: It finds the two pipes as its standard input and output. The process ends with it.

    Raises:
        OSError: If no process can be started.
    """
    to_child, from_child = os.pipe(), os.pipe()
    try:
        pid = os.fork()
    except OSError:
        for end in (*to_child, *from_child):
            os.close(end)
        raise
    if not pid:
        _become(function, to_child, from_child)
    os.close(to_child[0])
    os.close(from_child[1])
    return ForkedProcess(pid, os.fdopen(to_child[1], "wb", buffering=0), os.fdopen(from_child[0], "rb", buffering=0))


def _become(function: Callable[[], object], to_child: tuple[int, int], from_child: tuple[int, int]) -> NoReturn:
    """Call the function in the child, and end it."""
    code = 1
    try:
        os.close(to_child[1])
        os.close(from_child[0])
        os.dup2(to_child[0], 0)
        os.dup2(from_child[1], 1)
        os.close(to_child[0])
        os.close(from_child[1])
        function()
        code = 0
    except BaseException:  # noqa: BLE001  # the process ends with it
        traceback.print_exc()
    finally:
        os._exit(code)
