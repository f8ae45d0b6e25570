"""Looking at class folders that this project did not write: contents are read once, and every change is noticed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynvision.data.images.image_table import Rows, digest_image
from dynvision.data.sources.folders import folder_scan
from dynvision.data.sources.folders.class_folders import Export, scan_class_folders
from dynvision.errors import DataError


def write_images(folder: Path, *names: str, count: int = 3) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / name / f"{number}.png").write_bytes(name.encode() * (number + 1))
    return folder


def set_times(folder: Path, nanoseconds: int = 10**18) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(nanoseconds, nanoseconds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of three images, which did not change just now."""
    made = write_images(tmp_path / "pets", "cat", "dog", "eel")
    set_times(made)
    time.sleep(0.06)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "scan.json"


@pytest.fixture
def was_read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of every image that is read from now on."""
    contents: list[bytes] = []

    def digest(content: bytes) -> int:
        contents.append(content)
        return digest_image(content)

    monkeypatch.setattr(folder_scan, "digest_image", digest)
    return contents


def look(folder: Path, cache: Path | None, **options: Any) -> str:
    """The digest of what is known of the contents, without reading any; empty if something is not known."""
    return scan_class_folders(folder, cache=cache, **options).digest


def read(folder: Path, cache: Path | None = None, known: Rows | None = None) -> Export:
    """Read what is not known, as building raw does."""
    return scan_class_folders(folder, cache=cache, every_image=True, known=known or {})


def change_in_place(folder: Path) -> None:
    """Change the bytes and the time of an image; the folder itself stays unchanged."""
    (folder / "dog" / "1.png").write_bytes(b"other pixels")


def change_in_place_and_restore_the_time(folder: Path) -> None:
    """Change bytes only: the image has the size and the modification time that it had."""
    path = folder / "dog" / "1.png"
    times = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def exchange(folder: Path) -> None:
    """Exchange two images of a class by renaming them; the folder has the time that it had."""
    times, one, two = (folder / "dog").stat(), folder / "dog" / "1.png", folder / "dog" / "2.png"
    one.rename(folder / "aside")
    two.rename(one)
    (folder / "aside").rename(two)
    os.utime(folder / "dog", ns=(times.st_atime_ns, times.st_mtime_ns))


def exchange_classes(folder: Path) -> None:
    """Exchange two class folders by renaming them."""
    (folder / "dog").rename(folder / "aside")
    (folder / "cat").rename(folder / "dog")
    (folder / "aside").rename(folder / "cat")


def add(folder: Path) -> None:
    (folder / "dog" / "new.png").write_bytes(b"x")


def remove(folder: Path) -> None:
    (folder / "dog" / "1.png").unlink()


def rename(folder: Path) -> None:
    (folder / "dog" / "1.png").rename(folder / "dog" / "one.png")


def add_class(folder: Path) -> None:
    write_images(folder, "fox")


IN_PLACE = [change_in_place, change_in_place_and_restore_the_time]
CHANGES = [*IN_PLACE, exchange, exchange_classes, add, remove, rename, add_class]


@pytest.mark.parametrize("threads", [1, 2, 7, 64])
def test_digest_does_not_depend_on_the_number_of_threads(tmp_path, monkeypatch, threads):
    made = write_images(tmp_path / "x", *(f"class{n:02d}" for n in range(30)))
    expected = read(made)
    monkeypatch.setattr(folder_scan, "_SCANNERS", threads)
    assert read(made) == expected
    assert sum(c.count for c in expected.classes) == 90
    assert expected.n_bytes == 30 * 7 * (1 + 2 + 3)


def test_contents_are_read_once(folder, cache, was_read):
    assert look(folder, cache) == ""
    first = read(folder, cache)
    assert len(was_read) == 9
    assert first.digest == look(folder, cache) == read(folder, cache, first.rows).digest != ""
    assert read(folder, cache, first.rows).rows == first.rows
    assert len(was_read) == 9
    read(folder, cache)
    assert len(was_read) == 18, "without an earlier table there is nothing to take over"


def test_looking_reads_nothing(folder, cache, was_read):
    for _ in range(2):
        assert scan_class_folders(folder, cache=cache).rows == {}
    assert (was_read, cache.exists()) == ([], False)


def test_touched_files_have_the_same_content_and_only_their_class_is_read_again(folder, cache, was_read):
    first = read(folder, cache)
    was_read.clear()
    set_times(folder / "dog", 10**18 + 1)
    assert look(folder, cache) == ""
    assert read(folder, cache, first.rows).digest == first.digest == look(folder, cache)
    assert sorted(was_read) == [b"dog", b"dogdog", b"dogdogdog"]


def test_a_copy_without_its_times_has_the_same_content(folder, cache, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy)
    assert read(copy).digest == read(folder, cache).digest


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_few_images_is_noticed_by_the_stamp(folder, cache, change):
    before = read(folder, cache)
    assert look(folder, cache) == before.digest
    change(folder)
    assert look(folder, cache) == ""
    after = read(folder, cache, before.rows)
    assert after == read(folder)
    assert after.digest not in (before.digest, "")
    assert look(folder, cache) == after.digest


@pytest.mark.parametrize("change", CHANGES)
def test_among_many_images_one_changed_in_place_is_noticed_if_every_image_is_looked_at(
    folder, cache, monkeypatch, change
):
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", 8)
    before = read(folder, cache)
    assert look(folder, cache) == before.digest
    change(folder)
    assert look(folder, cache) == (before.digest if change in IN_PLACE else "")
    assert look(folder, cache, every_image=True) == ""
    assert read(folder, cache, before.rows) == read(folder)
    assert look(folder, cache) == read(folder).digest != before.digest


def test_at_the_limit_every_image_is_looked_at(folder, cache, monkeypatch):
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", 9)
    read(folder, cache)
    change_in_place(folder)
    assert look(folder, cache) == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b"5",
        b"[" * 100_000,
        b'{"folder": 1}',
        b'{"folder": "pets", "images": 99}',
        b'{"folder": "pets", "images": 99, "classes": []}',
        b'{"folder": "pets", "images": "99", "classes": {}}',
        b'{"folder": "pets", "images": 99, "classes": {"dog": []}}',
        b'{"folder": "pets", "images": 99, "classes": {"dog": [1, 2, 3, 4, 5, 6, 7, 8]}}',
        b'{"folder": "pets", "images": 99, "classes": {"dog": ["1,2,3", 2, 3, "", 1, "", 0, ""]}}',
        b'{"folder": "pets", "images": 99, "classes": {"dog": [1, 2, 3, "", 1, "", 0, ""]}}',
        b'{"folder": "pets", "images": 99, "classes": {"dog": null}}',
    ],
)
def test_damaged_cache_is_ignored_and_written_again(folder, cache, monkeypatch, content):
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", 8)
    expected = read(folder, cache)
    whole = json.loads(cache.read_text())
    cache.write_bytes(content)
    assert look(folder, cache) == ""
    assert read(folder, cache) == expected
    assert json.loads(cache.read_text()) == whole


def test_wrong_digest_in_the_cache_is_no_digest_of_the_images(folder, cache):
    """The cache is a memory and no proof: what it says of images is compared with the table that is taken over."""
    expected = read(folder, cache)
    content = json.loads(cache.read_text())
    content["classes"]["dog"][5] = "0" * 32
    cache.write_text(json.dumps(content))
    assert look(folder, cache) not in (expected.digest, "")
    assert read(folder, cache, expected.rows).digest == expected.digest == look(folder, cache)


@pytest.mark.parametrize("many", [8, 50_000])
def test_cache_of_another_folder_does_not_count(folder, cache, tmp_path, monkeypatch, many):
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", many)
    read(folder, cache)
    other = write_images(tmp_path / "others", "cat", "dog", "eel", count=4)
    set_times(other)
    assert look(other, cache) == ""
    assert read(other, cache) == read(other)
    assert look(folder, cache) == "", "it is that of the other folder now"


def test_a_root_that_is_moved_keeps_its_cache(tmp_path, was_read):
    root = tmp_path / "root"
    made = write_images(root / "raw" / "pets" / "test", "cat", "dog")
    before = read(made, made.with_name("scan.json"))
    was_read.clear()
    root.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "raw" / "pets" / "test"
    assert look(moved, moved.with_name("scan.json")) == before.digest
    assert read(moved, moved.with_name("scan.json"), before.rows).digest == before.digest
    assert was_read == []


def test_cache_that_can_be_written_nowhere_costs_time_and_stops_nothing(folder, monkeypatch):
    nowhere = Path("/proc/none/scan.json")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere.parent))
    assert read(folder, nowhere) == read(folder)
    assert look(folder, nowhere) == ""


@pytest.mark.slow
@pytest.mark.parametrize("change", [change_in_place, change_in_place_and_restore_the_time])
def test_a_file_that_changes_right_after_it_was_read_is_read_again(tmp_path, cache, change):
    made = write_images(tmp_path / "pets", "cat", "dog")
    for _ in range(20):
        before = read(made, cache)
        assert look(made, cache) == before.digest, "also if it was written just before it was read"
        write_images(made, "dog")
        before = read(made, cache)
        change(made)
        assert look(made, cache) == ""
        assert read(made, cache, before.rows) == read(made)


def test_what_was_read_while_files_had_just_changed_is_not_remembered(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    made = write_images(tmp_path / "pets", "cat")
    os.utime(made / "cat" / "0.png")
    assert read(made, cache).digest != ""
    assert look(made, cache) == ""


def test_images_with_times_in_the_future_are_remembered(folder, cache):
    set_times(folder, 4 * 10**18)
    time.sleep(0.06)
    before = read(folder, cache)
    assert look(folder, cache) == before.digest != ""
    change_in_place(folder)
    set_times(folder, 4 * 10**18)
    assert look(folder, cache) == ""


@pytest.mark.parametrize("change", [change_in_place, change_in_place_and_restore_the_time, add, remove, rename])
def test_folder_that_changes_while_it_is_read_is_an_error_that_says_so(folder, cache, monkeypatch, change):
    def digest(content: bytes, change: Callable[[Path], None] = change) -> int:
        if content == b"dog":
            change(folder)
        return digest_image(content)

    monkeypatch.setattr(folder_scan, "digest_image", digest)
    monkeypatch.setattr(folder_scan, "_SCANNERS", 1)
    with pytest.raises(DataError) as caught:
        read(folder, cache)
    said = str(caught.value)
    assert said == f"{folder / 'dog'} changed while it was read. Run this again when nobody writes to it." or (
        change in (remove, rename) and said.startswith(f"{folder / 'dog' / '1.png'} cannot be read: No such file")
    )
    assert not cache.exists()


def test_image_that_cannot_be_read_is_named(folder, cache):
    (folder / "dog" / "1.png").unlink()
    (folder / "dog" / "1.png").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match=r"dog/1\.png cannot be read: Input/output error\. Mend or remove it\.$"):
        read(folder, cache)


ODD = ["bild é.png", "emoji 🐝.JPG", "a;b,c.png", "new\nline.png", "'quote\".png", " .png", "-rf.png", "..png"]


def test_odd_names_count_and_each_gives_its_own_digest(tmp_path):
    made = write_images(tmp_path / "x", "cat")
    digests = {read(made).digest}
    for number, name in enumerate(ODD[:-1]):
        (made / "cat" / name).write_bytes(b"x")
        export = read(made)
        assert export.classes[0].count == 4 + number
        digests.add(export.digest)
    assert len(digests) == len(ODD)
    (made / "cat" / ODD[-1]).write_bytes(b"x")
    assert read(made).digest in digests, "names that begin with a dot are hidden"


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


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12), max_size=4))
def test_any_name_that_a_file_can_have_is_scanned(tmp_path_factory, names):
    made = write_images(tmp_path_factory.mktemp("x"), "cat")
    for name in names:
        (made / "cat" / f"{name}.png").write_bytes(b"x")
    export = read(made)
    shown = {f"{name}.png" for name in names if not name.startswith(".")}
    assert export.classes[0].count == len(shown | {"0.png", "1.png", "2.png"})
    assert set(export.rows) == {"cat"}
    assert {row.name for row in export.rows["cat"]} == shown | {"0.png", "1.png", "2.png"}
    assert read(made) == export
