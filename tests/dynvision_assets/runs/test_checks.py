"""What Dagster shows of a check: of which partition a result is, and what has failed in earlier runs."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dynvision.records import Record
from dynvision.stages.base.checks import CheckResult
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.runs import checks
from tests.helpers.instances import latest_check
from tests.helpers.runs import Engines, RunAsset

RAW = ("raw", "gratings")
NAME = "classes_are_balanced"


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the check holds, for each partition."""
    found = {"train": True, "test": True}

    def run_checks(workspace: Workspace, target: Target, record: Record) -> list[CheckResult]:
        passed = found[str(target.partition)]
        return [CheckResult(NAME, passed, "all are equal" if passed else "one is larger")]

    monkeypatch.setattr(checks, "run_checks", run_checks)
    return found


def shown(instance: dg.DagsterInstance) -> tuple[bool, str]:
    newest = latest_check(instance, RAW, NAME)
    assert newest is not None
    return newest.passed, str(newest.description)


def test_a_warning_of_another_partition_stays_until_that_is_made_again(
    engines: Engines, instance: dg.DagsterInstance, make: RunAsset, outcomes: dict[str, bool]
) -> None:
    outcomes["test"] = False
    make("raw/gratings:test")
    assert shown(instance) == (False, "test: one is larger")
    make("raw/gratings:train")
    assert shown(instance) == (False, "1 of 2 partitions fail: test: one is larger")
    make("raw/gratings:train", force=True)
    assert shown(instance) == (False, "1 of 2 partitions fail: test: one is larger")
    outcomes["test"] = True
    make("raw/gratings:test", force=True)
    assert shown(instance) == (True, "test: all are equal")


def test_a_launch_of_the_asset_shows_the_warning_of_another_partition_too(
    engines: Engines, instance: dg.DagsterInstance, select: RunAsset, outcomes: dict[str, bool]
) -> None:
    outcomes["test"] = False
    select("raw/gratings", first="test", last="test")
    select("raw/gratings", first="train", last="train")
    assert shown(instance) == (False, "1 of 2 partitions fail: test: one is larger")


def test_a_warning_of_what_is_not_there_any_more_is_dropped(
    engines: Engines, instance: dg.DagsterInstance, make: RunAsset, empty_root: Path, outcomes: dict[str, bool]
) -> None:
    outcomes["test"] = False
    make("raw/gratings:test")
    (empty_root / "data/raw/gratings/test/manifest.json").unlink()
    make("raw/gratings:train")
    assert shown(instance) == (True, "train: all are equal")
