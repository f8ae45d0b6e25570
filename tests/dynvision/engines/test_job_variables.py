"""A training within a job of a cluster is one process, whatever Lightning finds in the environment."""

from __future__ import annotations

import pytest

from dynvision.system.child.process import ComputeProcess
from tests.helpers.calls import is_taken_for_many


@pytest.mark.slow
def test_lightning_takes_a_child_in_a_job_for_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "dynvision", "SLURM_JOB_ID": "71"}.items():
        monkeypatch.setenv(name, value)
    assert is_taken_for_many()
    child = ComputeProcess()
    try:
        assert child.call("tests.helpers.calls:is_taken_for_many") is False
    finally:
        child.close()
