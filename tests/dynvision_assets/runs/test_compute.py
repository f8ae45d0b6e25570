"""The engine of one run is chosen in the Launchpad; without that, the configuration decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dynvision.engines.settings import EngineSettings
from dynvision_assets import resources
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.engines import ScriptedEngine
from tests.helpers.runs import failure


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[EngineSettings]:
    """The settings of the engines that runs open; the calls are computed in this process."""
    found: list[EngineSettings] = []

    def open_engine(settings: EngineSettings) -> ScriptedEngine:
        found.append(settings)
        return ScriptedEngine()

    monkeypatch.setattr(resources, "open_engine", open_engine)
    return found


def run(root: Path, instance: dg.DagsterInstance, compute: dict[str, Any] | None) -> dg.ExecuteInProcessResult:
    """Make the images of a test, with settings of the resource as they stand in the Launchpad."""
    job = make_definitions(open_workspace(root)).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        run_config=None if compute is None else {"resources": {"compute": {"config": compute}}},
        asset_selection=[dg.AssetKey(["raw", "gratings"])],
        partition_key="test",
        raise_on_error=False,
    )


@pytest.mark.parametrize(
    ("compute", "kind", "workers"),
    [
        (None, "local", 3),
        ({}, "local", 3),
        ({"engine": "as_configured"}, "local", 3),
        ({"engine": "here"}, "here", 3),
        ({"jobs": 2}, "local", 2),
        ({"engine": "here", "jobs": 4}, "local", 4),
    ],
)
def test_what_is_set_for_a_run_wins_over_the_configuration(
    empty_root: Path,
    instance: dg.DagsterInstance,
    opened: list[EngineSettings],
    compute: dict[str, Any] | None,
    kind: str,
    workers: int,
) -> None:
    (empty_root / "config/config_compute.yaml").write_text("engine: local\nworkers: 3\n")
    assert run(empty_root, instance, compute).success
    assert [(settings.kind, settings.workers) for settings in opened] == [(kind, workers)]


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        ({"engine": "slrum"}, "unknown engine 'slrum'. Did you mean 'slurm'?"),
        ({"jobs": 0}, "jobs of the resource compute is 0. It says how many targets are computed at once: write 1 or"),
        ({"engine": "tcp://127.0.0.1:1", "jobs": 2}, "the workers of a running cluster decide how many targets"),
    ],
)
def test_an_engine_that_cannot_be_ends_the_run_with_a_sentence(
    empty_root: Path, instance: dg.DagsterInstance, opened: list[EngineSettings], compute: dict[str, Any], message: str
) -> None:
    (empty_root / "config/config_compute.yaml").write_text("engine: here\naddress: tcp://127.0.0.1:1\n")
    done = run(empty_root, instance, compute)
    assert not done.success
    assert message in failure(done)
    assert opened == []


@pytest.mark.parametrize("job", ["make", "make_contrast", "__ASSET_JOB"])
def test_the_launchpad_offers_the_engine_with_a_description_and_not_where_things_are(
    empty_root: Path, job: str
) -> None:
    schema = make_definitions(open_workspace(empty_root)).resolve_job_def(job).run_config_schema.config_type
    compute = schema.fields["resources"].config_type.fields["compute"]  # type: ignore[attr-defined]
    offered = compute.config_type.fields["config"].config_type.fields
    assert set(offered) == {"engine", "jobs"}
    assert not compute.is_required
    assert offered["engine"].default_value == "as_configured"
    assert "config_compute.yaml" in offered["engine"].description
    assert "null means workers or max_jobs of config_compute.yaml" in offered["jobs"].description
    assert compute.description.startswith("Where the heavy work of a run is computed. config_compute.yaml decides")


def test_each_run_has_an_engine_of_its_own_which_is_closed_at_its_end(
    empty_root: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[ScriptedEngine] = []
    monkeypatch.setattr(resources, "open_engine", lambda settings: engines.append(ScriptedEngine()) or engines[-1])
    for _ in range(2):
        assert run(empty_root, instance, {"jobs": 2}).success
    assert [engine.is_closed for engine in engines] == [True, True]


def test_an_address_that_only_a_run_names_is_refused(
    empty_root: Path, instance: dg.DagsterInstance, opened: list[EngineSettings]
) -> None:
    """Whoever is at an address runs code as this user, and a web page can send a run to Dagster's server."""
    result = run(empty_root, instance, {"engine": "tcp://127.0.0.1:8786"})
    assert not result.success
    assert "which is not that of config_compute.yaml. Write it there as 'address'" in failure(result)
    assert opened == []


def test_the_address_of_the_configuration_and_that_of_the_command_line_are_used(
    empty_root: Path, instance: dg.DagsterInstance, opened: list[EngineSettings]
) -> None:
    address = "tcp://127.0.0.1:8786"
    project = resources.Project.of(open_workspace(empty_root), address)
    resources.ComputeResource(engine=address, project=project).open_engine()
    (empty_root / "config/config_compute.yaml").write_text(f"engine: here\naddress: {address}\n")
    for engine in ("address", address):
        assert run(empty_root, instance, {"engine": engine}).success
    assert {(settings.kind, settings.address) for settings in opened} == {("address", address)}
