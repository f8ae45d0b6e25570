"""Scanning of images that this project did not write: on threads, cached, and repeated when it matters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dynvision.data.sources import class_folders
from dynvision.data.sources.folders.class_folders import scan_class_folders
from dynvision.errors import DataError
from dynvision.stages.raw import RawStage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.verifying import verify_targets
from tests.helpers.configuration import edit_yaml

TEST = Target(("raw", "pets"), "test")


def write_images(folder: Path, *names: str, count: int = 3) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / name / f"{number}.png").write_bytes(b"x" * (number + 1))
    return folder


def age(folder: Path) -> None:
    """Put folders and images into the past, so that a change has another time."""
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_images(tmp_path / "pets", "cat", "dog", "eel")
    age(made)
    return made


def change_in_place(folder: Path) -> None:
    """Change the bytes and the time of an image; the folder itself stays unchanged."""
    (folder / "dog" / "1.png").write_bytes(b"other pixels")


def add(folder: Path) -> None:
    (folder / "dog" / "new.png").write_bytes(b"x")


def remove(folder: Path) -> None:
    (folder / "dog" / "1.png").unlink()


def rename(folder: Path) -> None:
    (folder / "dog" / "1.png").rename(folder / "dog" / "one.png")


def add_class(folder: Path) -> None:
    write_images(folder, "fox")


CHANGES = [change_in_place, add, remove, rename, add_class]


@pytest.mark.parametrize("threads", [1, 2, 7, 64])
def test_digest_does_not_depend_on_the_number_of_threads(tmp_path, monkeypatch, threads):
    made = write_images(tmp_path / "x", *(f"class{n:02d}" for n in range(30)))
    expected = scan_class_folders(made)
    monkeypatch.setattr(class_folders, "_SCANNERS", threads)
    assert scan_class_folders(made) == expected
    assert sum(c.count for c in expected.classes) == 90
    assert expected.n_bytes == 30 * (1 + 2 + 3)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_few_images_is_noticed_through_the_cache(folder, tmp_path, change):
    cache = tmp_path / "scan.json"
    before = scan_class_folders(folder, cache=cache)
    assert cache.is_file()
    assert scan_class_folders(folder, cache=cache) == before == scan_class_folders(folder)
    change(folder)
    after = scan_class_folders(folder, cache=cache)
    assert after.digest != before.digest
    assert after == scan_class_folders(folder)


@pytest.mark.parametrize("change", CHANGES)
def test_among_many_images_added_and_removed_ones_are_noticed_through_the_cache(folder, tmp_path, monkeypatch, change):
    monkeypatch.setattr(class_folders, "MANY_IMAGES", 8)
    cache = tmp_path / "scan.json"
    before = scan_class_folders(folder, cache=cache)
    assert scan_class_folders(folder, cache=cache) == before
    change(folder)
    after = scan_class_folders(folder, cache=cache)
    assert (after.digest != before.digest) == (change is not change_in_place)
    assert (after == scan_class_folders(folder)) == (change is not change_in_place)


def test_at_the_limit_every_image_is_looked_at(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(class_folders, "MANY_IMAGES", 9)
    before = scan_class_folders(folder, cache=tmp_path / "scan.json")
    change_in_place(folder)
    assert scan_class_folders(folder, cache=tmp_path / "scan.json").digest != before.digest


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b'{"folder": 1}',
        b'{"folder": "FOLDER", "images": 99}',
        b'{"folder": "FOLDER", "images": 99, "classes": []}',
        b'{"folder": "FOLDER", "images": "99", "classes": {}}',
        b'{"folder": "FOLDER", "images": 99, "classes": {"dog": []}}',
        b'{"folder": "FOLDER", "images": 99, "classes": {"dog": [1, 2, 3, 4, 5, 6]}}',
        b'{"folder": "FOLDER", "images": 99, "classes": {"dog": null}}',
    ],
)
def test_damaged_cache_is_ignored_and_written_again(folder, tmp_path, monkeypatch, content):
    monkeypatch.setattr(class_folders, "MANY_IMAGES", 8)
    cache = tmp_path / "scan.json"
    expected = scan_class_folders(folder, cache=cache)
    whole = json.loads(cache.read_text())
    cache.write_bytes(content.replace(b"FOLDER", str(folder).encode()))
    assert scan_class_folders(folder, cache=cache) == expected
    assert json.loads(cache.read_text()) == whole


def test_cache_of_another_folder_does_not_count(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(class_folders, "MANY_IMAGES", 8)
    cache = tmp_path / "scan.json"
    scan_class_folders(folder, cache=cache)
    other = write_images(tmp_path / "others", "cat", "dog", "eel", count=4)
    age(other)
    assert scan_class_folders(other, cache=cache) == scan_class_folders(other)


ODD = ["bild é.png", "emoji 🐝.JPG", "a;b,c.png", "new\nline.png", "'quote\".png", " .png", "-rf.png", "..png"]


def test_odd_names_count_and_each_gives_its_own_digest(tmp_path):
    made = write_images(tmp_path / "x", "cat")
    digests = {scan_class_folders(made).digest}
    for number, name in enumerate(ODD[:-1]):
        (made / "cat" / name).write_bytes(b"x")
        export = scan_class_folders(made)
        assert export.classes[0].count == 4 + number
        digests.add(export.digest)
    assert len(digests) == len(ODD)
    (made / "cat" / ODD[-1]).write_bytes(b"x")
    assert scan_class_folders(made).digest in digests, "names that begin with a dot are hidden"


@pytest.mark.parametrize("name", [b"cat/\xff\xfe.png", b"dog\xff/1.png"])
def test_name_that_is_not_text_is_an_error_that_says_so(tmp_path, name):
    made = write_images(tmp_path / "x", "cat")
    path = Path(os.fsdecode(os.fsencode(made) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"UTF-8.*[Rr]ename"):  # it could stand in no record
        scan_class_folders(made, cache=tmp_path / "scan.json")


def test_broken_link_among_the_images_names_it(tmp_path):
    made = write_images(tmp_path / "x", "cat")
    (made / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"cannot be looked at: .*gone\.png.*Mend or remove it"):
        scan_class_folders(made)


@settings(max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12), max_size=4))
def test_any_name_that_a_file_can_have_is_scanned(tmp_path_factory, names):
    made = write_images(tmp_path_factory.mktemp("x"), "cat")
    for name in names:
        (made / "cat" / f"{name}.png").write_bytes(b"x")
    export = scan_class_folders(made)
    shown = {f"{name}.png" for name in names if not name.startswith(".")}
    assert export.classes[0].count == len(shown | {"0.png", "1.png", "2.png"})
    assert scan_class_folders(made) == export


@pytest.fixture
def pets(tmp_path: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a dataset of the user's own that counts as large and has a record."""
    monkeypatch.setattr(class_folders, "MANY_IMAGES", 3)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "data/raw/pets" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (8, 8), (40 * number, 6, 7)).save(folder / f"{number}.png")
    age(tmp_path / "data/raw/pets")
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update(pets=8))
    build(tmp_path)
    return tmp_path


def build(root: Path, **options: Any) -> dict[str, Any]:
    (record,) = build_targets([str(TEST)], root=str(root), config=str(root / "config"), **options)
    return record


def test_image_changed_in_place_in_a_large_dataset_is_noticed_by_verify_and_by_building(pets):
    workspace = Workspace.open(pets, pets / "config")
    before = workspace.status(TEST)
    assert before.state == "fresh"
    assert (pets / "data/raw/pets/.test.scan.json").is_file()
    Image.new("RGB", (8, 8), (9, 99, 9)).save(pets / "data/raw/pets/test/dog/1.png")
    workspace = Workspace.open(pets, pets / "config")
    assert workspace.status(TEST).state == "fresh", "it is looked for only when something is built or verified"
    (result,) = verify_targets(workspace, [TEST])
    assert result.state == "damaged"
    assert result.sentence.endswith("were changed since they were looked at. Look again: dynvision make raw/pets:test")
    assert Workspace.open(pets, pets / "config").status(TEST).state == "stale", "the result is not forgotten"
    record = build(pets, force=True)
    assert record["data_version"] != before.data_version
    workspace = Workspace.open(pets, pets / "config")
    assert workspace.status(TEST).state == "fresh"
    assert [result.state for result in verify_targets(workspace, [TEST])] == ["whole"]


def test_image_that_is_added_to_a_large_dataset_makes_it_stale(pets):
    Image.new("RGB", (8, 8)).save(pets / "data/raw/pets/test/dog/2.png")
    status = Workspace.open(pets, pets / "config").status(TEST)
    assert (status.state, status.reason) == ("stale", f"images or classes in {pets / 'data/raw/pets/test'} changed")
    assert build(pets)["details"]["images"] == 5


def test_scan_is_remembered_between_processes_only_if_it_is_whole(pets):
    cache = pets / "data/raw/pets/.test.scan.json"
    cache.write_text("{")
    stage = Workspace.open(pets, pets / "config").stages["raw"]
    assert isinstance(stage, RawStage)
    assert stage.settings(TEST)["files"] == build(pets)["config"]["files"]
