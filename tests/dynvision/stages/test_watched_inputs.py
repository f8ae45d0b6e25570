"""Files that a dataset's class reads are inputs of its images."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from dynvision.config import load_config
from dynvision.data.sources import watched_files
from dynvision.data.sources.watched_files import WatchedFiles
from dynvision.errors import ConfigError, DataError
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml

SOURCE = """
    import numpy as np
    from pathlib import Path

    class Numbers:
        classes = ["dark", "bright"]

        def __init__(self, root, split, writes=""):
            self.file, self.writes = Path(root) / "values.txt", writes
            self.values = [int(value) + 5 * (split == "train") for value in self.file.read_text().split()]

        def __len__(self):
            return len(self.values)

        def __getitem__(self, index):
            if self.writes:
                (self.file.parent / self.writes).write_text(str(index))
            return np.full((16, 16, 3), self.values[index], dtype=np.uint8), index % 2

    class Drawn(Numbers):
        def __init__(self, split):
            self.values, self.writes = [1, 2], ""
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"watched_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture(params=["external", "raw"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of the class's files, in either place."""
    folder = tmp_path / "data" / str(request.param) / "numbers"
    folder.mkdir(parents=True)
    (folder / "values.txt").write_text("10 20 30")
    (folder / "notes").mkdir()
    (folder / "notes" / "day.txt").write_text("Monday")
    return folder


def configure(config: Path, module: str, name: str = "Numbers", **entries: Any) -> None:
    def change(content: dict[str, Any]) -> None:
        content["data_resolution"]["numbers"] = 16
        content["data_sources"] = {"numbers": {"class": f"{module}:{name}", **entries}}

    edit_yaml(config / "config_data.yaml", change)


def look(root: Path, config: Path) -> tuple[str, str]:
    workspace = Workspace.open(root, config)
    (target,) = parse_target(workspace, "raw/numbers:test")
    status = workspace.status(target)
    return status.state, status.reason


@pytest.mark.slow
def test_a_file_that_is_changed_makes_the_images_stale_and_a_touched_one_does_not(
    tmp_path, small_config, module, folder
):
    configure(small_config, module)
    build_chain(tmp_path, small_config, "raw/numbers:test", "raw/numbers:train")
    assert look(tmp_path, small_config) == ("fresh", "")
    os.utime(folder / "values.txt", ns=(1, 1))
    (folder / ".hidden").write_text("of an editor")
    assert look(tmp_path, small_config) == ("fresh", "")
    (folder / "values.txt").write_text("11 20 30")
    os.utime(folder / "values.txt", ns=(1, 1))
    state, reason = look(tmp_path, small_config)
    where = folder.relative_to(tmp_path)
    assert state == "stale"
    assert reason == (
        f"the files that the dataset's class reads changed: all files of {where}; files that the class reads elsewhere "
        "are not watched"
    )
    build_chain(tmp_path, small_config, "raw/numbers:test")
    assert look(tmp_path, small_config) == ("fresh", "")
    (folder / "notes" / "day.txt").unlink()
    assert look(tmp_path, small_config)[0] == "stale"


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [["values.txt"], ["*.txt"], ["**/val*"], []])
def test_only_the_files_that_are_named_are_watched(tmp_path, small_config, module, folder, inputs):
    configure(small_config, module, inputs=inputs)
    build_chain(tmp_path, small_config, "raw/numbers:test")
    (folder / "notes" / "day.txt").write_text("Tuesday")
    assert look(tmp_path, small_config)[0] == "fresh"
    (folder / "values.txt").write_text("11 20 30")
    assert look(tmp_path, small_config)[0] == ("stale" if inputs else "fresh")
    workspace = Workspace.open(tmp_path, small_config)
    (target,) = parse_target(workspace, "raw/numbers:test")
    stage = workspace.stage(target)
    named = ", ".join(inputs) or "no files"
    sentence = f"{named} of {folder.relative_to(tmp_path)}; files that the class reads elsewhere are not watched"
    record = stage.read_record(target)
    assert record is not None
    assert record.details["inputs"] == sentence
    assert stage.describe(target.key).endswith(f"Watched for changes: {sentence}.")


@pytest.mark.slow
def test_a_name_that_no_file_has_is_an_error(tmp_path, small_config, module, folder):
    configure(small_config, module, inputs=["*.txt", "values.npz"])
    with pytest.raises(ConfigError, match=r"data_sources\.numbers\.inputs: nothing in .* matches 'values\.npz'; other"):
        build_chain(tmp_path, small_config, "raw/numbers:test")


@pytest.mark.slow
def test_a_file_that_is_changed_while_it_is_read_is_an_error(tmp_path, small_config, module, folder):
    configure(small_config, module, args={"writes": "notes/day.txt"})
    with pytest.raises(DataError, match=r"notes/day\.txt was changed while the images were read.*under 'inputs'"):
        build_chain(tmp_path, small_config, "raw/numbers:test")
    configure(small_config, module, args={"writes": "notes/day.txt"}, inputs=["values.txt"])
    build_chain(tmp_path, small_config, "raw/numbers:test")
    assert look(tmp_path, small_config)[0] == "fresh"


def test_a_class_without_files_has_the_settings_that_it_had(tmp_path, small_config, module):
    configure(small_config, module, name="Drawn")
    workspace = Workspace.open(tmp_path, small_config)
    (target,) = parse_target(workspace, "raw/numbers:test")
    assert list(workspace.stage(target).settings(target)) == ["class", "args", "source", "channels"]
    configure(small_config, module, name="Drawn", split_args={"train": {"split": 1}, "test": {"split": 2}})
    settings = Workspace.open(tmp_path, small_config).stage(target).settings(target)
    assert settings["split_args"] == {"split": 2}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"inputs": ["../x"]}, r"inputs\.0: '\.\./x' is no path or glob below the folder"),
        ({"inputs": ["/data/x"]}, r"'/data/x' is no path or glob"),
        ({"inputs": [""]}, r"'' is no path or glob"),
        ({"inputs": [7]}, r"7 is no path or glob"),
        ({"split_args": {"train": {"a": 1}}}, r"gives the arguments of both splits"),
        ({"split_args": {"train": {"a": 1}, "test": {"a": 1}}}, r"of both splits, which differ"),
        ({"split_args": {"train": {"a": 1}, "val": {"a": 2}}}, r"split_args\.val"),
        ({"split_args": {"train": {"a": 1}, "test": {"a": 2}}, "args": {"a": 3}}, r"'a' is both in 'args' and in"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(small_config, module, entries, message):
    configure(small_config, module, **entries)
    with pytest.raises(ConfigError, match=message):
        load_config(small_config)


@pytest.mark.parametrize("key", ["inputs", "split_args"])
def test_entries_about_a_class_need_one(small_config, key):
    value = ["a"] if key == "inputs" else {"train": {"a": 1}, "test": {"a": 2}}
    entry = {"cifar10": {"url": "http://mirror/x", "md5": "0" * 32, key: value}}
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(data_sources=entry))
    with pytest.raises(ConfigError, match=rf"'{key}' is about a 'class', and there is none"):
        load_config(small_config)


def watch(folder: Path, patterns: list[str] | None = None) -> WatchedFiles:
    return WatchedFiles(folder, patterns, frozenset(), folder / ".inputs.json")


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"x" * 100)
    time.sleep(0.15)  # until the file is too old to be changed again within the same tick
    before = watch(tmp_path).digest()
    read: list[Path] = []
    digest = watched_files.sha256_file
    monkeypatch.setattr(watched_files, "sha256_file", lambda path: read.append(path) or digest(path))
    assert watch(tmp_path).digest() == before
    assert read == []
    (tmp_path / "a.bin").touch()
    assert watch(tmp_path).digest() == before
    assert read == [tmp_path / "a.bin"]


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    state = path.stat()
    time.sleep(0.15)
    before = watch(tmp_path).digest()
    path.write_bytes(b"other")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watch(tmp_path).digest() != before


def test_links_are_followed_once_and_what_is_no_file_is_left_out(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere.txt").write_text("1")
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    (folder / "deep" / "round").symlink_to(folder)
    (folder / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "pipe")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("1")
    assert list(watch(folder).digests()) == ["link.txt"]
    assert list(watch(folder, ["*", "link.txt"]).digests())[-1] == "link.txt"
    assert watch(tmp_path / "nothing").digest() is None


def test_a_damaged_cache_is_made_again(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x")
    before = watch(tmp_path).digest()
    for content in ("[]", '{"folder": 1}', f'{{"folder": "{tmp_path}", "files": {{"a.bin": 3}}}}', "{"):
        (tmp_path / ".inputs.json").write_text(content)
        assert watch(tmp_path).digest() == before
