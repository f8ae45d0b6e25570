"""`dynvision unlock`: it frees what a dead owner left, and says so where it does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.system.locks import holders, output_lock
from dynvision.system.locks.holders import lock_path, owner_path
from dynvision.system.owners import Owner
from tests.helpers.commands import call_dynvision

fcntl = pytest.importorskip("fcntl")

TARGET = "raw/gratings:test"
HERE = Owner.here()


@pytest.fixture
def output(empty_root: Path) -> Path:
    output = empty_root / "data/raw/gratings/test"
    output.parent.mkdir(parents=True)
    return output


@pytest.fixture
def held(output: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The lock, held by somebody who cannot be seen from here: its descriptor."""
    monkeypatch.setattr(holders, "find_locking_processes", lambda path: [])
    descriptor = os.open(lock_path(output), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def note(output: Path, owner: Owner) -> None:
    content = {"owner": owner.to_dict(), "command": "dynvision make x", "since": 1.7e9}
    owner_path(output).write_text(json.dumps(content))


def unlock(root: Path, *options: str) -> tuple[int, str]:
    done = call_dynvision(root, "unlock", *options, TARGET)
    return done.exit_code, done.output


def test_what_is_not_locked_says_so_and_nothing_is_made(empty_root: Path) -> None:
    assert unlock(empty_root) == (0, f"{TARGET}: is not locked\n")
    assert not (empty_root / "data").exists()
    assert not (empty_root / ".dagster").exists()


def test_what_a_killed_process_left_is_free_and_its_note_is_removed(empty_root: Path, output: Path) -> None:
    lock_path(output).touch()
    note(output, replace(HERE, start="1"))
    code, said = unlock(empty_root)
    assert code == 0
    assert said.startswith(
        f"{TARGET}: was locked by process {HERE.pid} on {HERE.host} (dynvision make x) since 2023-11-"
    )
    assert "which has ended; it is free" in said
    assert unlock(empty_root) == (0, f"{TARGET}: is not locked\n")


def test_what_a_running_process_builds_stays_locked(empty_root: Path, output: Path) -> None:
    with output_lock(output):
        for options in ([], ["--force"]):
            code, said = unlock(empty_root, *options)
            assert code == 1
            assert f"is being built by process {HERE.pid} on {HERE.host} (" in said
            assert f"which is running. Wait for it, or stop it: kill {HERE.pid}" in said
        assert owner_path(output).exists()


@pytest.mark.usefixtures("held")
def test_the_lock_of_another_machine_is_freed_by_force_alone(empty_root: Path, output: Path) -> None:
    note(output, replace(HERE, host="far", boot_id="other", pid=77))
    code, said = unlock(empty_root)
    assert code == 1
    assert "is locked by process 77 on far (dynvision make x)" in said
    assert re.search(
        r"cannot be seen from here: look on far \(ps -p 77\)\. Its last sign of life was \d+ s ago\. If none comes for "
        r"5 min, the next build takes the lock over\. If nothing builds it any more, free it with --force\n$",
        said,
    )
    code, said = unlock(empty_root, "--force")
    assert code == 0
    assert "was freed by force. If that process still runs, it finds that out" in said
    assert call_dynvision(empty_root, "make", TARGET).exit_code == 0


@pytest.mark.usefixtures("held")
def test_a_container_of_the_same_name_is_not_taken_for_dead(empty_root: Path, output: Path) -> None:
    note(output, replace(HERE, pid_namespace="1", start="1"))
    code, said = unlock(empty_root)
    assert code == 1
    assert f"cannot be seen from here: look in the other container on {HERE.host} (ps -p {HERE.pid})" in said


@pytest.mark.usefixtures("held")
def test_an_owner_that_left_no_note_is_not_guessed(empty_root: Path, output: Path) -> None:
    owner_path(output).write_text(f"process {os.getpid()} on {HERE.host}")
    code, said = unlock(empty_root)
    assert code == 1
    assert "is locked by another process" in said
    assert "look on every machine that uses this disk" in said


def test_a_process_without_a_note_is_seen_all_the_same(empty_root: Path, output: Path) -> None:
    descriptor = os.open(lock_path(output), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    note(output, replace(HERE, host="far", boot_id="other"))  # left by somebody else
    code, said = unlock(empty_root, "--force")
    os.close(descriptor)
    assert code == 1
    assert said.startswith(f"{TARGET}: is being built by process {os.getpid()} (")
    assert said.endswith(f"which is running. Wait for it, or stop it: kill {os.getpid()}\n")


def test_a_process_that_inherited_the_lock_is_named(empty_root: Path, output: Path) -> None:
    descriptor = os.open(lock_path(output), os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])
    os.close(descriptor)
    note(output, replace(HERE, start="1"))
    try:
        for options in ([], ["--force"]):
            code, said = unlock(empty_root, *options)
            assert code == 1
            assert said.rstrip().endswith(f"keeps the lock. Stop it: kill {heir.pid}")
    finally:
        heir.kill()
        heir.communicate()
    assert unlock(empty_root)[0] == 0


def test_the_note_of_another_machine_is_a_lock_where_the_kernel_knows_of_none(empty_root: Path, output: Path) -> None:
    note(output, replace(HERE, host="far", boot_id="other", pid=77))
    code, said = unlock(empty_root)
    assert code == 1
    assert "is locked by process 77 on far (dynvision make x)" in said
    assert owner_path(output).exists()
    assert unlock(empty_root, "--force")[0] == 0
    assert unlock(empty_root) == (0, f"{TARGET}: is not locked\n")


def test_a_machine_that_gives_no_sign_of_life_has_lost_its_lock(empty_root: Path, output: Path) -> None:
    note(output, replace(HERE, host="far", boot_id="other", pid=77))
    os.utime(owner_path(output), (time.time() - 400, time.time() - 400))
    code, said = unlock(empty_root)
    assert code == 0
    assert "was locked by process 77 on far (dynvision make x) since 2023-11-" in said
    assert "which has given no sign of life for 7 min; it is free." in said
    assert not owner_path(output).exists()


def test_the_lock_of_a_download_is_looked_at_too(empty_root: Path, output: Path) -> None:
    archive = output.with_name("archive")
    with output_lock(archive):
        code, said = unlock(empty_root)
        assert code == 1
        assert f"{TARGET}: its archive in {archive} is being built by process" in said


def test_an_unknown_target_is_named(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "unlock", "raw/nothing")
    assert done.exit_code == 2
    assert "error: raw/nothing: unknown dataset 'nothing'" in done.output
