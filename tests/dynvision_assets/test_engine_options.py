"""The command line chooses where targets are computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynvision.engines.settings import EngineSettings
from dynvision.workspace import examining
from dynvision_assets import resources
from tests.helpers.commands import call_dynvision, run_python
from tests.helpers.engines import ScriptedEngine


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[EngineSettings]:
    """The settings of the engines that commands open; the calls are computed in this process."""
    found: list[EngineSettings] = []

    def open_engine(settings: EngineSettings) -> ScriptedEngine:
        found.append(settings)
        engine = ScriptedEngine()
        engine.link = "http://127.0.0.1:8787/status"
        return engine

    monkeypatch.setattr(resources, "open_engine", open_engine)
    monkeypatch.setattr("dynvision_assets.commands.doctor.open_engine", open_engine)
    monkeypatch.setattr(examining, "find_gpus", list)
    return found


@pytest.mark.parametrize(
    ("options", "kind", "workers"),
    [((), "here", None), (("-j", "3"), "local", 3), (("--engine", "local", "--jobs", "2"), "local", 2)],
)
def test_options_choose_the_engine(
    empty_root: Path, opened: list[EngineSettings], options: tuple[str, ...], kind: str, workers: int | None
) -> None:
    done = call_dynvision(empty_root, "make", *options, "raw/gratings:test")
    assert done.exit_code == 0, done.output
    assert [(settings.kind, settings.workers) for settings in opened] == [(kind, workers)]
    assert "the work of the engine can be watched at http://127.0.0.1:8787/status" in done.output
    assert "raw/gratings:test: it has not been built" in done.output


def test_a_wrong_engine_is_refused_before_anything_is_done(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "make", "--engine", "slrum", "raw/gratings:test")
    assert done.exit_code == 2
    assert "error: unknown engine 'slrum'. Did you mean 'slurm'?" in done.output
    assert not (empty_root / ".dagster").exists()


def test_a_dry_run_shows_the_script_of_each_kind_of_job(empty_root: Path) -> None:
    (empty_root / "config" / "config_compute.yaml").write_text(
        "engine: slurm\ndefaults: {account: abc}\nstages: {models: {gpus: 1, time: 12h}, summary: here}\n"
    )
    done = call_dynvision(empty_root, "make", "--dry-run", "-j", "7", "summary/contrast/rcnn_gratings")
    assert done.exit_code == 0, done.output
    plan, *scripts = done.output.split("\njobs of ")
    assert "targets would be built" in plan
    assert [script.partition("\n")[0] for script in scripts] == [
        "1 core, account abc (up to 7 jobs at once):",
        "1 core, 1 GPU, 12:00:00, account abc (up to 7 jobs at once):",
    ]
    assert all("#SBATCH -A abc" in script for script in scripts)
    assert "gpu:1" in scripts[1]
    assert not (empty_root / ".dagster").exists()


def test_a_dry_run_without_a_queue_shows_no_script(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "make", "--dry-run", "-j", "7", "raw/gratings:test")
    assert done.output == "raw/gratings:test: it has not been built\n1 target would be built\n"


def test_a_pattern_that_matches_no_target_is_warned_of_once_with_the_nearest_name(empty_root: Path) -> None:
    file = empty_root / "config" / "config_compute.yaml"
    file.write_text(
        "targets:\n  models/rcnn/grating: {time: 48h}\n  'raw/gratings:tset': {time: 2h}\n  'raw/*': {time: 1h}\n"
    )
    done = call_dynvision(empty_root, "make", "raw/gratings:test")
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if line.startswith("warning: ")] == [
        f"warning: {file}: targets: 'models/rcnn/grating' matches no target, so it changes nothing. Did you mean "
        "'models/rcnn/gratings'? Valid: models/rcnn/gratings.",
        f"warning: {file}: targets: 'raw/gratings:tset' matches no target, so it changes nothing. Did you mean "
        "'raw/gratings:test'? Valid: raw/gratings:train, raw/gratings:test.",
    ]
    planned = call_dynvision(empty_root, "make", "--dry-run", "--json", "raw/gratings:test")
    assert json.loads(planned.stdout) == []
    assert planned.stderr.count("warning: ") == 2


def test_the_doctor_ends_with_0_if_all_is_well_and_with_1_if_not(
    empty_root: Path, opened: list[EngineSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = call_dynvision(empty_root, "doctor", "--engine", "local")
    assert done.exit_code == 0, done.output
    assert opened[0].kind == "local"
    assert "ok   a lock of this machine is seen by the worker: the worker is kept out" in done.output
    monkeypatch.setattr("dynvision.workspace.doctor.find_versions", lambda: {"torch": "0.1"})
    ill = call_dynvision(empty_root, "doctor")
    assert ill.exit_code == 1
    assert "NOT  torch: 0.1 here, " in ill.output
    assert "What to do:\n  torch: Install the same version on both sides: torch 0.1." in ill.output
    found = json.loads(call_dynvision(empty_root, "doctor", "--json").stdout)
    assert [finding["name"] for finding in found if not finding["is_fine"]] == ["torch"]


@pytest.mark.slow
def test_without_an_engine_nothing_of_dask_is_imported(empty_root: Path) -> None:
    program = (
        "import sys\n"
        "from dynvision_assets.command_line import main\n"
        "try: main(['make', 'raw/gratings:test'], prog_name='dynvision')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('loaded:', sorted({'distributed', 'dask_jobqueue', 'torch'} & set(sys.modules)))\n"
    )
    done = run_python(empty_root, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"
