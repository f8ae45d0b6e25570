"""Digests of files: each state of a file is read once, and no change goes unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.errors import DamagedFileError
from dynvision.system import file_digests
from dynvision.system.checked_files import CheckedFiles
from dynvision.system.file_digests import FileDigest, digest_file, digest_files, list_files
from tests.helpers.files import flip_byte, without_privileges

ADVICE = "Build it again: dynvision make --force x"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An output of three files that were written a while ago."""
    folder = tmp_path / "output"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.bin", "b.bin", "deep/c.bin")):
        (folder / name).write_bytes(bytes([number]) * 1000)
    settle()
    return folder


@pytest.fixture
def digests(folder: Path) -> dict[str, FileDigest]:
    return {name: FileDigest(1000, file_digests.digest_bytes((folder / name).read_bytes())) for name in names(folder)}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read to hash them."""
    names: list[str] = []
    original = file_digests.xxhash.xxh3_128

    class Hasher:
        def __init__(self) -> None:
            self.hasher = original()

        def update(self, chunk: bytes) -> None:
            names.append(f"{len(chunk)} bytes")
            self.hasher.update(chunk)

        def hexdigest(self) -> str:
            return str(self.hasher.hexdigest())

    monkeypatch.setattr(file_digests.xxhash, "xxh3_128", Hasher)
    return names


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter; pytest's own folders are root's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def names(folder: Path) -> list[str]:
    return list_files(folder)


def settle() -> None:
    """Wait until another change gives a file another time."""
    time.sleep(0.06)


def forget() -> None:
    """Forget what this process knows of files, as if it were another one."""
    file_digests._digests.clear()


def note_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.stamps.json")


def checked(folder: Path, digests: dict[str, FileDigest]) -> CheckedFiles:
    return CheckedFiles(folder, digests, ADVICE)


def test_files_are_listed_by_name_without_hidden_ones(folder):
    (folder / ".hidden").touch()
    assert list_files(folder) == ["a.bin", "b.bin", "deep/c.bin"]
    assert list_files(folder, ["b.bin"]) == ["a.bin", "deep/c.bin"]


def test_each_file_is_read_once_by_all_processes(folder, digests, reads):
    assert checked(folder, digests).check_all() == 3000
    assert len(reads) == 3
    checked(folder, digests).check_all()
    forget()
    checked(folder, digests).check_all()
    assert len(reads) == 3


def test_same_bytes_with_new_times_are_fine_and_read_once_more(folder, digests, reads):
    checked(folder, digests).check_all()
    os.utime(folder / "a.bin", (1, 1))
    (folder / "b.bin").write_bytes((folder / "b.bin").read_bytes())
    settle()
    for _ in range(3):
        forget()
        checked(folder, digests).check_all()
    assert len(reads) == 3 + 2


def test_file_from_the_future_is_read_once_too(folder, digests, reads):
    os.utime(folder / "a.bin", (4e9, 4e9))
    settle()
    for _ in range(3):
        forget()
        checked(folder, digests).check_all()
    assert len(reads) == 3


def test_copied_and_moved_output_is_fine(folder, digests, tmp_path):
    checked(folder, digests).check_all()
    copy = shutil.copytree(folder, tmp_path / "copy")
    moved = shutil.move(folder, tmp_path / "moved")
    for output in (copy, moved):
        assert checked(Path(output), digests).check_all() == 3000


@pytest.mark.parametrize("is_remembered", [True, False])
def test_changed_bytes_with_the_old_time_are_found(folder, digests, is_remembered):
    checked(folder, digests).check_all()
    before = (folder / "a.bin").stat()
    flip_byte(folder / "a.bin", 500)
    os.utime(folder / "a.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    if not is_remembered:
        forget()
    with pytest.raises(DamagedFileError) as caught:
        checked(folder, digests).check_all()
    assert str(caught.value) == (
        f"{folder / 'a.bin'} is damaged: its contents are not those that were written. {ADVICE}"
    )


def test_file_that_was_replaced_by_one_of_the_same_size_and_time_is_found(folder, digests, tmp_path):
    checked(folder, digests).check_all()
    before = (folder / "a.bin").stat()
    (tmp_path / "new").write_bytes(b"x" * 1000)
    os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(tmp_path / "new", folder / "a.bin")
    with pytest.raises(DamagedFileError, match=r"a\.bin is damaged: its contents are not those that were written"):
        checked(folder, digests).check_all()


def test_swapped_files_are_found(folder, digests):
    checked(folder, digests).check_all()
    os.rename(folder / "a.bin", folder / "x")
    os.rename(folder / "b.bin", folder / "a.bin")
    os.rename(folder / "x", folder / "b.bin")
    with pytest.raises(DamagedFileError, match=r"a\.bin is damaged: its contents are not those that were written"):
        checked(folder, digests).check_all()


@pytest.mark.slow
def test_file_that_changes_right_after_it_was_hashed_is_found(tmp_path):
    path = tmp_path / "new.bin"
    for attempt in range(200):
        path.write_bytes(b"a" * 1000)
        before = digest_file(path)
        with path.open("r+b", buffering=0) as file:
            file.write(b"b")
        assert digest_file(path) != before, attempt


def test_file_that_changes_while_it_is_hashed_is_read_again(folder, monkeypatch):
    path, original = folder / "a.bin", file_digests.xxhash.xxh3_128

    def hash_and_change() -> object:
        path.write_bytes(b"b" * 1000)
        return original()

    monkeypatch.setattr(file_digests.xxhash, "xxh3_128", hash_and_change)
    digest_file(path)
    monkeypatch.undo()
    path.write_bytes(b"c" * 1000)
    assert digest_file(path).xxh3 == file_digests.digest_bytes(b"c" * 1000)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "a.bin is missing, and the record names it"),
        (lambda path: path.write_bytes(b""), "a.bin is damaged: it has 0 bytes where 1000 were written"),
        (lambda path: os.truncate(path, 999), "a.bin is damaged: it has 999 bytes where 1000 were written"),
        (lambda path: os.truncate(path, 1001), "a.bin is damaged: it has 1001 bytes where 1000 were written"),
        (lambda path: (path.unlink(), path.symlink_to("a.bin")), r"a.bin cannot be read \(Too many levels of symbolic"),
        (lambda path: (path.unlink(), path.mkdir()), "a.bin is damaged|a.bin cannot be read"),
    ],
)
@pytest.mark.parametrize("way", ["check", "check_all", "check_all afresh", "read"])
def test_every_way_of_reading_says_what_is_wrong(folder, digests, damage, sentence, way):
    damage(folder / "a.bin")
    files = checked(folder, digests)
    ways = {
        "check": lambda: files.check("a.bin"),
        "check_all": files.check_all,
        "check_all afresh": lambda: files.check_all(afresh=True),
        "read": lambda: files.read("a.bin"),
    }
    with pytest.raises(DamagedFileError, match=sentence) as caught:
        ways[way]()
    assert str(caught.value).endswith(ADVICE)


def test_file_that_the_record_does_not_name_is_refused(folder, digests):
    (folder / "more.bin").write_bytes(b"")
    for read in (checked(folder, digests).check, checked(folder, digests).read):
        with pytest.raises(DamagedFileError, match=r"more\.bin is not among the files in the record of"):
            read("more.bin")


def test_reading_afresh_does_not_trust_what_is_remembered(folder, digests, reads):
    flip_byte(folder / "a.bin", 0)
    settle()
    actual = digest_files(folder, names(folder))
    checked(folder, actual).check_all()
    note = json.loads(note_of(folder).read_text())
    note["stamps"]["a.bin"][4] = digests["a.bin"].xxh3
    note_of(folder).write_text(json.dumps(note))
    forget()
    with pytest.raises(DamagedFileError, match=r"a\.bin is damaged"):
        checked(folder, digests).check_all(afresh=True)


def test_read_only_folder_is_remembered_in_the_cache_of_the_user(open_folder, monkeypatch, reads):
    folder = open_folder / "shared" / "output"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 1000)
    (open_folder / "cache").mkdir()
    (open_folder / "cache").chmod(0o777)
    (open_folder / "shared").chmod(0o555)
    settle()
    digests = {"a.bin": FileDigest(1000, file_digests.digest_bytes(b"a" * 1000))}
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_folder / "cache"))
    with without_privileges():
        for _ in range(3):
            forget()
            checked(folder, digests).check_all()
    assert [path.name for path in (open_folder / "shared").iterdir()] == ["output"]
    (note,) = (open_folder / "cache" / "dynvision" / "stamps").iterdir()
    assert list(json.loads(note.read_text())["stamps"]) == ["a.bin"]
    assert len(reads) == 1
    (open_folder / "shared").chmod(0o755)


def test_nothing_is_wrong_where_nothing_can_be_remembered(open_folder, monkeypatch):
    folder = open_folder / "shared" / "output"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 1000)
    (open_folder / "shared").chmod(0o555)
    (open_folder / "file").touch()
    settle()
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_folder / "file"))
    digests = {"a.bin": FileDigest(1000, file_digests.digest_bytes(b"a" * 1000))}
    with without_privileges():
        assert checked(folder, digests).check_all() == 1000
    (open_folder / "shared").chmod(0o755)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        "[" * 100_000,
        "\0\0\0",
        '{"stamps": 5}',
        '{"stamps": [1]}',
        '{"stamps": {"a.bin": 5}}',
        '{"stamps": {"a.bin": []}}',
        '{"stamps": {"a.bin": [1, 2, 3, 4]}}',
        '{"stamps": {"a.bin": [1, 2, 3, 4, 5]}}',
        '{"stamps": {"a.bin": ["1", 2, 3, 4, "x"]}}',
        '{"stamps": {"a.bin": [true, 2, 3, 4, "x"]}}',
        '{"stamps": {"a.bin": [1000, 2, 3, 4, "x"]}}',
    ],
)
def test_damaged_note_is_ignored_and_written_again(folder, digests, reads, content):
    note_of(folder).write_text(content)
    for _ in range(2):
        forget()
        assert checked(folder, digests).check_all() == 3000
    assert len(reads) == 3
    assert sorted(json.loads(note_of(folder).read_text())["stamps"]) == names(folder)


def test_note_that_is_a_folder_or_not_utf_8_is_ignored(folder, digests, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    note_of(folder).write_bytes(b"\xff\xfe")
    assert checked(folder, digests).check_all() == 3000
    note_of(folder).unlink()
    note_of(folder).mkdir()
    forget()
    assert checked(folder, digests).check_all() == 3000


@pytest.mark.slow
def test_every_flipped_bit_of_a_note_leaves_the_answer_as_it_is(folder, digests):
    checked(folder, digests).check_all()
    whole = note_of(folder).read_bytes()
    for position in range(0, 8 * len(whole), 13):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        note_of(folder).write_bytes(bytes(flipped))
        forget()
        assert checked(folder, digests).check_all() == 3000, position
