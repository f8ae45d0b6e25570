"""Signals end a command in one sentence, in less than five seconds, at any moment; nothing is left behind."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psutil
import pytest

from dynvision.system.stopping import hold_signals
from dynvision_assets.signals import stoppable
from tests.helpers.commands import environment
from tests.helpers.configuration import edit_config
from tests.helpers.instances import open_instance

SENTENCE = "stopped; what was finished is kept, nothing is half done"
PROJECT = Path(__file__).resolve().parents[2]
LONGEST = 8.0
"""Seconds; five on an idle machine."""


def start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dynvision_assets.command_line", *arguments],
        cwd=root,
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], send: Callable[[], object]) -> str:
    """Send a signal and return what the command said; check what holds however it was ended."""
    tree = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    send()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - began < LONGEST, stderr
    for word in ("Traceback", "KeyboardInterrupt", "Exception ignored", "Aborted"):
        assert word not in stderr, stderr
    _, alive = psutil.wait_procs(tree, timeout=3)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    return stderr


def wait_until(process: subprocess.Popen[str], is_reached: Callable[[psutil.Process], bool]) -> psutil.Process:
    """Wait until the computing child is in a state, and return it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        for child in psutil.Process(process.pid).children():
            if "dynvision.system.child.main" in child.cmdline() and is_reached(child):
                return child
        time.sleep(0.05)
    raise AssertionError("the child did not get there")


def check_nothing_half_done(root: Path) -> None:
    assert [path for path in root.rglob("*") if "partial" in path.name] == []
    with open_instance(root) as instance:
        done = (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)
        assert [run for run in instance.get_runs() if run.status not in done] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_end_training_as_ctrl_c_does(empty_root: Path, number: signal.Signals) -> None:
    edit_config(empty_root, "epochs: 1,", "epochs: 5000,")
    process = start(empty_root, "make", "models/rcnn/gratings:all_s0")
    models = empty_root / "data/models"
    wait_until(process, lambda child: models.exists())
    time.sleep(1.0)
    stderr = end(process, lambda: process.send_signal(number))
    assert process.returncode == 128 + number
    assert stderr.endswith(f"{SENTENCE}\n")
    check_nothing_half_done(empty_root)


def test_ctrl_c_twice_ends_a_stopped_child_too(empty_root: Path) -> None:
    process = start(empty_root, "make", "processed/gratings:train_all")
    child = wait_until(process, lambda child: True)
    child.suspend()

    def send_twice() -> None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)

    assert SENTENCE in end(process, send_twice)
    assert process.returncode == 130
    check_nothing_half_done(empty_root)


def test_sigterm_ends_a_build_at_any_moment(empty_root: Path) -> None:
    moments = random.Random(0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        process = start(empty_root, "make", "--force", "raw/gratings:train", "interim/gratings:train_all")
        time.sleep(moments.uniform(0.5, 5.0))
        if process.poll() is not None:
            process.communicate()
            continue
        end(process, lambda process=process, number=number: process.send_signal(number))  # type: ignore[misc]
        assert process.returncode in (128 + number, 0)
    if (empty_root / ".dagster" / "history").exists():
        check_nothing_half_done(empty_root)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_while_python_ends_changes_nothing(number: signal.Signals) -> None:
    code = (
        "import os, sys\n"
        "sys.argv[0] = 'dynvision'\n"
        "import dynvision_assets.signals\n"
        "class Late:\n"
        f"    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {int(number)})\n"
        "late = Late()\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


def run_stoppable(work: Callable[[], object]) -> int:
    """Run work as a command does; return its exit code."""
    with pytest.raises(SystemExit) as ended, stoppable():
        work()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_work_is_interrupted_once_and_handlers_are_restored(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    steps = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            for further in (number, signal.SIGINT, signal.SIGTERM):  # they change nothing while it is cleaned up
                signal.raise_signal(further)
            steps.append("cleaned up")
            raise

    assert run_stoppable(work) == 128 + number
    assert steps == ["cleaned up"]
    assert capsys.readouterr().err == f"{SENTENCE}\n"
    assert signal.getsignal(number) is before


def test_signal_that_a_library_takes_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with hold_signals(drop=True):
            signal.raise_signal(signal.SIGTERM)
        time.sleep(10)
        raise AssertionError("it went on")

    assert run_stoppable(work) == 143
    assert capsys.readouterr().err == f"{SENTENCE}\n"


def test_signal_while_an_object_is_disposed_of_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        Interrupted()
        time.sleep(10)
        raise AssertionError("it went on")

    assert run_stoppable(work) == 143
    assert capsys.readouterr().err == f"{SENTENCE}\n"


def test_interruption_by_dagster_that_python_drops_is_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted:
        def __del__(self) -> None:
            raise dg.DagsterExecutionInterruptedError  # its handler took a signal that was not noted yet

    def work() -> None:
        Interrupted()
        time.sleep(10)
        raise AssertionError("it went on")

    assert run_stoppable(work) == 130
    assert capsys.readouterr().err == f"{SENTENCE}\n"


def test_error_after_a_signal_is_its_consequence(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("half imported") from None

    assert run_stoppable(work) == 130
    assert capsys.readouterr().err == f"{SENTENCE}\n"


def test_library_that_logs_the_interruption_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.Logger("library")  # it has no handlers, so that Python prints what it logs

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            logger.exception("closing the connection")
            raise

    assert run_stoppable(work) == 143
    assert capsys.readouterr().err == f"{SENTENCE}\n"


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), stoppable():
        raise ZeroDivisionError


def test_held_signal_comes_afterwards() -> None:
    steps: list[str] = []

    def hold_one() -> None:
        with hold_signals(drop=False):
            signal.raise_signal(signal.SIGINT)
            steps.append("held")

    with pytest.raises(KeyboardInterrupt):
        hold_one()
    assert steps == ["held"]
