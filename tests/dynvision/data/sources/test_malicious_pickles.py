"""Pickled batches that somebody made to do harm, and damaged ones: each is a sentence and runs nothing."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynvision.data.sources.cifar import Cifar10, Cifar100
from dynvision.data.sources.pickles import read_pickle
from dynvision.errors import DataError
from tests.helpers.archives import (
    NAME,
    entry,
    write_tar,
)

pytestmark = pytest.mark.slow


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
