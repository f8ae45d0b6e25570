from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.system.owners import Owner, describe_process, name_command

HERE = Owner.here()
needs_proc = pytest.mark.skipif(not HERE.boot_id, reason="this system has no /proc")


def test_this_process_is_alive_and_its_note_reads_back():
    assert HERE.liveness() == "alive"
    assert Owner.from_dict(HERE.to_dict()) == HERE
    texts = {name: str(value) for name, value in HERE.to_dict().items()}
    assert Owner.from_dict(texts) == HERE, "the tags of a run are text"


@needs_proc
@pytest.mark.parametrize(
    ("changes", "liveness"),
    [
        ({"start": "1"}, "dead"),  # its id was given to another process
        ({"boot_id": "another"}, "dead"),  # the machine was restarted
        ({"pid": 2**31 - 1}, "dead"),
        ({"host": "elsewhere"}, "alive"),  # the machine was given another name, or the process has one of its own
        ({"host": "elsewhere", "pid": 2**31 - 1}, "dead"),
        ({"host": "elsewhere", "boot_id": "another"}, "unknown"),
        ({"pid_namespace": "1"}, "unknown"),  # another container with the same host name
        ({"pid_namespace": "1", "start": "1"}, "unknown"),
        ({"pid_namespace": "1", "boot_id": "another"}, "unknown"),  # a container of the same name on another machine
        ({"pid_namespace": ""}, "unknown"),
        ({"boot_id": ""}, "unknown"),  # a note of another version
        ({"start": ""}, "alive"),
    ],
)
def test_processes_are_told_apart_by_all_that_is_known_of_them(changes, liveness):
    assert replace(HERE, **changes).liveness() == liveness


@pytest.mark.slow
def test_a_process_that_ended_is_dead_also_before_its_parent_collects_it():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    code = "from dynvision.system.owners import Owner; Owner.here()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    owner = replace(HERE, pid=child.pid, start="")
    assert owner.liveness() == "alive"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ends, and stays a zombie
    assert owner.liveness() == "dead"
    child.communicate()
    assert owner.liveness() == "dead"


@pytest.mark.parametrize(
    "content",
    [
        None,
        "process 12 on machine",
        [],
        {},
        {**HERE.to_dict(), "pid": "0"},
        {**HERE.to_dict(), "pid": -1},
        {**HERE.to_dict(), "pid": 2**64},
        {**HERE.to_dict(), "pid": True},
        {**HERE.to_dict(), "host": ""},
        {**HERE.to_dict(), "start": 12},
        {name: value for name, value in HERE.to_dict().items() if name != "boot_id"},
    ],
)
def test_what_is_no_note_of_an_owner_is_none(content):
    assert Owner.from_dict(content) is None


@given(st.dictionaries(st.sampled_from([*HERE.to_dict(), "x"]), st.one_of(st.text(), st.integers(), st.none())))
def test_any_note_can_be_read(content):
    owner = Owner.from_dict(content)
    assert owner is None or owner.liveness() in ("alive", "dead", "unknown")


def test_commands_read_as_they_are_typed():
    python = ["/venv/bin/python", "-P", "-m"]
    assert name_command([*python, "dynvision_assets.command_line", "make", "raw/x:a"]) == "dynvision make raw/x:a"
    assert name_command(["/venv/bin/python", "/venv/bin/dynvision", "demo"]) == "dynvision demo"
    assert name_command([*python, "dagster", "api", "execute_run", '{"long": 1}']) == "a run in Dagster"
    assert name_command(["/usr/bin/sleep", "10", "a\n\tb\x1b"]) == "sleep 10 a b?"
    assert len(name_command(["dynvision", "make", *["x" * 50] * 9])) == 120
    job = [*python, "dynvision.engines.queues.job_main", "tls://10.0.0.1:1", "--credentials", "/root/.dynvision/x"]
    assert name_command(job) == "a job of dynvision"
    assert name_command([]) == ""
    assert describe_process(2**31 - 1) == ""
    assert describe_process()
