"""A command that submits a job, which can be left to itself: the job is cancelled when it is known."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from dynvision.engines.queues.canceller import PERSISTENT, start_canceller
from dynvision.engines.queues.dialects import Dialect

__all__ = ["Submission"]


class Submission:
    """A running command that submits a job. Use it in a `with` block.

    Args:
        dialect: The batch system.
        command: The command.
        script: The file that it reads; `None` for nothing.
        environment: Its variables.

    Raises:
        OSError: If the command cannot be run, or the script cannot be read.
    """

    def __init__(
        self, dialect: Dialect, command: Sequence[str], script: Path | None, environment: Mapping[str, str]
    ) -> None:
        self._dialect, self._environment = dialect, environment
        self._lock = threading.Lock()
        self._is_open = True
        with contextlib.ExitStack() as stack:
            self._said = stack.enter_context(tempfile.TemporaryFile())
            self._complained = stack.enter_context(tempfile.TemporaryFile())
            given = stack.enter_context(script.open("rb")) if script is not None else subprocess.DEVNULL
            # Only the command has the other end of the pipe: it is closed when that ends.
            self._ended, running = os.pipe()
            stack.callback(os.close, self._ended)
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=given,
                    stdout=self._said,
                    stderr=self._complained,
                    env=dict(environment),
                    pass_fds=(running,),
                    start_new_session=True,  # Ctrl-C at a terminal reaches the controller alone.
                )
            finally:
                os.close(running)
            self._files = stack.pop_all()

    def wait(self, seconds: float) -> subprocess.CompletedProcess[str]:
        """Wait for the command, and return what it said.

        Raises:
            subprocess.TimeoutExpired: If it takes longer.
        """
        code = self._process.wait(seconds)
        words = [
            os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace") for file in (self._said, self._complained)
        ]
        return subprocess.CompletedProcess(self._process.args, code, *words)

    def leave(self) -> bool:
        """Let a process of its own wait for the command and cancel the job; it goes on if this one ends.

        Returns:
            Whether it does; otherwise the command has ended, and whoever waited for it knows the job.
        """
        with self._lock:
            if self._is_open:
                start_canceller(
                    self._dialect.cancel,
                    [],
                    PERSISTENT,
                    self._dialect.over,
                    self._environment,
                    (self._ended, self._said.fileno()),
                    self._dialect.job_id,
                )
            return self._is_open

    def __enter__(self) -> Submission:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._is_open = False
            self._files.close()
