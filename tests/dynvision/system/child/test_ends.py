"""A computing child ends when it is told to: in silence, with its files cleared away, in less than five seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dynvision.system.child.process import ComputeProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def wait_for(is_true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def at(moment: Callable[[], bool], action: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread at a moment."""

    def wait() -> None:
        wait_for(moment)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def interrupt_this_process() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def pid_of(child: ComputeProcess) -> int:
    return int(child.call("child_functions:pid"))


def test_idle_child_ends_with_0_in_silence(child: ComputeProcess, capfd: pytest.CaptureFixture[str]) -> None:
    pid_of(child)
    started = child._child
    assert started is not None
    child.close()
    assert started.returncode == 0
    assert capfd.readouterr() == ("", "")


def test_child_ends_with_0_when_it_is_told_to_at_any_moment(child: ComputeProcess) -> None:
    for milliseconds in (0, 1, 30, 120, 250):
        started = child._start("test")
        time.sleep(milliseconds / 1000)
        child.close()
        assert started.returncode == 0


def test_running_call_is_interrupted_once_and_clears_away(child: ComputeProcess, tmp_path: Path) -> None:
    note = tmp_path / "note"
    pid = pid_of(child)

    def end_in_every_way() -> None:  # as by an impatient scheduler
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
            time.sleep(0.05)

    with at(lambda: note.exists() and bool(note.read_text()), end_in_every_way), pytest.raises(KeyboardInterrupt):
        child.call("child_functions:clean_up_slowly", note=str(note))
    assert note.read_text() == "running,interrupted,cleared away"
    assert not psutil.pid_exists(pid)


def test_ctrl_c_alone_does_not_end_the_child(child: ComputeProcess) -> None:
    pid = pid_of(child)
    with at(lambda: True, lambda: os.kill(pid, signal.SIGINT)):
        assert child.call("child_functions:sleep", seconds=0.5) == "slept"
    os.kill(pid, signal.SIGINT)
    assert pid_of(child) == pid


def test_sigterm_ends_the_child_alone_as_an_interruption(child: ComputeProcess) -> None:
    pid = pid_of(child)
    end = threading.Timer(1.0, os.kill, (pid, signal.SIGTERM))
    end.start()
    with pytest.raises(KeyboardInterrupt):
        child.call("child_functions:sleep", seconds=30)
    assert pid_of(child) != pid


def test_call_after_an_idle_child_was_told_to_end_has_a_new_one(child: ComputeProcess) -> None:
    pid = pid_of(child)
    os.kill(pid, signal.SIGTERM)
    assert pid_of(child) != pid


def test_child_that_ignores_interruptions_is_killed_with_all_it_started(child: ComputeProcess, tmp_path: Path) -> None:
    note = tmp_path / "note"
    pid = pid_of(child)
    with at(lambda: note.exists() and bool(note.read_text()), interrupt_this_process):
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            child.call("child_functions:ignore_interruptions", note=str(note))
    assert time.monotonic() - start < 10
    assert not psutil.pid_exists(pid)
    wait_for(lambda: not psutil.pid_exists(int(note.read_text())) or _is_zombie(int(note.read_text())))


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


def test_stopped_child_clears_away_and_ends_too(child: ComputeProcess, tmp_path: Path) -> None:
    note = tmp_path / "note"
    pid = pid_of(child)

    def stop_it() -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        interrupt_this_process()

    start = time.monotonic()
    with at(lambda: note.exists() and bool(note.read_text()), stop_it), pytest.raises(KeyboardInterrupt):
        child.call("child_functions:clean_up_slowly", note=str(note))
    assert time.monotonic() - start < 6
    assert note.read_text() == "running,interrupted,cleared away"
    assert not psutil.pid_exists(pid)


HOLDER = """
import os, subprocess, sys
from dynvision.system.child.process import ComputeProcess
child = ComputeProcess()
print(child.call("child_functions:pid"), flush=True)
if os.fork() == 0:  # it keeps the pipe to the child open
    import time
    time.sleep(8)
    os._exit(0)
child.call("child_functions:sleep", seconds=60)
"""


def test_child_ends_when_its_caller_is_killed_though_another_process_holds_the_pipe(child: ComputeProcess) -> None:
    assert child is not None
    with subprocess.Popen([sys.executable, "-P", "-c", HOLDER], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        caller.kill()
        caller.stdout.close()
    wait_for(lambda: _is_zombie(pid), seconds=5)
