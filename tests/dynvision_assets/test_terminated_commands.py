"""A run of the command line that is terminated in the browser."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
import pytest

from dynvision.engines.calls import Call
from dynvision_assets import resources
from dynvision_assets.instances import stopped_runs
from tests.helpers.chains import states
from tests.helpers.commands import call_dynvision
from tests.helpers.engines import ScriptedEngine
from tests.helpers.instances import open_instance


@pytest.mark.parametrize("by_force", [False, True])
def test_a_command_whose_run_is_terminated_ends_and_keeps_what_was_finished(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch, by_force: bool
) -> None:
    def terminate(call: Call) -> None:
        if call.name.startswith("interim"):
            with open_instance(empty_root) as instance:
                (run,) = instance.get_runs()
                report = instance.report_run_canceled if by_force else instance.report_run_canceling
                report(run)
            time.sleep(10)
            pytest.fail("the command has gone on")

    engine = ScriptedEngine(fail=terminate)
    monkeypatch.setattr(resources, "open_engine", lambda settings: engine)
    monkeypatch.setattr(stopped_runs, "EVERY", 0.2)
    done = call_dynvision(empty_root, "make", "interim/gratings:test_all")
    assert done.exit_code == 130
    assert "the run was terminated in the browser\n" in done.output
    assert "stopped; what was finished is kept, nothing is half done\n" in done.output
    assert engine.is_closed
    fresh = [target for target, state in states(empty_root).items() if state == "fresh"]
    assert fresh == ["raw/gratings:test"]
    with open_instance(empty_root) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.CANCELED
