"""Builds at once, next to a busy loop, end in silence and with the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import dynvision
from tests.helpers.chains import records, states
from tests.helpers.commands import environment
from tests.helpers.configuration import write_config
from tests.helpers.instances import materializations, open_instance
from tests.helpers.twenty_builds import NOISE, build_many, faults


@pytest.mark.timeout(900)
def test_two_builds_at_once_next_to_a_busy_loop_end_in_silence_with_the_same_numbers(tmp_path: Path) -> None:
    done = build_many(tmp_path, builds=2, at_once=2, busy=1, target="models/rcnn/gratings:all_s0")
    assert faults(done) == []
    assert len(done[0].versions) >= 4


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, "PASSIVE 0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"), ({"GOMP_SPINCOUNT": "5"}, "None None")],
)
def test_threads_wait_passively_unless_the_user_chose(chosen: dict[str, str], expected: str) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OPENBLAS_THREAD_TIMEOUT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | chosen
    path = str(Path(dynvision.__file__).parent.parent)
    code = "import os, dynvision; print(*map(os.environ.get, ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME')))"
    printed = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**environment, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert printed.stdout.strip() == expected


@pytest.mark.timeout(900)
def test_eight_makes_on_one_root_build_everything_once_and_all_succeed(tmp_path: Path) -> None:
    """As the jobs of an array would start them: in the same second, on an empty root."""
    root = tmp_path / "root"
    write_config(root)
    command = [sys.executable, "-P", "-m", "dynvision_assets.command_line", "make", "--json", "interim/gratings"]
    path = str(Path(dynvision.__file__).parent.parent)
    settings = {**environment(root), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(command, cwd=root, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0] * 8, [error for _, error in ended]
    for _, error in ended:
        assert not any(word in error for word in (*NOISE, "locked", "Error"))
    built = sorted(target["target"] for output, _ in ended for target in json.loads(output)["built"])
    made = records(root)
    assert built == sorted(map(str, made)), "something was built twice, or nobody says that it was built"
    assert {states(root)[str(target)] for target in made} == {"fresh"}
    with open_instance(root) as instance:
        assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in instance.get_runs())
        for target, record in made.items():
            (newest, *others) = materializations(instance, root, target)
            assert {event.tags["dagster/data_version"] for event in (newest, *others)} == {record.data_version}
