"""The command `doctor`: whether targets can be computed where they are to be."""

from __future__ import annotations

import click

from dynvision.engines.opening import open_engine
from dynvision.system.progress import say
from dynvision_assets.commands.engines import engine_option, find_settings
from dynvision_assets.commands.support import json_option, open_workspace, print_json, readable_errors

__all__ = ["doctor"]


@click.command(short_help="Find out whether targets can be computed here, or by an engine.")
@engine_option
@json_option
def doctor(engine: str | None, as_json: bool) -> None:
    """Look at files, locks, clock, disk, GPUs and versions; with an engine on both sides.

    With an engine that has workers elsewhere, a short job is sent to one of them. It looks at the same things there,
    and both sides are compared: a file that is written here has to be seen there and back, a lock that is taken here
    has to keep the worker out, clocks may differ by less than 2 s, and versions have to be the same.

    \b
    Examples:
      dynvision doctor                    this machine
      dynvision doctor --engine slurm     this machine and a job of the queue

    The exit code is 0 if all is well, 1 if something is not; the advice says what to do.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    with readable_errors():
        workspace = open_workspace()
        settings = find_settings(workspace, engine, None)
        from dynvision.workspace.doctor import ask_doctor

        found = []
        with open_engine(settings) as opened:
            for finding in ask_doctor(workspace, opened, say):
                found.append(finding)
                if not as_json:
                    click.echo(f"{'ok ' if finding.is_fine else 'NOT'}  {finding.name}: {finding.sentence}")
        wrong = [finding for finding in found if not finding.is_fine]
        if as_json:
            print_json([vars(finding) for finding in found])
        elif wrong:
            click.echo("\nWhat to do:")
            for finding in wrong:
                click.echo(f"  {finding.name}: {finding.advice}")
    if wrong:
        raise SystemExit(1)
