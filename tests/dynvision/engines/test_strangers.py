"""Nobody else can use the scheduler of a run, or reach its workers from another machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from dynvision.engines.credentials import make_credentials, read_credentials
from tests.helpers.engine_calls import Opening, call

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


_OF_EARLIER_TESTS: set[tuple[str, int]] = set()


@pytest.fixture(autouse=True)
def _sockets_of_earlier_tests() -> None:
    _OF_EARLIER_TESTS.clear()
    _OF_EARLIER_TESTS.update(listening(psutil.Process().pid))


def listening(pid: int) -> list[tuple[str, int]]:
    connections = psutil.Process(pid).net_connections("inet")
    ports = [tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN]
    return [port for port in ports if port not in _OF_EARLIER_TESTS]


async def ask(address: str, connection: dict[str, Any]) -> Any:
    """Ask a scheduler or worker who it is."""
    from distributed.core import rpc

    async with rpc(address, timeout=2, connection_args=connection) as server:
        return await asyncio.wait_for(server.identity(), 4)


@pytest.fixture
def ports(open_local: Opening) -> list[tuple[str, int]]:
    """What an engine with a working worker listens on, itself and its workers."""
    engine = open_local()
    engine.submit(call("echo", value=1))
    engine.wait()
    me = psutil.Process()
    return [port for process in [me, *me.children(recursive=True)] for port in listening(process.pid)]


def test_everything_listens_on_this_machine_only(ports: list[tuple[str, int]]) -> None:
    assert {host for host, _ in ports} == {"127.0.0.1"}
    assert len(ports) == 3  # the scheduler, its dashboard, the worker


def test_whoever_has_the_certificate_is_answered(open_local: Opening, folder: Path) -> None:
    open_local()
    (key,) = folder.glob("run-*/tls/key.pem")
    own = read_credentials(key.parent)
    types = set()
    for _, port in listening(psutil.Process().pid):
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # the dashboard
            types.add(asyncio.run(ask(f"tls://127.0.0.1:{port}", own.get_connection_args("client")))["type"])
    assert types == {"PrivateScheduler"}


def test_a_connection_without_a_certificate_is_refused(ports: list[tuple[str, int]]) -> None:
    for _, port in ports:
        with pytest.raises((OSError, asyncio.TimeoutError)):
            asyncio.run(ask(f"tcp://127.0.0.1:{port}", {}))


def test_a_connection_with_another_certificate_is_refused(ports: list[tuple[str, int]], tmp_path: Path) -> None:
    make_credentials(tmp_path / "other")
    other = read_credentials(tmp_path / "other")
    for _, port in ports:
        with pytest.raises((OSError, asyncio.TimeoutError)):
            asyncio.run(ask(f"tls://127.0.0.1:{port}", other.get_connection_args("client")))


def test_only_the_user_can_read_the_key(open_local: Opening, folder: Path) -> None:
    open_local()
    (key,) = folder.glob("run-*/tls/key.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(key.parent.parent.stat().st_mode) == 0o700


def test_the_dashboard_is_seen_by_those_who_know_its_address(open_local: Opening) -> None:
    engine = open_local()
    assert engine.link is not None
    with urllib.request.urlopen(engine.link) as page:
        assert "Dask" in page.read().decode()
    base = "http://" + urlsplit(engine.link).netloc
    for path in ("/", "/status", "/sitemap.json", "/info/main/workers.html", "/json/counts.json"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(base + path)


def test_a_scheduler_that_workers_elsewhere_reach_listens_on_one_address(tmp_path: Path) -> None:
    from queue import SimpleQueue

    from dynvision.engines.dask_use import settings_of_dask
    from dynvision.engines.hub import Hub
    from dynvision.engines.interfaces import address_of

    host = address_of(None)
    make_credentials(tmp_path / "tls")
    with settings_of_dask():
        hub = Hub("abc", SimpleQueue())
        hub.start_scheduler(host, read_credentials(tmp_path / "tls"))
        try:
            assert {address for address, _ in listening(psutil.Process().pid)} == {host}
            other = "127.0.0.1" if host != "127.0.0.1" else "127.0.0.2"
            with pytest.raises(OSError, match=r"refused|timed out"):
                socket.create_connection((other, int(hub.address.rsplit(":", 1)[1])), timeout=2)
        finally:
            hub.close()
