"""What fails while it is made, and what Dagster makes by its own commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from dynvision.system.locks import output_lock
from dynvision.targets import Target
from dynvision_assets import resources
from dynvision_assets.partitions import partition_key
from tests.helpers.chains import open_workspace, records, states
from tests.helpers.commands import call_dynvision, run_python
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import latest_check, materializations, open_instance
from tests.helpers.making import CONTRAST, inodes, materialize, run_count, store
from tests.helpers.stores import damage_before_verifying


def test_a_hard_check_that_fails_is_recorded_and_raised_before_the_materialization(chain: Path) -> None:
    target = Target(("raw", "mine"), "test")
    edit_config(chain, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, mine: 8}")
    for split in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            folder = chain / "data" / "raw" / "mine" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8), (number, 2, 3)).save(folder / "a.png")
    materialize(chain, "raw/mine:train")()
    for _ in range(2):  # What failed once does not count as built the second time.
        with pytest.raises(dg.Failure, match="raw/mine:test: splits_hold_different_images does not hold") as failure:
            materialize(chain, "raw/mine:test")()
        assert "dynvision make --force raw/mine:test" in str(failure.value.description)
        assert states(chain)["raw/mine:test"] == "missing"
    with open_instance(chain) as instance:
        outcome = latest_check(instance, target.key, "splits_hold_different_images")
        assert outcome is not None
        assert not outcome.passed
        assert "2 of 2 images of test are the same images as train" in str(outcome.metadata["offenders"].value)
        assert not materializations(instance, chain, target)


def test_responses_damaged_before_they_are_verified_are_never_materialized(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(CONTRAST, "contrast=0.5")
    store(chain, "0.5").rename(chain / "before")
    damage_before_verifying(monkeypatch, "V1/mean")
    monkeypatch.setattr(resources, "open_engine", lambda settings: ScriptedEngine())
    with open_instance(chain) as instance:
        before = len(materializations(instance, chain, target))
    with pytest.raises(dg.Failure, match="V1/mean"):
        materialize(chain, "responses/contrast/rcnn_gratings:0.5")()
    assert not store(chain, "0.5").exists(), "a damaged store was put in place"
    with open_instance(chain) as instance:
        outcome = latest_check(instance, CONTRAST, "responses_are_complete_and_finite")
        assert outcome is not None
        assert not outcome.passed
        assert "V1/mean" in str(outcome.description)
        assert len(materializations(instance, chain, target)) == before


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("interim/gratings:train_ends", "dynvision make raw/gratings:train"),
        ("processed/gratings:test_all", "dynvision make interim/gratings:test_all"),
        ("models/rcnn/gratings:all_s0", "dynvision make processed/gratings:train_all"),
        (
            "responses/contrast/rcnn_ends:0.8",
            "dynvision make models/rcnn/gratings:all_s0 processed/gratings:test_ends",
        ),
        ("summary/contrast/rcnn_gratings", "dynvision make responses/contrast/rcnn_gratings"),
    ],
)
def test_a_missing_upstream_partition_names_the_command_that_makes_it(
    empty_root: Path, target: str, command: str
) -> None:
    with pytest.raises(dg.Failure, match="missing") as failure:
        materialize(empty_root, target)()
    assert str(failure.value.description).endswith(f"Make it: {command}")
    with open_instance(empty_root) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        key = dg.AssetKey(target.partition(":")[0].split("/"))
        assert instance.get_latest_materialization_event(key) is None


def test_what_is_in_the_way_fails_the_run_and_is_left_alone(empty_root: Path) -> None:
    mine = empty_root / "data/raw/gratings/test/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("my own")
    done = call_dynvision(empty_root, "make", "interim/gratings:test_all")
    assert done.exit_code == 1
    assert f"error: {mine.parent} is in the way" in done.output
    assert "nothing of yours is deleted" in done.output
    assert mine.read_text() == "my own"
    with open_instance(empty_root) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
    assert states(empty_root)["interim/gratings:test_all"] == "missing"


def test_two_makes_of_the_same_target_do_not_write_at_once(empty_root: Path) -> None:
    output = empty_root / "data/raw/gratings/test"
    with output_lock(output):
        done = call_dynvision(empty_root, "make", "raw/gratings:test")
    assert done.exit_code == 1
    assert f"error: {output} is being built by process {os.getpid()} on " in done.output
    assert call_dynvision(empty_root, "make", "raw/gratings:test").exit_code == 0


# Dagster's own commands


def test_dagster_materializes_a_partition_from_the_command_line(empty_root: Path) -> None:
    (empty_root / ".dagster").mkdir()
    selection = ("--select", "raw/gratings", "--partition", "test")
    done = run_python(
        empty_root, "-m", "dagster", "asset", "materialize", "-m", "dynvision_assets.definitions", *selection
    )
    assert done.returncode == 0, done.stderr
    folder = empty_root / "data/raw/gratings/test"
    assert len(list(folder.glob("*/*.png"))) == 12
    version = json.loads((folder / "manifest.json").read_text())["data_version"]
    with open_instance(empty_root) as instance:
        (event,) = materializations(instance, empty_root, Target(("raw", "gratings"), "test"))
    assert event.tags["dagster/data_version"] == version


def test_dagster_takes_a_range_of_conditions_as_one_run_and_shows_none_again(chain: Path) -> None:
    before, runs = inodes(chain, "0.1", "0.5", "0.8", "1.0"), run_count(chain)
    workspace, made = open_workspace(chain), records(chain)
    targets = workspace.targets(CONTRAST)
    with open_instance(chain) as instance:
        counts = {target: len(materializations(instance, chain, target)) for target in targets}
    selection = ("--select", "responses/contrast/rcnn_gratings", "--partition-range", "0.1...0.8")
    done = run_python(chain, "-m", "dagster", "asset", "materialize", "-m", "dynvision_assets.definitions", *selection)
    assert done.returncode == 0, done.stderr
    assert run_count(chain) == runs + 1
    assert inodes(chain, "0.1", "0.5", "0.8", "1.0") == before, "conditions that are up to date were shown again"
    with open_instance(chain) as instance:
        for target in targets:
            events = materializations(instance, chain, target)
            named = partition_key(workspace, target) != "1.0"
            assert (len(events) > counts[target]) == named
            assert events[0].tags["dagster/data_version"] == made[target].data_version
