"""Archives that somebody made to do harm, and damaged ones: each is a sentence, runs nothing and leaves nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile

import pytest

from dynvision.data.sources.unpacking import Limits, unpack_archive
from dynvision.errors import DataError
from tests.helpers.archives import (
    NAME,
    assert_refused,
    entry,
    write_cifar100_archive,
    write_tar,
    write_zip,
)

pytestmark = pytest.mark.slow
SMALL = Limits(n_bytes=100_000, n_members=20)
MEMBERS = {
    "absolute": (entry("/dynvision-evil"), "its member '/dynvision-evil' has an absolute path"),
    "parent": (entry("../evil"), "its member '../evil' leads out of the folder with '..'"),
    "parent below": (entry("a/b/../../../evil"), "its member 'a/b/../../../evil' leads out of the folder"),
    "symlink": (entry("a", tarfile.SYMTYPE, "/etc/passwd"), "'a' is a symbolic link to '/etc/passwd', and no file"),
    "symlink up": (entry("a", tarfile.SYMTYPE, "../.."), "'a' is a symbolic link to '../..', and no file"),
    "hard link": (entry("a", tarfile.LNKTYPE, "/etc/passwd"), "'a' is a hard link to '/etc/passwd', and no file"),
    "device": (entry("a", tarfile.CHRTYPE), "'a' is a character device, and no file or folder"),
    "disk": (entry("a", tarfile.BLKTYPE), "'a' is a block device, and no file or folder"),
    "pipe": (entry("a", tarfile.FIFOTYPE), "'a' is a named pipe, and no file or folder"),
    "unknown": (entry("a", b"Z"), "'a' is of an unknown type, and no file or folder"),
    "newline": (entry("a\nb"), r"its member 'a\nb' has a name with a character that is not allowed"),
    "bytes": (entry("a\udcff"), r"its member 'a\udcff' has a name with a character that is not allowed"),
    "backslash": (entry("a\\b"), "has a name with a character that is not allowed"),
    "drive": (entry("C:/evil"), "has an absolute path"),
    "long": (entry("a" * 300), "has a name that is too long for a file"),
}


@pytest.mark.parametrize(("info", "reason"), MEMBERS.values(), ids=MEMBERS.keys())
def test_a_member_that_is_no_plain_file_inside_the_folder_is_refused(tmp_path, info, reason):
    (tmp_path / "archive").mkdir()
    path = tmp_path / "archive" / NAME
    assert_refused(write_tar(path, [(entry("fine"), b"x"), (info, b"")]), reason)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "a"], "its member 'a' is there twice"),
        (["a/b", "./a/b"], "its member './a/b' is there twice"),
        (["A", "a"], "its member 'a' is there twice"),
        (["a", "a/b"], "its member 'a/b' is a file and a folder"),
        (["a/b", "a"], "its member 'a' is a file and a folder"),
    ],
)
def test_a_name_is_used_once(tmp_path, names, reason):
    path = tmp_path / NAME
    assert_refused(write_tar(path, [(entry(name), b"x") for name in names]), reason)


def test_a_link_and_a_file_through_it_write_nothing_outside(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "archive").mkdir()
    path = tmp_path / "archive" / NAME
    write_tar(path, [(entry("a", tarfile.SYMTYPE, str(outside)), b""), (entry("a/evil"), b"x")])
    assert_refused(path, "'a' is a symbolic link")
    assert list(outside.iterdir()) == []


BOMB = b"\0" * 1_000_000


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("bomb.gz", lambda path: path.write_bytes(gzip.compress(BOMB))),
        ("bomb.bz2", lambda path: path.write_bytes(bz2.compress(BOMB))),
        ("bomb.xz", lambda path: path.write_bytes(lzma.compress(BOMB))),
        ("bomb.zip", lambda path: write_zip(path, [("a", BOMB)])),
        ("many.zip", lambda path: write_zip(path, [(f"a{n}", BOMB[:10_000]) for n in range(15)])),
        ("bomb.tar.gz", lambda path: write_tar(path, [(entry("a"), BOMB)])),
        ("bomb.tar.bz2", lambda path: write_tar(path, [(entry("a"), BOMB)], "w:bz2")),
        ("bomb.tar.xz", lambda path: write_tar(path, [(entry("a"), BOMB)], "w:xz")),
    ],
)
def test_a_bomb_ends_at_the_limit_whatever_its_format(tmp_path, name, write):
    write(tmp_path / name)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    with pytest.raises(DataError, match=r"it unpacks to more than 100,000 bytes, the most that such an archive may"):
        unpack_archive(tmp_path / name, folder, SMALL)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= SMALL.n_bytes


def test_a_bomb_behind_the_end_of_a_tar_or_in_its_headers_ends_too(tmp_path):
    tar = tmp_path / "plain.tar"
    write_tar(tar, [(entry("a"), b"x")], "w")
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tar.read_bytes() + b"\0" * 3_000_000))
    with pytest.raises(DataError, match=r"unpacks to more than"):
        unpack_archive(tmp_path / "a.tar.gz", tmp_path / "one", SMALL)
    header = entry("a", tarfile.XHDTYPE)
    header.size = 1 << 32
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(header.tobuf() + b"\0" * 5_000_000))
    with pytest.raises(DataError, match=r"a header at byte 512 has a length of 4,294,967,296 bytes"):
        unpack_archive(tmp_path / "b.tar.gz", tmp_path / "two", SMALL)


def test_an_archive_with_too_many_members_or_too_large_itself_is_refused(tmp_path):
    write_tar(tmp_path / "a.tar", [(entry(f"a{n}"), b"") for n in range(21)], "w")
    with pytest.raises(DataError, match=r"it has more than 20 files and folders"):
        unpack_archive(tmp_path / "a.tar", tmp_path / "x", SMALL)
    (tmp_path / "b.tar").write_bytes(bytes(200_000))
    with pytest.raises(DataError, match=r"it has 200,000 bytes, more than 100,000"):
        unpack_archive(tmp_path / "b.tar", tmp_path / "x", SMALL)


def test_a_size_below_zero_ends(tmp_path):
    header = bytearray(entry("a").tobuf())
    header[124:136] = b"\xff" * 11 + b"\x00"  # base 256: -256
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / NAME).write_bytes(gzip.compress(bytes(header) + bytes(2048)))
    assert_refused(tmp_path / NAME, "below 0")


@pytest.mark.parametrize("cut", [20, 0.3, 0.6, -10])
def test_a_truncated_archive_is_refused(tmp_path, cut):
    write_cifar100_archive(tmp_path / NAME)
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content[: int(len(content) * cut) if isinstance(cut, float) else cut])
    assert_refused(tmp_path / NAME, "")


@pytest.mark.parametrize("position", [1024, 1024 + 300])
def test_a_damaged_header_is_not_taken_for_the_end(tmp_path, position):
    tar = write_tar(tmp_path / "plain.tar", [(entry("a"), b"x"), (entry("b"), b"y")], "w")
    content = bytearray(tar.read_bytes())
    content[position] ^= 0xFF
    tar.write_bytes(content)
    with pytest.raises(DataError, match=r"it is damaged at byte 1,536"):
        unpack_archive(tar, tmp_path / "x", SMALL)


def zip_entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("../evil", b"x")], r"'../evil' leads out of the folder"),
        ([("/evil", b"x")], r"'/evil' has an absolute path"),
        ([(zip_entry("a", 0o120777), b"/etc/passwd")], r"'a' is a symbolic link, and no file"),
        ([(zip_entry("a", 0o010644), b"")], r"'a' is a named pipe, and no file"),
        ([("a", b"x"), ("a", b"y")], r"'a' is there twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_a_zip_are_checked_alike(tmp_path, members, reason):
    path = write_zip(tmp_path / "a.zip", members)
    with pytest.raises(DataError, match=reason):
        unpack_archive(path, tmp_path / "x", SMALL)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a", b"x")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="its member 'a' is encrypted"):
        unpack_archive(path, tmp_path / "x", SMALL)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.tgz"])
def test_a_good_archive_is_unpacked_in_every_format(tmp_path, name):
    content = os.urandom(5000)
    if name.endswith(".zip"):
        write_zip(tmp_path / name, [("folder/", b""), ("folder/file", content)])
    else:
        mode = {"a.tar": "w", "a.tgz": "w:gz"}.get(name, f"w:{name.rpartition('.')[2]}")
        folder = entry("./folder/", tarfile.DIRTYPE)
        write_tar(tmp_path / name, [(folder, b""), (entry("./folder/file"), content)], mode)
    unpack_archive(tmp_path / name, tmp_path / "x", SMALL)
    assert [p.relative_to(tmp_path / "x").as_posix() for p in sorted((tmp_path / "x").rglob("*"))] == [
        "folder",
        "folder/file",
    ]
    assert (tmp_path / "x/folder/file").read_bytes() == content
