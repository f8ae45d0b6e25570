"""A run that is terminated in the browser while it computes with workers of this machine."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from tests.helpers.chains import states
from tests.helpers.configuration import edit_config
from tests.helpers.user_interface import Dagster, serve, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SETTINGS = {
    "ops": {"build": {"config": {"targets": ["models/rcnn/gratings"]}}},
    "resources": {"compute": {"config": {"engine": "local", "jobs": 2}}},
}

MODELS = ("models/rcnn/gratings:all_s0", "models/rcnn/gratings:ends_s0")


def wait_for_lines(dagster: Dagster, run: str, pattern: str) -> None:
    """Wait until a run has said something of both models."""

    def look() -> bool:
        return all(any(re.match(f"{m}: {pattern}", line) for line in dagster.messages(run)) for m in MODELS)

    wait_for(look, 120, f"'{pattern}' of both models; see {dagster.log}")


def processes_of(dagster: Dagster, run: str) -> list[psutil.Process]:
    """The process of a run, and all that it has started."""
    (pid,) = re.findall(r"Started process for run \(pid: (\d+)\)", "\n".join(dagster.messages(run)))
    process = psutil.Process(int(pid))
    return [process, *process.children(recursive=True)]


def terminate(dagster: Dagster, run: str) -> None:
    """Terminate a run, and see that none of its processes is left ten seconds later."""
    processes = processes_of(dagster, run)
    assert len(processes) > 4, "a run, who starts its workers, and two workers with their children"
    dagster.terminate(run)
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive
    wait_for(lambda: dagster.runs()[run]["status"] == "CANCELED", 30, "the end of the run")


def test_a_run_that_is_terminated_keeps_what_was_finished_leaves_no_worker_and_goes_on_later(chain: Path) -> None:
    edit_config(chain, "training: {epochs: 1,", "training: {epochs: 5000,")
    before = states(chain)
    assert [before[name] for name in MODELS] == ["stale", "missing"]
    assert before["processed/gratings:train_ends"] == "missing"
    with serve(chain) as dagster:
        run = dagster.launch("make", SETTINGS)
        wait_for_lines(dagster, run, r"\d+ of \d+ updates")
        terminate(dagster, run)
        sentence = "make was stopped; what was finished is kept, nothing is half done. Launch it again to go on."
        assert any(sentence in message for message in dagster.messages(run))
        now = states(chain)
        assert now["processed/gratings:train_ends"] == "fresh"
        assert [now[name] for name in MODELS] == ["stale", "missing"]

        again = dagster.launch("make", SETTINGS)
        wait_for_lines(dagster, again, r"resumed after epoch \d+")
        assert not any(line.startswith("processed/") for line in dagster.messages(again))
        terminate(dagster, again)
