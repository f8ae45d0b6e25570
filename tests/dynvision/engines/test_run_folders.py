"""What a run leaves behind: its logs, and nothing else."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dynvision.engines import run_folders
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.run_folders import make_run_folder, remove_leftovers, tidy_logs
from dynvision.engines.settings import EngineSettings
from dynvision.errors import UnknownNameError
from dynvision.system.owners import Owner


def test_only_folders_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    own = make_run_folder(tmp_path, "own")
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    changes: dict[str, dict[str, Any]] = {
        "dead": {"start": "1"},
        "elsewhere": {"host": "another", "boot_id": "another"},
        "container": {"pid_namespace": "1", "pid": 2**31 - 1},  # of the same host name; it sees other processes
    }
    for name, change in changes.items():
        owner = replace(Owner.here(), **change)
        (make_run_folder(tmp_path, name) / "owner.json").write_text(json.dumps(owner.to_dict()))
    for name, text in {"unreadable": "{", "foreign": '["x"]'}.items():
        (make_run_folder(tmp_path, name) / "owner.json").write_text(text)
    (tmp_path / "run-empty").mkdir()
    remove_leftovers(tmp_path)
    kept = {path.name.removeprefix("run-") for path in tmp_path.iterdir()}
    assert kept == {"own", "elsewhere", "container", "unreadable", "foreign", "empty"}


def test_folder_of_a_living_run_stays_if_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time at which a process started, as psutil tells it, moves with the clock."""
    import psutil

    make_run_folder(tmp_path, "own")
    started = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started + 60)
    remove_leftovers(tmp_path)
    assert (tmp_path / "run-own").is_dir()


def test_empty_logs_of_a_run_and_the_oldest_of_all_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folders, "KEPT", 2)
    for age, (name, text) in enumerate({"a-1": "x", "b-1": "", "c-1": "x", "c-2": "", "c-3": "x"}.items()):
        (tmp_path / f"{name}.log").write_text(text)
        os.utime(tmp_path / f"{name}.log", (age, age))
    tidy_logs(tmp_path, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c-1.log", "c-3.log"]


def test_an_unknown_engine_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown engine 'slrum'\. Did you mean 'slurm'"):
        DistributedEngine(EngineSettings(kind="slrum", folder=tmp_path))
