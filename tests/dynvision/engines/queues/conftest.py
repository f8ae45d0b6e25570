"""A batch system of files, and workforces that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.fake_queue import FakeQueue, Situation


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    found = FakeQueue(tmp_path / "queue")
    found.use(monkeypatch)
    return found


@pytest.fixture
def start(queue: FakeQueue, tmp_path: Path) -> Iterator[Callable[..., Situation]]:
    """Opens workforces on the queue, and closes them."""
    opened: list[Situation] = []

    def open_one(**settings: object) -> Situation:
        opened.append(Situation(queue, tmp_path / "engine", **settings))
        return opened[-1]

    yield open_one
    for situation in opened:
        situation.workforce.close()
