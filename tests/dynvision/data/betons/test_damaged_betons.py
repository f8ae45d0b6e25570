"""Damage that stands before a `.beton` is opened is one error, and FFCV never sees the file."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynvision.data import ffcv_dataloader
from dynvision.data.betons.sidecars import seal_sidecar, sidecar_path, verify_beton
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.errors import DamagedFileError


@pytest.fixture
def beton(beton_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A verified copy; FFCV must not be asked to open it."""

    def open_loader(*arguments: Any) -> Any:
        raise AssertionError("FFCV was asked to open a damaged file")

    monkeypatch.setattr(ffcv_dataloader, "open_loader", open_loader)
    verify_beton(beton_copy)
    return beton_copy


def read_header(path: Path) -> Any:
    from ffcv.types import HeaderType

    return np.fromfile(path, dtype=HeaderType, count=1)[0]


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def change_header(path: Path, field: str, change: Callable[[int], int]) -> None:
    header = np.fromfile(path, dtype=read_header(path).dtype, count=1)
    header[0][field] = change(int(header[0][field]))
    overwrite(path, 0, header.tobytes())


def zero_a_page(path: Path) -> None:
    size = int(read_header(path)["page_size"])
    overwrite(path, size, bytes(size))  # the first page is header and table of samples


def cut_table(path: Path, share: float) -> None:
    place = int(read_header(path)["alloc_table_ptr"])
    os.truncate(path, place + int((path.stat().st_size - place) * share))


def scramble_same_size(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: os.truncate(path, 0),
    "short header": lambda path: os.truncate(path, 9),
    "header only": lambda path: os.truncate(path, read_header(path).nbytes),
    "random bytes": scramble_same_size,
    "random bytes, shorter": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "no allocation table": lambda path: cut_table(path, 0),
    "half of the allocation table": lambda path: cut_table(path, 0.5),
    "zeroed allocation table": lambda path: overwrite(path, path.stat().st_size - 100, bytes(100)),
    "last bytes missing": lambda path: os.truncate(path, path.stat().st_size - 3),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "page zeroed": zero_a_page,
    "fewer samples": lambda path: change_header(path, "num_samples", lambda count: count - 1),
    "more samples": lambda path: change_header(path, "num_samples", lambda count: count + 1),
    "other table": lambda path: change_header(path, "alloc_table_ptr", lambda place: place + 8),
    "other version": lambda path: change_header(path, "version", lambda version: version ^ 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_file_is_one_error_and_is_never_opened(beton, name):
    before = beton.read_bytes()
    DAMAGES[name](beton)
    assert beton.read_bytes() != before, "nothing was damaged"
    for _ in range(2):  # what is damaged once is not taken for verified the next time
        with pytest.raises(DamagedFileError, match=r"rgb\.beton is damaged: .*Rebuild it: dynvision make --force "):
            verify_beton(beton)
        with pytest.raises(DamagedFileError, match=r"rgb\.beton is damaged: .*Rebuild it: dynvision make --force "):
            get_ffcv_dataloader(beton, n_timesteps=1)
    beton.write_bytes(before)
    verify_beton(beton)


def test_two_hundred_random_bytes_none_of_which_gets_through(beton):
    rng = np.random.default_rng(4)
    size = beton.stat().st_size
    places = [*rng.integers(0, 600, 50), *(size - 1 - rng.integers(0, 300, 50)), *rng.integers(0, size, 100)]
    places[:2] = [0, size - 1]
    missed = []
    with beton.open("r+b", buffering=0) as file:
        for place, mask in zip(map(int, places), rng.integers(1, 256, 200), strict=True):
            before = os.pread(file.fileno(), 1, place)
            os.pwrite(file.fileno(), bytes([before[0] ^ int(mask)]), place)
            for read in (verify_beton, lambda path: get_ffcv_dataloader(path, n_timesteps=1)):
                try:
                    read(beton)
                    missed.append(place)
                except DamagedFileError:
                    continue
            os.pwrite(file.fileno(), before, place)
    assert missed == []
    assert len(places) == 200
    verify_beton(beton, full=True)


def test_another_whole_file_under_the_name_is_damage(beton, betons):
    shutil.copy(betons.path("grey"), beton)
    with pytest.raises(DamagedFileError, match=r"rgb\.beton is damaged"):
        get_ffcv_dataloader(beton, n_timesteps=1)


@pytest.mark.parametrize(("field", "value"), [("sha256", "0" * 64), ("bytes", 1)])
def test_sidecar_that_describes_another_file_is_damage(beton, field, value):
    import json

    sidecar = json.loads(beton.with_name("rgb.beton.json").read_text())
    sidecar["file"][field] = value
    beton.with_name("rgb.beton.json").write_text(json.dumps(seal_sidecar(sidecar)))
    with pytest.raises(DamagedFileError, match=r"rgb\.beton is damaged"):
        get_ffcv_dataloader(beton, n_timesteps=1)


@pytest.mark.parametrize("note", ["", "{", "[]", '{"sha256": 1}'])
def test_damaged_note_of_the_last_verification_means_that_the_file_is_read(beton, note):
    beton.with_name(".rgb.beton.verified").write_text(note)
    verify_beton(beton)
    overwrite(beton, beton.stat().st_size // 2, b"\x01")
    beton.with_name(".rgb.beton.verified").write_text(note)
    with pytest.raises(DamagedFileError, match="its contents are not those that were written"):
        verify_beton(beton)


def test_verified_note_of_another_file_does_not_count(beton, betons):
    from dynvision.system.files import read_json

    verify_beton(beton)
    before = read_json(beton.with_name(".rgb.beton.verified"))
    overwrite(beton, beton.stat().st_size // 2, b"\x01")
    os.utime(beton, ns=(before["mtime_ns"], before["mtime_ns"]))
    copy = beton.with_name("copy")
    shutil.copy2(beton, copy)
    os.replace(copy, beton)  # same size and time, another inode
    with pytest.raises(DamagedFileError, match="its contents are not those that were written"):
        verify_beton(beton)


def test_no_flip_of_a_digit_or_letter_in_the_sidecar_gets_through(beton_copy):
    """Labels that a loader gives come from the sidecar: damage there is as bad as in the pixels."""
    verify_beton(beton_copy)
    sidecar = sidecar_path(beton_copy)
    content = sidecar.read_bytes()
    rng = random.Random(0)
    places = rng.sample([place for place, byte in enumerate(content) if chr(byte).isalnum()], 200)
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1  # of a digit another digit, so that the file can still be parsed
        sidecar.write_bytes(bytes(flipped))
        with pytest.raises(DamagedFileError):
            verify_beton(beton_copy)
    sidecar.write_bytes(content)
    verify_beton(beton_copy)
