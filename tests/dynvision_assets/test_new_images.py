"""The sensor `notice_new_images`: what it requests, when, and how often."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from dynvision.workspace.building import build_targets
from dynvision_assets import automation
from dynvision_assets.instances.opening import prepare_home
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
    prepare_home(open_workspace(empty_root).paths)
    return empty_root


def add_image(root: Path, split: str, name: str, number: int) -> None:
    folder = root / "data" / "external" / "mine" / split / name
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 2 * number + (split == "test"), dtype=np.uint8)).save(folder / f"{number}.png")


class Camera:
    """The sensor `notice_new_images` of a root, with the definitions as they are loaded now."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.definitions = make_definitions(open_workspace(root))
        self.instance = instance
        self.cursor: str | None = None

    def turn(self) -> tuple[dict[str, dg.RunRequest], str]:
        """The request for each partition, and why there is none."""
        sensor = self.definitions.get_sensor_def("notice_new_images")
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, definitions=self.definitions)
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        requests = {}
        for request in result.run_requests or []:
            ((key),) = request.asset_selection
            requests[f"{'/'.join(key.path)}:{request.partition_key}"] = request
        return requests, "" if result.skip_reason is None else str(result.skip_reason.skip_message)

    def start(self, request: dg.RunRequest) -> dg.DagsterRun:
        """The run of a request, which has begun."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        tags = {**request.tags, "dagster/partition": str(request.partition_key)}
        run = self.instance.create_run_for_job(job, asset_selection=frozenset(request.asset_selection), tags=tags)
        self.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", job.name), run.run_id)
        return run


def look(root: Path, cursor: str | None) -> tuple[set[str], str]:
    """One turn of the sensor: the partitions that it requests, and its cursor."""
    with open_instance(root) as instance:
        camera = Camera(root, instance)
        camera.cursor = cursor
        return set(camera.turn()[0]), str(camera.cursor)


def test_new_images_are_requested_once_they_have_stayed_the_same(own_dataset: Path) -> None:
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
    prepare_home(open_workspace(empty_root).paths)
    _, cursor = look(empty_root, None)
    assert look(empty_root, cursor)[0] == set()


def test_a_run_that_failed_is_requested_again_after_a_while(own_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_instance(own_dataset) as instance:
        camera = Camera(own_dataset, instance)
        camera.turn()
        first, _ = camera.turn()
        runs = [camera.start(request) for request in first.values()]
        assert camera.turn() == ({}, "raw/mine:train is being made; raw/mine:test is being made")
        for run in runs:
            instance.report_run_failed(run)
        assert camera.turn() == (
            {},
            f"raw/mine:train is still to be made after run {runs[0].run_id}; it is tried again within 10 minutes; "
            f"raw/mine:test is still to be made after run {runs[1].run_id}; it is tried again within 10 minutes",
        )
        monkeypatch.setattr(automation, "FIRST_WAIT", 0.0)
        second, _ = camera.turn()
        assert set(second) == set(first)
        assert {request.run_key for request in second.values()}.isdisjoint(r.run_key for r in first.values())


def test_a_run_that_was_terminated_is_requested_again_only_after_a_change(
    own_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "FIRST_WAIT", 0.0)
    with open_instance(own_dataset) as instance:
        camera = Camera(own_dataset, instance)
        camera.turn()
        runs = [camera.start(request) for request in camera.turn()[0].values()]
        for run in runs:
            instance.report_run_canceled(run)
        ended = f"run {runs[0].run_id} was terminated, and nothing has changed since"
        requests, reason = camera.turn()
        assert requests == {}
        assert f"raw/mine:train: {ended}" in reason
        add_image(own_dataset, "train", "dog", 9)
        camera.turn()
        assert set(camera.turn()[0]) == {"raw/mine:train"}


def test_images_that_become_what_they_were_before_are_requested_again(
    own_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automation, "FIRST_WAIT", 0.0)
    added = own_dataset / "data" / "external" / "mine" / "train" / "dog" / "9.png"
    keys: list[str | None] = []
    with open_instance(own_dataset) as instance:
        camera = Camera(own_dataset, instance)
        for has_more in (False, True, False, True):
            if has_more:
                add_image(own_dataset, "train", "dog", 9)
            else:
                added.unlink(missing_ok=True)
            camera.turn()
            request = camera.turn()[0]["raw/mine:train"]
            keys.append(request.run_key)
            run = camera.start(request)
            build_targets(["raw/mine:train"], root=str(own_dataset), config=str(own_dataset / "config"))
            instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)
    assert len(set(keys)) == 4


def test_a_dataset_that_was_not_loaded_is_named_and_the_others_are_requested(own_dataset: Path) -> None:
    with open_instance(own_dataset) as instance:
        camera = Camera(own_dataset, instance)
        edit_config(own_dataset, "mine: 8}", "mine: 8, other: 8}")
        shutil.copytree(own_dataset / "data" / "external" / "mine", own_dataset / "data" / "external" / "other")
        assert "raw/other:train is not among the assets yet: click Reload on the page Deployment" in camera.turn()[1]
        assert set(camera.turn()[0]) == {"raw/mine:train", "raw/mine:test"}


def test_a_configuration_that_cannot_be_used_is_said_and_nothing_is_forgotten(own_dataset: Path) -> None:
    with open_instance(own_dataset) as instance:
        camera = Camera(own_dataset, instance)
        camera.turn()
        edit_config(own_dataset, "mine: 8}", "mine: eight}")
        requests, reason = camera.turn()
        assert requests == {}
        assert reason.startswith("the configuration cannot be used: ")
        assert "eight" in reason
        edit_config(own_dataset, "mine: eight}", "mine: 8}")
        assert set(camera.turn()[0]) == {"raw/mine:train", "raw/mine:test"}
