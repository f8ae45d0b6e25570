"""An export that is not as it was written: building it again mends it, and no file of yours goes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.errors import DataError
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from tests.helpers.chains import build_chain, copy_root
from tests.helpers.configuration import write_small_config
from tests.helpers.files import find_leftovers, flip_byte

pytestmark = pytest.mark.slow

CHAIN = ("raw/gratings:test", "interim/gratings:test_pair", "processed/gratings:test_pair")
RAW = CHAIN[0]
MANIFEST, TABLE = "manifest.json", "manifest.images.parquet"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which gratings are processed."""
    root = tmp_path_factory.mktemp("made")
    build_chain(root, write_small_config(root / "config"), "raw/gratings:train", CHAIN[2])
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The exported test images in a copy of it."""
    return copy_root(made, tmp_path / "root") / "data/raw/gratings/test"


def root_of(folder: Path) -> Path:
    return folder.parents[3]


def build(folder: Path, target: str = RAW, **options: Any) -> None:
    root = root_of(folder)
    build_targets([target], root=str(root), config=str(root / "config"), **options)


def statuses(folder: Path, *targets: str) -> list[Any]:
    workspace, known = Workspace.open(root_of(folder), root_of(folder) / "config"), {}
    return [workspace.status(parse_target(workspace, text)[0], known) for text in targets or CHAIN]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.p[na][gr]*")}


def keep_times(change: Callable[[Path], None], path: Path) -> None:
    times = path.stat()
    change(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def overwrite(folder: Path) -> str:
    """Put another image in place of one, of which the time is kept."""
    path = folder / "0" / "00003.png"
    keep_times(lambda path: path.write_bytes((folder / "1" / "00004.png").read_bytes()), path)
    return f"{path} is not the image that was written: these are not the recorded images"


def flip(folder: Path) -> str:
    path = folder / "1" / "00005.png"
    keep_times(lambda path: flip_byte(path, -20), path)
    return f"{path} is not the image that was written: these are not the recorded images"


def exchange_classes(folder: Path) -> str:
    (folder / "0").rename(folder / "aside")
    (folder / "1").rename(folder / "0")
    (folder / "aside").rename(folder / "1")
    return f"{folder / '0' / '00000.png'} is missing, and 15 more differences: these are not the recorded images"


def exchange_images(folder: Path) -> str:
    one, two = folder / "0" / "00000.png", folder / "0" / "00003.png"
    one.rename(folder / "aside")
    two.rename(one)
    (folder / "aside").rename(two)
    return f"{one} is not the image that was written, and 1 more differences: these are not the recorded images"


def remove(folder: Path) -> str:
    (folder / "2" / "00009.png").unlink()
    return f"{folder / '2' / '00009.png'} is missing: these are not the recorded images"


def add(folder: Path) -> str:
    shutil.copy2(folder / "2" / "00009.png", folder / "2" / "00099.png")
    return f"{folder / '2' / '00099.png'} was added: these are not the recorded images"


def remove_class(folder: Path) -> str:
    shutil.rmtree(folder / "2")
    return f"{folder / '2'} is missing: these are not the recorded images"


def cut(folder: Path, name: str = MANIFEST) -> str:
    os.truncate(folder / name, (folder / name).stat().st_size // 2)
    return f"{folder / name} is damaged: "


def flip_manifest(folder: Path, name: str = MANIFEST) -> str:
    flip_byte(folder / name, (folder / name).read_bytes().find(b"data_version") + 20)
    return f"{folder / name} is damaged: "


def exchange_with_train(folder: Path, name: str = MANIFEST) -> str:
    other = folder.with_name("train") / name
    (folder / name).rename(folder / "aside")
    other.rename(folder / name)
    (folder / "aside").rename(other)
    return f"{folder / name} holds the record of raw/gratings:train, not of {RAW}: files were swapped, moved or copied"


def cut_table(folder: Path) -> str:
    return cut(folder, TABLE)


def flip_table(folder: Path) -> str:
    flip_byte(folder / TABLE, 40)
    return f"{folder / TABLE} is damaged: its contents are not those that were written"


def exchange_table_with_train(folder: Path) -> str:
    exchange_with_train(folder, TABLE)
    return f"{folder / TABLE} is damaged: "


def delete_table(folder: Path) -> str:
    (folder / TABLE).unlink()
    return f"{folder / TABLE} is missing, and the record names it"


IMAGES = [overwrite, flip, exchange_classes, exchange_images, remove, add, remove_class]
RECORDS = [cut, flip_manifest, exchange_with_train, cut_table, flip_table, exchange_table_with_train, delete_table]


@pytest.mark.parametrize("damage", [*IMAGES, *RECORDS])
def test_damage_is_named_and_building_raw_again_makes_everything_fresh(folder, damage: Callable[[Path], str]):
    before, images = [status.data_version for status in statuses(folder)], contents(folder)
    expected = damage(folder)
    raw, interim, processed = statuses(folder)
    assert (raw.state, interim.state, processed.state) == ("damaged", "stale", "stale")
    assert raw.reason.startswith(expected)
    assert raw.reason.endswith(f"Build it again: dynvision make --force {RAW}")
    assert interim.reason == f"{RAW} is damaged: {raw.reason}"
    build(folder)
    assert [status.state for status in statuses(folder)] == ["fresh"] * 3
    assert [status.data_version for status in statuses(folder)] == before
    assert contents(folder) == images
    assert find_leftovers(root_of(folder) / "data/raw") == []


def test_manifest_that_is_deleted_is_missing_and_building_makes_everything_fresh(folder):
    before, images = [status.data_version for status in statuses(folder)], contents(folder)
    (folder / MANIFEST).unlink()
    assert [(s.state, s.reason) for s in statuses(folder, RAW)] == [("missing", "it has not been built")]
    build(folder)
    assert [status.state for status in statuses(folder)] == ["fresh"] * 3
    assert [status.data_version for status in statuses(folder)] == before
    assert contents(folder) == images


@pytest.mark.parametrize("exchange", [exchange_with_train, exchange_table_with_train])
def test_both_splits_that_were_exchanged_are_mended_one_after_the_other(folder, exchange):
    exchange(folder)
    splits = ("raw/gratings:train", RAW)
    assert [status.state for status in statuses(folder, *splits)] == ["damaged"] * 2
    for target in splits:
        build(folder, target)
    assert [status.state for status in statuses(folder, *splits)] == ["fresh"] * 2


YOURS = [
    "notes.txt",
    ".notes",
    "manifest.txt",
    "manifest.json.txt",
    "extra/00000.png",
    ".hidden/00000.png",
    "0/mine.png",
    "0/.mine",
    "0/notes.txt",
    "0/00000.png.txt",
    "0/00099.png/in a folder.txt",
]


@pytest.mark.parametrize("name", YOURS)
@pytest.mark.parametrize("damage", [None, cut, flip_manifest, delete_table, remove])
def test_a_file_of_yours_in_the_folder_is_in_the_way_and_stays(folder, name, damage):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    if damage is not None:
        damage(folder)
    shown = "0/00099.png" if name.startswith("0/00099.png/") else name if name.startswith("0/") else name.split("/")[0]
    expected = (
        rf"^{re.escape(str(folder))} is in the way: {re.escape(shown)} in it was not written by this project\. Move"
    )
    for _ in range(2):
        with pytest.raises(DataError, match=expected):
            build(folder, force=True)
    assert path.read_bytes() == b"precious"
    aside = root_of(folder) / "aside"
    (folder / shown).rename(aside)
    build(folder)
    assert [status.state for status in statuses(folder)] == ["fresh"] * 3
    assert aside.exists()


@pytest.mark.parametrize("name", [".DS_Store", "0/.DS_Store", "0/._00001.png", "0/Thumbs.db"])
def test_what_an_operating_system_leaves_there_is_not_in_the_way(folder, name):
    (folder / name).write_bytes(b"of a file manager")
    build(folder, force=True)
    assert [status.state for status in statuses(folder)] == ["fresh"] * 3
