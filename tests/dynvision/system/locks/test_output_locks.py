from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.errors import DynvisionError
from dynvision.system.locks import FOR_EVER, OutputBusyError, hold_until_exit, holders, output_lock, output_locks
from dynvision.system.locks.holders import Holder, find_holder, lock_path, owner_path
from dynvision.system.owners import Owner

HOLD = (
    "import sys; from pathlib import Path; from dynvision.system.locks import output_lock\n"
    "with output_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


def hold(output: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLD, str(output)]
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    return child


def write_note(output: Path, owner: object, **more: object) -> None:
    owner_path(output).write_text(json.dumps({"owner": owner, **more}))


def hold_by_hand(output: Path) -> int:
    """Lock the file as another program would, without a note."""
    fcntl = pytest.importorskip("fcntl")
    descriptor = os.open(lock_path(output), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@pytest.mark.slow
def test_output_that_another_process_builds_is_busy_until_it_ends(tmp_path):
    output = tmp_path / "all_s0"
    child = hold(output)
    expected = (
        rf"all_s0 is being built by process {child.pid} on \S+ \(python.* -c .*\) since \d\d:\d\d, \d s ago\. "
        "Wait for it to finish, or stop it, and run this again"
    )
    with pytest.raises(OutputBusyError, match=expected), output_lock(output):
        pass
    child.kill()
    child.communicate()
    assert owner_path(output).exists()
    with output_lock(output):
        assert find_holder(output).owner == Owner.here()
    assert not owner_path(output).exists(), "nobody holds it"


@pytest.mark.slow
def test_whoever_waits_says_for_whom_once_and_goes_on_when_it_is_free(tmp_path):
    output, told = tmp_path / "train", []
    child = hold(output)
    end = threading.Timer(1.0, child.communicate)
    end.start()
    begin = time.monotonic()
    with output_lock(output, FOR_EVER, told.append):
        assert 0.5 < time.monotonic() - begin < 10
    end.join()
    (line,) = told
    assert line.startswith(f"{output} is being built by process {child.pid} on ")
    assert line.endswith(": waiting until that has ended (Ctrl-C stops waiting).")


@pytest.mark.slow
def test_a_process_that_inherited_the_lock_of_a_killed_one_is_named(tmp_path):
    output = tmp_path / "train"
    descriptor = hold_by_hand(output)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    os.close(descriptor)
    write_note(output, replace(Owner.here(), start="1").to_dict(), command="dynvision make x")
    try:
        with pytest.raises(OutputBusyError) as busy, output_lock(output):
            pass
    finally:
        heir.kill()
        heir.communicate()
    said = str(busy.value)
    assert f"process {os.getpid()} on " in said
    assert "(dynvision make x)" in said
    assert f"That process has ended, but process {heir.pid} (python" in said
    assert said.endswith(f"was started by it and keeps the lock. Stop it: kill {heir.pid}")
    with output_lock(output):
        pass


@pytest.mark.slow
def test_waiting_that_takes_long_says_so_again(tmp_path, monkeypatch):
    monkeypatch.setattr(output_locks, "REPEAT", 0.0)
    output, told = tmp_path / "train", []
    descriptor = hold_by_hand(output)
    expected = pytest.raises(OutputBusyError, match=f"train is being built by process {os.getpid()} ")
    with expected, output_lock(output, 0.5, told.append):
        pass
    os.close(descriptor)
    assert len(told) >= 1


def test_a_thread_does_not_wait_for_itself(tmp_path):
    expected = pytest.raises(OutputBusyError, match=f"built by process {os.getpid()} ")
    with output_lock(tmp_path / "x"), expected, output_lock(tmp_path / "x", FOR_EVER):
        pass


@pytest.mark.parametrize("note", ["process 12 on machine", "", "{", '{"owner": 3}', '{"owner": {"pid": 1}}'])
def test_a_note_that_cannot_be_read_names_nobody(tmp_path, monkeypatch, note):
    monkeypatch.setattr(holders, "find_locking_processes", lambda path: [])
    descriptor = hold_by_hand(tmp_path / "x")
    owner_path(tmp_path / "x").write_text(note)
    expected = pytest.raises(OutputBusyError, match=r"x is being built by another process\. Wait for it")
    with expected, output_lock(tmp_path / "x"):
        pass
    os.close(descriptor)


def test_how_long_it_has_been_held_reads_well():
    owner = replace(Owner.here(), host="far", boot_id="other")
    assert str(Holder(owner)) == f"process {owner.pid} on far"
    assert str(Holder(owner, "dynvision demo", time.time() - 185)).endswith(", 3 min ago")
    assert str(Holder(owner, "dynvision demo", time.time() - 7.2)).endswith(", 7 s ago")
    assert str(Holder(owner, "dynvision demo", time.time() - 36 * 3600)).endswith(", 36 h ago")
    assert str(Holder(owner, "", time.time() + 900)).endswith(", 0 s ago")
    assert Holder(owner).advice.startswith("Wait for it to finish")


def test_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), output_lock(tmp_path / "x"):
        raise RuntimeError
    with output_lock(tmp_path / "x"):
        pass


def test_a_lock_that_cannot_be_opened_says_what_to_do(tmp_path):
    lock_path(tmp_path / "x").mkdir()
    expected = pytest.raises(DynvisionError, match=r"x cannot be locked, so it is not written: .*: Is a directory")
    with expected, output_lock(tmp_path / "x"):
        pass


def test_a_note_that_cannot_be_written_is_a_lock_that_cannot_be_used(tmp_path):
    owner_path(tmp_path / "x").mkdir()
    expected = pytest.raises(DynvisionError, match=r"x cannot be locked, so it is not written: .*\.x\.owner: Is a dir")
    with expected, output_lock(tmp_path / "x"):
        pass


@pytest.mark.slow
def test_ctrl_c_ends_waiting_at_once(tmp_path):
    descriptor = hold_by_hand(tmp_path / "x")
    threading.Timer(0.4, signal.raise_signal, [signal.SIGINT]).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt), output_lock(tmp_path / "x", FOR_EVER):
        pass
    assert time.monotonic() - begin < 3
    os.close(descriptor)


def test_a_lock_for_life_is_taken_once(tmp_path):
    assert hold_until_exit(tmp_path / "port")
    assert not hold_until_exit(tmp_path / "port")
