"""Running Python and the command line on a root, in a process of its own or in this one."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import click.testing

from dynvision_assets.command_line import main


def environment(root: Path) -> dict[str, str]:
    """The environment of a child process: this root, its own Dagster instance, no other setting of the project."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "DYNVISION_"))}
    return {**inherited, "DYNVISION_ROOT": str(root), "DAGSTER_HOME": str(root / ".dagster")}


def run_python(root: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run Python on a root. The working directory is the root, so the project is imported as it is installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_dynvision(root: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command line in a child process."""
    return run_python(root, "-m", "dynvision_assets.command_line", *arguments, timeout=timeout)


def call_dynvision(root: Path | None, *arguments: str) -> click.testing.Result:
    """Run the command line in this process, by default for the root of the current folder.

    Unexpected errors are raised.
    """
    home = None if root is None else str(root / ".dagster")
    variables = {"DYNVISION_ROOT": None if root is None else str(root), "DAGSTER_HOME": home, "DYNVISION_CONFIG": None}
    runner = click.testing.CliRunner(env=variables)
    return runner.invoke(main, list(arguments), prog_name="dynvision", catch_exceptions=False)


def cpu_seconds_of_children() -> float:
    """How long processors worked for the processes that this one started and that have ended, in seconds.

    Unlike the time on the clock it does not depend on what else the machine does.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
