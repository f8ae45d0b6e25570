"""Records: nothing but what was written is read, and what is wrong is said in one sentence."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import DamagedFileError, UnreadableError
from dynvision.records import CHECKSUM, Record, make_record, read_record
from dynvision.system.file_digests import FileDigest
from dynvision.system.files import write_json
from tests.helpers.files import without_privileges

TARGET = "responses/contrast/rcnn_gratings:contrast=0.5"
AGAIN = f"Build it again: dynvision make --force {TARGET}"
UNLIKELY = 0.30000000000000004
"""Has two decimal forms of 17 digits, one bit apart: the other one ends in 5."""


def make(target: str = TARGET) -> Record:
    courses = random.Random(0)
    return make_record(
        target,
        code_version="1",
        config={"readout": {"window": "stimulus", "reduce": None}, "names": ["Löwe", "a\x1fb"], "is_raw": True},
        inputs={"models/rcnn/gratings:all_s0": "0f" * 16},
        content="c",
        details={"mean": [courses.random() for _ in range(40)], "tiny": 1e-05, "odd": UNLIKELY, "none": float("nan")},
        files={"scores/c/0/0/0": FileDigest(123, "a1" * 16), "zarr.json": FileDigest(0, "00" * 16)},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_json(tmp_path / "record.json", make().to_dict())
    return tmp_path / "record.json"


def complaint(path: Path, target: object = TARGET) -> str:
    with pytest.raises(DamagedFileError) as caught:
        read_record(path, target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_record_comes_back_as_it_was_written(path):
    record = read_record(path, TARGET)
    assert record is not None
    assert record.to_dict()[CHECKSUM] == json.loads(path.read_text())[CHECKSUM]
    assert record.target == TARGET
    assert record.files["scores/c/0/0/0"] == FileDigest(123, "a1" * 16)
    assert record.details["odd"] == UNLIKELY


def test_missing_record_is_none_also_below_a_file(tmp_path, path):
    assert read_record(tmp_path / "other.json", TARGET) is None
    assert read_record(path / "record.json", TARGET) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_flipped_bit_is_noticed_and_the_command_names_the_target(path, seed):
    draw, content = random.Random(seed), path.read_bytes()
    for position in draw.sample(range(8 * len(content)), 300):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(bytes(flipped))
        assert complaint(path).startswith(str(path)), position
        assert complaint(path).endswith(AGAIN), position


@pytest.mark.parametrize(
    ("written", "other"),
    [("0.30000000000000004", "0.30000000000000005"), ("1e-05", "1E-05"), ("1e-05", "1e-5"), ("NaN", "nan")],
)
def test_number_written_otherwise_is_damage_though_it_may_be_the_same(path, written, other):
    assert written in path.read_text()
    path.write_text(path.read_text().replace(written, other))
    assert complaint(path).startswith(f"{path} is damaged: it is not the JSON that was written (")


@given(st.data())
def test_every_truncation_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("record") / "record.json"
    text = json.dumps(make().to_dict(), indent=1)
    path.write_text(text[: data.draw(st.integers(0, len(text) - 1))])
    assert complaint(path).endswith(AGAIN)


@pytest.mark.parametrize("name", [name for name in make().to_dict() if name != CHECKSUM])
def test_field_that_is_missing_changed_or_added_is_noticed(path, name):
    whole = json.loads(path.read_text())
    for changed in (
        {key: value for key, value in whole.items() if key != name},
        {**whole, name: None},
        {**whole, name: 5},
        {**whole, f"{name}_": whole[name]},
    ):
        write_json(path, changed)
        assert complaint(path) == f"{path} is damaged: the record in it is not the one that was written. {AGAIN}"


@pytest.mark.parametrize("checksum", [None, 5, "", [], {}])
def test_checksum_of_another_kind_is_noticed(path, checksum):
    write_json(path, {**json.loads(path.read_text()), CHECKSUM: checksum})
    assert complaint(path) == f"{path} is damaged: the record in it is not the one that was written. {AGAIN}"


def test_record_of_an_earlier_version_has_no_checksum(path):
    content = json.loads(path.read_text())
    del content[CHECKSUM]
    write_json(path, content)
    assert complaint(path) == (
        f"{path} holds a record without a checksum: it is damaged, or was written by an earlier version of this "
        f"project. {AGAIN}"
    )


@pytest.mark.parametrize(
    "target",
    [
        "responses/contrast/rcnn_gratings:contrast=1.0",
        "responses/contrast/rcnn_gratings_s1:contrast=0.5",
        "responses/duration/rcnn_gratings:contrast=0.5",
        "summary/contrast/rcnn_gratings",
    ],
)
def test_record_of_another_target_is_refused(path, target):
    assert complaint(path, target) == (
        f"{path} holds the record of {TARGET}, not of {target}: files were swapped, moved or copied. "
        f"Build it again: dynvision make --force {target}"
    )


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


NOT_JSON = r"is damaged: it is not the JSON that was written \("
UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (write(b""), NOT_JSON + "Expecting value"),
    "text": (write(b"not JSON"), NOT_JSON + "Expecting value"),
    "zeros": (write(bytes(400)), NOT_JSON),
    "not UTF-8": (write(b'{"target": "\xff"}'), NOT_JSON + "'utf-8' codec"),
    "a NUL byte in a string": (
        write(b'{"target": "a\0b"}'),
        NOT_JSON + "Inval",
    ),
    "a long number": (
        write(b'{"target": ' + b"9" * 9000 + b"}"),
        NOT_JSON,
    ),
    "a list": (write(b"[1, 2]"), "is damaged: it holds no record"),
    "null": (write(b"null"), "is damaged: it holds no record"),
    "an empty object": (write(b"{}"), "holds a record without a checksum"),
    "a lone surrogate": (write(b'{"target": "\\ud800", "checksum": "x"}'), "is damaged: the record in it is not the"),
    "a folder": (replace_by_folder, r"cannot be read \(Is a directory\)"),
    "a link to itself": (replace_by_loop, r"cannot be read \(Too many levels of symbolic links\)"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_record_is_damage_and_one_sentence_says_so(path, kind):
    damage, sentence = UNREADABLE[kind]
    damage(path)
    assert re.match(rf"{re.escape(str(path))} {sentence}", complaint(path))
    assert complaint(path).endswith(AGAIN)


@pytest.mark.parametrize("depth", [10, 300, 700, 900, 950, 990, 1100, 3000, 100_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_values_in_values_are_damage_at_any_depth(path, depth, pair):
    inner = "[" * depth + "]" * depth if pair == "[]" else '{"a":' * depth + "1" + "}" * depth
    path.write_text(f'{{"target": {inner}, "checksum": "x"}}')
    assert complaint(path).startswith(f"{path} is damaged: ")


def test_record_without_permission_cannot_be_read_which_is_no_reason_to_build_it_again(path):
    path.chmod(0)
    with without_privileges(), pytest.raises(UnreadableError) as raised:
        read_record(path, TARGET)
    assert str(raised.value) == (
        f"{path} cannot be read (Permission denied). Change the permissions (chmod, chown) or ask its owner, then run "
        "this again."
    )
    path.chmod(0o644)
    assert read_record(path, TARGET) is not None
