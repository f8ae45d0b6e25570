"""The command that serves: `ui`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from dynvision_assets.commands.support import open_workspace, readable_errors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ui"]

LOCAL = ("127.0.0.1", "localhost", "::1")


@click.command(short_help="Open the graph in the browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--read-only", is_flag=True, help="Show everything, run nothing: no launching, no switches, no daemon.")
def ui(host: str, port: int, read_only: bool) -> None:
    """Open Dagster's UI on this root: the graph, its runs, pictures and backfills.

    Dagster has no login of its own: whoever reaches the address can run things, and with that any code that the
    configuration names. It listens on this machine alone unless --host says otherwise; to let others in, put a proxy
    with a login in front, or use an SSH tunnel (ssh -L 3000:127.0.0.1:3000 machine).

    \b
    Examples:
      dynvision ui
      dynvision ui --port 3001
      dynvision ui --read-only --host 0.0.0.0     for showing; look but not touch

    Settings of the instance are in .dagster/dagster.yaml, written once and then yours. Runs and events are kept in
    SQLite beside it, or in PostgreSQL where $DYNVISION_POSTGRES is set (postgresql://user:password@host/database;
    needs the extra 'postgres'). Runs that a power cut or a kill left unfinished are marked as failed at the start.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped
    with readable_errors():
        from dynvision_assets.instance import LOCATIONS_FILE, open_instance, prepare_home
        from dynvision_assets.run_processes import fail_dead_runs

        workspace = open_workspace()
        home = prepare_home(workspace.paths)
        with open_instance(home) as instance:
            dead = [] if read_only else fail_dead_runs(instance)
        if dead:
            click.echo(f"marked {len(dead)} unfinished runs whose process is gone as failed")
        if host not in LOCAL:
            power = "look at everything" if read_only else "run things"
            warning = (
                f"{host} can be reached from other machines, and there is no login: whoever reaches it can {power}"
            )
            click.echo(f"warning: {warning}", err=True)
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "DYNVISION_ROOT": str(workspace.paths.root),
            "DYNVISION_CONFIG": str(workspace.config.folder),
        }
        mode = " (read-only)" if read_only else ""
        click.echo(f"Dagster on http://{host}:{port} for {workspace.paths.root}{mode} (stop with Ctrl-C)")
        arguments = [*_server(home / LOCATIONS_FILE, read_only), "-h", host, "-p", str(port)]
        sys.stdout.flush()
        # A script starts what it runs in the background with interruptions ignored; the server is stopped with them.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(sys.executable, arguments, environment)


def _server(locations: Path, read_only: bool) -> list[str]:
    """The server's command: with the daemon that runs backfills, or the pages alone."""
    if read_only:
        return [sys.executable, "-m", "dagster_webserver", "--read-only", "-w", str(locations)]
    return [sys.executable, "-m", "dagster", "dev", "-w", str(locations)]
