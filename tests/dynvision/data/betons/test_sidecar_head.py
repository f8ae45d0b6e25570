"""The head of a sidecar: what `dynvision status` reads of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynvision.data.betons.sidecars import read_sidecar, read_sidecar_head, seal_sidecar, sidecar_path
from dynvision.system.files import write_json

RECORD = {"target": "processed/x:test_all", "details": {"classes": [{"name": 'odd ", "samples": {"source"'}]}}
FILE = {"name": "x.beton", "bytes": 3, "sha256": "0" * 64, "samples": 2}


def write(path: Path, count: int, record: dict[str, Any] = RECORD) -> dict[str, Any]:
    """A sidecar of `count` samples beside a file."""
    path.write_bytes(b"abc")
    samples = {"source": [f"data/{n:06d}.png" for n in range(count)], "label": [0] * count, "group_label": [0] * count}
    sidecar = seal_sidecar({"record": record, "file": FILE, "samples": samples})
    write_json(sidecar_path(path), sidecar, indent=None)
    return sidecar


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a file gives."""
    counted: list[int] = []
    original = Path.open

    def open_counted(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = original(self, mode, *arguments, **options)
        if mode != "rb":
            return file

        class Counted:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                file.close()

            def read(self, *size: int) -> bytes:
                content = file.read(*size)
                counted.append(len(content))
                return bytes(content)

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        return Counted()

    monkeypatch.setattr(Path, "open", open_counted)
    return counted


@pytest.mark.parametrize("count", [1, 20, 50_000])
def test_head_is_that_of_the_whole_sidecar_and_a_fraction_is_read(tmp_path, read_bytes, count):
    path = tmp_path / "x.beton"
    write(path, count, {"target": "processed/x:test_all", "details": {"classes": list(range(2000))}})
    size = sidecar_path(path).stat().st_size
    head = read_sidecar_head(path)
    whole = read_sidecar(path)
    assert head is not None
    assert (head["record"], head["file"]) == (whole["record"], whole["file"])
    assert sum(read_bytes) < 300_000
    assert count < 50_000 or size > 1_000_000


def test_head_that_is_longer_than_a_read_is_found(tmp_path):
    long = {"target": "processed/x:test_all", "details": {"classes": ["name of a class"] * 40_000}}
    write(tmp_path / "x.beton", 10, long)
    assert read_sidecar_head(tmp_path / "x.beton")["record"] == long


def test_head_of_real_files_is_that_of_the_whole(betons):
    for name in ("rgb", "grey", "photo"):
        whole = read_sidecar(betons.path(name))
        head = read_sidecar_head(betons.path(name))
        assert (head["record"], head["file"]) == (whole["record"], whole["file"])


def test_name_that_looks_like_the_table_of_samples_does_not_confuse(tmp_path):
    whole = write(tmp_path / "x.beton", 10)
    head = read_sidecar_head(tmp_path / "x.beton")
    assert head is not None
    assert (head["record"], head["file"]) == (whole["record"], whole["file"])


@pytest.mark.parametrize("count", [3, 50_000])
def test_cut_off_sidecar_has_no_head_wherever_it_was_cut(tmp_path, count):
    path = tmp_path / "x.beton"
    write(path, count)
    content = sidecar_path(path).read_bytes()
    places = [0, 1, 2, 17, 100, 300, len(content) // 2, len(content) - 3, len(content) - 2]
    for place in places:
        sidecar_path(path).write_bytes(content[:place])
        assert read_sidecar_head(path) is None, f"cut after {place} of {len(content)} bytes"


@pytest.mark.parametrize("content", ["", "}", "{}", "[]", "null", '{"record": {}}', "\x00}", '{"record": {}, "file" }'])
def test_sidecar_that_is_none_has_no_head(tmp_path, content):
    path = tmp_path / "x.beton"
    path.write_bytes(b"")
    sidecar_path(path).write_text(content)
    assert read_sidecar_head(path) is None


def test_missing_sidecar_has_no_head(tmp_path):
    assert read_sidecar_head(tmp_path / "x.beton") is None
    (tmp_path / "file").write_text("")
    assert read_sidecar_head(tmp_path / "file" / "x.beton") is None


def test_sidecar_written_by_hand_in_another_layout_is_read_whole(tmp_path):
    whole = write(tmp_path / "x.beton", 10)
    sidecar_path(tmp_path / "x.beton").write_text(json.dumps(whole, indent=2) + "\n")
    head = read_sidecar_head(tmp_path / "x.beton")
    assert head is not None
    assert (head["record"], head["file"]) == (whole["record"], whole["file"])
