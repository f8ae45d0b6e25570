"""Two commands that want the same target: one builds, the other waits or says who does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from dynvision.system.locks import output_lock
from dynvision.targets import Target
from dynvision.workspace.building import build_targets
from dynvision_assets import making
from dynvision_assets.definitions import make_definitions
from dynvision_assets.making import make_targets
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.instances import open_instance

TARGET = Target(("raw", "gratings"), "test")


@pytest.fixture
def built_by_another(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Somebody holds the target's lock until the function is called, and has built it then."""
    monkeypatch.setenv("DAGSTER_HOME", str(empty_root / ".dagster"))
    build_targets([str(TARGET)], root=str(empty_root), config=str(empty_root / "config"))
    output = empty_root / "data/raw/gratings/test"
    record, aside = output / "manifest.json", empty_root / "manifest.json"
    os.rename(record, aside)
    begun, end = threading.Event(), threading.Event()

    def build() -> None:
        with output_lock(output):
            begun.set()
            end.wait(120)
            os.rename(aside, record)

    builder = threading.Thread(target=build, daemon=True)
    builder.start()
    begun.wait(60)

    def finish() -> None:
        end.set()
        builder.join()

    return finish


def test_the_second_make_waits_and_builds_nothing_again(
    empty_root: Path, built_by_another: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    threading.Timer(1.0, built_by_another).start()
    made = make_targets(open_workspace(empty_root), [TARGET])
    said = capsys.readouterr().err
    assert f"data/raw/gratings/test is being built by process {os.getpid()} on " in said
    assert said.count("waiting until that has ended (Ctrl-C stops waiting)") == 1
    assert made.built == []
    assert open_workspace(empty_root).status(TARGET).state == "fresh"
    assert not (empty_root / ".dagster").exists(), "no run was needed"


def test_no_wait_fails_at_once_and_says_who_builds(empty_root: Path, built_by_another: Callable[[], None]) -> None:
    done = call_dynvision(empty_root, "make", "--no-wait", str(TARGET))
    built_by_another()
    assert done.exit_code == 1
    assert f"test is being built by process {os.getpid()} on " in done.output
    assert "Wait for it to finish, or stop it, and run this again." in done.output
    assert (
        call_dynvision(empty_root, "make", "--no-wait", str(TARGET)).output == "1 target is up to date; nothing to do\n"
    )


def finish_when_waited_for(instance: dg.DagsterInstance, finish: Callable[[], None]) -> None:
    """Call a function when a run says that it waits, or after two minutes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        lines = [event.user_message for run in instance.get_runs() for event in instance.all_logs(run.run_id)]
        if any("waiting until" in line for line in lines):
            break
        time.sleep(0.3)
    finish()


def test_a_run_in_dagster_says_in_its_log_for_whom_it_waits(
    empty_root: Path, built_by_another: Callable[[], None]
) -> None:
    (empty_root / ".dagster").mkdir()
    job = make_definitions(open_workspace(empty_root)).resolve_implicit_global_asset_job_def()
    with open_instance(empty_root) as instance:
        threading.Thread(target=finish_when_waited_for, args=(instance, built_by_another), daemon=True).start()
        done = job.execute_in_process(
            asset_selection=[dg.AssetKey(["raw", "gratings"])], partition_key="test", instance=instance
        )
        lines = [event.user_message for event in instance.all_logs(done.run_id)]
    assert done.success
    assert any("waiting until that has ended" in line for line in lines)
    assert f"up to date, so not built again: {TARGET}" in lines


def test_what_another_process_built_after_the_run_began_is_not_counted_as_built(
    empty_root: Path, built_by_another: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_await_others", lambda workspace, wanted, *others: workspace.plan(wanted))
    threading.Timer(10.0, built_by_another).start()
    made = make_targets(open_workspace(empty_root), [TARGET])
    assert (made.wanted, made.built) == ([TARGET], [])
