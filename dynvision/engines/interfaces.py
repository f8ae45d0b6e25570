"""The address of this machine on a network."""

from __future__ import annotations

import socket

from dynvision.errors import unknown_name

__all__ = ["LOOPBACK", "address_of"]

LOOPBACK = "127.0.0.1"


def address_of(interface: str | None) -> str:
    """Return the IPv4 address of an interface.

    Args:
        interface: Its name, such as `ib0`; `None` for the address of this machine's name. If that is one that only
            this machine can reach, as on many Linux systems, the address by which it reaches other networks.

    Raises:
        UnknownNameError: If there is no such interface with an address; the message names those that there are.
    """
    if interface is None:
        return _address_of_name()
    import psutil

    addresses = {
        name: entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in reversed(entries)
        if entry.family == socket.AF_INET
    }
    if interface not in addresses:
        raise unknown_name("network interface", interface, addresses, "the setting 'interface'")
    return addresses[interface]


def _address_of_name() -> str:
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = LOOPBACK
    if not address.startswith("127."):
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))  # Nothing is sent; the system only chooses an interface.
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK
