"""What goes wrong with a computing child is one sentence, and the next call has a new child."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from dynvision.errors import DynvisionError, UnexpectedError
from dynvision.system.child import watch as child_watch
from dynvision.system.child.process import ComputeProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_answers_and_arguments_of_many_megabytes_arrive_whole(child: ComputeProcess) -> None:
    text = "0123456789é" * 1_500_000
    assert child.call("child_functions:echo", value=text) == text


def test_arguments_that_are_no_json_are_refused_before_anything_starts(child: ComputeProcess) -> None:
    with pytest.raises(DynvisionError, match=r"child_functions:echo: its arguments cannot be passed .*set"):
        child.call("child_functions:echo", value={1, 2})
    assert not child.is_running


def test_result_that_is_no_json_is_an_error_of_the_function(child: ComputeProcess) -> None:
    with pytest.raises(UnexpectedError, match="set is not JSON serializable"):
        child.call("child_functions:give_a_set")
    assert child.call("child_functions:echo", value=1) == 1


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("MemoryError", "", "there is not enough memory"),
        ("OSError", "[Errno 24] Too many open files", "this process may not open more files"),
        ("RuntimeError", "can't start new thread", "no further process or thread may be started"),
        ("ImportError", "libtorch_cpu.so: failed to map segment from shared object", "there is not enough memory"),
    ],
)
def test_limits_of_the_machine_are_one_sentence(child: ComputeProcess, kind: str, text: str, said: str) -> None:
    with pytest.raises(DynvisionError, match=f"reach_limit: {said}"):
        child.call("child_functions:reach_limit", kind=kind, text=text)


def test_killed_child_is_one_sentence_and_the_next_call_has_a_new_one(child: ComputeProcess) -> None:
    with pytest.raises(DynvisionError, match=r"stopped \(signal 9\).*Out of memory looks like signal 9"):
        child.call("child_functions:kill")
    assert child.call("child_functions:echo", value=1) == 1


def test_child_that_cannot_be_started_is_one_sentence(child: ComputeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(DynvisionError, match=r"cannot be started: .*temporarily unavailable.*ulimit -a"):
            child.call("child_functions:echo", value=1)
    assert child.call("child_functions:echo", value=1) == 1


def test_child_that_dies_at_once_is_one_sentence(
    child: ComputeProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; print('words of a library', flush=True); os._exit(3)")
    with pytest.raises(DynvisionError, match=r"child_functions:echo: .* stopped \(exit code 3\)"):
        child.call("child_functions:echo", value="x" * (1 << 20))
    assert "words of a library" in capfd.readouterr().err


def test_what_a_library_prints_is_no_answer(
    child: ComputeProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('[1, 2]\\n{\"a\": 1}\\nwithout an end', end='', flush=True)")
    assert child.call("child_functions:echo", value="right") == "right"
    assert "without an end" in capfd.readouterr().err


def test_stopped_child_is_said_and_that_it_goes_on(
    child: ComputeProcess, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(child_watch, "LOOK", 0.2)
    pid = child.call("child_functions:pid")
    lines: list[str] = []
    timers = [
        threading.Timer(0.2, os.kill, (pid, signal.SIGSTOP)),
        threading.Timer(2.5, os.kill, (pid, signal.SIGCONT)),
    ]
    for timer in timers:
        timer.start()
    assert child.call("child_functions:compute", lines.append, seconds=4) == "computed"
    stopped, resumed = lines
    assert f"process {pid} that computes it was stopped by a signal" in stopped
    assert f"kill -CONT {pid}" in stopped
    assert resumed == f"child_functions:compute: process {pid} goes on"
    assert stopped in capfd.readouterr().err


def test_child_that_does_nothing_is_said_once_and_one_that_computes_is_not(
    child: ComputeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_watch, "LOOK", 0.3)
    monkeypatch.setattr(child_watch, "IDLE", 0.8)
    lines: list[str] = []
    assert child.call("child_functions:compute", lines.append, seconds=2) == "computed"
    assert lines == []
    child.call("child_functions:sleep", lines.append, seconds=3)
    assert len([line for line in lines if "goes on" not in line]) == 1
    assert "has neither computed nor read anything for" in lines[0]


def test_exit_of_a_library_is_an_error_and_not_the_end_of_the_child(child: ComputeProcess) -> None:
    pid = child.call("child_functions:pid")
    with pytest.raises(UnexpectedError, match="SystemExit: 0"):
        child.call("child_functions:leave")
    assert child.call("child_functions:pid") == pid
