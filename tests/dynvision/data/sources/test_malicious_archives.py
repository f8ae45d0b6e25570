"""Archives that somebody made to do harm, and damaged ones: each is a sentence, runs nothing and leaves nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynvision.data.sources.cifar import Cifar10, Cifar100
from dynvision.data.sources.idx_files import read_idx
from dynvision.data.sources.mnist import Mnist
from dynvision.data.sources.pickles import read_pickle
from dynvision.data.sources.unpacking import Limits, unpack_archive
from dynvision.errors import DataError
from tests.helpers.archives import MNIST_FILES, write_cifar100_archive, write_mnist_files

pytestmark = pytest.mark.slow

NAME = "cifar-100-python.tar.gz"
SMALL = Limits(n_bytes=100_000, n_members=20)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, members: list[tuple[Any, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for info, content in members:
            file.writestr(info, content)
    return path


def assert_refused(path: Path, reason: str) -> None:
    """Reading a split of CIFAR-100 from the archive fails for a reason, and leaves the folder as it was."""
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        Cifar100.read_split("train", [path])
    message = str(caught.value)
    assert message.startswith(f"{path} has the right checksum but cannot be unpacked (")
    assert reason in message
    assert "data_sources" in message
    assert "\n" not in message
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert not (path.parent.parent / "evil").exists()


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


class Runs:
    """Is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def cifar(**changes: Any) -> dict[str, Any]:
    """The content of a file of CIFAR-100."""
    content = {"data": np.zeros((3, 3072), np.uint8), "fine_labels": [0, 1, 2], "coarse_labels": [0, 0, 0]}
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


META = {"fine_label_names": [f"thing{n}" for n in range(100)]}


def write_cifar(path: Path, train: Any, meta: Any = META, protocol: int = 2) -> Path:
    files = {"train": train, "meta": meta}
    contents = {
        name: value if isinstance(value, bytes) else pickle.dumps(value, protocol) for name, value in files.items()
    }
    return write_tar(path, [(entry(f"cifar-100-python/{name}"), content) for name, content in contents.items()])


MARK = "dynvision-was-run"


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (Runs(os.system, f"touch {MARK}"), r"posix\.system"),
        (Runs(eval, f"open('{MARK}', 'w')"), r"(builtins|__builtin__)\.eval"),
        (b"c__builtin__\ngetattr\n(cnumpy\nndarray\nS'__class__'\ntR.", r"__builtin__\.getattr"),
        (Runs(np._core.multiarray.scalar, np.dtype("O"), b"cos\nsystem\n(S'ls'\ntR."), "multiarray.scalar"),
        (b"cnumpy\nndarray.__class__\n.", r"numpy\.ndarray\.__class__"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dload.__self__\x93.", r"numpy\.load\.__self__"),
        (b"cnumpy\nload\n(S'/etc/passwd'\ntR.", r"numpy\.load"),
        (b"c_codecs\ndecode\n.", r"_codecs\.decode"),
    ],
)
def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path, monkeypatch, harm, named):
    monkeypatch.chdir(tmp_path)
    train = harm if isinstance(harm, bytes) else cifar(extra=harm)
    path = write_cifar(tmp_path / NAME, train)
    with pytest.raises(DataError, match=named) as caught:
        Cifar100.read_split("train", [path])
    assert f"{path}: the archive has the right checksum but not the files of cifar100 (train: " in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x82\x01.", "the instruction EXT1"),
        (b"(S'a'\ni__main__\nA\n.", "the instruction INST"),
        (b"P1\n.", "the instruction PERSID"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "LONG_BINPUT 2147483647, which is out of range"),
        (b"\x80\x02" + b"]" + b"\x85" * 5000 + b".", "more than 1000 tuples"),
        (b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00ax\x01sb.", "no pickle, or a damaged one"),
        (b"\x80\x02cnumpy\ndtype\n}b.", "the pickle changes dtype"),
        (b"\x80\x02cnumpy\nndarray\n(tR.", r"the pickle calls numpy\.ndarray"),
        (b"\x80\x02]q\x01.", "the pickle holds a list; this format has a dict"),
        (b"", "no pickle, or a damaged one"),
        (b"not a pickle", "no pickle, or a damaged one"),
        (pickle.dumps(META)[:-20], "no pickle, or a damaged one"),
        (pickle.dumps({"a": np.zeros(9, np.uint8)}, 5), "the instruction BYTEARRAY8"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(tmp_path, content, reason):
    path = tmp_path / "train"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_pickle(path)


def test_a_pickle_that_repeats_its_content_ends(tmp_path):
    encode = b"c_codecs\nencode\nq\x00"
    text = b"X\x00\x10\x00\x00" + b"a" * 4096 + b"q\x01X\x06\x00\x00\x00latin1q\x02"
    again = b"h\x00h\x01h\x02\x86R"
    (tmp_path / "train").write_bytes(b"\x80\x02(" + encode + text + again * 100 + b"l.")
    with pytest.raises(DataError, match="repeats its content until it is larger than the file"):
        read_pickle(tmp_path / "train")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": None}, r"train: its 'data' is missing; images are an array of bytes \[N, 3072\]"),
        ({"data": [[0] * 3072] * 3}, "train: its 'data' is of type list"),
        ({"data": np.zeros((3, 3071), np.uint8)}, r"its 'data' is an array \[3, 3071\]"),
        ({"data": np.zeros(9216, np.uint8)}, r"its 'data' is an array \[9216\]"),
        ({"data": np.zeros((0, 3072), np.uint8), "fine_labels": []}, r"its 'data' is an array \[0, 3072\]"),
        ({"data": np.zeros((3, 3072), np.float32)}, "has elements of type 'f4'; pixels are uint8"),
        ({"data": np.zeros((3, 3072), object)}, "has elements of type 'O8'; pixels are uint8"),
        ({"fine_labels": None}, "its 'fine_labels' is missing; labels are a list"),
        ({"fine_labels": (0, 1, 2)}, "its 'fine_labels' is of type tuple"),
        ({"fine_labels": [0, 1]}, "it has 3 images and 2 labels"),
        ({"fine_labels": [0, 1, 100]}, "the label of image 2 is 100; labels are whole numbers from 0 to 99"),
        ({"fine_labels": [0, -1, 2]}, "the label of image 1 is -1"),
        ({"fine_labels": [0, True, 2]}, "the label of image 1 is True"),
        ({"fine_labels": [0.0, 1, 2]}, r"the label of image 0 is 0\.0"),
        ({"fine_labels": [0, [1], 2]}, "the label of image 1 is of type list"),
    ],
)
def test_a_batch_that_is_not_of_the_format_is_refused(tmp_path, changes, reason):
    path = write_cifar(tmp_path / NAME, cifar(**changes), protocol=4)
    with pytest.raises(DataError, match=reason):
        Cifar100.read_split("train", [path])
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (None, "meta: its 'fine_label_names' is missing"),
        (["a"] * 99, "meta: its 'fine_label_names' has 99 names, and there are 100 classes"),
        ([*map(str, range(99)), "7"], "meta: its 'fine_label_names' has the name '7' twice"),
        ([*map(str, range(99)), 99], "meta: its 'fine_label_names' is a list of other things than names"),
    ],
)
def test_names_of_classes_are_as_many_as_classes_and_unique(tmp_path, names, reason):
    path = write_cifar(tmp_path / NAME, cifar(), {} if names is None else {"fine_label_names": names})
    with pytest.raises(DataError, match=reason):
        Cifar100.read_split("train", [path])


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_every_protocol_of_the_format_is_read(tmp_path, protocol):
    rng = np.random.default_rng(protocol)
    rows = rng.integers(0, 256, (3, 3072), dtype=np.uint8)
    path = write_cifar(tmp_path / NAME, cifar(data=rows), protocol=protocol)
    opened = Cifar100.read_split("train", [path])
    assert np.array_equal(opened.images, rows.reshape(3, 3, 32, 32).transpose(0, 2, 3, 1))
    columns = write_cifar(tmp_path / f"F-{NAME}", cifar(data=np.asfortranarray(rows)), protocol=protocol)
    assert np.array_equal(Cifar100.read_split("train", [columns]).images, opened.images)


def test_a_pickle_of_python_2_is_read(tmp_path):
    """The original files are pickled by Python 2: texts of bytes, and NumPy under its old name."""
    raw = bytes(range(256)) * 12
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x01M\x00\x0c\x86"
        b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<I", len(raw))
        + raw
        + b"tb"
    )
    train = b"\x80\x02}q\x01(U\x04data" + array + b"U\x0bfine_labels]q\x07K\x07au."
    meta = "(dS'fine_label_names'\n(l" + "".join(f"S'thing{n}'\na" for n in range(100)) + "s."
    opened = Cifar100.read_split("train", [write_cifar(tmp_path / NAME, train, meta.encode())])
    expected = np.frombuffer(raw, np.uint8).reshape(1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(opened.images, expected)
    assert opened.labels.tolist() == [7]


def test_the_batches_of_cifar10_are_read_in_order(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "cifar-10-python.tar.gz"
    batches = {f"data_batch_{n}": rng.integers(0, 256, (2, 3072), dtype=np.uint8) for n in (5, 4, 3, 2, 1)}
    members = [(name, {"data": rows, "labels": [int(name[-1]), 0]}) for name, rows in batches.items()]
    members.append(("batches.meta", {"label_names": list("abcdefghij")}))
    write_tar(path, [(entry(f"cifar-10-batches-py/{name}"), pickle.dumps(value, 4)) for name, value in members])
    opened = Cifar10.read_split("train", [path])
    assert opened.labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    rows = np.concatenate([batches[f"data_batch_{n}"] for n in range(1, 6)])
    assert np.array_equal(opened.images, rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    with pytest.raises(DataError, match=r"there is no 'cifar-10-batches-py/test_batch' in it"):
        Cifar10.read_split("test", [path])


def images(*sizes: int, magic: int = 0x803, n_bytes: int | None = None) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + bytes(
        int(np.prod(sizes)) if n_bytes is None else n_bytes
    )


@pytest.mark.parametrize(
    ("pixels", "labels", "reason"),
    [
        (
            images(4_000_000_000, 28, 28, n_bytes=100),
            None,
            "says 4000000000 × 28 × 28, which is 3,136,000,000,016 bytes",
        ),
        (images(20, 28, 28, n_bytes=20 * 784 - 1), None, "is 15,696 bytes, and it has 15,695"),
        (images(20, 28, 28, n_bytes=20 * 784 + 1), None, "is 15,696 bytes, and it has 15,697"),
        (images(20, 14, 56), None, "its images are 14 × 56, not 28 × 28"),
        (images(20, 28, 28, magic=0x801), None, "it begins with 00000801; an idx file like this one with 00000803"),
        (images(20, 28, 28, magic=0xD03), None, "it begins with 00000d03"),
        (images(20)[:6], None, "it begins with 00000803|ends within its header"),
        (b"", None, "it begins with ; an idx file"),
        (images(19, 28, 28), None, "has 19 images, and t10k-labels-idx1-ubyte 20 labels"),
        (None, images(20, magic=0x801)[:-1] + b"\x0a", "the label of image 19 is 10; labels are 0 to 9"),
        (None, images(20, n_bytes=20, magic=0x803), "it begins with 00000803"),
    ],
)
def test_an_idx_file_that_lies_is_refused(tmp_path, pixels, labels, reason):
    write_mnist_files(tmp_path)
    paths = [tmp_path / name for name in MNIST_FILES["test"]]
    for path, content in zip(paths, (pixels, labels), strict=True):
        if content is not None:
            path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=reason):
        Mnist.read_split("test", paths)
    assert not list(tmp_path.glob(".unpacked*"))


def test_a_lying_header_allocates_nothing(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(images(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, n_bytes=10))
    with pytest.raises(DataError, match="images: its header says 4294967295 × 4294967295 × 4294967295"):
        read_idx(path, 3)


def test_a_truncated_file_of_mnist_is_refused(tmp_path):
    write_mnist_files(tmp_path)
    paths = [tmp_path / name for name in MNIST_FILES["test"]]
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"{paths[0].name} has the right checksum but cannot be unpacked"):
        Mnist.read_split("test", paths)
    assert not list(tmp_path.glob(".unpacked*"))
