from __future__ import annotations

import re
import time
from pathlib import Path

import dagster as dg
import pytest

from dynvision.stages.registry import STAGE_NAMES
from dynvision.targets import Target
from dynvision_assets.partitions import asset_key, partition_key
from tests.helpers.chains import CHAIN, open_workspace, records, states
from tests.helpers.commands import call_dynvision, run_dynvision
from tests.helpers.instances import latest_check, materializations, open_instance
from tests.helpers.making import CHECKS, CONTRAST, inodes, run_count, store


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
