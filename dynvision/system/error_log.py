"""Errors that nobody expected: a sentence for the user, and the traceback in a log file that the sentence names."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import sysconfig
import tempfile
import traceback
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError, UnexpectedError
from dynvision.system.escaping import show_text
from dynvision.system.failures import causes_of, find_machine_error, find_own_error, last_line, text_of

__all__ = ["describe_error", "log_folders", "machine_errors", "name_call", "write_log"]

KEPT = 100
"""So many log files are kept; older ones are removed."""

_PACKAGES = ("dynvision", "dynvision_assets")


@contextlib.contextmanager
def machine_errors() -> Iterator[None]:
    """Raise what the machine refused as a sentence; let all other errors pass.

    Raises:
        MachineError: If the disk is full, something cannot be read, a limit is too low, and so on.
    """
    try:
        yield
    except DynvisionError:
        raise
    except Exception as error:
        refusal = find_machine_error(error)
        if refusal is None:
            raise
        raise refusal from error


def describe_error(error: BaseException, doing: str = "") -> DynvisionError:
    """Return the error for users that an error comes down to.

    Args:
        error: Any error.
        doing: What was being done, for the start of the sentence.

    Returns:
        The error for users in its chain of causes, if there is one. Otherwise a `MachineError` if the machine refused
        something (see `find_machine_error`), or an `UnexpectedError` that says whose code failed. Those two name the
        file with the traceback, which this function writes.
    """
    own = find_own_error(error)
    if own is not None:
        return own
    trace = "".join(traceback.format_exception(error))
    log = write_log(trace, doing)
    prefix = f"{doing}: " if doing else ""
    machine = find_machine_error(error)
    if machine is not None:
        note = f" (The traceback is in {log}.)" if log is not None else ""
        return type(machine)(f"{prefix}{machine}{note}")
    return UnexpectedError(f"{prefix}{_blame(error)} {_say_where(log, trace)}")


def name_call(function: str, arguments: Mapping[str, Any]) -> str:
    """Name a call of a function for the start of a message: its first targets, or the function if it has none."""
    return ", ".join(arguments.get("targets", [])[:3]) or function


def write_log(trace: str, doing: str = "") -> Path | None:
    """Write a traceback to a new log file.

    Args:
        trace: The traceback.
        doing: What was being done.

    Returns:
        The file, in the first of `log_folders` that can be written; `None` if none can.
    """
    now = datetime.datetime.now(datetime.UTC)
    name = f"{now:%Y-%m-%dT%H-%M-%S}-{os.getpid()}-{uuid.uuid4().hex[:6]}.log"
    head = f"{now.isoformat(timespec='seconds')}\n{show_text(' '.join(sys.argv))}\n{show_text(doing)}\n\n"
    for folder in log_folders():
        path = folder / name
        with contextlib.suppress(OSError, RuntimeError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                # Only the user reads it: it may show settings.
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                    file.write((head + trace).encode(errors="backslashreplace"))
            except OSError:
                path.unlink(missing_ok=True)  # half of it, on a full disk
                raise
            _remove_old(folder)
            return path
    return None


def log_folders() -> Iterator[Path]:
    """Yield where log files may lie: `$XDG_STATE_HOME/dynvision/logs`, or the folder of temporary files."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    if os.path.isabs(state):  # noqa: PTH117
        yield Path(state) / "dynvision" / "logs"
    with contextlib.suppress(OSError):
        yield Path(tempfile.gettempdir()) / f"dynvision-{os.geteuid()}" / "logs"


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.glob("????-??-??T??-??-??-*.log"))[:-KEPT]:
        path.unlink(missing_ok=True)


def _blame(error: BaseException) -> str:
    """Say in one sentence what failed, and in which line of whose code."""
    cause = next((c for c in causes_of(error) if isinstance(c, Exception) and _own_frame(c)), error)
    text = show_text(last_line(text_of(cause)), 300)
    said = type(cause).__name__ + (f": {text}" if text else "")
    frame = _own_frame(cause)
    if frame is None:
        return f"an error that was not expected: {said}. If it happens again, report it with the traceback."
    place = f"{show_text(frame.filename)}, line {frame.lineno}, in {frame.name}"
    return f"{said} ({place}). Mend that code, then run this again."


def _own_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last frame that is neither in an installed package nor in this project: code of the user's."""
    ours = Path(__file__).resolve().parent.parent.parent
    foreign = [Path(path) for name, path in sysconfig.get_paths().items() if "lib" in name]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        is_ours = any(path.is_relative_to(ours / package) for package in _PACKAGES)
        is_installed = frame.filename.startswith("<") or any(path.is_relative_to(folder) for folder in foreign)
        if not (is_ours or is_installed or path == Path(sys.argv[0]).absolute()):
            return frame
    return None


def _say_where(log: Path | None, trace: str) -> str:
    if log is not None:
        return f"The traceback is in {log}."
    return f"No log file can be written, so here is the traceback:\n{trace}"
