"""The process beside Dagster's server: says that it is up, with links; opens the browser; serves the reports.

`dynvision ui` becomes Dagster's server (`os.exec`), so that signals and exit codes are the server's own. This process
is its child, and ends with it.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynvision.errors import DynvisionError
from dynvision_assets.ports import format_address
from dynvision_assets.serving.links import LINEAGE
from dynvision_assets.serving.report_server import INDEX, ReportServer, listen

__all__ = ["Order", "can_open_browser", "listen_for_reports", "start_companion"]

EVERY = 0.5
"""Seconds between two looks at the server."""

_ABOVE, _TRIES = 100, 100
"""How far above Dagster's port the reports are served, and how many ports are tried."""

_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
"""Files by which a container of Docker or Podman is known."""

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # addresses that nobody can be reached at


@dataclass(frozen=True)
class Order:
    """What the companion does.

    Attributes:
        host: The address that Dagster's server listens on.
        port: Its port.
        parent: The process id of that server.
        reports: The folder of the reports.
        reports_at: Where they are served, or a sentence that says why they are not.
        listener: The descriptor of the socket at which they are asked for; `None` if they are not served.
        summary: The page of the newest summary, without the server's address; empty if none has been made.
        summary_name: What that summary is called.
        opens: Whether the browser is opened.
    """

    host: str
    port: int
    parent: int
    reports: str
    reports_at: str
    listener: int | None = None
    summary: str = ""
    summary_name: str = ""
    opens: bool = False

    @property
    def reachable_host(self) -> str:
        """A host of this machine at which a server that listens on `host` answers."""
        return _WILDCARDS.get(self.host, self.host)


def can_open_browser(environment: Mapping[str, str]) -> bool:
    """Whether a browser can be shown to whoever has started this command: on a terminal, with a display, not by SSH."""
    has_display = sys.platform == "darwin" or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(has_display) and not environment.get("SSH_CONNECTION")


def listen_for_reports(host: str, port: int) -> tuple[str, socket.socket | None]:
    """Listen on a port of the reports: the first free one from 100 above Dagster's on.

    Args:
        host: The address that Dagster's server listens on.
        port: Its port.

    Returns:
        The address of the reports and the socket, or why they are not served and `None`.
    """
    first = port + _ABOVE if port + _ABOVE + _TRIES <= 65535 else port - _ABOVE - _TRIES
    try:
        listener = listen(host, range(first, first + _TRIES))
    except (DynvisionError, OSError) as error:
        return str(error), None
    return f"{format_address(_name_host(host), listener.getsockname()[1])}/", listener


def start_companion(order: Order, environment: Mapping[str, str]) -> None:
    """Start the companion of a server that this process is about to become."""
    command = [sys.executable, "-P", "-m", "dynvision_assets.serving.companion", json.dumps(dataclasses.asdict(order))]
    descriptors = () if order.listener is None else (order.listener,)
    subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL, pass_fds=descriptors)


def main(text: str) -> None:
    """Do what an order says, until the server has ended."""
    order = Order(**json.loads(text))
    # Ctrl-C reaches every process of the terminal. This one ends after the server, without a word.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve_reports(order)
    has_told = False
    while os.getppid() == order.parent:
        if not has_told and _answers(order):
            _tell(order)
            has_told = True
        time.sleep(EVERY)


def _serve_reports(order: Order) -> None:
    """Serve the reports in a thread, if this process was given a socket for them."""
    if order.listener is not None:
        server = ReportServer(socket.socket(fileno=order.listener), Path(order.reports))
        threading.Thread(target=server.serve_forever, daemon=True).start()


def _name_host(host: str) -> str:
    """Return a host that a browser can ask, on another machine too if the server listens on all addresses."""
    if host not in _WILDCARDS:
        return host
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError):
        return _WILDCARDS[host]
    # The name of a container is known in it alone; its ports are asked for on the machine that runs it.
    is_known = any(not ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)
    return name if is_known and not any(map(os.path.exists, _CONTAINERS)) else _WILDCARDS[host]


def _answers(order: Order) -> bool:
    """Whether Dagster's pages are served."""
    try:
        # This machine is never asked through the proxy that the environment may name.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(format_address(order.reachable_host, order.port), timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _tell(order: Order) -> None:
    """Print the links, and open the browser where there is something to see."""
    address = format_address(order.reachable_host, order.port)
    lines = [f"Dagster is up: {address}", f"  lineage         {address}{LINEAGE}"]
    if order.summary:
        lines.append(f"  newest summary  {address}{order.summary} ({order.summary_name})")
    else:
        lines.append("  no summary has been made: press 'Materialize all' in the lineage, or make one: dynvision demo")
    note = "" if (Path(order.reports) / INDEX).is_file() else " (none has been written yet)"
    lines.append(f"  reports         {order.reports_at}{note}")
    print("\n".join(["", *lines, ""]), flush=True)  # noqa: T201  # this is a program
    if order.opens:
        webbrowser.open(f"{address}{order.summary or LINEAGE}")


if __name__ == "__main__":
    main(sys.argv[1])
