"""The command that frees locks: `unlock`."""

from __future__ import annotations

import sys

import click

from dynvision_assets.commands.completion import TargetName
from dynvision_assets.commands.support import FAILED, TARGETS, open_workspace, parse_targets, readable_errors

__all__ = ["unlock"]

UNLOCK = f"""Free TARGETs that a process which has ended left locked.

{TARGETS}

\b
Examples:
  dynvision unlock raw/gratings:train
  dynvision unlock --force processed/gratings     if their owner is on another machine, and has ended for sure

The lock of a process that was killed is free by itself; this says so, and removes its note. What a running process
builds stays locked: its id, machine, job and command are printed. If the owner is on another machine or in another
container, its lock is free once it has given no sign of life for 5 minutes; until then that is printed with what to
do, as it is if a process that the owner started keeps the lock. A process whose lock was freed by force puts nothing
in place. Nothing in data/ is removed. The exit code is 0 if all are free, and 1 if one is not.
"""


@click.command(help=UNLOCK, short_help="Free targets that a killed process left locked.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…", type=TargetName())
@click.option("--force", is_flag=True, help="Free them also if it cannot be seen whether their owner has ended.")
def unlock(targets: tuple[str, ...], force: bool) -> None:
    """Free targets that a killed process left locked."""
    from dynvision.workspace.unlocking import unlock_target

    with readable_errors():
        workspace = open_workspace()
        all_are_free = True
        for target in parse_targets(workspace, targets):
            for done in unlock_target(workspace, target, force=force):
                click.echo(f"{target}: {done.sentence}")
                all_are_free &= done.is_free
        if not all_are_free:
            sys.exit(FAILED)
