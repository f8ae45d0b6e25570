"""A forced run that is retried does not build again what it has built already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dynvision.engines.calls import Call
from dynvision.errors import DynvisionError
from dynvision.workspace.building import build_targets
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.engines import ScriptedEngine
from tests.helpers.runs import Engines

FROM_FAILURE = {"dagster/is_resume_retry": "true"}
FROM_START: dict[str, str] = {}
KEY = dg.AssetKey(["raw", "gratings"])


def fail_first(call: Call) -> DynvisionError | None:
    return DynvisionError("it went wrong") if call.name == "raw/gratings:train" else None


def forced_by(engines: Engines) -> list[str]:
    """What the last engine was told to build even if it is up to date."""
    calls = engines.opened[-1].submitted
    return sorted(target for call in calls if call.arguments["force"] for target in call.arguments["targets"])


@pytest.fixture(params=["make", "asset"])
def run(request: pytest.FixtureRequest, empty_root: Path, instance: dg.DagsterInstance, engines: Engines) -> Any:
    """Force both raw partitions, by the job or by a launch of the asset, as a run that goes on with another or not."""
    build_targets(["raw/gratings:train", "raw/gratings:test"], root=str(empty_root), config=str(empty_root / "config"))
    definitions = make_definitions(open_workspace(empty_root))

    def launch(parent: str, tags: dict[str, str]) -> str:
        tags = {**tags, **({"dagster/parent_run_id": parent, "dagster/root_run_id": parent} if parent else {})}
        common: dict[str, Any] = {"instance": instance, "raise_on_error": False}
        if request.param == "make":
            config = {"build": {"config": {"targets": ["raw/gratings"], "force": True}}}
            job = definitions.resolve_job_def("make")
            return job.execute_in_process(run_config={"ops": config}, tags=tags, **common).run_id
        config = {"raw__gratings": {"config": {"force": True}}}
        ends = {"dagster/asset_partition_range_start": "train", "dagster/asset_partition_range_end": "test"}
        job = definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            run_config={"ops": config}, tags={**tags, **ends}, asset_selection=[KEY], **common
        ).run_id

    return launch


def test_a_retry_forces_only_what_the_run_has_not_built(run: Any, engines: Engines) -> None:
    engines.prepared.append(ScriptedEngine(fail=fail_first))
    first = run("", FROM_START)
    assert forced_by(engines) == ["raw/gratings:test", "raw/gratings:train"]
    engines.prepared.append(ScriptedEngine(fail=fail_first))
    second = run(first, FROM_FAILURE)
    assert forced_by(engines) == ["raw/gratings:train"]
    run(second, {"dagster/retry_number": "2"})
    assert forced_by(engines) == ["raw/gratings:train"], "the run before the last one counts, too"


def test_a_run_that_is_repeated_from_its_start_forces_everything(run: Any, engines: Engines) -> None:
    run(run("", FROM_START), FROM_START)
    assert forced_by(engines) == ["raw/gratings:test", "raw/gratings:train"]
