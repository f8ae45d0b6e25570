from __future__ import annotations

import subprocess
import sys
import time

import pytest

from dynvision.system.process_trees import glance_at_tree, kill_tree, list_tree

NESTED = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).wait()"


@pytest.mark.slow
def test_a_glance_sees_the_same_processes_as_a_full_list():
    started = subprocess.Popen([sys.executable, "-c", NESTED])
    try:
        deadline = time.monotonic() + 20
        while len(list_tree(started.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        seen = [process.pid for process in glance_at_tree(started.pid)]
        assert len(seen) == 2
        assert seen == [process.pid for process in list_tree(started.pid)]
    finally:
        kill_tree(started.pid)
        started.wait()


def test_a_process_that_has_ended_has_no_tree():
    free = 4_000_000  # above the number of any process
    assert glance_at_tree(free) == []
