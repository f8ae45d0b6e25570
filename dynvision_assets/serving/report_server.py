"""A small web server for the pages of `data/reports`: it only reads, and only what lies there."""

from __future__ import annotations

import errno
import mimetypes
import os
import shutil
import socket
import sys
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from dynvision.errors import DynvisionError
from dynvision_assets.serving.links import is_meant

__all__ = ["ReportServer", "find_page", "listen", "open_server"]

INDEX = "index.html"

_TYPES = {".webp": "image/webp", ".parquet": "application/octet-stream"}
"""Media types that not every version of Python knows."""


class ReportServer(ThreadingHTTPServer):
    """A server on one address, whose threads end with the process.

    Args:
        listener: A socket that listens; see `listen`.
        folder: The folder that is served. It need not exist yet.
    """

    daemon_threads = True

    def __init__(self, listener: socket.socket, folder: Path) -> None:
        super().__init__(listener.getsockname()[:2], partial(_Handler, folder), bind_and_activate=False)
        self.socket.close()  # the base class has made one that listens nowhere
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has left in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.socket.getsockname()[1])


def open_server(host: str, ports: Iterable[int], folder: Path) -> ReportServer:
    """Listen on the first port that is free. Nothing is answered before `serve_forever`.

    Args:
        host: The address or name to listen on.
        ports: The ports to try, in order.
        folder: The folder that is served.

    Raises:
        DynvisionError: If none of them can be listened on; says why not the last.
    """
    return ReportServer(listen(host, ports), folder)


def listen(host: str, ports: Iterable[int]) -> socket.socket:
    """Return a socket that listens on the first port that is free.

    Args:
        host: The address or name to listen on.
        ports: The ports to try, in order.

    Raises:
        DynvisionError: If none of them can be listened on; says why not the last.
    """
    reason = "there is no port left"
    for port in ports:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return socket.create_server(address, family=family)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                if error.errno == errno.EADDRINUSE:
                    break  # `localhost` has two addresses; a browser would ask the other server at one of them
    raise DynvisionError(f"the reports are not served on {host}: {reason}")


def find_page(folder: Path, request: str) -> Path | None:
    """Return the file that a request asks for; of a folder it is its `index.html`. `None` if there is none.

    Hidden files, and links that lead out of the folder, are not there for anybody who asks.

    Args:
        folder: The folder that is served.
        request: The path of the request, as a browser sends it.
    """
    parts = _split(request)
    if parts is None:
        return None
    try:
        path = folder.joinpath(*parts)
        path = (path / INDEX if path.is_dir() else path).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # a name that is too long, a zero byte, a loop of links
        return None


def _split(request: str) -> list[str] | None:
    """Return the names in the path of a request; `None` if one of them is hidden or leads elsewhere."""
    parts = [part for part in unquote(request.partition("?")[0].partition("#")[0]).split("/") if part]
    return None if any(part.startswith(".") or "\\" in part or "\0" in part for part in parts) else parts


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; every other method is refused by the base class."""

    def __init__(self, folder: Path, *arguments: Any) -> None:
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing: the terminal belongs to Dagster's server."""

    def _answer(self, with_content: bool) -> None:
        path, asked = find_page(self.folder, self.path), self.path.partition("?")[0]
        if not is_meant(self.folder, self.path):
            advice = (
                f"This link belongs to another root; here are the reports of {self.folder.parent.parent.name}. Start "
                "dynvision ui in the other one, and follow the link in the browser again"
            )
            self.send_error(HTTPStatus.NOT_FOUND, "not found", advice)
        elif path is None:
            advice = "There is no such report. A summary writes its page when it is made, and dynvision report again"
            self.send_error(HTTPStatus.NOT_FOUND, "not found", advice)
        elif path.name == INDEX and not asked.endswith(("/", f"/{INDEX}")):
            self.send_response(HTTPStatus.MOVED_PERMANENTLY)  # so that links relative to the folder lead into it
            # Relative, because a proxy may serve the reports below a path of its own.
            self.send_header("Location", f"./{quote((_split(asked) or [''])[-1])}/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path, with_content)

    def _send(self, path: Path, with_content: bool) -> None:
        try:
            file = path.open("rb")
        except OSError as error:
            self.send_error(HTTPStatus.FORBIDDEN, "cannot be read", error.strerror)
            return
        with file:
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.send_header("Cache-Control", "no-cache")  # a page is written again when its summary is made again
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if with_content:
                shutil.copyfileobj(file, self.wfile)
