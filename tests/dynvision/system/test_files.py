from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import DynvisionError
from dynvision.system.files import (
    check_free_space,
    digest_json,
    make_directory,
    read_json,
    replace_directory,
    temporary_sibling,
    write_bytes,
    write_json,
)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest_json(value) == digest_json(dict(reversed(value.items())))
    assert digest_json(value) != digest_json({**value, "one more": 1, "and": 2})


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_json_is_read_back_as_it_was_written(tmp_path, value):
    write_json(tmp_path / "x" / "record.json", value)
    assert read_json(tmp_path / "x" / "record.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_file_that_is_no_json_object_reads_as_nothing(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") is None


def test_missing_file_reads_as_nothing(tmp_path):
    assert read_json(tmp_path / "x.json") is None
    (tmp_path / "file").write_text("")
    assert read_json(tmp_path / "file" / "x.json") is None


def test_file_that_cannot_be_finished_leaves_the_old_one_and_nothing_beside(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(TypeError):
        write_bytes(path, "no bytes")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_temporary_names_are_hidden_beside_and_never_the_same(tmp_path):
    names = {temporary_sibling(tmp_path / "train.beton") for _ in range(50)}
    assert len(names) == 50
    assert {n.parent for n in names} == {tmp_path}
    assert all(n.name.startswith(".train.beton.partial-") for n in names)


def test_folder_below_a_regular_file_says_where_to_write_instead(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DynvisionError) as caught:
        make_directory(tmp_path / "file" / "data")
    message = str(caught.value)
    assert f"cannot make the folder {tmp_path / 'file' / 'data'}" in message
    assert "set DYNVISION_ROOT, or change the permissions of the folder" in message


def test_folder_that_is_not_writable_is_an_error(tmp_path, monkeypatch):
    # Tests run as root, for whom every folder is writable: ask as another user would.
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    with pytest.raises(
        DynvisionError, match=r"is not writable\. Choose a place that you can write to: set DYNVISION_ROOT"
    ):
        make_directory(tmp_path)


def test_folder_takes_the_place_of_the_one_before(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
    replace_directory(tmp_path / "new", tmp_path / "old")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert [p.name for p in (tmp_path / "old").iterdir()] == ["new.txt"]


def test_write_that_cannot_fit_says_how_much_is_needed_and_free(tmp_path):
    expected = r"responses/x needs about 1,000,000,000,000 MB, but .* has [\d,]+ MB free\. Make room"
    with pytest.raises(DynvisionError, match=expected):
        check_free_space(tmp_path, 10**18, "responses/x")
    check_free_space(tmp_path, 1, "responses/x")
