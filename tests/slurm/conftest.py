from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.slurm_cluster import SlurmCluster, slurm_cluster, why_not

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[SlurmCluster]:
    if reason := why_not():
        pytest.skip(f"no Slurm: {reason}")
    with slurm_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The cluster without jobs; commands of this process find it, and jobs find the tests."""
    for name, value in running_cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    yield running_cluster
    running_cluster.cancel_all()
