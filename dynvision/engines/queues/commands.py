"""The commands of a batch system: submitting jobs, asking how they are, and cancelling them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dynvision.engines.queues.canceller import ONCE, PERSISTENT, start_canceller
from dynvision.engines.queues.dialects import Dialect
from dynvision.engines.queues.states import JobState
from dynvision.engines.queues.submission import Submission
from dynvision.errors import ConfigError, DynvisionError
from dynvision.system.environment import OF_WORKERS

__all__ = ["BusyError", "Commands", "RefusedError"]

_PATIENCE = 60.0
"""Seconds that a command may take; a loaded batch system answers late."""

_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS", *OF_WORKERS)
"""Of the variables that are left out, those that stay: where Slurm is, and what workers read."""

_LEFT_OUT = ("SLURM_", "DYNVISION_")
"""Slurm's variables say what the job has in which a command runs; a new job would take them for its own. A variable of
this project may hold a password, as DYNVISION_POSTGRES does."""

_BUSY = re.compile(
    r"(?i)timed out|timeout|unable to contact|connection refused|temporar|try again|not responding|submit limit"
    r"|MaxSubmit"
)
"""Words of a batch system that may take the same job later."""


class RefusedError(ConfigError):
    """The batch system does not take a job; the message quotes its words."""


class BusyError(DynvisionError):
    """The batch system cannot be reached, or takes no more jobs for now; the message quotes its words."""


class Commands:
    """The commands of a batch system on this machine.

    Args:
        dialect: The batch system.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._submission: Submission | None = None

    def check(self) -> None:
        """Raise if a job cannot be submitted from this machine.

        Raises:
            ConfigError: If the commands are not here.
        """
        for command in (self._dialect.submit, self._dialect.cancel, self._dialect.ask(["0"])[0]):
            if shutil.which(command) is None:
                raise ConfigError(
                    f"{command} is not on this machine, so that no job of {self._dialect.title} can be started: run "
                    "this on a login node of the cluster, or choose another engine, as with --engine local."
                )

    def submit(self, script: Path) -> str:
        """Submit a job, and return its number.

        Args:
            script: The file with its script.

        Raises:
            BusyError: If it may be taken later.
            RefusedError: If it is not taken, or nothing says its number.
        """
        command = [self._dialect.submit]
        reads = self._dialect.script_on == "input"
        if self._dialect.script_on == "path":
            command.append(str(script))
        elif not reads:
            command += _as_words(script.read_text())
        done = self._run_submission(command, script, reads)
        words = _last_words(done)
        if done.returncode:
            if _BUSY.search(words):
                raise BusyError(f"{self._dialect.title} takes no job for now ({command[0]}: {words})")
            raise RefusedError(f"{self._dialect.title} refuses a job ({command[0]}: {words})")
        found = re.search(self._dialect.job_id, done.stdout)
        if found is None:
            raise RefusedError(f"{command[0]} names no job in what it says: {words}")
        return found[1]

    def states(self, jobs: Sequence[str]) -> Mapping[str, JobState] | None:
        """Return the state of jobs. Those that the batch system does not know any more have ended.

        Returns:
            `None` if it does not answer, so that nothing is known.
        """
        if not jobs:
            return {}
        try:
            done = self._run(self._dialect.ask(list(jobs)))
        except BusyError:
            return None
        if done.returncode and not re.search(self._dialect.gone, done.stdout + done.stderr):
            return None
        known = self._dialect.read(done.stdout)
        return {job: known.get(job, JobState("ended")) for job in jobs}

    def describe(self, job: str, seconds: float) -> dict[str, str]:
        """Return what Slurm knows of a job, by its own words such as `JobState`; nothing for other batch systems."""
        if self._dialect.submit != "sbatch":
            return {}
        try:
            done = self._run(["scontrol", "--oneliner", "show", "job", job], seconds=seconds)
        except BusyError:
            return {}
        return dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)

    def leave_submission(self) -> bool:
        """Let a job that is just being submitted in another thread be cancelled as soon as it has a number.

        Returns:
            Whether there is one.
        """
        submission = self._submission
        return submission is not None and submission.leave()

    def cancel(self, jobs: Sequence[str], seconds: float | None = None) -> bool:
        """Cancel jobs. Those that have ended are no error.

        Args:
            jobs: Their numbers.
            seconds: How long it is waited for. With a number it goes on after that by itself, and tries again for some
                minutes if the batch system does not answer; `None` is for who tries again.

        Returns:
            Whether the batch system has said that it does so.
        """
        if not jobs:
            return True
        pauses = ONCE if seconds is None else PERSISTENT
        try:
            process = start_canceller(self._dialect.cancel, jobs, pauses, self._dialect.over, _environment())
            return process.wait(_PATIENCE if seconds is None else seconds) == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _run_submission(self, command: list[str], script: Path, reads: bool) -> subprocess.CompletedProcess[str]:
        given = script if reads else None
        try:
            with Submission(self._dialect, command, given, _environment()) as submission:
                self._submission = submission
                try:
                    return submission.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    submission.leave()  # Otherwise it may start later, and nobody knows its number.
                    raise _late(command, _PATIENCE) from None
                finally:
                    self._submission = None
        except OSError as error:
            if not script.is_file():
                raise
            raise BusyError(f"{command[0]} cannot be run: {error.strerror}") from None

    def _run(self, command: list[str], seconds: float = _PATIENCE) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                env=_environment(),
                check=False,
                start_new_session=True,  # Ctrl-C at a terminal reaches the controller alone.
            )
        except subprocess.TimeoutExpired:
            raise _late(command, seconds) from None
        except OSError as error:
            raise BusyError(f"{command[0]} cannot be run: {error.strerror}") from None


def _late(command: Sequence[str], seconds: float) -> BusyError:
    return BusyError(f"{command[0]} did not answer within {seconds:.0f} s")


def _environment() -> dict[str, str]:
    """Return the variables of this process without those that describe the job that it may be in, and its secrets.

    Most batch systems give a job the variables of the command that submits it.
    """
    return {k: v for k, v in os.environ.items() if k in _KEPT or not k.startswith(_LEFT_OUT)}


def _as_words(script: str) -> list[str]:
    """Return the options of a script's header, and the rest as one word: OAR wants the file on the node otherwise."""
    lines = script.splitlines()
    options = [shlex.split(line.removeprefix("#OAR ")) for line in lines if line.startswith("#OAR ")]
    rest = "\n".join(line for line in lines if not line.startswith("#"))
    return [*(word for words in options for word in words), rest.strip()]


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said, on one line."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    words = [re.sub(r"^\w+: (error: )?", "", line) for line in lines]
    return "; ".join(words[-3:])[:400] or f"exit code {done.returncode}"
