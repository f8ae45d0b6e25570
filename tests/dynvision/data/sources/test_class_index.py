"""Class index files that are not what they should be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dynvision.data.sources.folders.class_index import name_apart, read_class_index
from dynvision.errors import ConfigError

PAIR = '["n01", "ant"]'


def read(tmp_path: Path, text: str) -> dict[int, tuple[str, str]]:
    (tmp_path / "index.json").write_text(text)
    return read_class_index(tmp_path / "index.json", "config_data.yaml: class_index_files.pets")


def test_indices_folders_and_names_are_read(tmp_path):
    assert read(tmp_path, '{"3": ["n02", "bee"], "0": ["n01", "ant"]}') == {3: ("n02", "bee"), 0: ("n01", "ant")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"-1": {PAIR}}}', r"'-1' is no class index: it is a whole number from 0 on"),
        (f'{{"1.5": {PAIR}}}', r"'1\.5' is no class index"),
        (f'{{"1_0": {PAIR}}}', r"'1_0' is no class index"),
        (f'{{"": {PAIR}}}', r"'' is no class index"),
        (f'{{"n01": {PAIR}}}', r"'n01' is no class index"),
        (f'{{"99999999999": {PAIR}}}', r"'99999999999' is no class index"),
        (f'{{"1": {PAIR}, "01": ["n02", "bee"]}}', r"the index 1 stands there twice"),
        (f'{{"1": {PAIR}, "1": ["n02", "bee"]}}', r"the index 1 stands there twice"),
        (f'{{"0": {PAIR}, "4": {PAIR}}}', r"the folder 'n01' has the indices 0, 4\. A folder is one class"),
        ('{"0": "ant"}', r"index 0: the entry is not \[folder, name\], for example \[\"n01440764\", \"tench\"\]"),
        ('{"0": ["n01"]}', r"index 0: the entry is not"),
        ('{"0": ["", "ant"]}', r"index 0: the entry is not"),
        ('{"0": [true, null]}', r"index 0: the entry is not"),
        ('{"0": {"a": 1, "b": 2}}', r"index 0: the entry is not"),
        ("{}", r"it lists no class\)\. It maps each index to \[folder, name\]"),
        ("[]", r"it lists no class\)\. It maps"),
        (f"[{PAIR}]", r"it lists no class\)\. It maps"),
        ("{", r"cannot read .*index\.json"),
        ("[" * 100_000, r"cannot read .*index\.json"),
    ],
)
def test_entry_that_is_not_usable_names_file_key_and_entry(tmp_path, text, message):
    with pytest.raises(ConfigError, match=r"config_data\.yaml: class_index_files\.pets: .*index\.json") as caught:
        read(tmp_path, text)
    assert re.search(message, str(caught.value))


def test_file_that_is_not_text_is_an_error(tmp_path):
    (tmp_path / "index.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ConfigError, match="cannot read"):
        read_class_index(tmp_path / "index.json", "here")


def test_classes_of_one_name_are_told_apart_by_their_folders():
    classes = {"n02012849": "crane", "n03126707": "crane", "n01": "ant"}
    expected = {"n02012849": "crane (n02012849)", "n03126707": "crane (n03126707)", "n01": "ant"}
    assert name_apart(classes) == expected


def test_numbers_in_an_entry_are_read_as_text(tmp_path):
    assert read(tmp_path, json.dumps({"0": [7, "seven"]})) == {0: ("7", "seven")}
