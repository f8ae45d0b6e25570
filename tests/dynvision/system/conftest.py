"""A child process, and a module of functions that it can import."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.system.child.process import ComputeProcess

FUNCTIONS = """
    import os, signal, subprocess, sys, time

    def pid():
        return os.getpid()

    def echo(value):
        return value

    def sleep(seconds):
        time.sleep(seconds)
        return "slept"

    def compute(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        return "computed"

    def clean_up_slowly(note):
        open(note, "a").write("running,")
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            open(note, "a").write("interrupted,")
            end = time.monotonic() + 1
            while time.monotonic() < end:
                time.sleep(0.01)
            open(note, "a").write("cleared away")
            raise

    def ignore_interruptions(note):
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open(note, "w").write(str(helper.pid))
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

    def give_a_set():
        return {1, 2}

    def reach_limit(kind, text):
        if kind == "OSError":
            raise OSError(24, "Too many open files")
        raise getattr(__import__("builtins"), kind)(text)

    def leave():
        sys.exit(0)

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ComputeProcess]:
    """A child process that can import `child_functions`."""
    (tmp_path / "child_functions.py").write_text(textwrap.dedent(FUNCTIONS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    made = ComputeProcess()
    yield made
    made.close()
