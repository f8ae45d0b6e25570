"""How a command ends: with an exit code, and if it failed with one sentence; never with a traceback."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

import click

from dynvision.errors import ConfigError, DynvisionError, UnknownNameError
from dynvision.system.error_log import describe_error, write_log
from dynvision.system.escaping import show_text
from dynvision.system.failures import causes_of, explain_os_error, last_line, text_of
from dynvision.system.stopping import can_start_threads

__all__ = ["DONE", "FAILED", "INTERRUPTED", "WRONG_USAGE", "end_command", "flush_output", "usable_streams"]

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

STOPPED = "stopped; what was finished is kept, nothing is half done"


def end_command(error: BaseException) -> int:
    """Say what ended a command, and return its exit code.

    Args:
        error: What ended it.

    Returns:
        2 if a name, the usage or the configuration is wrong, 1 after any other error, 130 after Ctrl-C. If nobody
        reads the output any more (`dynvision list | head -1`), nothing is said.
    """
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt) or _is_interruption(error):
        if not can_start_threads():  # OpenBLAS interrupts its own process if it may not start its threads.
            return end_command(RuntimeError("can't start new thread"))
        _print_error(STOPPED)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        _print_error(_show_usage(error))
        return error.exit_code
    if isinstance(error, OSError) and _is_from_output(error):
        return _end_output(error)
    own = error if isinstance(error, DynvisionError) else describe_error(error)
    text = _without_traceback(text_of(own))
    # The name that is unknown is repeated, and may hold anything: it stays on its line.
    _print_error(f"error: {show_text(text, 2000) if isinstance(own, UnknownNameError) else _show_lines(text)}")
    return WRONG_USAGE if isinstance(own, ConfigError) else FAILED


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """Let anything be printed: what the terminal's encoding lacks as an escape sequence, to closed streams nothing.

    A stream that was closed (`>&-`) is opened to nowhere. Otherwise the next file that is opened would take its
    number, and what is printed would be written into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It gets the lowest number that is free: this one.
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115  # to the end of the process
    changed = [(stream, stream.errors) for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in changed:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in changed:
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def flush_output(code: int) -> int:
    """Write out what was printed, and return the exit code of the command.

    Args:
        code: The exit code if that succeeds.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        return _end_output(error) or code
    except ValueError:  # It was closed.
        return code
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        return code
    _discard(sys.stderr)
    return code


def _end_output(error: OSError) -> int:
    """Say that the answer could not be printed, unless nobody reads it; keep Python from trying again at its end."""
    is_unread = isinstance(error, BrokenPipeError) or _has_no_reader(sys.stdout)
    _discard(sys.stdout)
    if not is_unread:
        _print_error(f"error: the answer could not be written to standard output: {explain_os_error(error)}")
    return FAILED


def _print_error(text: str) -> None:
    """Print on standard error. If that fails nobody can be told, and the exit code has to do."""
    try:
        click.echo(text, err=True)
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let what is still to be written to a stream vanish."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _is_from_output(error: OSError) -> bool:
    """Whether an error comes from printing on standard output."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    is_printing = trace is not None and trace.tb_frame.f_globals.get("__name__") == "click.utils"
    is_unread = isinstance(error, BrokenPipeError) and _has_no_reader(sys.stdout)
    return error.filename is None and (is_printing or is_unread)


def _has_no_reader(stream: TextIO) -> bool:
    """Whether a stream is a pipe whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # It is no file, or this system has no poll.
        return False


def _is_interruption(error: BaseException) -> bool:
    """Whether Dagster, or another library, turned Ctrl-C into an error of its own."""
    names = {type(cause).__name__ for cause in causes_of(error, with_context=False)}
    return not isinstance(error, DynvisionError) and not names.isdisjoint(
        {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}
    )


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or DONE
    _print_error(f"error: {_show_lines(str(error.code))}")
    return FAILED


def _show_usage(error: click.ClickException) -> str:
    """Return what click says of wrong usage: the usage if it knows it, and the sentence."""
    if type(error).__name__ == "NoArgsIsHelpError":  # Its message is the help. Click has it since 8.2.
        return _show_lines(error.format_message())
    context = getattr(error, "ctx", None)
    lines = []
    if context is not None:
        lines = [context.get_usage(), f"Try '{context.command_path} --help' for help.", ""]
    message = error.format_message()
    if not isinstance(error, click.MissingParameter):  # It lists choices in lines; the others repeat what was typed.
        message = show_text(message, 600)
    return _show_lines("\n".join([*lines, f"Error: {message}"]))


def _show_lines(text: str) -> str:
    """Return a text with every character that a terminal would obey as its escape sequence; newlines stay."""
    return "\n".join(show_text(line) for line in text.split("\n"))


def _without_traceback(text: str) -> str:
    """Return a message whose traceback, as torch's worker processes append it, is in a log file instead."""
    if not text.startswith("Caught ") or "Traceback (most recent call last)" not in text:
        return text
    log = write_log(text)
    return text if log is None else f"{last_line(text)} (The traceback is in {log}.)"
