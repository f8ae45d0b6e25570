"""Runs in this process, whose calls an engine of the test computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dynvision_assets import resources
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.runs import Engines, RunAsset


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """The engines that runs open."""
    found = Engines()
    monkeypatch.setattr(resources, "open_engine", found.open)
    return found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def select(empty_root: Path, instance: dg.DagsterInstance) -> RunAsset:
    """Run assets on a range of partitions, as a click in the UI does."""

    def run(*keys: str, first: str, last: str, **config: Any) -> dg.ExecuteInProcessResult:
        job = make_definitions(open_workspace(empty_root)).resolve_implicit_global_asset_job_def()
        ops = {key.replace("/", "__"): {"config": config} for key in keys}
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(key.split("/")) for key in keys],
            tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last},
            run_config={"ops": ops} if config else None,
            raise_on_error=False,
        )

    return run


@pytest.fixture
def make(empty_root: Path, instance: dg.DagsterInstance) -> RunAsset:
    """Run the job `make`, as the Launchpad does."""

    def run(*targets: str, **config: Any) -> dg.ExecuteInProcessResult:
        job = make_definitions(open_workspace(empty_root)).resolve_job_def("make")
        return job.execute_in_process(
            instance=instance,
            run_config={"ops": {"build": {"config": {"targets": list(targets), **config}}}},
            raise_on_error=False,
        )

    return run
