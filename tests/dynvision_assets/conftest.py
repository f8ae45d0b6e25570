"""One small chain, built once by the command line. A test that changes files works on a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.chains import CHAIN, copy_root
from tests.helpers.commands import run_dynvision
from tests.helpers.configuration import write_config


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own root, configuration or Dagster instance must not reach a test."""
    for name in ("DYNVISION_ROOT", "DYNVISION_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def made_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the whole chain is built. Tests must not change it."""
    root = tmp_path_factory.mktemp("made") / "root"
    write_config(root)
    done = run_dynvision(root, "make", *CHAIN)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def chain(made_root: Path, tmp_path: Path) -> Path:
    """A copy of the whole chain, which a test may change."""
    return copy_root(made_root, tmp_path / "root")


@pytest.fixture
def empty_root(tmp_path: Path) -> Path:
    """A root with the small configuration in which nothing is built."""
    write_config(tmp_path / "root")
    return tmp_path / "root"
