"""A run whose process is killed, as by a power cut: found at the next start, marked as failed, its locks free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from dynvision.paths import Paths
from dynvision_assets.instances.opening import prepare_home
from dynvision_assets.instances.run_processes import HOST_TAG, PID_TAG, RUN_TAG, fail_dead_runs
from tests.helpers.commands import environment, run_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import open_instance


def test_a_run_that_dagster_itself_started_is_found_dead_and_made_again(empty_root: Path) -> None:
    ready = run_dynvision(empty_root, "make", "processed/gratings:train_all")
    assert ready.returncode == 0, ready.stderr
    edit_config(empty_root, "epochs: 1,", "epochs: 5000,")
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "dynvision_assets.definitions"]
    selection = ["--select", "models/rcnn/gratings", "--partition", "all_s0"]
    with (empty_root / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, *selection],
            cwd=empty_root,
            env=environment(empty_root),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with open_instance(empty_root) as instance:
        run = wait_for_tagged_run(instance, process, empty_root / "log")
        os.killpg(process.pid, signal.SIGKILL)  # everything at once: nobody is left to say that it ended
        process.wait(timeout=30)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]

        edit_config(empty_root, "epochs: 5000,", "epochs: 1,")
        again = run_dynvision(empty_root, "make", "models/rcnn/gratings:all_s0")
        assert again.returncode == 0, again.stderr
        failed = instance.get_run_by_id(run.run_id)
        assert failed is not None
        assert failed.status == dg.DagsterRunStatus.FAILURE
        messages = [
            entry.get_dagster_event().message or "" for entry in instance.all_logs(run.run_id) if entry.is_dagster_event
        ]
        assert any("is gone: it was killed, or the machine stopped" in message for message in messages)
        assert fail_dead_runs(instance) == []


def wait_for_tagged_run(instance: dg.DagsterInstance, process: subprocess.Popen[bytes], log: Path) -> dg.DagsterRun:
    """The run, once it is started and has said which process it is in."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            if run.tags.get(RUN_TAG) == run.run_id:
                assert run.tags[PID_TAG].isdigit()
                return run
        time.sleep(0.2)
    raise AssertionError(f"no run was started: {log.read_text()}")


def test_an_own_pool_is_free_again_after_a_dead_run(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(empty_root / ".dagster"))
    prepare_home(Paths(empty_root))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with open_instance(empty_root) as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        tags = {HOST_TAG: os.uname().nodename, PID_TAG: str(ended.pid)}
        run_id = "11111111-2222-3333-4444-555555555555"
        run = dg.DagsterRun("nothing", run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.run_storage.add_run(run)
        instance.event_log_storage.claim_concurrency_slot("gpu", run_id, "a_step")
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 1
        assert fail_dead_runs(instance) == [run_id]
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 0
