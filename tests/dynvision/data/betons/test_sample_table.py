"""The table of samples: damaged, missing or of another file is an error; sidecars that contain it are still read."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dynvision.data.betons.sample_table import table_path
from dynvision.data.betons.sidecars import read_sidecar, read_sidecar_head, sidecar_path, verify_beton
from dynvision.data.betons.writing import write_beton
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.images.samples import Sample
from dynvision.errors import DamagedFileError


class KilledError(BaseException):
    """The process ends here."""


def test_no_changed_byte_of_the_table_gets_through(beton_copy):
    verify_beton(beton_copy)
    table = table_path(beton_copy)
    content = table.read_bytes()
    for position in random.Random(0).sample(range(len(content)), 200):
        changed = bytearray(content)
        changed[position] ^= 1
        table.write_bytes(bytes(changed))
        with pytest.raises(
            DamagedFileError, match=r"rgb\.beton\.samples\.parquet is damaged or belongs to another file"
        ):
            verify_beton(beton_copy)
    table.write_bytes(content)
    verify_beton(beton_copy)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\0" * 100])
def test_table_that_is_none_is_damage_and_the_error_says_what_to_do(beton_copy, content):
    table_path(beton_copy).write_bytes(content)
    with pytest.raises(
        DamagedFileError, match="is damaged or belongs to another file: its labels and sources"
    ) as caught:
        verify_beton(beton_copy)
    assert str(table_path(beton_copy)) in str(caught.value)
    assert str(caught.value).endswith(f"Rebuild it: dynvision make --force {beton_copy}")


def test_missing_table_is_damage_and_the_error_says_what_to_do(beton_copy):
    table_path(beton_copy).unlink()
    with pytest.raises(DamagedFileError) as caught:
        verify_beton(beton_copy)
    assert str(caught.value) == (
        f"{beton_copy} has no table of samples rgb.beton.samples.parquet, so it cannot be trusted. "
        f"Rebuild it: dynvision make --force {beton_copy}"
    )


def test_table_of_another_file_is_damage(beton_copy, betons):
    shutil.copy(table_path(betons.path("grey")), table_path(beton_copy))
    with pytest.raises(DamagedFileError, match="is damaged or belongs to another file"):
        get_ffcv_dataloader(beton_copy, n_timesteps=1)


def write_in_old_form(path: Path) -> dict[str, Any]:
    """Write the sidecar of a file as it was written before its table had a file of its own."""
    sidecar = read_sidecar(path)
    old = {name: sidecar[name] for name in ("record", "file", "samples")}
    digest = hashlib.sha256(json.dumps([old["record"], old["file"], sorted(old["samples"])], sort_keys=True).encode())
    for name, column in sorted(old["samples"].items()):
        digest.update(f"{name},{len(column)};".encode())
        digest.update("\0".join(column).encode() if name == "source" else np.asarray(column, np.int64).tobytes())
    old = {"record": old["record"], "file": old["file"], "digest": digest.hexdigest()[:32], "samples": old["samples"]}
    sidecar_path(path).write_text(json.dumps(old, ensure_ascii=False) + "\n")
    table_path(path).unlink()
    return old


def test_sidecar_that_contains_its_table_is_read_verified_and_loaded(beton_copy, betons):
    old = write_in_old_form(beton_copy)
    assert read_sidecar(beton_copy) == old
    assert verify_beton(beton_copy, full=True)["samples"]["label"] == betons.labels
    head = read_sidecar_head(beton_copy)
    assert (head["record"], head["file"]) == (old["record"], old["file"])
    loader = get_ffcv_dataloader(beton_copy, n_timesteps=1, label_space="group")
    assert [label for batch in loader for label in batch[1].flatten().tolist()] == betons.group_labels


def test_no_flip_in_a_sidecar_that_contains_its_table_gets_through(beton_copy):
    write_in_old_form(beton_copy)
    content = sidecar_path(beton_copy).read_bytes()
    positions = [position for position, byte in enumerate(content) if chr(byte).isalnum()]
    for position in random.Random(0).sample(positions, 200):
        flipped = bytearray(content)
        flipped[position] ^= 1
        sidecar_path(beton_copy).write_bytes(bytes(flipped))
        with pytest.raises(DamagedFileError):
            verify_beton(beton_copy)


def write(folder: Path, colour: str, sources: list[str], label: int) -> dict[str, Any]:
    for name in sources:
        Image.new("RGB", (16, 16), colour).save(folder / name)
    samples = [Sample(name, label, number) for number, name in enumerate(sources)]
    return write_beton(folder / "x.beton", samples, base=folder, resolution=16, record={"sources": sources})


@pytest.mark.slow
@pytest.mark.parametrize("is_old_form", [False, True])
@pytest.mark.parametrize(("colour", "label"), [("teal", 3), ("teal", 4), ("navy", 3)])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_process_that_ends_between_two_renames_leaves_no_mixture_that_counts(
    tmp_path, monkeypatch, done, colour, label, is_old_form
):
    """The new file may be the old one byte for byte (other sources, same images) or of the same size."""
    path = tmp_path / "x.beton"
    write(tmp_path, "teal", ["a.png", "b.png"], 3)
    before = write_in_old_form(path) if is_old_form else verify_beton(path)
    rename, renamed = os.replace, []

    def stop_after(source: Any, destination: Any) -> None:
        if Path(destination) in (path, table_path(path), sidecar_path(path)):
            if len(renamed) == done:
                raise KilledError
            renamed.append(destination)
        rename(source, destination)

    monkeypatch.setattr(os, "replace", stop_after)
    new = {"sources": ["c.png", "d.png"]}
    if done < 3:
        with pytest.raises(KilledError):
            write(tmp_path, colour, new["sources"], label)
    else:
        write(tmp_path, colour, new["sources"], label)
    monkeypatch.setattr(os, "replace", rename)
    pixels = ("teal", 3) if done == 0 else (colour, label)
    try:
        sidecar = verify_beton(path)
    except DamagedFileError:
        assert done in (1, 2)
    else:
        is_new = sidecar["record"] == new
        assert is_new == (done == 3)
        assert sidecar["samples"]["source"] == sidecar["record"]["sources"]
        assert sidecar["samples"]["label"] == [label if is_new else 3] * 2
        assert is_new or (sidecar == before and pixels == ("teal", 3))
