"""The reports are served, and nothing else is."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.errors import DynvisionError
from dynvision_assets.serving.report_server import ReportServer, open_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Reports with a page, beside files that nobody may read."""
    folder = tmp_path / "data" / "reports"
    (folder / "contrast" / "größe 1").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("<p>all of them")
    (folder / "contrast" / "größe 1" / "index.html").write_text("<p>one of them")
    (folder / "contrast" / "größe 1" / "tuning.png").write_bytes(b"\x89PNG")
    (folder / ".hidden").write_text("secret")
    (tmp_path / "data" / "secret.txt").write_text("secret")
    (folder / "way_out").symlink_to(tmp_path / "data")
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[ReportServer]:
    server = open_server("127.0.0.1", [0], folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server: ReportServer, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    content = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}


def test_pages_and_pictures_are_served_with_their_types(server: ReportServer) -> None:
    status, content, headers = ask(server, "/")
    assert (status, content, headers["content-type"]) == (200, "<p>all of them", "text/html; charset=utf-8")
    assert headers["x-content-type-options"] == "nosniff"
    assert ask(server, "/contrast/gr%C3%B6%C3%9Fe%201/?again=1")[1] == "<p>one of them"
    status, _, headers = ask(server, "/contrast/gr%C3%B6%C3%9Fe%201/tuning.png", "HEAD")
    assert (status, headers["content-type"], headers["content-length"]) == (200, "image/png", "4")


def test_a_folder_without_its_slash_is_named_with_it_so_that_links_lead_into_it(server: ReportServer) -> None:
    status, _, headers = ask(server, "/contrast/gr%C3%B6%C3%9Fe%201")
    assert (status, headers["location"]) == (301, "./gr%C3%B6%C3%9Fe%201/")
    assert ask(server, "//contrast//gr%C3%B6%C3%9Fe%201")[2]["location"] == "./gr%C3%B6%C3%9Fe%201/"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/contrast/..%2f..%2f../secret.txt",
        "/..%5csecret.txt",
        "/way_out/secret.txt",
        "/.hidden",
        "/empty/",
        "/contrast/",
        "/%00",
        "/" + 300 * "a",
        "//etc/passwd",
    ],
)
def test_what_lies_elsewhere_is_hidden_or_is_a_listing_is_not_there(server: ReportServer, path: str) -> None:
    status, content, _ = ask(server, path)
    assert status == 404
    assert "secret" not in content
    assert "There is no such report." in content


def test_a_request_that_is_no_path_is_answered_too(server: ReportServer, capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("http://[", "http://[?root=x", "?", "#", "/?root=%ff"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert connection.recv(1 << 12).startswith(b"HTTP/1.0 "), path
    assert "Traceback" not in capfd.readouterr().err


def test_a_link_of_another_root_is_not_answered_with_a_page_of_this_one(server: ReportServer, folder: Path) -> None:
    page = "/contrast/gr%C3%B6%C3%9Fe%201/"
    status, content, _ = ask(server, f"{page}?root=0123abcd")
    assert status == 404
    assert "one of them" not in content
    assert f"This link belongs to another root; here are the reports of {folder.parent.parent.name}." in content


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(server: ReportServer, method: str) -> None:
    assert ask(server, "/index.html", method)[0] == 501


def test_a_port_in_use_is_passed_over_and_no_port_left_is_said(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        server = open_server("127.0.0.1", [port, 0], folder)
        assert server.port != port
        server.server_close()
        with pytest.raises(DynvisionError, match=r"the reports are not served on 127\.0\.0\.1: Address already in use"):
            open_server("127.0.0.1", [port], folder)


def test_a_browser_that_leaves_is_not_worth_a_word(server: ReportServer, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (BrokenPipeError(), ConnectionResetError(), ValueError("worth one")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("127.0.0.1", 1))
    said = capsys.readouterr().err
    assert "worth one" in said
    assert "BrokenPipeError" not in said
    assert "ConnectionResetError" not in said
