"""A lock that another process takes over during a build: the stage puts nothing in place and leaves its files alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.errors import LockLostError
from dynvision.system.files import remove_leftovers
from dynvision.system.locks.holders import lock_path, next_path, owner_path
from dynvision.system.owners import Owner
from dynvision.workspace import building
from dynvision.workspace.building import build_targets, reject_targets

pytestmark = pytest.mark.slow

TARGETS = [
    "raw/gratings:test",
    "interim/gratings:test_all",
    "processed/gratings:test_all",
    "models/rcnn/gratings:all_s0",
    "responses/contrast/rcnn_gratings:contrast=1.0",
    "summary/contrast/rcnn_gratings",
]


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """The size and time of every file and link, without hidden ones: they remember what was read."""
    files = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    shown = {str(path.relative_to(folder)): path.lstat() for path in files}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in shown.items() if "/." not in f"/{name}"}


@pytest.fixture
def taken_over(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Another machine takes every lock over as soon as it is taken; returns the outputs."""
    outputs: list[Path] = []
    far = replace(Owner.here(), host="far", boot_id="other", pid=77)

    def steal(path: Path) -> None:
        remove_leftovers(path)
        if owner_path(path).exists():
            owner_path(path).write_text(json.dumps({"owner": far.to_dict()}))
            outputs.append(path)

    monkeypatch.setattr(building, "remove_leftovers", steal)
    return outputs


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_taken_over_is_left_to_the_other(chain_copy, taken_over, target):
    data = chain_copy.root / "data"
    before = contents(data)
    with pytest.raises(LockLostError, match="its lock has been taken over by process 77 on far: this process gave no"):
        build_targets([target], root=str(chain_copy.root), config=str(chain_copy.config), force=True)
    (output,) = taken_over
    assert contents(data) == before
    assert owner_path(output).exists(), "the other one's"
    assert not next_path(output).exists()
    assert lock_path(output).exists()


def test_the_record_of_what_was_taken_over_is_not_put_aside(chain_copy, taken_over):
    before = contents(chain_copy.root / "data")
    with pytest.raises(LockLostError):
        reject_targets(["raw/gratings:test"], root=str(chain_copy.root), config=str(chain_copy.config))
    assert contents(chain_copy.root / "data") == before
