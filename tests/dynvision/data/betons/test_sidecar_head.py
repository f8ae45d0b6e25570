"""The head of a sidecar: what `dynvision status` reads of it. It is compared with its digests first."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dynvision.data.betons import sample_table
from dynvision.data.betons.sample_table import table_path, write_table
from dynvision.data.betons.sidecars import read_sidecar, read_sidecar_head, seal_sidecar, sidecar_path
from dynvision.errors import DamagedFileError
from dynvision.system.files import write_json
from tests.helpers.files import flip_byte

RECORD = {"target": "processed/x:test_all", "details": {"classes": [{"name": 'odd ", "samples": {"source"'}]}}
FILE = {"name": "x.beton", "bytes": 3, "sha256": "0" * 64, "samples": 2}


def write(path: Path, count: int, record: dict[str, Any] = RECORD) -> dict[str, Any]:
    """Write a sidecar and a table of `count` samples next to a file."""
    path.write_bytes(b"abc")
    samples = {"source": [f"data/{n:06d}.png" for n in range(count)], "label": [0] * count, "group_label": [0] * count}
    sidecar = seal_sidecar({"record": record, "file": FILE, "table": write_table(path, samples)})
    write_json(sidecar_path(path), sidecar, indent=None)
    return {**sidecar, "samples": samples}


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a binary file gives."""
    counted: list[int] = []
    original = sample_table.read_file

    def read_counted(path: Path) -> bytes:
        content = original(path)
        counted.append(len(content))
        return content

    monkeypatch.setattr(sample_table, "read_file", read_counted)
    return counted


@pytest.mark.parametrize("count", [1, 20, 50_000])
def test_head_is_that_of_the_whole_sidecar_and_the_table_is_compared_and_not_decoded(tmp_path, read_bytes, count):
    path = tmp_path / "x.beton"
    written = write(path, count, {"target": "processed/x:test_all", "details": {"classes": list(range(2000))}})
    head = read_sidecar_head(path)
    assert sum(read_bytes) == table_path(path).stat().st_size
    whole = read_sidecar(path)
    assert whole == written
    assert head == {name: value for name, value in whole.items() if name != "samples"}
    assert sidecar_path(path).stat().st_size < 20_000


@pytest.mark.slow
def test_head_is_read_without_pyarrow_and_pandas(tmp_path):
    write(tmp_path / "x.beton", 3)
    code = """
import sys
from pathlib import Path
from dynvision.data.betons.sidecars import read_sidecar_head
assert read_sidecar_head(Path(sys.argv[1]))["record"]["target"] == "processed/x:test_all"
print({"pyarrow", "pandas"} & set(sys.modules))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "x.beton")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "set()\n"


def reject(path: Path, *sentences: str) -> None:
    """Expect the head and the whole to be the same error, which says all of this."""
    with pytest.raises(DamagedFileError) as of_head:
        read_sidecar_head(path)
    with pytest.raises(DamagedFileError, match=re.escape(str(of_head.value))):
        read_sidecar(path)
    for sentence in (*sentences, f"Rebuild it: dynvision make --force {path}"):
        assert sentence in str(of_head.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: path.unlink(), "has no table of samples x.beton.samples.parquet, so it cannot be trusted"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged or belongs to another file: its labels and"),
        (lambda path: flip_byte(path, 40), "damaged or belongs to another file: its labels and sources"),
    ],
)
def test_sidecar_whose_table_is_missing_or_damaged_is_damaged(tmp_path, change, problem):
    write(tmp_path / "x.beton", 10)
    change(table_path(tmp_path / "x.beton"))
    reject(tmp_path / "x.beton", problem)


def test_table_of_another_file_is_damage(tmp_path):
    write(tmp_path / "x.beton", 10)
    write(tmp_path / "y.beton", 11)
    table_path(tmp_path / "y.beton").replace(table_path(tmp_path / "x.beton"))
    reject(tmp_path / "x.beton", f"{table_path(tmp_path / 'x.beton')} is damaged or belongs to another file")


def test_sidecar_of_another_file_is_damage_that_names_both(tmp_path):
    write(tmp_path / "x.beton", 10)
    for path in (sidecar_path, table_path):
        path(tmp_path / "x.beton").rename(path(tmp_path / "y.beton"))
    (tmp_path / "x.beton").rename(tmp_path / "y.beton")
    reject(tmp_path / "y.beton", "y.beton.json belongs to x.beton, not to y.beton: files were swapped or renamed")


def test_file_of_another_size_has_no_head(tmp_path):
    write(tmp_path / "x.beton", 10)
    (tmp_path / "x.beton").write_bytes(b"abcd")
    with pytest.raises(
        DamagedFileError, match=r"x\.beton is damaged: it has 4 bytes where 3 were written\. Rebuild it"
    ):
        read_sidecar_head(tmp_path / "x.beton")


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


@pytest.mark.parametrize("count", [3, pytest.param(50_000, marks=pytest.mark.slow)])
def test_cut_off_sidecar_is_damaged_wherever_it_was_cut(tmp_path, count):
    path = tmp_path / "x.beton"
    write(path, count)
    content = sidecar_path(path).read_bytes()
    places = [0, 1, 2, 17, 100, 300, len(content) // 2, len(content) - 3, len(content) - 2]
    for place in places:
        sidecar_path(path).write_bytes(content[:place])
        reject(path, f"{path} has no readable sidecar x.beton.json, so it cannot be trusted")


@pytest.mark.slow
def test_one_flipped_byte_anywhere_in_the_sidecar_is_damage(tmp_path):
    path = tmp_path / "x.beton"
    write(path, 3)
    content = sidecar_path(path).read_bytes()
    places = [place for place in range(0, len(content), 11) if not content[place : place + 1].isspace()]
    for place in places:
        sidecar_path(path).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        reject(path, "x.beton")


@pytest.mark.parametrize("content", ["", "}", "{}", "[]", "null", '{"record": {}}', "\x00}", '{"record": {}, "file" }'])
def test_sidecar_that_is_none_is_damaged(tmp_path, content):
    path = tmp_path / "x.beton"
    path.write_bytes(b"")
    sidecar_path(path).write_text(content)
    reject(path, f"{path} has no readable sidecar x.beton.json, so it cannot be trusted")


def test_missing_sidecar_has_no_head(tmp_path):
    assert read_sidecar_head(tmp_path / "x.beton") is None
    (tmp_path / "file").write_text("")
    assert read_sidecar_head(tmp_path / "file" / "x.beton") is None


def test_sidecar_written_by_hand_in_another_layout_is_read_whole(tmp_path):
    whole = write(tmp_path / "x.beton", 10)
    content = {name: value for name, value in whole.items() if name != "samples"}
    sidecar_path(tmp_path / "x.beton").write_text(json.dumps(content, indent=2) + "\n")
    assert read_sidecar_head(tmp_path / "x.beton") == content
    assert read_sidecar(tmp_path / "x.beton") == whole


@pytest.mark.parametrize("part", ["record", "file"])
def test_a_part_of_another_type_is_damage(tmp_path, part):
    path = tmp_path / "x.beton"
    sidecar = {name: value for name, value in write(path, 2).items() if name != "samples"}
    write_json(sidecar_path(path), {**sidecar, part: 5})
    reject(path, "has no readable sidecar")


@pytest.mark.slow
def test_reading_while_another_process_replaces_the_sidecar_never_calls_it_damaged(tmp_path):
    path = tmp_path / "x.beton"
    write(path, 3)
    stop = threading.Event()

    def replace() -> None:
        count = 3
        while not stop.is_set():
            count = 7 - count
            samples = {"source": ["x"] * count, "label": [0] * count, "group_label": [0] * count}
            sealed = seal_sidecar({"record": RECORD, "file": FILE, "table": write_table(path, samples)})
            write_json(sidecar_path(path), sealed, indent=None)
            stop.wait(0.005)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        counts = {len(read_sidecar(path)["samples"]["label"]) for _ in range(300)}
    finally:
        stop.set()
        thread.join()
    assert counts <= {3, 4}
