"""Builds at once, next to a busy loop, end in silence and with the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dynvision
from tests.helpers.twenty_builds import build_many, faults


@pytest.mark.timeout(900)
def test_two_builds_at_once_next_to_a_busy_loop_end_in_silence_with_the_same_numbers(tmp_path: Path) -> None:
    done = build_many(tmp_path, builds=2, at_once=2, busy=1, target="models/rcnn/gratings:all_s0")
    assert faults(done) == []
    assert len(done[0].versions) >= 4


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, "PASSIVE 0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"), ({"GOMP_SPINCOUNT": "5"}, "None None")],
)
def test_threads_wait_passively_unless_the_user_chose(chosen: dict[str, str], expected: str) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OPENBLAS_THREAD_TIMEOUT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | chosen
    path = str(Path(dynvision.__file__).parent.parent)
    code = "import os, dynvision; print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME')))"
    printed = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**environment, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert printed.stdout.strip() == expected
