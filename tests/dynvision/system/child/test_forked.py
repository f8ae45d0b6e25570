"""Computing children that are copies of a process which has imported everything already."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

START = """
import json.tool, os, signal, subprocess, sys, time
import pytest
from dynvision.errors import ConfigError, DamagedFileError
from dynvision.system.child.process import ComputeProcess
from dynvision.system.child.forked import fork_process

process = ComputeProcess()
process.fork(lambda: os.environ.update(PREPARED="yes"))
first = process.run("tests.helpers.calls:pid", {})
"""


def run(tmp_path: Path, code: str, **variables: str) -> None:
    """Run code in a process without threads that has forked a computing child."""
    done = subprocess.run(
        [sys.executable, "-c", START + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4]), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_forked_child_answers_calls_and_has_what_was_imported(tmp_path: Path) -> None:
    code = """
assert first not in (0, os.getpid())
assert process.run("tests.helpers.calls:pid", {}) == first
assert process.run("tests.helpers.calls:imported", {"module": "json.tool"})
names = ["PREPARED", "SLURM_NTASKS", "SLURM_JOB_ID"]
assert process.run("tests.helpers.calls:environment", {"names": names}) == {
    "PREPARED": "yes", "SLURM_NTASKS": None, "SLURM_JOB_ID": "7"
}
with pytest.raises(ConfigError, match="too many"):
    process.run("tests.helpers.calls:fail", {"text": "too many"})
process.close()
assert not process.is_running
with pytest.raises(ProcessLookupError):
    os.kill(first, 0)
"""
    run(tmp_path, code, SLURM_NTASKS="4", SLURM_JOB_ID="7")


def test_a_forked_child_that_dies_is_told_from_an_error_and_replaced(tmp_path: Path) -> None:
    code = """
with pytest.raises(DamagedFileError, match="memory fault .SIGBUS."):
    process.run("tests.helpers.calls:die", {"number": 7})
assert process.run("tests.helpers.calls:pid", {}) not in (first, os.getpid())
assert process.run("tests.helpers.calls:environment", {"names": ["PREPARED"]}) == {"PREPARED": None}
process.close()
"""
    run(tmp_path, code)


def test_a_forked_child_ends_with_its_owner(tmp_path: Path) -> None:
    code = f"""
open({str(tmp_path / "pid")!r}, "w").write(str(first))
os.kill(os.getpid(), signal.SIGKILL)
"""
    with pytest.raises(AssertionError):  # it was killed
        run(tmp_path, code)
    pid = int((tmp_path / "pid").read_text())
    wait_for_end(pid)


def wait_for_end(pid: int) -> None:
    import psutil

    try:
        psutil.Process(pid).wait(15)
    except psutil.NoSuchProcess:
        return


def test_how_a_forked_process_ended_is_known_as_popen_knows_it(tmp_path: Path) -> None:
    code = """
sleeper = fork_process(lambda: time.sleep(60))
assert sleeper.poll() is None
with pytest.raises(subprocess.TimeoutExpired):
    sleeper.wait(0.1)
os.kill(sleeper.pid, signal.SIGKILL)
assert sleeper.wait(5) == sleeper.poll() == -9
assert fork_process(lambda: os._exit(3)).wait() == 3
assert fork_process(lambda: sys.exit("wrong")).wait() == 1
assert fork_process(lambda: None).wait() == 0
echo = fork_process(lambda: os.write(1, os.read(0, 5)))
echo.stdin.write(b"hello")
assert echo.stdout.read() == b"hello"
process.close()
"""
    run(tmp_path, code)
