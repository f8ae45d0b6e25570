from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from dynvision.stages.registry import STAGE_NAMES
from dynvision.system.locks import output_lock
from dynvision.targets import Target
from dynvision_assets import resources
from dynvision_assets.partitions import asset_key, partition_key
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import CHAIN, open_workspace, records, states
from tests.helpers.commands import call_dynvision, run_dynvision, run_python
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import latest_check, materializations, open_instance
from tests.helpers.stores import damage_before_verifying

CONTRAST = ("responses", "contrast", "rcnn_gratings")
CHECKS = {
    ("raw", "gratings"): "classes_hold_the_images_that_were_counted",
    ("interim", "gratings"): "every_link_resolves",
    ("processed", "gratings"): "image_files_are_as_they_were_written",
    ("models", "rcnn", "gratings"): "weights_are_finite",
    CONTRAST: "responses_are_complete_and_finite",
    ("summary", "contrast", "rcnn_gratings"): "every_condition_is_measured",
}


def store(root: Path, level: str) -> Path:
    return root / f"data/responses/contrast/rcnn_gratings/contrast={level}.zarr"


def inodes(root: Path, *levels: str) -> dict[str, int]:
    return {level: store(root, level).stat().st_ino for level in levels}


def run_count(root: Path) -> int:
    with open_instance(root) as instance:
        return instance.get_runs_count()


def materialize(root: Path, target: str) -> Callable[[], Any]:
    """Run one asset's partition directly, as a click in the UI would: nothing upstream is made."""
    workspace = open_workspace(root)
    name, _, partition = target.partition(":")
    key = dg.AssetKey(name.split("/"))
    job = make_definitions(workspace).resolve_implicit_global_asset_job_def()

    def run() -> Any:
        (root / ".dagster").mkdir(exist_ok=True)
        with open_instance(root) as instance:
            return job.execute_in_process(asset_selection=[key], partition_key=partition or None, instance=instance)

    return run


# What a first `dynvision make` leaves behind


def test_one_request_is_one_run_and_the_chain_is_recorded_in_order(made_root: Path) -> None:
    workspace, made = open_workspace(made_root), records(made_root)
    with open_instance(made_root) as instance:
        (run,) = instance.get_runs()
        assert (run.job_name, run.status) == ("make", dg.DagsterRunStatus.SUCCESS)
        assert run.tags["dynvision/make"] == ", ".join(CHAIN)
        numbers = {}
        for target in made:
            key, partition = asset_key(target.key), partition_key(workspace, target)
            chosen = dg.AssetRecordsFilter(key, asset_partitions=[partition]) if partition else key
            (event,) = instance.fetch_materializations(chosen, limit=10).records
            assert event.run_id == run.run_id, target
            numbers[target] = event.storage_id
    for target in made:
        assert all(numbers[upstream] < numbers[target] for upstream in workspace.upstream(target)), target
    missing = {target for target, state in states(made_root).items() if state != "fresh"}
    assert missing == {
        "processed/gratings:train_ends",
        "models/rcnn/gratings:ends_s0",
        "summary/contrast_duration/rcnn_gratings",
        "summary/contrast/rcnn_ends",
        "summary/contrast",
        "summary/contrast_duration",
        "summary/phenomena/rcnn_gratings",
        "summary/phenomena/rcnn_ends",
    }


def test_the_data_version_in_dagster_is_that_of_the_record_for_every_partition(made_root: Path) -> None:
    made = records(made_root)
    assert {target.stage for target in made} == set(STAGE_NAMES)
    with open_instance(made_root) as instance:
        reported = {
            target: materializations(instance, made_root, target)[0].tags["dagster/data_version"] for target in made
        }
    assert reported == {target: record.data_version for target, record in made.items()}
    contrasts = {reported[target] for target in made if target.key == CONTRAST}
    assert len(contrasts) == 4, "conditions share a data version"


def test_dagster_knows_the_numbers_and_the_picture_of_every_condition(made_root: Path) -> None:
    workspace = open_workspace(made_root)
    with open_instance(made_root) as instance:
        for target in workspace.targets(CONTRAST):
            record = workspace.stage(target).read_record(target)
            assert record is not None
            metadata = materializations(instance, made_root, target)[0].metadata
            assert metadata["accuracy"].value == pytest.approx(record.details["accuracy"])
            assert metadata["shown"].value == "12 trials × 6 steps of 5 ms"
            assert metadata["path"].value == str(workspace.stage(target).output(target))
        shown = materializations(instance, made_root, Target(("summary", "contrast", "rcnn_gratings")))[0].metadata
    pictures = [m.value for m in shown.values() if isinstance(m, dg.MarkdownMetadataValue)]
    assert [name for name, m in shown.items() if isinstance(m, dg.MarkdownMetadataValue)] == [
        "picture",
        "picture: summary",
        "picture: time courses",
        "picture: tuning",
        "picture: stimuli",
    ]
    table = shown["tuning_table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == 4
    assert {row.data["parameter"] for row in shown["fits_table"].records}  # type: ignore[union-attr]
    assert all(re.search(r"\(data:image/(png|webp);base64,", str(text)) for text in pictures)


@pytest.mark.parametrize(("key", "name"), CHECKS.items())
def test_the_outcome_of_a_check_is_recorded(made_root: Path, key: tuple[str, ...], name: str) -> None:
    with open_instance(made_root) as instance:
        outcome = latest_check(instance, key, name)
    assert outcome is not None
    assert outcome.passed
    assert re.search(r"\d+ ", str(outcome.description)), "a check says what it found, with a count"


# A second `dynvision make`


def test_a_second_make_does_nothing_and_in_under_three_seconds(made_root: Path) -> None:
    runs, before = run_count(made_root), records(made_root)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        done = run_dynvision(made_root, "make", "summary/contrast/rcnn_gratings", "responses/contrast/rcnn_ends")
        times.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "5 targets are up to date; nothing to do"
    assert run_count(made_root) == runs
    assert records(made_root) == before
    assert min(times) < 3


def test_a_root_that_was_moved_is_still_up_to_date(made_root: Path, chain: Path) -> None:
    assert states(chain) == states(made_root)


def test_force_builds_again_what_is_up_to_date_and_leaves_what_is_downstream_fresh(chain: Path) -> None:
    before, kept = records(chain), states(chain)
    folder = chain / "data/raw/gratings/test"
    inode = folder.stat().st_ino
    done = call_dynvision(chain, "make", "--force", "raw/gratings:test")
    assert done.exit_code == 0, done.output
    assert "built 1 target in" in done.output
    assert folder.stat().st_ino != inode
    target = Target(("raw", "gratings"), "test")
    assert records(chain)[target].data_version == before[target].data_version
    assert states(chain) == kept


def test_force_shows_only_the_condition_that_is_named(chain: Path) -> None:
    before = inodes(chain, "0.1", "0.5", "0.8", "1.0")
    versions = {target: record.data_version for target, record in records(chain).items()}
    done = call_dynvision(chain, "make", "--force", "responses/contrast/rcnn_gratings:0.5")
    assert done.exit_code == 0, done.output
    after = inodes(chain, "0.1", "0.5", "0.8", "1.0")
    assert {level for level in before if before[level] != after[level]} == {"0.5"}
    assert {target: record.data_version for target, record in records(chain).items()} == versions


def test_make_builds_only_the_conditions_that_are_named(chain: Path) -> None:
    for level in ("0.1", "0.5", "1.0"):
        store(chain, level).rename(chain / level)
    done = call_dynvision(chain, "make", *(f"{'/'.join(CONTRAST)}:{level}" for level in ("0.1", "1.0")))
    assert done.exit_code == 0, done.output
    assert store(chain, "0.1").is_dir()
    assert store(chain, "1.0").is_dir()
    assert not store(chain, "0.5").exists(), "a condition between those that were named was shown, too"


# What becomes stale

MADE_OF_TEST_IMAGES = ["responses/*", "summary/*"]

CHANGES = {
    "a comment": ("use_ffcv: true", "use_ffcv: true   # as before", []),
    "a class group": (
        "ends: [0, 2]",
        "ends: [0, 1]",
        ["interim/*_ends", "processed/*_ends", "responses/contrast/rcnn_ends:*"],
    ),
    "another group": ("ends: [0, 2]", "ends: [0, 2], first: [0, 1]", []),
    "how many test images there are": (
        "test_per_class: 4",
        "test_per_class: 5",
        ["raw/gratings:test", "interim/gratings:test_*", "processed/gratings:test_*", *MADE_OF_TEST_IMAGES],
    ),
    "the training split": (
        "train_ratio: 0.75",
        "train_ratio: 0.5",
        ["processed/gratings:train_all", "models/*", *MADE_OF_TEST_IMAGES],
    ),
    "a training setting": ("epochs: 1", "epochs: 2", ["models/*", *MADE_OF_TEST_IMAGES]),
    "what is recorded": ("layers: [V1, IT, classifier]", "layers: [V1, classifier]", MADE_OF_TEST_IMAGES),
    "the timing of one experiment": ("stim: 3", "stim: 2", ["responses/contrast/*", "summary/contrast/*"]),
    "one more level": (
        "contrast: [0.1, 0.5, 0.8, 1.0]",
        "contrast: [0.1, 0.3, 0.5, 0.8, 1.0]",
        ["summary/contrast/rcnn_gratings"],
    ),
    "one level less": (
        "contrast: [0.1, 0.5, 0.8, 1.0]",
        "contrast: [0.1, 0.5, 0.8]",
        ["summary/contrast/rcnn_gratings"],
    ),
    "the noise of one subject": ("sensor_noise: 0.25", "sensor_noise: 0.75", ["responses/contrast/rcnn_ends:*"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_yaml_makes_exactly_the_right_partitions_stale(
    made_root: Path, empty_root: Path, change: str
) -> None:
    old, new, patterns = CHANGES[change]
    config = empty_root / "config"
    before = states(made_root, config)
    edit_config(empty_root, old, new)
    after = states(made_root, config)
    made = {target for target, state in before.items() if state == "fresh"} & set(after)
    stale = {target for target in made if after[target] == "stale"}
    assert stale == {target for target in made if any(fnmatch(target, pattern) for pattern in patterns)}
    assert all(after[target] == "fresh" for target in made - stale)
    for pattern in patterns:
        assert any(fnmatch(target, pattern) for target in stale), f"nothing was made that '{pattern}' means"


def test_a_new_level_is_missing_and_make_builds_it_and_the_summary_alone(chain: Path) -> None:
    edit_config(chain, "contrast: [0.1, 0.5, 0.8, 1.0]", "contrast: [0.1, 0.3, 0.5, 0.8, 1.0]")
    before = inodes(chain, "0.1", "0.5", "0.8", "1.0")
    level = Target(CONTRAST, "contrast=0.3")
    assert states(chain)[str(level)] == "missing"
    done = call_dynvision(chain, "make", "summary/contrast/rcnn_gratings")
    assert done.exit_code == 0, done.output
    assert "built 2 targets" in done.output
    assert "responses/contrast/rcnn_gratings: contrast=0.3" in done.output
    assert inodes(chain, "0.1", "0.5", "0.8", "1.0") == before
    summary = records(chain)[Target(("summary", "contrast", "rcnn_gratings"))]
    assert [row["contrast"] for row in summary.details["tuning"]] == [0.1, 0.3, 0.5, 0.8, 1.0]
    with open_instance(chain) as instance:
        (event,) = materializations(instance, chain, level)[:1]
    assert event.tags["dagster/data_version"] == records(chain)[level].data_version


def test_a_file_that_is_gone_counts_as_missing_although_dagster_remembers_it(chain: Path) -> None:
    target = Target(CONTRAST, "contrast=0.5")
    store(chain, "0.5").rename(chain / "elsewhere")
    with open_instance(chain) as instance:
        assert materializations(instance, chain, target)
    assert states(chain)[str(target)] == "missing"
    assert states(chain)["summary/contrast/rcnn_gratings"] == "stale"


# What fails


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
