"""What makes raw, interim and processed stale, and what does not; and that nothing counts before its checks passed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.errors import DataError, MissingError
from dynvision.stages.base.checks import Check, CheckResult, Inspection
from dynvision.stages.raw import RawStage
from dynvision.system.files import replace_directory
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from tests.helpers.chains import build_chain, copy_root
from tests.helpers.pets import FOLDER, draw_noise, touch_all, write_pets

pytestmark = pytest.mark.slow

PETS = ("raw/pets:test", "interim/pets:test_all", "processed/pets:test_all")
GRATINGS = ("raw/gratings:test", "interim/gratings:test_pair", "processed/gratings:test_pair")
UNCHECKED = "its checks have not passed: they failed, or the run ended before them"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which pets and gratings are processed."""
    root = write_pets(tmp_path_factory.mktemp("made"))
    build_chain(root, root / "config", "raw/pets:train", PETS[2], GRATINGS[2])
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in which everything is fresh again."""
    copy = copy_root(made, tmp_path / "root")
    build(copy, "raw/pets:train")
    build(copy, "raw/pets:test")
    assert set(states(copy, *PETS, *GRATINGS)) == {"fresh"}
    return copy


def build(root: Path, target: str, **options: Any) -> dict[str, Any]:
    (record,) = build_targets([target], root=str(root), config=str(root / "config"), **options)
    return record


def statuses(root: Path, *targets: str) -> list[Any]:
    workspace, known = Workspace.open(root, root / "config"), {}
    return [workspace.status(parse_target(workspace, text)[0], known) for text in targets]


def states(root: Path, *targets: str) -> list[str]:
    return [status.state for status in statuses(root, *targets)]


def versions(root: Path, *targets: str) -> list[str | None]:
    return [status.data_version for status in statuses(root, *targets)]


def written(root: Path, *folders: str) -> dict[str, int]:
    """When each file and link was written, without hidden ones."""
    return {
        str(path.relative_to(root)): path.lstat().st_mtime_ns
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.name[0] != "." and (path.is_symlink() or not path.is_dir())
    }


def mark_of(root: Path, target: str) -> Path:
    workspace = Workspace.open(root, root / "config")
    (parsed,) = parse_target(workspace, target)
    return workspace.stage(parsed).unchecked_mark(parsed)


def test_touched_images_make_raw_stale_and_building_raw_alone_makes_all_fresh_again(root):
    before, outputs = versions(root, *PETS), written(root, "data/interim/pets", "data/processed/pets")
    touch_all(root / FOLDER / "test")
    raw, interim, processed = statuses(root, *PETS)
    reason = f"images or classes in {root / FOLDER / 'test'} changed, or their sizes or times did"
    assert [raw.state, interim.state, processed.state] == ["stale"] * 3
    assert raw.reason == reason
    assert interim.reason == f"raw/pets:test is stale: {reason}"
    build(root, "raw/pets:test")
    assert states(root, *PETS) == ["fresh"] * 3
    assert versions(root, *PETS) == before
    assert written(root, "data/interim/pets", "data/processed/pets") == outputs


def change(folder: Path) -> None:
    draw_noise(folder / "dog" / "1.png", "changed")


def add(folder: Path) -> None:
    draw_noise(folder / "dog" / "9.png")


def remove(folder: Path) -> None:
    (folder / "dog" / "1.png").unlink()


def rename(folder: Path) -> None:
    (folder / "dog" / "1.png").rename(folder / "dog" / "one.png")


def exchange_classes(folder: Path) -> None:
    (folder / "dog").rename(folder / "aside")
    (folder / "cat").rename(folder / "dog")
    (folder / "aside").rename(folder / "cat")


def add_class(folder: Path) -> None:
    draw_noise(folder / "eel" / "0.png")


@pytest.mark.parametrize("really", [change, add, remove, rename, exchange_classes, add_class])
def test_images_that_really_changed_make_everything_after_them_stale(root, really: Callable[[Path], None]):
    before = versions(root, *PETS)
    really(root / FOLDER / "test")
    assert states(root, *PETS) == ["stale"] * 3
    build(root, "raw/pets:test")
    raw, interim, processed = statuses(root, *PETS)
    assert (raw.state, interim.state, processed.state) == ("fresh", "stale", "stale")
    assert interim.reason == "raw/pets:test changed"
    assert processed.reason == "interim/pets:test_all is stale: raw/pets:test changed"
    build_chain(root, root / "config", PETS[2])
    assert states(root, *PETS) == ["fresh"] * 3
    assert not set(versions(root, *PETS)) & set(before)


def test_in_a_root_that_was_copied_without_its_times_everything_is_fresh(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy", symlinks=True, copy_function=shutil.copy)
    assert states(copy, *GRATINGS) == ["fresh"] * 3
    assert versions(copy, *GRATINGS) == versions(root, *GRATINGS)
    assert states(copy, *PETS) == ["stale"] * 3, "of images that others may change, it is said that they were touched"
    build(copy, "raw/pets:test")
    assert states(copy, *PETS) == ["fresh"] * 3
    assert versions(copy, *PETS) == versions(root, *PETS)


def test_a_root_that_was_moved_is_fresh(root, tmp_path):
    before = versions(root, *PETS, *GRATINGS)
    moved = root.rename(tmp_path / "moved")
    assert states(moved, *PETS, *GRATINGS) == ["fresh"] * 6
    assert versions(moved, *PETS, *GRATINGS) == before


@pytest.mark.parametrize("target", [*PETS, *GRATINGS])
def test_a_build_that_was_killed_before_its_checks_is_checked_and_not_built_again(root, target):
    chain = PETS if target in PETS else GRATINGS
    before, outputs = versions(root, *chain), written(root, "data")
    mark_of(root, target).touch()
    position = chain.index(target)
    found = statuses(root, *chain)
    assert [status.state for status in found] == ["fresh"] * position + ["stale"] * (3 - position)
    assert found[position].reason == UNCHECKED
    for later in chain[position + 1 : position + 2]:
        with pytest.raises(MissingError, match=rf"^{later} is made from {target}, which is stale \({UNCHECKED}\)"):
            build(root, later, force=True)
    build(root, target)
    assert states(root, *chain) == ["fresh"] * 3
    assert versions(root, *chain) == before
    assert written(root, "data") == outputs
    assert not mark_of(root, target).exists()


def fail(inspection: Inspection) -> CheckResult:
    return CheckResult("fail", False, "it is not so")


def raise_it(error: BaseException) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        raise error

    run.__name__ = "raise_it"
    return run


@pytest.mark.parametrize(
    "check", [fail, *map(raise_it, (DataError("no"), OSError(5, "no"), ValueError("no"), MemoryError()))]
)
def test_what_fails_a_hard_check_is_never_fresh_and_what_fails_a_soft_one_is(root, monkeypatch, check):
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(RawStage, "checks", (*RawStage.checks, Check(check, is_hard=True)))
            with contextlib.suppress(MemoryError):  # which ends the run, as it must
                build(root, "raw/pets:test", force=True)
        (status,) = statuses(root, "raw/pets:test")
        assert (status.state, status.reason) == ("stale", UNCHECKED)
        with pytest.raises(MissingError, match=f"which is stale \\({UNCHECKED}\\)"):
            build(root, PETS[1], force=True)
    monkeypatch.setattr(RawStage, "checks", (*RawStage.checks, Check(fail, is_hard=False)))
    build(root, "raw/pets:test")
    assert states(root, *PETS) == ["fresh"] * 3


def test_a_build_that_failed_before_it_replaced_anything_leaves_the_old_output_up_to_date(root, monkeypatch):
    before, outputs = versions(root, *PETS), written(root, "data")
    with monkeypatch.context() as patch:
        patch.setattr(RawStage, "build", raise_it(DataError("no")))
        with pytest.raises(DataError):
            build(root, "raw/pets:test", force=True)
    assert states(root, *PETS) == ["fresh"] * 3
    assert (versions(root, *PETS), written(root, "data")) == (before, outputs)
    mark_of(root, PETS[0]).touch()
    with monkeypatch.context() as patch:
        patch.setattr(RawStage, "build", raise_it(DataError("no")))
        with pytest.raises(DataError):
            build(root, "raw/pets:test", force=True)
    assert statuses(root, PETS[0])[0].reason == UNCHECKED, "what had not passed its checks has not passed them now"


def test_a_build_that_is_stopped_when_it_has_written_is_not_fresh_and_can_be_repeated(root, monkeypatch):
    def replace_and_stop(new: Path, old: Path) -> None:
        replace_directory(new, old)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dynvision.stages.raw.replace_directory", replace_and_stop)
        with pytest.raises(KeyboardInterrupt):
            build(root, "raw/gratings:test", force=True)
    assert states(root, *GRATINGS) == ["stale"] * 3
    build(root, "raw/gratings:test")
    assert states(root, *GRATINGS) == ["fresh"] * 3
