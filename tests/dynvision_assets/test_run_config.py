"""What is set in the Launchpad reaches the library, and what is out of bounds is refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dynvision.config.sections.recording import RunConfig
from dynvision.errors import ConfigError
from dynvision.stages.base.run_settings import RunSettings
from dynvision.system.machine import DEVICES
from dynvision_assets.instances.run_processes import PID_TAG, RUN_TAG
from dynvision_assets.run_config import Device, ModelsConfig, RawConfig, Resolution, ResponsesConfig
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace, records
from tests.helpers.instances import open_instance


def materialize(root: Path, key: list[str], partition: str, config: dict[str, Any]) -> dg.ExecuteInProcessResult:
    job = make_definitions(open_workspace(root)).resolve_implicit_global_asset_job_def()
    (root / ".dagster").mkdir(exist_ok=True)
    (root / ".dagster" / "dagster.yaml").touch()
    with open_instance(root) as instance:
        return job.execute_in_process(
            run_config={"ops": {"__".join(key): {"config": config}}},
            instance=instance,
            asset_selection=[dg.AssetKey(key)],
            partition_key=partition,
            raise_on_error=False,
        )


def test_only_what_was_set_is_passed_on() -> None:
    assert ResponsesConfig(force=True, wait=False).run_settings() == {}
    assert ResponsesConfig(workers=None, batch_size=None).run_settings() == {}
    chosen = ResponsesConfig(device=Device.CPU, batch_size=7, layers=["V1"], resolution=Resolution.UNIT)
    assert chosen.run_settings() == {"device": "cpu", "batch_size": 7, "layers": ["V1"], "resolution": "unit"}
    assert ModelsConfig(device=Device.AUTO).run_settings() == {}
    assert RunSettings.from_dict(RawConfig(workers=3).run_settings()) == RunSettings(workers=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "unknown device 'gpu'. Did you mean 'cpu'? Valid: auto, cpu, cuda, mps, cuda:<number>."),
        ({"devise": "cpu"}, "unknown run setting 'devise'. Did you mean 'device'?"),
        ({"workers": 0}, "workers is 0; it is a number from 1 to 64"),
    ],
)
def test_the_library_refuses_settings_that_it_does_not_know(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunSettings.from_dict(settings)
    assert message in str(caught.value)


@pytest.mark.parametrize("device", DEVICES)
def test_training_and_recording_take_the_same_devices_from_the_launchpad_too(device: str) -> None:
    assert RunConfig(device=device).device == device
    assert RunSettings(device=device).device == device
    assert ModelsConfig(device=Device(device)).run_settings().get("device", "auto") == device


def test_workers_of_a_run_change_nothing_of_the_images(empty_root: Path) -> None:
    versions = []
    for workers in (1, 2):
        done = materialize(empty_root, ["raw", "gratings"], "test", {"workers": workers, "force": True})
        assert done.success
        versions += [record.data_version for record in records(empty_root).values()]
        tags = done.dagster_run.tags
        with open_instance(empty_root) as instance:
            run = instance.get_run_by_id(done.run_id)
            assert run is not None
            assert run.tags[RUN_TAG] == done.run_id, tags
            assert run.tags[PID_TAG].isdigit()
    assert versions[0] == versions[1]


@pytest.mark.parametrize("workers", [-1, 0, 65, "two"])
def test_a_number_that_is_out_of_bounds_fails_before_anything_is_built(empty_root: Path, workers: Any) -> None:
    if isinstance(workers, str):
        with pytest.raises(dg.DagsterInvalidConfigError, match="workers"):
            materialize(empty_root, ["raw", "gratings"], "test", {"workers": workers})
    else:
        done = materialize(empty_root, ["raw", "gratings"], "test", {"workers": workers})
        assert not done.success
        (failure,) = done.filter_events(lambda event: event.is_step_failure)
        assert "workers" in str(failure.step_failure_data.error)
    assert not (empty_root / "data").exists()


def test_the_progress_of_a_run_is_in_its_own_events(empty_root: Path) -> None:
    done = materialize(empty_root, ["raw", "gratings"], "train", {})
    with open_instance(empty_root) as instance:
        messages = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert any(m.startswith("raw/gratings:train: 36 of 36 images (100%), ") and "a second" in m for m in messages)


def test_what_is_set_for_responses_reaches_the_store_and_counts_as_stale(chain: Path) -> None:
    from dynvision.experiments.reading import open_store

    key, name = ["responses", "contrast", "rcnn_gratings"], "responses__contrast__rcnn_gratings"
    settings = {"resolution": "LAYER", "layers": ["V1"], "workers": 1, "device": "CPU", "force": True}
    job = make_definitions(open_workspace(chain)).resolve_implicit_global_asset_job_def()
    with open_instance(chain) as instance:
        done = job.execute_in_process(
            run_config={"ops": {name: {"config": settings}}},
            instance=instance,
            asset_selection=[dg.AssetKey(key)],
            partition_key="0.5",
        )
    assert done.success
    tree = open_store(chain / "data" / "responses" / "contrast" / "rcnn_gratings" / "contrast=0.5.zarr")
    assert list(tree.children) == ["V1", "rest"]
    assert set(tree["V1"].data_vars) == {"mean", "std", "feature_std"}
    assert tree.attrs["device"] == "cpu"
    workspace = open_workspace(chain)
    (target,) = [t for t in workspace.targets(tuple(key)) if t.partition == "contrast=0.5"]
    status = workspace.status(target)
    assert (status.state, status.reason) == ("stale", "the configuration changed: record")
