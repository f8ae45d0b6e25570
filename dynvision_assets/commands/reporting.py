"""The command that writes pages: `report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynvision.errors import MissingError
from dynvision.reports.content import PAGE
from dynvision.system.escaping import show_text
from dynvision_assets.commands.completion import TargetName
from dynvision_assets.commands.support import (
    FAILED,
    TARGETS,
    json_option,
    open_workspace,
    parse_targets,
    print_json,
    readable_errors,
)

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Workspace
    from dynvision.workspace.reporting import Reported

__all__ = ["print_page", "report"]

REPORT = f"""Write the page of TARGETs, which are summaries; by default of every summary that has been made.

{TARGETS}

\b
Examples:
  dynvision report
  dynvision report summary/contrast/rcnn_gratings
  xdg-open "$(dynvision report summary/contrast/rcnn_gratings --json | jq -r '.[0].path')"

A page holds the stimulus, time courses, tuning with fits, all numbers, what it was made from, and how to make it again:
one HTML file that needs no network. A summary writes its page when it is made; this writes it again from its tables
and pictures, and computes nothing. The page of what is not up to date says so.

data/reports/index.html lists all of them.
"""


@click.command(help=REPORT, short_help="Write the pages of summaries, and their index.")
@click.argument("targets", nargs=-1, metavar="[TARGET…]", type=TargetName())
@json_option
def report(targets: tuple[str, ...], as_json: bool) -> None:
    """Write the pages of summaries, and their index."""
    with readable_errors():
        from dynvision.workspace.reporting import find_reported, write_reports

        workspace = open_workspace()
        chosen = parse_targets(workspace, targets) if targets else find_reported(workspace)
        if not chosen:
            raise MissingError("no summary has been made. Make one: dynvision demo, or dynvision experiment NAME")
        pages = []
        for page in write_reports(workspace, chosen):
            pages.append(page)
            if page.path is None:
                click.echo(f"error: {show_text(page.problem)}", err=True)
            elif not as_json:
                state = " (not up to date)" if page.notice else ""
                click.echo(f"{page.target}: {workspace.paths.relative(page.path)}{state}")
        written = [page.path for page in pages if page.path is not None]
        if as_json:
            print_json([_describe(page) for page in pages])
        elif written:
            newest = written[0] if len(pages) == 1 else _index_of(workspace)
            click.echo(f"open it in a browser: {newest.as_uri()}")
        if len(written) < len(pages):
            sys.exit(FAILED)


def print_page(workspace: Workspace, target: Target) -> None:
    """Print where the page of a target is, if it has one."""
    path = workspace.stage(target).output(target) / PAGE
    if path.is_file():
        click.echo(f"page: {path.as_uri()}")


def _describe(page: Reported) -> dict[str, str]:
    """Return what became of a page, as JSON-ready values."""
    if page.path is None:
        return {"target": str(page.target), "error": page.problem}
    notice = {"notice": page.notice} if page.notice else {}
    return {"target": str(page.target), "path": str(page.path), "url": page.path.as_uri(), **notice}


def _index_of(workspace: Workspace) -> Path:
    return workspace.paths.data / "reports" / PAGE
