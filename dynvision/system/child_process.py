"""Running library functions in a child process, and telling its death from their errors."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import IO, Any

from dynvision import errors
from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.system.error_log import name_call

__all__ = ["ComputeProcess", "shared_process"]

_MEMORY_FAULTS = {int(signal.SIGBUS), int(signal.SIGSEGV)}
_STARTED: dict[int, ComputeProcess] = {}

KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_ARENA_MAX": "2",
}
"""Settings of glibc's allocator, unless the user has set them.

By default glibc returns every large tensor to the system and asks for it again, page by page, which takes a quarter of
a small network's time. And each thread that writes responses gets an arena of its own, so that a longer run would need
more memory."""


class ComputeProcess:
    """A child process that is started with the first call and answers one call after another."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def call(self, function: str, tell: Callable[[str], object] | None = None, **arguments: Any) -> Any:
        """Call `module:function` in the child.

        Args:
            function: The import path.
            tell: Takes lines about the progress of the call, one at least every ten seconds while there is something
                to count.
            arguments: JSON-ready arguments.

        Raises:
            DynvisionError: If the function raised one (of the same class), or the child died. Any other error is an
                `UnexpectedError` or `MachineError`, whose traceback is in the log file that it names.
            DamagedFileError: If the child died of a memory fault, as it does if a file is truncated while it is read.
            KeyboardInterrupt: If the child was interrupted.
        """
        child = self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            try:
                child.stdin.write(json.dumps({"function": function, "arguments": arguments}) + "\n")
                child.stdin.flush()
                answer = _read_answer(child.stdout, tell)
            except BrokenPipeError:
                answer = None
        except BaseException:  # If this process is interrupted, the child must not go on alone.
            self.close()
            raise
        if answer is None:
            raise self._explain_death(function, arguments)
        if "error" not in answer:
            return answer["result"]
        if answer["error"] == "KeyboardInterrupt":
            self.close()
            raise KeyboardInterrupt
        raise getattr(errors, answer["error"], DynvisionError)(answer["message"])

    def close(self) -> None:
        """End the child: first as on Ctrl-C, so that it removes its temporary files, then by force."""
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(OSError):
            child.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        for number, patience in ((signal.SIGINT, 15.0), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=0.2 if number == signal.SIGINT else 0)
                break
            child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=patience)
                break
        with contextlib.suppress(OSError):
            child.stdout.close()  # type: ignore[union-attr]

    def _start(self) -> subprocess.Popen[str]:
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "dynvision.system.child_main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**KEPT_MEMORY, **os.environ},
            )
        return self._child

    def _explain_death(self, function: str, arguments: dict[str, Any]) -> DynvisionError:
        child, self._child = self._child, None
        code = child.wait() if child is not None else 0
        name = name_call(function, arguments)
        if -code in _MEMORY_FAULTS:
            return DamagedFileError(
                f"{name}: the process that reads the images died of a memory fault ({signal.Signals(-code).name}): a "
                "file was truncated or damaged while it was read. Nothing was recorded. Check the files it is made "
                "from: dynvision verify, then run this again."
            )
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return DynvisionError(
            f"{name}: the process that computes it stopped ({how}); its last words are above, or in the run's log. "
            "Out of memory looks like signal 9. Nothing was recorded; run this again."
        )

    @property
    def is_running(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None and self._child.poll() is None


def _read_answer(output: IO[str], tell: Callable[[str], object] | None) -> dict[str, Any] | None:
    """Read lines about the progress of a call, then its answer; return `None` if the child has ended."""
    for line in output:
        message: dict[str, Any] = json.loads(line)
        if "progress" not in message:
            return message
        if tell is not None:
            tell(message["progress"])
    return None


def shared_process() -> ComputeProcess:
    """Return the child process of this process. It is the same one at every call, so libraries are imported once."""
    if os.getpid() not in _STARTED:  # A fork has no child of its own yet.
        _STARTED.clear()
        _STARTED[os.getpid()] = ComputeProcess()
        atexit.register(_STARTED[os.getpid()].close)
    return _STARTED[os.getpid()]
