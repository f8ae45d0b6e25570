"""Addresses and ports that a server can listen on."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from dynvision.errors import ConfigError, DynvisionError
from dynvision.system.escaping import show_text

__all__ = ["advise_port", "check_port", "format_address", "is_local"]

_HIGHEST, _TRIES = 65535, 200


def check_port(host: str, port: int, command: str) -> None:
    """Raise if nothing can listen on a port.

    Args:
        host: The address or name to listen on.
        port: The port.
        command: The command that is repeated with another port, for the message.

    Raises:
        ConfigError: If the host is not one of this machine.
        DynvisionError: If the port is in use or not allowed; names one that is free.
    """
    reason = _why_not(host, port)
    if not reason:
        return
    raise DynvisionError(f"port {port} of {show_text(host)} {reason}. {advise_port(host, port, command)}")


def advise_port(host: str, port: int, command: str) -> str:
    """Say which other port is free.

    Args:
        host: The address or name to listen on.
        port: The port that cannot be used.
        command: The command that is repeated with another port.
    """
    higher = range(port + 1, min(port + _TRIES, _HIGHEST) + 1) if port >= 1024 else range(3000, 3000 + _TRIES)
    free = next((other for other in higher if not _why_not(host, other)), None)
    return f"Choose another, for example: {command} --port {free}" if free else "Choose another with --port."


def format_address(host: str, port: int) -> str:
    """Return the address of a page; an IPv6 address stands in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_local(host: str) -> bool:
    """Return whether an address cannot be reached from other machines."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _why_not(host: str, port: int) -> str:
    """Say why nothing can listen on a port, as the end of a sentence; return nothing if it can be done.

    Raises:
        ConfigError: If the host is not one of this machine.
    """
    foreign = ""
    for family, kind, protocol, _, address in _resolve(host, port):
        try:
            listener = socket.socket(family, kind, protocol)
        except OSError:
            continue  # The system has no IPv6. The server leaves out such an address, too.
        try:
            with listener:
                if os.name == "posix":
                    # As the server does it: a port whose last connections are just being closed can be used.
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind(address)
                listener.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is in use, perhaps by another dynvision ui"
            if error.errno in (errno.EACCES, errno.EPERM):
                return "may be used by the administrator alone" if port < 1024 else "may not be used"
            foreign = f"{show_text(host)} is no address of this machine ({error.strerror})"
    if foreign:
        raise ConfigError(f"{foreign}. Use --host 127.0.0.1, or 0.0.0.0 for all of its addresses.")
    return ""


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    """Return the socket addresses of a host, as `socket.getaddrinfo` does.

    Raises:
        ConfigError: If the host has no address.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # type: ignore[return-value]
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "it is no valid name"
        raise ConfigError(
            f"the host '{host}' is not known: {reason}. Use --host 127.0.0.1, or 0.0.0.0 for all addresses of this "
            "machine."
        ) from error
