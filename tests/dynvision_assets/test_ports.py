from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from dynvision.errors import ConfigError, DynvisionError
from dynvision_assets.ports import check_port, format_address, is_local


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield int(listener.getsockname()[1])


def test_a_port_in_use_is_said_with_a_free_one_and_the_free_one_is_not_kept(taken: int) -> None:
    with pytest.raises(DynvisionError, match=f"port {taken} of 127.0.0.1 is in use") as error:
        check_port("127.0.0.1", taken, "dynvision ui")
    free = int(str(error.value).rpartition("dynvision ui --port ")[2])
    assert free > taken
    check_port("127.0.0.1", free, "dynvision ui")
    check_port("127.0.0.1", free, "dynvision ui")


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost"])
def test_a_port_in_use_is_seen_at_every_name_of_it(taken: int, host: str) -> None:
    with pytest.raises(DynvisionError, match="is in use"):
        check_port(host, taken, "dynvision ui")


def test_the_highest_port_in_use_offers_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(DynvisionError, match=r"port 65535 of 127.0.0.1 is in use, .*\. Choose another with --port\.$"):
        check_port("127.0.0.1", 65535, "dynvision ui")


def test_a_port_of_the_administrator_offers_an_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = socket.socket.bind

    def refuse(listener: socket.socket, address: tuple[str, int]) -> None:
        if address[1] < 1024:
            raise PermissionError(errno.EACCES, "Permission denied")
        bind(listener, address)

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(DynvisionError, match=r"port 80 .* by the administrator alone\. .* --port 3\d\d\d$"):
        check_port("127.0.0.1", 80, "dynvision ui")


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("192.0.2.1", r"192\.0\.2\.1 is no address of this machine"),
        ("nowhere.invalid", r"the host 'nowhere\.invalid' is not known"),
        ("a..b", r"the host 'a\.\.b' is not known"),
        ("x" * 70, "is not known"),
    ],
)
def test_a_host_that_is_not_this_machine_says_so(host: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_port(host, 3000, "dynvision ui")


def test_addresses_that_others_cannot_reach() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(is_local, ("0.0.0.0", "::", "192.0.2.1", "example.org", "")))
    assert format_address("::1", 3000) == "http://[::1]:3000"
    assert format_address("localhost", 3000) == "http://localhost:3000"
