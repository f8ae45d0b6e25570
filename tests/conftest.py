"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dynvision.workspace import Workspace
from tests.support import write_small_config

settings.register_profile(
    "dynvision",
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("dynvision")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own DYNVISION_ROOT or DYNVISION_CONFIG must not reach a test."""
    monkeypatch.delenv("DYNVISION_ROOT", raising=False)
    monkeypatch.delenv("DYNVISION_CONFIG", raising=False)


@pytest.fixture
def small_config(tmp_path: Path) -> Path:
    """The config folder `tmp_path/config`: the project's own, with gratings so small that a chain runs in seconds.

    Gratings: 3 orientations, 16 pixels, 12 training and 4 test images a class, groups `all` and `pair`
    ([2, 0]). Training: 1 epoch. Experiments: 6 steps, contrast 0.1, 0.5, 1.0; duration 1, 3;
    contrast_duration 0.5, 1.0 × 1, 3. Change it with `tests.support.edit_yaml`.
    """
    return write_small_config(tmp_path / "config")


@pytest.fixture
def small_workspace(tmp_path: Path, small_config: Path) -> Workspace:
    """A workspace over `small_config` whose root is `tmp_path`; nothing is built in it.

    A test that changes the config afterwards opens another one: `Workspace.open(tmp_path, small_config)`.
    """
    return Workspace.open(tmp_path, small_config)
