"""The check `up_to_date`: what `dynvision status` knows, the browser shows."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dagster as dg
import pytest

from dynvision.errors import DynvisionError
from dynvision.workspace import Status, Workspace
from dynvision_assets import automation
from dynvision_assets.automation import make_sensors
from dynvision_assets.runs import freshness
from dynvision_assets.runs.freshness import UP_TO_DATE
from dynvision_assets.runs.tally import Tally
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import latest_check, open_instance
from tests.helpers.runs import Engines, RunAsset

RESPONSES = ("responses", "contrast", "rcnn_gratings")
SUMMARY = ("summary", "contrast", "rcnn_gratings")


def look(workspace: Workspace, instance: dg.DagsterInstance) -> dict[str, tuple[bool, str]]:
    """One turn of the sensor, whose events are recorded as the daemon does it; return what it has reported."""
    (sensor,) = (sensor for sensor in make_sensors(workspace) if sensor.name == "see_what_is_stale")
    result = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    found = {}
    for event in result.asset_events:
        assert isinstance(event, dg.AssetCheckEvaluation)
        instance.report_runless_asset_event(event)
        found["/".join(event.asset_key.path)] = (event.passed, str(event.description))
    return found


def test_what_is_up_to_date_is_reported_once(made_root: Path, instance: dg.DagsterInstance) -> None:
    first = look(open_workspace(made_root), instance)
    assert all(passed for passed, _ in first.values())
    assert first["summary/contrast/rcnn_gratings"] == (True, "It is up to date.")
    assert first["responses/contrast/rcnn_gratings"] == (True, "4 partitions are up to date.")
    assert "summary/contrast_duration/rcnn_gratings" not in first, "of what was never made nothing is said"
    assert look(open_workspace(made_root), instance) == {}


def test_the_run_that_has_made_a_chain_gives_the_results_so_that_the_sensor_has_none_to_report(chain: Path) -> None:
    with open_instance(chain) as instance:
        assert look(open_workspace(chain), instance) == {}
        for key, sentence in {SUMMARY: "It is up to date.", RESPONSES: "4 partitions are up to date."}.items():
            result = latest_check(instance, key, UP_TO_DATE)
            assert result is not None
            assert (result.passed, result.description) == (True, sentence)


def test_what_was_made_again_is_reported_again_until_dagster_shows_the_result(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster shows "Not Evaluated" for a result that is not newer than the newest materialization.

    It keeps the time of a result in whole seconds. One that is given in the same second therefore counts as older.
    """
    with open_instance(chain) as instance:
        look(open_workspace(chain), instance)
        monkeypatch.setattr(freshness, "SHORT_LOOK", 0.0)
        assert call_dynvision(chain, "make", "--force", "raw/gratings:test").exit_code == 0
        for _ in range(20):
            record = instance.event_log_storage.get_latest_asset_check_execution_by_key(
                [dg.AssetCheckKey(dg.AssetKey(["raw", "gratings"]), UP_TO_DATE)]
            ).popitem()[1]
            made = instance.get_latest_materialization_event(dg.AssetKey(["raw", "gratings"]))
            assert made is not None
            if record.create_timestamp > made.timestamp:
                break
            assert "raw/gratings" in look(open_workspace(chain), instance)
            time.sleep(0.3)
        else:
            pytest.fail("the result never counts")
        assert look(open_workspace(chain), instance) == {}


def test_a_summary_is_not_green_any_more_after_a_level_was_added(chain: Path) -> None:
    loaded = open_workspace(chain)
    with open_instance(chain) as instance:
        look(loaded, instance)
        edit_config(chain, "stim: 3, contrast: [0.1, 0.5, 0.8, 1.0]", "stim: 3, contrast: [0.1, 0.5, 0.8, 0.9, 1.0]")
        found = look(loaded, instance)
        passed, sentence = found["summary/contrast/rcnn_gratings"]
        assert not passed
        assert "It is stale: it is made from other inputs now" in sentence
        assert "Make it up to date: `dynvision make summary/contrast/rcnn_gratings`, or the job `make`" in sentence
        assert found["responses/contrast/rcnn_gratings"] == (
            True,
            "4 partitions are up to date; not made: contrast=0.9.",
        )
        newest = latest_check(instance, SUMMARY, UP_TO_DATE)
        assert newest is not None
        assert not newest.passed
        assert newest.severity == dg.AssetCheckSeverity.WARN


def test_partitions_with_the_same_reason_share_a_line_and_a_damaged_one_is_an_error(chain: Path) -> None:
    edit_config(chain, "sensor_noise: 0.5}", "sensor_noise: 0.4}")
    with open_instance(chain) as instance:
        found = look(open_workspace(chain), instance)
    passed, sentence = found["responses/contrast/rcnn_gratings"]
    assert not passed
    assert sentence.startswith(
        "4 of 4 partitions are stale (contrast=0.1, contrast=0.5, contrast=0.8, contrast=1.0): the configuration"
    )
    store = next((chain / "data/responses/contrast/rcnn_gratings").glob("contrast=0.5.zarr/zarr.json"))
    store.unlink()
    with open_instance(chain) as instance:
        look(open_workspace(chain), instance)
        newest = latest_check(instance, RESPONSES, UP_TO_DATE)
    assert newest is not None
    assert newest.severity == dg.AssetCheckSeverity.ERROR
    assert "1 of 4 partition is damaged (contrast=0.5)" in str(newest.description)


def test_what_was_made_again_is_green_again(chain: Path) -> None:
    with open_instance(chain) as instance:
        edit_config(chain, "train_per_class: 12", "train_per_class: 13")
        assert not look(open_workspace(chain), instance)["raw/gratings"][0]
        assert call_dynvision(chain, "make", "raw/gratings:train").exit_code == 0
        result = latest_check(instance, ("raw", "gratings"), UP_TO_DATE)
        assert result is not None
        assert (result.passed, result.description) == (True, "2 partitions are up to date.")
        assert "raw/gratings" not in look(open_workspace(chain), instance), "Dagster shows that of the run"


def test_a_run_of_an_asset_gives_the_result_at_once(
    engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    assert select("raw/gratings", first="train", last="train").success
    result = latest_check(instance, ("raw", "gratings"), UP_TO_DATE)
    assert result is not None
    assert (result.passed, result.description) == (True, "1 partition is up to date; not made: test.")


def test_a_run_that_failed_does_not_leave_the_check_without_a_result(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    assert select("raw/gratings", first="train", last="train").success
    engines.prepared.append(ScriptedEngine(fail=lambda call: DynvisionError("the disk is full.")))
    assert not select("raw/gratings", first="train", last="train", force=True).success
    assert latest_check(instance, ("raw", "gratings"), UP_TO_DATE) is None, "the run has planned it, and not given it"
    look(open_workspace(empty_root), instance)
    result = latest_check(instance, ("raw", "gratings"), UP_TO_DATE)
    assert result is not None
    assert result.passed


def test_a_configuration_that_is_being_edited_is_said_and_reports_nothing(chain: Path) -> None:
    loaded = open_workspace(chain)
    (chain / "config/config_data.yaml").write_text("nonsense: [\n")
    (sensor,) = (sensor for sensor in make_sensors(loaded) if sensor.name == "see_what_is_stale")
    with open_instance(chain) as instance:
        result = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SensorResult)
    assert str(result.skip_reason.skip_message).startswith("the configuration cannot be used: ")
    assert list(result.asset_events) == []


def test_every_asset_has_the_check(empty_root: Path) -> None:
    workspace = open_workspace(empty_root)
    graph = make_definitions(workspace).resolve_asset_graph()
    with_check = {key.asset_key for key in graph.asset_check_keys if key.name == UP_TO_DATE}
    assert {"/".join(key.path) for key in with_check} == {"/".join(key) for key in workspace.keys}


class Round:
    """The turns of the sensor, each of which has time for one partition."""

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        (self.sensor,) = (sensor for sensor in make_sensors(workspace) if sensor.name == "see_what_is_stale")
        self.instance = instance
        self.cursor: str | None = None
        self.found: list[tuple[str, str]] = []
        self.turns = 0

    @property
    def is_over(self) -> bool:
        return self.cursor is not None and json.loads(self.cursor)["not_before"] > 0

    def turn(self) -> dg.SensorResult:
        result = self.sensor(dg.build_sensor_context(instance=self.instance, cursor=self.cursor))
        assert isinstance(result, dg.SensorResult)
        for event in result.asset_events:
            assert isinstance(event, dg.AssetCheckEvaluation)
            self.found.append(("/".join(event.asset_key.path), str(event.description)))
        self.cursor, self.turns = result.cursor, self.turns + 1
        return result

    def turn_until(self, key: str, partitions: int) -> None:
        """Take turns until so many partitions of an asset have been looked at."""
        for _ in range(100):
            self.turn()
            begun = json.loads(str(self.cursor))["begun"]
            if (
                begun is not None
                and "/".join(begun["key"]) == key
                and begun["tally"]["states"] == {"fresh": partitions}
            ):
                return
        pytest.fail(f"{key} is never looked at")


def test_a_round_that_takes_long_goes_on_in_the_next_turn_and_then_rests(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_workspace(chain)
    edit_config(chain, "sensor_noise: 0.25}", "sensor_noise: 0.3}")
    with open_instance(chain) as instance:
        at_once = Round(workspace, instance)
        at_once.turn()
        assert at_once.is_over
        monkeypatch.setattr(automation, "LONGEST_LOOK", 0.0)
        slow = Round(workspace, instance)
        while not slow.is_over:
            slow.turn()
        assert slow.turns == sum(len(workspace.targets(key)) for key in workspace.keys)
        assert slow.found == at_once.found
        assert any("4 of 4 partitions are stale" in sentence for _, sentence in slow.found)
        slow.cursor = json.dumps(json.loads(str(slow.cursor)) | {"not_before": time.time() + 60})
        resting = slow.cursor
        assert str(slow.turn().skip_reason.skip_message) == "everything was looked at a short while ago"
        assert slow.cursor == resting


def test_an_asset_is_begun_anew_if_the_configuration_is_edited_in_the_middle_of_it(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "LONGEST_LOOK", 0.0)
    with open_instance(chain) as instance:
        slow = Round(open_workspace(chain), instance)
        slow.turn_until("/".join(RESPONSES), 3)
        edit_config(chain, "sensor_noise: 0.5}", "sensor_noise: 0.4}")
        for _ in range(4):
            slow.turn()
        key, sentence = slow.found[-1]
        assert key == "/".join(RESPONSES)
        assert sentence.startswith("4 of 4 partitions are stale")


def test_what_a_sentence_does_not_name_is_counted(empty_root: Path) -> None:
    workspace = open_workspace(empty_root)
    tally = Tally()
    for number, target in enumerate(4 * workspace.targets(RESPONSES)):
        tally.add(target, Status("stale", f"reason {number % 7}") if number % 8 < 7 else Status("missing"))
    read = Tally.from_dict(json.loads(json.dumps(tally.to_dict())))
    assert read == tally
    lines = str(read.evaluate(RESPONSES).description).split("\n\n")
    assert lines[0] == "2 of 16 partitions are stale (contrast=0.1, contrast=0.8): reason 0"
    assert lines[-2] == "…and 4 other partitions, for other reasons"
    assert lines[-1] == "Make it up to date: `dynvision make responses/contrast/rcnn_gratings`, or the job `make`"


def test_a_run_that_has_not_ended_gives_the_result_and_not_the_sensor(
    empty_root: Path, engines: Engines, instance: dg.DagsterInstance, select: RunAsset
) -> None:
    assert select("raw/gratings", first="train", last="train").success
    meanwhile: list[dict[str, tuple[bool, str]]] = []
    engines.prepared.append(
        ScriptedEngine(fail=lambda call: meanwhile.append(look(open_workspace(empty_root), instance)))
    )
    assert select("raw/gratings", first="test", last="test").success
    assert [list(found) for found in meanwhile] == [[]]
    result = latest_check(instance, ("raw", "gratings"), UP_TO_DATE)
    assert result is not None
    assert (result.passed, result.description) == (True, "2 partitions are up to date.")
    assert look(open_workspace(empty_root), instance) == {}


def test_a_run_of_the_job_that_fails_gives_the_result_of_what_it_has_built(
    engines: Engines, instance: dg.DagsterInstance, make: RunAsset
) -> None:
    engines.prepared.append(
        ScriptedEngine(fail=lambda call: DynvisionError("the disk is full.") if "test" in call.name else None)
    )
    assert not make("raw/gratings").success
    result = latest_check(instance, ("raw", "gratings"), UP_TO_DATE)
    assert result is not None
    assert (result.passed, result.description) == (True, "1 partition is up to date; not made: test.")
