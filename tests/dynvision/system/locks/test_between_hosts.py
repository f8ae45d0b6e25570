"""Locks between machines whose kernels know nothing of each other's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dynvision.errors import LockLostError
from dynvision.system import owners
from dynvision.system.files import write_json
from dynvision.system.locks import FOR_EVER, OutputBusyError, flocks, holders, output_lock, output_locks
from dynvision.system.locks.holders import next_path, owner_path, read_note
from dynvision.system.locks.notes import compose_note
from dynvision.system.owners import Owner
from tests.helpers.lock_runner import Runner, can_rename_hosts, end_holder, run_all, start_holder

pytestmark = pytest.mark.slow

SHORT = 0.1
"""Seconds between two signs of life: a lock is taken over after two seconds without."""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def other_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process sees no locks of the kernel, as if it were on another machine."""
    monkeypatch.setattr(flocks.fcntl, "flock", lambda *arguments: None)
    monkeypatch.setattr(output_locks, "TURN", 0.01)


@pytest.fixture
def holder(output: Path) -> Iterator[subprocess.Popen[str]]:
    """A process on another machine that holds the lock."""
    runner = Runner("hold", str(output), host="far", boot="far-boot", flock="nothing", refresh=SHORT, number=1)
    child = start_holder(runner)
    yield child
    child.kill()
    child.communicate()


def machines(task: str, output: Path, count: int, **settings: object) -> list[Runner]:
    return [
        Runner(task, str(output), host=f"node{n}", boot=f"boot{n}", number=n, **settings)  # type: ignore[arg-type]
        for n in range(count)
    ]


@contextlib.contextmanager
def lost_lock(output: Path) -> Iterator[None]:
    """Hold a lock that somebody has freed by force."""
    with output_lock(output):
        owner_path(output).unlink()
        yield


def names_beside(output: Path) -> set[str]:
    return {path.name for path in output.parent.iterdir()}


@pytest.mark.parametrize("flock", ["nothing", "refused", "works"])
@pytest.mark.parametrize("processes", [2, 8])
def test_machines_that_contend_for_one_output_are_never_inside_at_once(output, processes, flock):
    (output.parent / "counter").write_text("0")
    assert set(run_all(machines("contend", output, processes, flock=flock, rounds=200 // processes))) == {"done"}
    assert (output.parent / "counter").read_text() == "200"
    assert names_beside(output) == {"counter", ".output.lock"}


def test_clocks_that_differ_by_hours_do_not_matter(output):
    (output.parent / "counter").write_text("0")
    runners = machines("contend", output, 3, flock="nothing", rounds=30, refresh=SHORT)
    skewed = [replace(runner, skew=skew) for runner, skew in zip(runners, (-3600.0, 0.0, 3600.0), strict=True)]
    assert set(run_all(skewed)) == {"done"}
    assert (output.parent / "counter").read_text() == "90"


@pytest.mark.usefixtures("other_kernel")
@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_holder_whose_clock_is_wrong_keeps_its_lock(output, skew):
    runner = Runner("hold", str(output), host="far", boot="far", flock="nothing", refresh=SHORT, skew=skew, number=1)
    child = start_holder(runner)
    with pytest.raises(OutputBusyError, match="is being built by process"), output_lock(output, 3.0, refresh=SHORT):
        pass
    assert end_holder(child) == "written"


@pytest.mark.usefixtures("other_kernel")
def test_a_holder_on_another_machine_is_named_with_its_host(output, holder):
    with pytest.raises(OutputBusyError, match=rf"by process {holder.pid} on far \("), output_lock(output):
        pass
    assert end_holder(holder) == "written"
    with output_lock(output):
        assert read_note(output).owner == Owner.here()


@pytest.mark.usefixtures("other_kernel")
def test_a_holder_that_dies_on_another_machine_is_replaced_after_the_time_of_its_signs_of_life(output, holder):
    told: list[str] = []
    holder.kill()
    begin = time.monotonic()
    with output_lock(output, FOR_EVER, told.append, refresh=SHORT):
        assert 1.0 < time.monotonic() - begin < 20
    assert f"{output} was locked by process {holder.pid} on far (" in told[-1]
    assert told[-1].endswith("which has given no sign of life for 2 s: its lock is taken over.")
    assert names_beside(output) == {".output.lock"}


@pytest.mark.usefixtures("other_kernel")
def test_a_holder_that_dies_on_this_machine_is_replaced_at_once(output):
    if not can_rename_hosts():
        pytest.skip("only root may give a process another host name")
    child = start_holder(Runner("hold", str(output), host="renamed", flock="nothing", number=1))
    with pytest.raises(OutputBusyError, match=" on renamed "), output_lock(output):
        pass
    child.kill()
    child.communicate()
    with output_lock(output):
        assert read_note(output).owner == Owner.here()


@pytest.mark.usefixtures("other_kernel")
def test_a_holder_that_slept_too_long_puts_nothing_in_place(output, holder):
    holder.send_signal(signal.SIGSTOP)
    with output_lock(output, FOR_EVER, refresh=SHORT):
        write_json(output, {"by": "the other"})
        holder.send_signal(signal.SIGCONT)
        said = end_holder(holder)
    assert said.startswith(f"LockLostError: {output}: its lock has been taken over by process {os.getpid()} on ")
    assert said.endswith("Nothing was put in place, and what the other one writes is left alone. Run this again.")
    assert json.loads(output.read_text()) == {"by": "the other"}
    assert names_beside(output) == {"output", ".output.lock"}


@pytest.mark.usefixtures("other_kernel")
def test_a_stopped_process_of_this_machine_is_replaced_only_after_somebody_has_watched_it(output):
    child = start_holder(Runner("hold", str(output), flock="nothing", refresh=SHORT, number=1))
    child.send_signal(signal.SIGSTOP)
    long_ago = time.time() - 3600
    os.utime(owner_path(output), (long_ago, long_ago))
    with pytest.raises(OutputBusyError, match="no sign of life for 60 min"), output_lock(output):
        pass
    begin = time.monotonic()
    with output_lock(output, FOR_EVER, refresh=SHORT):
        assert 0.8 < time.monotonic() - begin < 20
        child.send_signal(signal.SIGCONT)
        assert end_holder(child).startswith("LockLostError: ")


def test_of_four_that_take_over_one_lock_exactly_one_wins(tmp_path):
    rounds = 12
    far = replace(Owner.here(), host="gone", boot_id="gone")
    for number in range(rounds):
        output = tmp_path / f"output-{number}"
        note = {"owner": far.to_dict(), "refresh": SHORT}
        owner_path(output).write_text(json.dumps(note))
        os.utime(owner_path(output), (1e9, 1e9))
    won = run_all(machines("race", tmp_path, 4, flock="nothing", rounds=rounds, refresh=15.0))
    assert sorted(number for line in won for number in json.loads(line)) == list(range(rounds))
    assert not list(tmp_path.glob(".*.owner*"))


@pytest.mark.usefixtures("other_kernel")
def test_a_taker_that_died_in_the_middle_keeps_nobody_out(output, monkeypatch):
    for path in (owner_path(output), next_path(output)):
        path.write_text(json.dumps({"owner": replace(Owner.here(), start="1").to_dict()}))
    with output_lock(output, 5.0):
        assert read_note(output).owner == Owner.here()
    assert names_beside(output) == {".output.lock"}


def test_a_lock_that_was_freed_by_force_is_missed_before_anything_is_put_in_place(output):
    expected = pytest.raises(LockLostError, match="has been taken away from this process, by another one or by dynv")
    with lost_lock(output), expected:
        write_json(output, {})
    assert not output.exists()


@pytest.mark.parametrize("name", ["output.json", ".output.partial-1-a/x/y", "output/record.json"])
def test_what_belongs_to_an_output_is_guarded_too(output, name):
    with lost_lock(output), pytest.raises(LockLostError):
        write_json(output.parent / name, {})


def test_another_output_of_this_process_is_not_concerned(output):
    with lost_lock(output):
        write_json(output.with_name("output2"), {})
    assert output.with_name("output2").exists()


def test_an_error_after_a_loss_is_explained_by_it(output):
    with pytest.raises(LockLostError) as lost, lost_lock(output):
        raise FileNotFoundError(2, "somebody removed my temporary files")
    assert isinstance(lost.value.__cause__, FileNotFoundError)


def test_a_dead_owner_in_another_container_is_seen_by_the_lock_that_the_kernel_freed(output):
    with output_lock(output):
        content = json.loads(owner_path(output).read_text())
    content["owner"]["pid_namespace"] = "1"
    owner_path(output).write_text(json.dumps(content))
    with output_lock(output):
        pass
    content["flock"] = None  # It held no lock of the kernel, so nothing is known.
    owner_path(output).write_text(json.dumps(content))
    with pytest.raises(OutputBusyError), output_lock(output):
        pass


def test_a_restarted_machine_is_believed_when_no_sign_of_life_comes(output, monkeypatch):
    before = replace(Owner.here(), boot_id="before")
    owner_path(output).write_text(json.dumps({"owner": before.to_dict()}))
    with pytest.raises(OutputBusyError), output_lock(output):
        pass
    os.utime(owner_path(output), (time.time() - 60, time.time() - 60))
    told: list[str] = []
    with output_lock(output, 0.0, told.append):
        pass
    assert told[-1].endswith("whose machine was restarted: its lock is taken over.")


def test_a_lock_is_kept_alive_by_one_thread_for_all(tmp_path, monkeypatch):
    outputs = [tmp_path / f"output-{n}" for n in range(3)]
    with output_lock(outputs[0], refresh=SHORT), output_lock(outputs[1], refresh=SHORT), output_lock(outputs[2]):
        before = [owner_path(output).stat().st_mtime_ns for output in outputs]
        time.sleep(0.5)
        after = [owner_path(output).stat().st_mtime_ns for output in outputs]
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("signs of life of locks") == 1
    assert [now > then for now, then in zip(after, before, strict=True)] == [True, True, False]


def test_a_process_that_was_forked_frees_nothing(output):
    with output_lock(output) as lock:
        if (child := os.fork()) == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        lock.check()
        assert owner_path(output).exists()
        code = "import sys; from pathlib import Path; from dynvision.system.locks.flocks import Flock; "
        code += "sys.exit(Flock(Path(sys.argv[1])).take())"
        path = str(output.with_name(".output.lock"))
        assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0


def test_an_unreadable_note_is_waited_for_as_long_as_it_takes_to_write_one(output):
    owner_path(output).touch()
    with pytest.raises(OutputBusyError, match="by another process"), output_lock(output):
        pass
    os.utime(owner_path(output), (time.time() - 60, time.time() - 60))
    with output_lock(output):
        pass


def test_notes_of_one_process_differ():
    assert compose_note(None, 1.0) != compose_note(None, 1.0)
    assert holders.parse_note(compose_note((1, 2), 3.0)).flock == (1, 2)
    assert owners.Owner.here() == holders.parse_note(compose_note(None, 3.0)).owner
