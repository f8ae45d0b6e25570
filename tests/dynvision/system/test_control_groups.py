"""The limits of control groups: of the group that a process is in, and of those above it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dynvision.system import control_groups
from dynvision.system.control_groups import memory_left, memory_limit
from dynvision.system.machine import available_memory, whole_memory

Make = Callable[[str, dict[str, tuple[str, int, int]]], None]


@pytest.fixture
def make_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes groups: the kernel's list, and for folders limit, use and cached files in bytes."""

    def make(own: str, groups: dict[str, tuple[str, int, int]]) -> None:
        (tmp_path / "own").write_text(own)
        for name, (limit, used, cached) in groups.items():
            folder = tmp_path / "groups" / name
            folder.mkdir(parents=True, exist_ok=True)
            is_first = name.split("/")[0] == "memory"
            prefix = "total_" if is_first else ""
            (folder / ("memory.limit_in_bytes" if is_first else "memory.max")).write_text(f"{limit}\n")
            (folder / ("memory.usage_in_bytes" if is_first else "memory.current")).write_text(f"{used}\n")
            (folder / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {cached}\nactive_file 7\n")

    monkeypatch.setattr(control_groups, "_OWN", tmp_path / "own")
    monkeypatch.setattr(control_groups, "_MOUNT", tmp_path / "groups")
    return make


def test_limit_of_a_job_of_slurm_counts_for_its_steps(make_groups: Make) -> None:
    job = "system.slice/slurmstepd.scope/job_71"
    make_groups(
        f"0::/{job}/step_batch/user/task_0\n",
        {
            job: ("8000", 3000, 500),
            f"{job}/step_batch": ("max", 3000, 500),
            f"{job}/step_batch/user/task_0": ("max", 2900, 500),
            "system.slice": ("max", 90_000, 0),
        },
    )
    assert (memory_limit(), memory_left()) == (8000, 5500)
    assert (whole_memory(), available_memory()) == (8000, 5500)


def test_limit_of_version_1_is_found_in_its_own_folder(make_groups: Make) -> None:
    make_groups(
        "9:cpu,cpuacct:/slurm/uid_7/job_71\n4:memory:/slurm/uid_7/job_71/step_0\n0::/\n",
        {
            "memory": ("9223372036854771712", 10**9, 0),
            "memory/slurm/uid_7/job_71": ("4000", 1000, 100),
            "memory/slurm/uid_7/job_71/step_0": ("5000", 900, 100),
        },
    )
    assert (memory_limit(), memory_left()) == (4000, 3100)


def test_group_that_has_the_least_left_counts_whichever_has_the_least_limit(make_groups: Make) -> None:
    make_groups("0::/all/own\n", {"all": ("9000", 8800, 0), "all/own": ("1000", 100, 0)})
    assert (memory_limit(), memory_left()) == (1000, 200)


@pytest.mark.parametrize("own", ["0::/docker/abc\n", "0::/../../elsewhere\n", "0::/\n", "", "odd\n"])
def test_container_that_is_told_a_path_which_it_does_not_see_has_the_limit_of_its_root(
    make_groups: Make, own: str
) -> None:
    make_groups(own, {".": ("6000", 2000, 0)})
    assert (memory_limit(), memory_left()) == (6000, 4000)


def test_without_groups_there_is_no_limit(make_groups: Make) -> None:
    make_groups("0::/user.slice\n", {"user.slice": ("max", 5, 0)})
    assert (memory_limit(), memory_left()) == (None, None)
    assert 0 < available_memory() <= whole_memory()
