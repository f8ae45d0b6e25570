"""The doctor looks at both sides, and says what to do about what does not hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.engines.calls import Call, Outcome
from dynvision.errors import DynvisionError
from dynvision.workspace import Workspace, examining
from dynvision.workspace.doctor import Finding, ask_doctor, find_needs_of_doctor
from tests.helpers.engines import ScriptedEngine

FINE = {"python": "3.11.0", "torch": "2.9"}


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is this process, which has to start quickly."""
    monkeypatch.setattr(examining, "find_gpus", list)


def changed(change: Callable[[dict[str, Any]], object]) -> ScriptedEngine:
    """An engine whose worker sees something else."""

    class Other(ScriptedEngine):
        def wait(self, tell: Any = None) -> Outcome:
            outcome = super().wait(tell)
            change(outcome.result)
            return outcome

    return Other()


def wrong(workspace: Workspace, engine: ScriptedEngine, patience: float = 0.3) -> dict[str, Finding]:
    return {f.name: f for f in ask_doctor(workspace, engine, patience=patience) if not f.is_fine}


def test_all_is_well_on_one_machine_and_nothing_is_left(small_workspace: Workspace) -> None:
    found = list(ask_doctor(small_workspace, ScriptedEngine()))
    assert [finding.name for finding in found if not finding.is_fine] == []
    names = [finding.name for finding in found]
    for part in ("root can be written (here)", "room on the disk", "locks work", "clocks agree", "GPUs", "python"):
        assert any(part in name for name in names), part
    assert "a lock of this machine is seen by the worker" in names
    assert list((small_workspace.paths.root / ".dynvision" / "doctor").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "name", "sentence", "advice"),
    [
        (
            lambda r: r.update(clock=time.time() + 5),
            "the clocks agree",
            "they differ by 5.0 s",
            "Set the clocks of both machines with NTP.",
        ),
        (
            lambda r: r["versions"].update(torch="0.1"),
            "torch",
            "0.1 on the worker",
            "Install the same version on both sides: torch ",
        ),
        (
            lambda r: r.update(is_locked=False),
            "a lock of this machine is seen by the worker",
            "the worker takes a lock that is held here",
            "without local_lock and nolock",
        ),
        (
            lambda r: r.update(seen_after=None),
            "a file of this machine is seen by the worker",
            "not within 0 s",
            "Put the root on a file system that both machines share, under the same path.",
        ),
        (
            lambda r: r.update(fault="Read-only file system"),
            "the root can be written (worker)",
            "Read-only file system",
            "set DYNVISION_ROOT to another place",
        ),
        (
            lambda r: r.update(lag=-90.0),
            "the clock is that of the files (worker)",
            "a new file is 90.0 s newer than the clock",
            "NTP",
        ),
        (
            lambda r: r.update(free=1000),
            "there is room on the disk (worker)",
            "0.0 GB free",
            "Delete partitions under data/",
        ),
    ],
)
def test_what_does_not_hold_on_the_other_side_is_named_with_advice(
    small_workspace: Workspace, change: Callable[[dict[str, Any]], object], name: str, sentence: str, advice: str
) -> None:
    (finding,) = wrong(small_workspace, changed(change)).values()
    assert finding.name == name
    assert sentence in finding.sentence
    assert advice in finding.advice


def test_a_worker_that_sees_another_disk_says_that_nothing_comes(small_workspace: Workspace) -> None:
    class Elsewhere(ScriptedEngine):
        def submit(self, call: Call) -> None:
            folder = Path(call.arguments["folder"])
            super().submit(
                Call(call.name, call.function, {**call.arguments, "folder": str(folder / "no")}, call.attempts)
            )

    assert list(wrong(small_workspace, Elsewhere())) == ["a file of this machine is seen by the worker"]


def test_a_worker_that_fails_is_a_finding(small_workspace: Workspace) -> None:
    engine = ScriptedEngine(fail=lambda call: DynvisionError("the job was refused: no such partition"))
    (finding,) = wrong(small_workspace, engine).values()
    assert (finding.name, finding.sentence) == ("a worker answers", "the job was refused: no such partition")
    assert ".dynvision/engine/logs" in finding.advice


def test_a_gpu_that_is_asked_for_has_to_be_seen(tmp_path: Path, small_config: Path) -> None:
    (small_config / "config_compute.yaml").write_text(
        "engine: slurm\ndefaults: {account: abc, cpus: 8, memory: 2G, time: 2h}\n"
        "stages: {models: {gpus: 4, partition: gpu}}\n"
    )
    workspace = Workspace.open(tmp_path, small_config)
    needs = find_needs_of_doctor(workspace)
    assert (needs.gpus, needs.cpus, needs.partition, needs.account) == (1, 1, "gpu", "abc")
    assert needs.time == 300
    assert list(wrong(workspace, ScriptedEngine())) == ["GPUs"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("engine: local\n", (0, True)),
        ("engine: local\nstages: {models: {gpus: 0}}\n", (0, True)),  # responses use one
        ("engine: local\ndefaults: {gpus: 0}\n", (0, False)),
        ("engine: local\nstages: {responses: {gpus: 1}}\n", (1, False)),
    ],
)
def test_the_doctor_looks_for_gpus_where_networks_compute(
    tmp_path: Path, small_config: Path, settings: str, expected: tuple[int, bool]
) -> None:
    (small_config / "config_compute.yaml").write_text(settings)
    needs = find_needs_of_doctor(Workspace.open(tmp_path, small_config))
    assert (needs.gpus, needs.gpu_if_there) == expected
