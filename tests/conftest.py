"""Fixtures that all tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dynvision.workspace import Workspace
from tests.helpers.configuration import write_small_config
from tests.helpers.fast_tests import ADVICE, SLOW_FOLDERS, Guard, deselects_slow, is_slow, mark_slow

settings.register_profile(
    "dynvision",
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("fast", parent=settings.get_profile("dynvision"), max_examples=10)

_guard = Guard()


def pytest_configure(config: pytest.Config) -> None:
    # Log files of the errors that tests cause are not the user's.
    os.environ["XDG_STATE_HOME"] = str(Path(tempfile.gettempdir()) / f"dynvision-tests-{os.getuid()}")
    settings.load_profile("fast" if deselects_slow(config) else "dynvision")


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_slow(items)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path in SLOW_FOLDERS and deselects_slow(config) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch a fast test from set-up to tear-down, including session fixtures that it is the first to use."""
    if not is_slow(item):
        _guard.begin()
    try:
        return (yield)
    finally:
        _guard.end()


@pytest.fixture(autouse=True)
def _fast_tests_stay_fast(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a fast test that did something slow, also if the code under test caught the error."""
    yield
    if not is_slow(request.node):
        assert _guard.violations == [], ADVICE


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
    contrast_duration 0.5, 1.0 × 1, 3. Change it with `tests.helpers.configuration.edit_yaml`.
    """
    return write_small_config(tmp_path / "config")


@pytest.fixture
def small_workspace(tmp_path: Path, small_config: Path) -> Workspace:
    """A workspace over `small_config` whose root is `tmp_path`. Nothing is built in it.

    A test that changes the config afterwards opens another one: `Workspace.open(tmp_path, small_config)`.
    """
    return Workspace.open(tmp_path, small_config)
