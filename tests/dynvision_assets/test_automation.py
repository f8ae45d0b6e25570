"""Automation: off by default; what it requests when it is on."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import open_instance


@pytest.fixture
def own_dataset(empty_root: Path) -> Path:
    """A root with a dataset of one's own in data/external."""
    edit_config(empty_root, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, mine: 8}")
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(3):
                add_image(empty_root, split, name, number)
    return empty_root


def add_image(root: Path, split: str, name: str, number: int) -> None:
    folder = root / "data" / "external" / "mine" / split / name
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 2 * number + (split == "test"), dtype=np.uint8)).save(folder / f"{number}.png")


def look(root: Path, cursor: str | None) -> tuple[set[str], str]:
    """One turn of the sensor: the partitions that it requests, and its cursor."""
    definitions = make_definitions(open_workspace(root))
    sensor = definitions.get_sensor_def("notice_new_images")
    with open_instance(root) as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions)
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    found = set()
    for request in result.run_requests or []:
        ((key),) = request.asset_selection
        found.add(f"{'/'.join(key.path)}:{request.partition_key}")
    return found, str(result.cursor)


def test_nothing_is_built_by_itself_until_that_is_switched_on(empty_root: Path) -> None:
    definitions = make_definitions(open_workspace(empty_root))
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or []}
    assert sensors == {
        "rebuild_what_is_stale": dg.DefaultSensorStatus.STOPPED,
        "notice_new_images": dg.DefaultSensorStatus.STOPPED,
        "see_what_is_stale": dg.DefaultSensorStatus.RUNNING,  # it only looks
    }
    repository = definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == set(sensors)


def test_new_images_are_requested_once_they_have_stayed_the_same(own_dataset: Path) -> None:
    prepare(own_dataset)
    first, cursor = look(own_dataset, None)
    assert first == set()
    second, cursor = look(own_dataset, cursor)
    assert second == {"raw/mine:train", "raw/mine:test"}
    add_image(own_dataset, "train", "dog", 9)
    third, cursor = look(own_dataset, cursor)
    assert third == {"raw/mine:test"}
    fourth, cursor = look(own_dataset, cursor)
    assert fourth == {"raw/mine:train", "raw/mine:test"}
    assert call_dynvision(own_dataset, "make", "raw/mine").exit_code == 0
    assert look(own_dataset, cursor)[0] == set()


def test_images_that_this_project_writes_are_never_requested(empty_root: Path) -> None:
    prepare(empty_root)
    _, cursor = look(empty_root, None)
    assert look(empty_root, cursor)[0] == set()


def prepare(root: Path) -> None:
    (root / ".dagster").mkdir(exist_ok=True)
    (root / ".dagster" / "dagster.yaml").touch()


def test_what_was_made_is_requested_again_when_its_input_was_made_again(chain: Path) -> None:
    definitions = make_definitions(open_workspace(chain))
    with open_instance(chain) as instance:
        before = dg.evaluate_automation_conditions(definitions, instance=instance)
        assert before.total_requested == 0
        edit_config(chain, "test_per_class: 4", "test_per_class: 5")
        done = call_dynvision(chain, "make", "raw/gratings:test")
        assert done.exit_code == 0, done.stderr
        after = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=before.cursor)
        requested = after.get_requested_partitions(dg.AssetKey(["interim", "gratings"]))
        assert requested == {"test_all", "test_ends"}
        assert after.get_requested_partitions(dg.AssetKey(["raw", "gratings"])) == set()


def test_what_was_never_made_is_left_alone(empty_root: Path) -> None:
    prepare(empty_root)
    definitions = make_definitions(open_workspace(empty_root))
    with open_instance(empty_root) as instance:
        before = dg.evaluate_automation_conditions(definitions, instance=instance)
    assert call_dynvision(empty_root, "make", "raw/gratings").exit_code == 0
    with open_instance(empty_root) as instance:
        after = dg.evaluate_automation_conditions(definitions, instance=instance, cursor=before.cursor)
    assert after.total_requested == 0
