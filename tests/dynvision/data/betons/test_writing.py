from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dynvision.data.betons import watchdog as beton_watchdog
from dynvision.data.betons.sidecars import read_sidecar, sidecar_path, verify_beton
from dynvision.data.betons.spec import BetonFile, require_ffcv
from dynvision.data.betons.writing import write_beton, write_betons
from dynvision.data.images.samples import Sample
from dynvision.errors import DamagedFileError, DataError, DynvisionError, MissingError
from tests.helpers.files import flip_byte


def hide_ffcv(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ffcv" else find(name, *rest))


def test_sidecar_tells_size_hash_count_and_where_each_sample_comes_from(betons):
    for name, size, channels, mode in (("rgb", 16, 3, "raw"), ("grey", 12, 1, "raw"), ("photo", 96, 3, "jpg")):
        sidecar = verify_beton(betons.path(name), full=True)
        file = sidecar["file"]
        assert (file["samples"], file["resolution"], file["channels"], file["write_mode"]) == (12, size, channels, mode)
        assert file["bytes"] == betons.path(name).stat().st_size
        assert len(file["sha256"]) == 64
        assert sidecar["samples"]["source"] == [f"{name}{i}.png" for i in range(12)]
        assert sidecar["samples"]["label"] == betons.labels
        assert sidecar["samples"]["group_label"] == betons.group_labels
        assert sidecar["record"] == {"made": "by a test"}


def test_writing_leaves_nothing_but_the_files_and_their_sidecars(betons):
    names = {p.name for p in betons.folder.iterdir() if p.suffix != ".png" and not p.name.endswith(".verified")}
    assert names == {f"{n}.beton{end}" for n in ("rgb", "grey", "photo") for end in ("", ".json", ".samples.parquet")}


def test_truncated_file_is_damaged(beton_copy):
    size = beton_copy.stat().st_size
    os.truncate(beton_copy, size - 1)
    expected = rf"is damaged: it has {size - 1} bytes where {size} were written\. Rebuild it: dynvision make --force "
    with pytest.raises(DamagedFileError, match=expected):
        verify_beton(beton_copy)


@settings(max_examples=20)
@given(st.data())
def test_one_flipped_byte_anywhere_is_damage(beton_copy, data):
    verify_beton(beton_copy)
    place = data.draw(st.integers(0, beton_copy.stat().st_size - 1))
    flip_byte(beton_copy, place)
    with pytest.raises(DamagedFileError, match="is damaged: its contents are not those that were written"):
        verify_beton(beton_copy)
    flip_byte(beton_copy, place)


def test_flipped_byte_that_hides_behind_the_old_time_is_found_by_the_full_check(beton_copy):
    verify_beton(beton_copy)
    stat = beton_copy.stat()
    with beton_copy.open("r+b") as file:
        file.seek(5000)
        old = file.read(1)
        file.seek(5000)
        file.write(bytes([old[0] ^ 0xFF]))
    os.utime(beton_copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DamagedFileError, match="its contents are not those that were written"):
        verify_beton(beton_copy, full=True)


def test_missing_sidecar_is_damage(beton_copy):
    sidecar_path(beton_copy).unlink()
    with pytest.raises(
        DamagedFileError, match=r"rgb\.beton has no readable sidecar rgb\.beton\.json, so it cannot be trusted"
    ):
        verify_beton(beton_copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"record": {}, "file": {}}', "\x00"])
def test_unreadable_sidecar_is_damage(beton_copy, content):
    sidecar_path(beton_copy).write_text(content)
    with pytest.raises(DamagedFileError, match="has no readable sidecar"):
        verify_beton(beton_copy)


def test_sidecar_that_lacks_size_and_hash_is_damage(beton_copy):
    sidecar = json.loads(sidecar_path(beton_copy).read_text())
    sidecar["file"] = {}
    sidecar_path(beton_copy).write_text(json.dumps(sidecar))
    with pytest.raises(DamagedFileError):
        verify_beton(beton_copy)


def test_missing_file_names_the_command(tmp_path):
    path = tmp_path / "train.beton"
    with pytest.raises(MissingError) as caught:
        read_sidecar(path)
    assert str(caught.value) == f"{path} does not exist. Make it: dynvision make {path}"


def test_damage_is_a_value_error():
    assert issubclass(DamagedFileError, ValueError)


def test_unreadable_images_are_all_named_and_nothing_is_left(beton_copy, betons):
    folder = beton_copy.parent
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"not an image")
    (folder / "empty.png").write_bytes(b"")
    good = [Sample(str(betons.folder / f"rgb{i}.png"), 0, 0) for i in range(4)]
    bad = [*good, Sample("broken.png", 1, 1), Sample("empty.png", 1, 1), Sample("gone.png", 1, 1)]
    before = beton_copy.read_bytes()
    files = [
        BetonFile(folder / "new.beton", good, folder, 16, 3, {}),
        BetonFile(beton_copy, bad, folder, 16, 3, {}),
    ]
    with pytest.raises(DataError) as caught:
        write_betons(files, timeout=60, description="processed/mine:test_all")
    message = str(caught.value)
    assert "processed/mine:test_all: 3 images cannot be read" in message
    for name in ("broken.png", "empty.png", "gone.png"):
        assert str(folder / name) in message
    assert "rgb0.png" not in message
    # The file that was there before is still whole, and no other has appeared.
    assert beton_copy.read_bytes() == before
    verify_beton(beton_copy, full=True)
    left = {p.name for p in folder.iterdir()} - {".rgb.beton.verified"}
    assert left == {"rgb.beton", "rgb.beton.json", "rgb.beton.samples.parquet", "broken.png", "empty.png"}


@pytest.mark.slow
def test_writer_that_is_stuck_is_stopped_and_the_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(beton_watchdog, "START_TIMEOUT", 4.0)
    os.mkfifo(tmp_path / "never.png")
    with pytest.raises(DynvisionError) as caught:
        write_beton(tmp_path / "x.beton", [Sample("never.png", 0, 0)], base=tmp_path, resolution=8, timeout=1)
    assert "x.beton: the writer made no progress for 1 s and was stopped; the last image was" in str(caught.value)
    assert "write_timeout in config_data.yaml" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["never.png"]


@pytest.mark.slow
def test_writer_that_dies_is_reported(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(beton_watchdog, "sys", SimpleNamespace(executable=shutil.which("false"), path=sys.path))
    with pytest.raises(DynvisionError, match=r"the \.beton writer stopped \(exit code 1\)"):
        write_beton(tmp_path / "x.beton", [Sample("a.png", 0, 0)], base=tmp_path, resolution=8)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_no_images_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"x\.beton: there are no images to write; check the group and the raw stage"):
        write_beton(tmp_path / "x.beton", [], base=tmp_path, resolution=8)


def test_missing_ffcv_says_both_ways_out(monkeypatch, tmp_path):
    hide_ffcv(monkeypatch)
    with pytest.raises(DynvisionError) as caught:
        require_ffcv()
    assert "FFCV is not installed" in str(caught.value)
    assert "set 'use_ffcv: false' in config_data.yaml" in str(caught.value)
    assert "'pip install ffcv'" in str(caught.value)
    with pytest.raises(DynvisionError, match="FFCV is not installed"):
        write_beton(tmp_path / "x.beton", [Sample("a.png", 0, 0)], resolution=8)


def test_image_that_is_larger_is_fitted_like_everywhere(betons):
    from dynvision.data.images.reading import read_image

    pixels = read_image(betons.folder / "photo0.png", 3, 16)
    assert pixels.shape == (16, 16, 3)
    assert np.array_equal(read_image(betons.folder / "rgb0.png", 3, 16), betons.pixels["rgb"][0])
    assert read_image(betons.folder / "rgb0.png", 1, 16).shape == (16, 16, 1)


def test_relative_sources_start_from_the_base(betons):
    source = Path(read_sidecar(betons.path("rgb"))["samples"]["source"][0])
    assert not source.is_absolute()
    assert (betons.folder / source).is_file()
