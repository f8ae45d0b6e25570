"""Engines over a temporary folder, whose workers can import the functions of `tests.helpers.calls`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.settings import EngineSettings
from tests.helpers.engine_calls import PROJECT, Opening


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "engine"


@pytest.fixture
def open_local(folder: Path) -> Iterator[Opening]:
    """Opens engines of this machine without GPUs unless told otherwise."""
    with ExitStack() as stack:

        def open_local(**settings: Any) -> DistributedEngine:
            settings = {"kind": "local", "workers": 1, "gpus": (), "folder": folder, **settings}
            return stack.enter_context(DistributedEngine(EngineSettings(**settings)))

        yield open_local
