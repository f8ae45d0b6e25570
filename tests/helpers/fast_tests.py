"""Which tests are slow, and a guard that keeps the remaining ones fast.

A fast test starts no process, trains nothing and does not import FFCV, which takes seconds to import and to compile.
The guard makes a test fail if it does one of these without the marker `slow`, so `make test-fast` stays fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent

SLOW_FOLDERS = tuple(
    TESTS / name for name in ("browser", "documentation", "dynvision_assets", "dynvision/data/test_lightning.py")
)
"""Every test below them is slow. They are not even imported if slow tests are deselected: Lightning takes 5 seconds."""

SLOW_FIXTURES = frozenset({"betons", "chain", "real_data"})
"""A test is slow if it uses one of these fixtures, also through another fixture."""

WORKERS = "workers"
"""A test is slow if it is parametrized with this name and the value, a number of worker processes, is not 0."""

FORBIDDEN_EVENTS = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
}
"""Python's audit events (https://docs.python.org/3/library/audit_events.html) for a new process."""

ADVICE = "mark it with @pytest.mark.slow, or its file with 'pytestmark = pytest.mark.slow'"


class SlowTestError(Exception):
    """A test without the marker `slow` did something slow."""


class Guard:
    """Watches one fast test at a time. Its hooks stay installed and do nothing between tests."""

    def __init__(self) -> None:
        self._active = False
        self._watches_torch = False
        self.violations: list[str] = []
        sys.addaudithook(self._on_audit_event)

    def begin(self) -> None:
        """Watch from here on."""
        self.violations.clear()
        # Importing torch takes seconds, so watch it only if a test module has imported it anyway.
        if "torch" in sys.modules and not self._watches_torch:
            from torch.optim.optimizer import register_optimizer_step_pre_hook

            register_optimizer_step_pre_hook(self._on_optimizer_step)
            self._watches_torch = True
        self._active = True

    def end(self) -> None:
        """Stop watching."""
        self._active = False

    def _on_audit_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active:
            return
        if event in FORBIDDEN_EVENTS:
            self._refuse(f"started a process ({event} {arguments!r:.200})")
        elif event == "import" and str(arguments[0]).partition(".")[0] == "ffcv":
            self._refuse("imported ffcv")

    def _on_optimizer_step(self, *arguments: Any) -> None:
        if self._active:
            self._refuse("trained a network (an optimizer made a step)")

    def _refuse(self, action: str) -> None:
        self.violations.append(action)
        raise SlowTestError(f"a fast test {action}: {ADVICE}")


def is_slow(item: pytest.Item) -> bool:
    """Whether a test has the marker `slow`."""
    return item.get_closest_marker("slow") is not None


def mark_slow(items: list[pytest.Item]) -> None:
    """Mark the tests that use a slow fixture or worker processes, or lie in a slow folder."""
    for item in items:
        uses_slow_fixture = not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        starts_workers = callspec is not None and bool(callspec.params.get(WORKERS))
        lies_in_slow_folder = any(item.path.is_relative_to(folder) for folder in SLOW_FOLDERS)
        if uses_slow_fixture or starts_workers or lies_in_slow_folder:
            item.add_marker(pytest.mark.slow)


def deselects_slow(config: pytest.Config) -> bool:
    """Whether this run leaves out slow tests."""
    return "not slow" in config.getoption("markexpr")
