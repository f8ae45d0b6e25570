"""The command that starts a server: `ui`."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import click

from dynvision.errors import DynvisionError
from dynvision.system.files import make_directory
from dynvision.system.locks import hold_until_exit
from dynvision_assets.commands.support import open_workspace, readable_errors
from dynvision_assets.instances.homes import describe_home
from dynvision_assets.instances.opening import LOCATIONS_FILE, open_instance, prepare_home
from dynvision_assets.instances.run_processes import fail_dead_runs, find_unseen_runs
from dynvision_assets.ports import advise_port, check_port, format_address, is_local
from dynvision_assets.serving.companion import Order, can_open_browser, listen_for_reports, start_companion
from dynvision_assets.serving.links import REPORTS, asset_page, find_newest_summary, read_url

if TYPE_CHECKING:
    from pathlib import Path

    from dynvision.workspace import Workspace

__all__ = ["ui"]

DEFAULT_HOST = "127.0.0.1"

SERVERS = "servers"
"""The folder in the home that servers work in, with the locks that say what each of them does."""

_MOST_NAMED = 5
"""How many runs a line names."""


@click.command(short_help="Open the graph in the browser.")
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--read-only", is_flag=True, help="Show everything, but run nothing: no launching, no switches, no daemon."
)
@click.option(
    "--reports-url", metavar="URL", help="Where a browser reaches the reports, if a proxy stands in front of them."
)
@click.option("--no-open", is_flag=True, help="Only print the links: do not open the browser.")
def ui(host: str, port: int, read_only: bool, reports_url: str | None, no_open: bool) -> None:
    """Open Dagster's UI for this root: the graph, its runs, pictures and backfills.

    When the server is up, it prints links to the lineage, the newest summary and the reports, and opens the browser if
    this is a terminal with a display. The reports of data/reports are served on the first free port from --port + 100
    on (3100); nothing else is. --reports-url says by which address a browser gets there through a proxy.

    Dagster has no login: whoever reaches the address can run things, including any code that the configuration names.
    By default the server listens only on this machine; --host changes that. To let others in, put a proxy with a login
    in front of it, or use an SSH tunnel (ssh -L 3000:127.0.0.1:3000 machine).

    \b
    Examples:
      dynvision ui
      dynvision ui --port 3001
      dynvision ui --read-only --host 0.0.0.0     for showing; others can look but not run anything

    Settings of the instance are in .dagster/dagster.yaml, which is written once and then yours to change. Runs and
    events are kept in SQLite next to it, or in PostgreSQL if $DYNVISION_POSTGRES is set
    (postgresql://user:password@host/database; needs the extra 'postgres'). At the start, runs that a power cut or a
    kill left unfinished are marked as failed. Several servers may work on one root: the first one has the daemon that
    starts runs and backfills for all.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    with readable_errors():
        command = "dynvision ui" + (" --read-only" if read_only else "")
        command += "" if host == DEFAULT_HOST else f" --host {shlex.quote(host)}"
        reports_url = None if reports_url is None else read_url(reports_url)
        check_port(host, port, command)
        workspace = open_workspace()
        home = prepare_home(workspace.paths)
        _check_instance(home, read_only)
        folder = make_directory(home / SERVERS)
        if not hold_until_exit(folder / f"port-{port}"):
            raise DynvisionError(
                f"port {port} is about to be used by another dynvision ui. {advise_port(host, port, command)}"
            )
        has_daemon = not read_only and hold_until_exit(folder / "daemon")
        _announce(workspace, host, port, read_only, has_daemon)
        server = [*_server(home / LOCATIONS_FILE, read_only, has_daemon), "-h", host, "-p", str(port)]
        order = _order(workspace, host, port, no_open=no_open, reports_url=reports_url)
        _replace_process(server, workspace, home, order)


def _announce(workspace: Workspace, host: str, port: int, read_only: bool, has_daemon: bool) -> None:
    """Say what is started, and what a user may not expect of it."""
    if not is_local(host):
        ability = "look at everything" if read_only else "run things"
        click.echo(
            f"warning: {host} can be reached from other machines, and there is no login: whoever reaches it can "
            f"{ability}",
            err=True,
        )
    if not read_only and not has_daemon:
        click.echo(
            "another dynvision ui works on this root. Its daemon starts runs and backfills for both; if it is stopped, "
            "they wait until this one is started again"
        )
    home = describe_home(workspace.paths)
    if home:
        click.echo(home)
    mode = " (read-only)" if read_only else ""
    click.echo(f"starting Dagster on {format_address(host, port)} for {workspace.paths.root}{mode} (stop with Ctrl-C)")


def _order(workspace: Workspace, host: str, port: int, *, no_open: bool, reports_url: str | None = None) -> Order:
    """Return what the process beside the server does. This process becomes the server, with the same id."""
    newest = find_newest_summary(workspace)
    served_at, listener = listen_for_reports(host, port)
    return Order(
        host,
        port,
        parent=os.getpid(),
        reports=str(workspace.paths.data / "reports"),
        reports_at=served_at if listener is None or reports_url is None else reports_url,
        listener=None if listener is None else listener.detach(),  # it is closed when this process becomes the server
        summary=asset_page(newest.key) if newest else "",
        summary_name=str(newest) if newest else "",
        opens=not no_open and can_open_browser(os.environ),
    )


def _check_instance(home: Path, read_only: bool) -> None:
    """Mark unfinished runs as failed if their process has ended, and name those of which nobody here can know.

    A server that is read-only leaves them alone.

    Raises:
        DynvisionError: If the database of the instance cannot be reached. The server itself would show a traceback.
    """
    with open_instance(home) as instance:
        dead = [] if read_only else fail_dead_runs(instance)
        unseen = {} if read_only else find_unseen_runs(instance)
    if dead:
        click.echo(f"marked {len(dead)} unfinished runs as failed, because their process has ended")
    if unseen:
        click.echo(_name_unseen([f"{run} ({owner})" for run, owner in unseen.items()]))


def _name_unseen(runs: list[str]) -> str:
    """Return what to say of unfinished runs whose processes cannot be seen from here."""
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    count = f"{len(runs)} unfinished runs" if len(runs) > 1 else "1 unfinished run"
    return (
        f"{count} cannot be seen from here: {', '.join(runs[:_MOST_NAMED])}{more}. Each takes a place in the queue of "
        "the browser. If its process has ended, open the run, Terminate, and tick 'Force termination immediately'"
    )


def _replace_process(arguments: list[str], workspace: Workspace, home: Path, order: Order) -> None:
    """Run the server in place of this process, for the same root and configuration, with its companion.

    Dagster sets what it finds in a file `.env` of its working directory, whatever the environment says. So the server
    works in a folder of ours. What the root's `.env` says is in the environment already.
    """
    python_path = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]  # noqa: PTH100
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "DYNVISION_ROOT": str(workspace.paths.root),
        "DYNVISION_CONFIG": str(workspace.config.folder),
        REPORTS: "" if order.listener is None else order.reports_at,
        **({"PYTHONPATH": os.pathsep.join(python_path)} if python_path else {}),
    }
    sys.stdout.flush()
    # A shell script starts its background jobs with SIGINT ignored. The server has to be stopped with SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(home / SERVERS)
    start_companion(order, environment)
    os.execve(sys.executable, arguments, environment)


def _server(locations: Path, read_only: bool, has_daemon: bool) -> list[str]:
    """Return the command that starts the server: with the daemon that runs backfills, or the pages alone."""
    if has_daemon:
        # Dagster recommends its developers' tool, dg. Users of this command do not need it.
        quiet = ["-W", "ignore:Function `dev_command` is superseded"]
        return [sys.executable, "-P", *quiet, "-m", "dagster", "dev", "-w", str(locations)]
    mode = ["--read-only"] if read_only else []
    return [sys.executable, "-P", "-m", "dagster_webserver", *mode, "-w", str(locations)]
