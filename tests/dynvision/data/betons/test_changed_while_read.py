"""A `.beton` that changes while a loader reads it: nothing that was read of it counts, and Dagster's process lives."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.errors import DamagedFileError
from dynvision.system.child.process import ComputeProcess

CHANGED = r"rgb\.beton was changed or replaced while it was read, so nothing .* counts\. Check it \(dynvision verify "


def touch(path: Path) -> None:
    os.utime(path)


def replace_by_a_copy(path: Path) -> None:
    shutil.copy2(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def replace_by_others(path: Path) -> None:
    """Another file of the same layout: every byte of its images is inverted."""
    other = path.with_name("other")
    shutil.copy(path, other)
    invert(other)
    os.replace(other, path)


def invert(path: Path) -> None:
    """Change all images of the file where it lies."""
    page = int(np.fromfile(path, dtype=np.uint32, count=2)[1])
    content = np.memmap(path, dtype=np.uint8, mode="r+")
    content[page : 2 * page] ^= 0xFF
    content.flush()
    os.utime(path)


def lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def delete(path: Path) -> None:
    path.unlink()


def open_loader(path: Path, **options: Any) -> Any:
    return get_ffcv_dataloader(path, batch_size=4, n_timesteps=1, batches_ahead=1, **options)


@pytest.fixture(params=[True, False], ids=["cached by the system", "read page by page"])
def os_cache(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("change", [touch, replace_by_a_copy, replace_by_others, invert, lengthen, delete])
def test_file_that_changes_in_the_middle_of_an_epoch_is_damaged_by_its_end(beton_copy, os_cache, change):
    batches = iter(open_loader(beton_copy, os_cache=os_cache))
    next(batches)
    change(beton_copy)
    with pytest.raises(DamagedFileError, match=CHANGED):
        list(batches)


def test_epoch_that_is_left_early_says_nothing(beton_copy):
    loader = open_loader(beton_copy)
    for _ in loader:
        touch(beton_copy)
        break


def test_truncated_between_two_epochs_is_damaged(beton_copy):
    loader = open_loader(beton_copy, os_cache=False)
    list(loader)
    os.truncate(beton_copy, 0)
    with pytest.raises(DamagedFileError, match=CHANGED):
        list(loader)


@pytest.mark.parametrize("epochs_before", [0, 1])
@pytest.mark.parametrize("change", [replace_by_others, invert])
def test_other_images_under_the_name_never_come_out(betons, beton_copy, os_cache, change, epochs_before):
    loader = open_loader(beton_copy, dtype=torch.uint8, os_cache=os_cache)
    for _ in range(epochs_before):
        list(loader)
    change(beton_copy)
    try:
        found = np.concatenate([images.numpy() for images, _, _ in loader.iterate_images()])
    except DamagedFileError:
        return
    wanted = betons.pixels["rgb"].transpose(0, 3, 1, 2)
    assert np.array_equal(found, wanted), "the images of another file came out, and nothing was said"


@pytest.mark.parametrize("change", [touch, replace_by_a_copy])
def test_whole_file_is_read_again_after_a_change_that_changes_nothing(beton_copy, change):
    batches = iter(open_loader(beton_copy))
    next(batches)
    change(beton_copy)
    with pytest.raises(DamagedFileError, match=CHANGED):
        list(batches)
    assert len(list(open_loader(beton_copy))) == 3


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Read a file in the child process and truncate it in the middle."""
    content = """
        import os
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

        def read(path, keep, os_cache, targets):
            loader = get_ffcv_dataloader(path, batch_size=2, n_timesteps=1, batches_ahead=1, os_cache=os_cache)
            seen = 0
            for images, labels in loader:
                if not seen and keep is not None:
                    os.truncate(path, keep)
                seen += len(images)
            return seen
    """
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "readers_of_a_test.py").write_text(textwrap.dedent(content))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    process = ComputeProcess()

    def read(path: Path, keep: int | None, os_cache: bool) -> Any:
        options = {"keep": keep, "os_cache": os_cache, "targets": ["models/x"]}
        return process.call("readers_of_a_test:read", path=str(path), **options)

    yield read
    process.close()


def test_file_truncated_while_a_child_reads_it_is_damaged(beton_copy, readers):
    whole = beton_copy.read_bytes()
    assert readers(beton_copy, None, True) == 12
    for os_cache, keep in ((False, len(whole) // 2), (True, 0)):  # the last one ends the child
        with pytest.raises(DamagedFileError, match=r"changed or replaced while it was read|memory fault \(SIG"):
            readers(beton_copy, keep, os_cache)
        beton_copy.write_bytes(whole)
