"""A raw export that is stopped: nothing counts as built, the images are kept, and the next attempt resumes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynvision.data.sources import exporting, gratings
from dynvision.errors import DataError, DynvisionError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml

TRAIN = Target(("raw", "gratings"), "train")


def build(root: Path, **options: Any) -> dict[str, Any]:
    (record,) = build_targets([str(TRAIN)], root=str(root), config=str(root / "config"), **options)
    return record


def status(root: Path) -> str:
    return Workspace.open(root, root / "config").status(TRAIN).state


def reason(root: Path) -> str:
    return Workspace.open(root, root / "config").status(TRAIN).reason


def pngs(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*.png")}


def pixels_of(record: dict[str, Any]) -> tuple[str, Any, Any]:
    return record["data_version"], record["details"]["classes"], record["details"]["bytes"]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch, small_config: Path) -> Callable[[int], None]:
    """Stop the drawing of gratings after some images, once; files are written four at a time."""
    iterate = gratings.iterate_gratings
    monkeypatch.setattr(exporting, "_CHUNK", 2)
    monkeypatch.setattr(exporting, "usable_cores", lambda: 1)

    def stop_after(count: int) -> None:
        def iterate_some(*arguments: Any) -> Iterator[Any]:
            monkeypatch.setattr(gratings, "iterate_gratings", iterate)
            for number, item in enumerate(iterate(*arguments)):
                if number == count:
                    raise KeyboardInterrupt
                yield item

        monkeypatch.setattr(gratings, "iterate_gratings", iterate_some)

    return stop_after


def test_interrupted_export_counts_for_nothing_and_is_resumed(tmp_path, interrupt):
    folder, unfinished = tmp_path / "data/raw/gratings/train", tmp_path / "data/raw/gratings/.train.export"
    interrupt(20)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path)
    assert not folder.exists()
    assert status(tmp_path) == "missing"
    before = pngs(unfinished)
    assert len(before) == 20
    record = build(tmp_path)
    assert status(tmp_path) == "fresh"
    after = pngs(folder)
    assert before.items() <= after.items()
    assert len(after) == 36
    assert not unfinished.exists()
    assert not list(folder.rglob(".export.json"))
    assert pixels_of(build(tmp_path, force=True)) == pixels_of(record)
    assert {name: content for name, (content, _) in pngs(folder).items()} == {n: c for n, (c, _) in after.items()}


def test_images_of_other_settings_are_never_mixed_in(tmp_path, interrupt, small_config):
    interrupt(20)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path)
    left = pngs(tmp_path / "data/raw/gratings/.train.export")
    edit_yaml(small_config / "config_data.yaml", lambda content: content["gratings"].update(seed=9))
    record = build(tmp_path)
    written = pngs(tmp_path / "data/raw/gratings/train")
    assert not left.items() & written.items()
    assert pixels_of(build(tmp_path, force=True)) == pixels_of(record)


def test_compression_may_change_between_an_interruption_and_the_next_attempt(tmp_path, interrupt, small_config):
    build(tmp_path)
    version = build(tmp_path)["data_version"]
    interrupt(20)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, force=True)
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(png_compress_level=0))
    assert reason(tmp_path) == "", "the earlier export is as whole as it was, and no setting that counts has changed"
    assert build(tmp_path, force=True)["data_version"] == version
    assert status(tmp_path) == "fresh"


def test_interrupted_rebuild_leaves_the_previous_export(tmp_path, interrupt):
    record = build(tmp_path)
    before = pngs(tmp_path / "data/raw/gratings/train")
    interrupt(20)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, force=True)
    assert pngs(tmp_path / "data/raw/gratings/train") == before
    assert (status(tmp_path), reason(tmp_path)) == ("fresh", "")
    assert build(tmp_path) == record, "it is not exported again"
    assert pngs(tmp_path / "data/raw/gratings/train") == before
    assert status(tmp_path) == "fresh"


def test_full_disk_says_what_to_do_keeps_what_was_written_and_a_rerun_succeeds(tmp_path, monkeypatch, small_config):
    write = Path.write_bytes

    def fill_up(path: Path, content: Any) -> int:
        if path.name == "00030.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, content)

    unfinished = tmp_path / "data/raw/gratings/.train.export"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_up)
        expected = (
            r"raw/gratings:train: .*\.train\.export could not be written \(.*No space left on device.*\)\. The images "
            r"written so far are kept\. Free some space or repair the disk, then resume: dynvision make "
            r"raw/gratings:train"
        )
        with pytest.raises(DynvisionError, match=expected):
            build(tmp_path)
    assert status(tmp_path) == "missing"
    assert not (tmp_path / "data/raw/gratings/train").exists()
    before = pngs(unfinished)
    assert len(before) >= 30
    record = build(tmp_path)
    assert before.items() <= pngs(tmp_path / "data/raw/gratings/train").items()
    assert pixels_of(build(tmp_path, force=True)) == pixels_of(record)


def test_wrong_number_of_images_leaves_nothing_to_resume(tmp_path, monkeypatch, small_config):
    iterate = gratings.iterate_gratings
    monkeypatch.setattr(gratings, "iterate_gratings", lambda *arguments: list(iterate(*arguments))[:-1])
    with pytest.raises(DataError, match="raw/gratings:train: the source gave 35 images where 36 were expected"):
        build(tmp_path)
    assert not (tmp_path / "data/raw/gratings/.train.export").exists()
    assert status(tmp_path) == "missing"
